"""The server itself: faults, limits, control API, process."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import requests

from provider_sandbox import Limit, Sandbox
from provider_sandbox.faults import FAULTS, make_fault

from .conftest import Get

CHARGES = "/v1/charges"


def strike(sandbox: Sandbox, kind: str, **settings: Any) -> None:
    sandbox.faults.add(make_fault(kind, **{"path": CHARGES, **settings}))


def page_ids(answered: requests.Response) -> list[str]:
    return [one["id"] for one in answered.json()["data"]]


def test_a_429_storm_ends_after_its_count(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "rate_limited", times=2, retry_after=0.5)
    strike(sandbox, "rate_limited", times=3)
    first = get(CHARGES)
    assert first.status_code == 429
    assert first.headers["Retry-After"] == "0.5"
    assert first.json()["error"]["code"] == "rate_limit"
    assert [get(CHARGES).status_code for _ in range(4)] == [429, 429, 200, 200]
    assert get("/v1/customers").status_code == 200


def test_a_429_says_nothing_of_when_unless_told(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "rate_limited")
    assert "Retry-After" not in get(CHARGES).headers


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_errors_are_stripes_or_a_proxys(get: Get, sandbox: Sandbox, status: int) -> None:
    strike(sandbox, "server_error", status=status)
    strike(sandbox, "server_error", status=status, html=True, skip=1)
    answered = get(CHARGES)
    assert answered.status_code == status
    assert answered.json()["error"]["type"] == "api_error"
    answered = get(CHARGES)
    assert answered.status_code == status
    assert answered.headers["Content-Type"] == "text/html"


def test_a_key_can_die_in_the_midst_of_a_list(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "unauthorized", skip=2, times=None)
    assert [get(CHARGES).status_code for _ in range(4)] == [200, 200, 401, 401]


def test_truncated_bodies_end_before_their_content_length(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "truncated")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(CHARGES)
    assert get(CHARGES).status_code == 200


def test_cut_bodies_have_the_length_of_what_is_left(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "cut")
    answered = get(CHARGES)
    assert answered.status_code == 200
    assert int(answered.headers["Content-Length"]) == len(answered.content)
    with pytest.raises(ValueError):
        answered.json()


def test_html_comes_with_200(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "html")
    answered = get(CHARGES)
    assert answered.status_code == 200
    assert answered.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("variant", "holds"),
    [
        ("null_data", lambda body: body["data"] is None),
        ("object_data", lambda body: isinstance(body["data"], dict)),
        ("no_data", lambda body: "data" not in body),
        ("no_has_more", lambda body: "has_more" not in body),
        ("list", lambda body: body == []),
        ("null", lambda body: body is None),
        ("text", lambda body: body == "ok"),
        ("row", lambda body: body["data"][-1] == "row"),
    ],
)
def test_wrong_types_are_valid_json(get: Get, sandbox: Sandbox, variant: str, holds: Any) -> None:
    strike(sandbox, "wrong_type", variant=variant)
    answered = get(CHARGES)
    assert answered.status_code == 200
    assert holds(answered.json())


def test_a_reset_connection_gives_no_answer(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "reset")
    with pytest.raises(requests.exceptions.ConnectionError):
        get(CHARGES)
    assert get(CHARGES).status_code == 200


@pytest.mark.parametrize("midway", [False, True])
def test_slow_answers_start_late_or_stall(get: Get, sandbox: Sandbox, midway: bool) -> None:
    strike(sandbox, "slow", seconds=0.3, midway=midway)
    began = time.monotonic()
    answered = get(CHARGES)
    assert time.monotonic() - began > 0.3
    assert (answered.elapsed.total_seconds() > 0.3) is not midway
    assert len(answered.json()["data"]) == 10


def test_a_list_can_move_while_it_is_read(get: Get, sandbox: Sandbox, account: Any) -> None:
    before = set(account.ids("charges"))
    strike(sandbox, "shift", skip=1, count=4)
    first = page_ids(get(CHARGES))
    second = page_ids(get(CHARGES, starting_after=first[-1]))
    assert not set(first) & set(second)
    assert set(account.ids("charges")) > before


def test_a_loop_answers_one_page_for_ever(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "loop")
    first = get(CHARGES).json()
    for _ in range(3):
        again = get(CHARGES, starting_after=first["data"][-1]["id"]).json()
        assert again["data"] == first["data"]
        assert again["has_more"] is True


def test_duplicates_repeat_the_last_row(get: Get, sandbox: Sandbox) -> None:
    strike(sandbox, "duplicates")
    first = page_ids(get(CHARGES))
    second = page_ids(get(CHARGES, starting_after=first[-1]))
    assert second[0] == first[-1]
    assert len(second) == 11


def test_a_row_can_be_missing(get: Get, sandbox: Sandbox, account: Any) -> None:
    strike(sandbox, "drop_row")
    expected = account.ids("charges")[::-1][:10]
    assert page_ids(get(CHARGES)) == [*expected[:5], *expected[6:]]


def test_a_page_can_be_missing(get: Get, sandbox: Sandbox, account: Any) -> None:
    strike(sandbox, "drop_page")
    assert page_ids(get(CHARGES)) == account.ids("charges")[::-1][10:20]
    strike(sandbox, "empty")
    empty = get(CHARGES).json()
    assert (empty["data"], empty["has_more"]) == ([], False)


def test_a_probability_strikes_its_share_the_same_way_each_time(get: Get, sandbox: Sandbox) -> None:
    def struck() -> list[int]:
        sandbox.faults.clear()
        strike(sandbox, "server_error", times=None, probability=0.3, seed=5)
        return [get(CHARGES).status_code for _ in range(60)]

    first = struck()
    assert 5 < first.count(500) < 35
    assert struck() == first


def test_a_fault_strikes_the_account_that_it_names(get: Get, sandbox: Sandbox) -> None:
    other = sandbox.stripe.create_account("other", size=5)
    strike(sandbox, "server_error", account=other.id)
    assert get(CHARGES).status_code == 200
    url = f"{sandbox.base_url}/stripe{CHARGES}"
    assert requests.get(url, auth=(other.api_key, ""), timeout=5).status_code == 500


def test_a_rate_limit_lets_its_rate_through(get: Get, sandbox: Sandbox, account: Any) -> None:
    sandbox.limits.set(account.id, Limit(rate=20, retry_after=1))
    answered = [get(CHARGES, limit=1) for _ in range(40)]
    refused = [one for one in answered if one.status_code == 429]
    assert 5 <= len(refused) <= 20
    assert refused[0].headers["Retry-After"] == "1"
    assert refused[0].headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert sandbox.limited["stripe", account.id] == len(refused)
    sandbox.limits.set(account.id, None)
    assert all(get(CHARGES, limit=1).status_code == 200 for _ in range(30))


def test_a_concurrency_limit_refuses_what_is_too_many_at_once(
    get: Get, sandbox: Sandbox, account: Any
) -> None:
    sandbox.limits.set(account.id, Limit(concurrency=2))
    strike(sandbox, "slow", seconds=0.4, times=None)
    url = f"{sandbox.base_url}/stripe{CHARGES}"
    statuses: list[int] = []

    def ask() -> None:
        answered = requests.get(url, auth=(account.api_key, ""), timeout=5)
        statuses.append(answered.status_code)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 429, 429, 429]


def test_latency_is_added_to_each_request(get: Get, sandbox: Sandbox) -> None:
    sandbox.latency = 0.2
    assert get(CHARGES).elapsed.total_seconds() > 0.2


def control(sandbox: Sandbox, method: str, order: str, /, **body: Any) -> Any:
    answered = requests.request(
        method, f"{sandbox.base_url}/_sandbox/{order}", json=body or None, timeout=30
    )
    assert answered.status_code == 200, answered.text
    return answered.json()


def test_accounts_are_made_changed_and_read_over_http(sandbox: Sandbox) -> None:
    made = control(
        sandbox, "POST", "stripe/accounts", slug="club", size=30, currency="jpy", months=1
    )
    assert made["account_id"].startswith("acct_")
    url = f"{sandbox.base_url}/stripe/v1/account"
    shown = requests.get(url, auth=(made["api_key"], ""), timeout=5).json()
    assert (shown["id"], shown["country"]) == (made["account_id"], "JP")
    base = "stripe/accounts/club"
    done = control(sandbox, "POST", f"{base}/mutations", count=3, kinds=["create"], step=5)
    assert len(done) == 3
    customers = control(sandbox, "GET", f"{base}/streams/customers?objects=true")
    first = customers["objects"][0]
    changed = control(
        sandbox, "POST", f"{base}/mutations",
        update={"stream": "customers", "id": first["id"], "changes": {"name": "Nobody"}},
    )  # fmt: skip
    assert changed["name"] == "Nobody"
    order = {"do": "add_customer"}
    assert control(sandbox, "POST", f"{base}/mutations", **order)["object"] == "customer"
    delete = {"stream": "customers", "id": first["id"]}
    control(sandbox, "POST", f"{base}/mutations", delete=delete)
    clock = control(sandbox, "POST", f"{base}/clock", advance=3600, told=True)
    assert clock["is_set"]
    truth = control(sandbox, "GET", base)
    charges = control(sandbox, "GET", f"{base}/streams/charges?objects=true")
    assert truth["streams"]["charges"]["count"] == len(charges["ids"])
    assert (
        sum(one["amount"] for one in charges["objects"] if one["currency"] == "jpy")
        == (charges["sums"]["jpy"])
    )
    assert control(sandbox, "GET", f"{base}/streams/customers")["deleted"] == [first["id"]]
    restricted = control(sandbox, "POST", f"{base}/keys", streams=["charges"])["api_key"]
    assert restricted.startswith("rk_test_")
    assert control(sandbox, "DELETE", f"{base}/keys") == {"revoked": 2}
    assert requests.get(url, auth=(made["api_key"], ""), timeout=5).status_code == 401


def test_faults_limits_latency_and_stats_are_reached_over_http(
    get: Get, sandbox: Sandbox, account: Any
) -> None:
    told = control(
        sandbox, "POST", "faults", kind="rate_limited", path=CHARGES, account=account.slug
    )
    assert told["account"] == account.id
    assert get(CHARGES).status_code == 429
    assert control(sandbox, "GET", "faults")[0]["struck"] == 1
    control(sandbox, "DELETE", "faults")
    assert control(sandbox, "POST", "limits", account=account.slug, rate=1)["rate"] == 1
    assert [get(CHARGES).status_code for _ in range(2)] == [200, 429]
    control(sandbox, "POST", "limits", account=account.slug, rate=None)
    control(sandbox, "POST", "latency", seconds=0.0)
    get(CHARGES, colour="red")
    stats = control(sandbox, "GET", "stats")
    assert stats["limited"] == [{"provider": "stripe", "account": account.id, "count": 2}]
    assert stats["refused"][-1]["query"] == "colour=red"
    assert stats["total"]["stripe"] == 4
    control(sandbox, "DELETE", "stats")
    assert control(sandbox, "GET", "stats")["requests"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("POST", "stripe/accounts", {"slug": "x", "currency": "xau"}, 400, "xau"),
        ("POST", "stripe/accounts", {"slug": "red-room"}, 400, "red-room"),
        ("POST", "stripe/accounts", {"size": 1}, 400, "slug"),
        ("GET", "stripe/accounts/nowhere", {}, 404, "nowhere"),
        ("POST", "faults", {"kind": "flood"}, 400, "flood"),
        ("POST", "faults", {"kind": "slow", "hours": 1}, 400, "hours"),
        ("POST", "limits", {"rate": -1}, 400, "rate"),
        ("GET", "weather", {}, 404, "weather"),
        ("POST", "stripe/accounts/red-room/mutations", {"kinds": ["x"]}, 400, "x"),
    ],
)
def test_wrong_orders_are_refused_by_name(
    sandbox: Sandbox, account: Any, method: str, path: str, body: Any, status: int, named: str
) -> None:
    url = f"{sandbox.base_url}/_sandbox/{path}"
    answered = requests.request(method, url, json=body, timeout=10)
    assert answered.status_code == status
    assert named in answered.json()["error"]


def test_every_fault_describes_itself_as_json() -> None:
    for kind in FAULTS:
        assert json.loads(json.dumps(make_fault(kind).describe()))["kind"] == kind


def test_one_connection_serves_many_requests(get: Get, sandbox: Sandbox, account: Any) -> None:
    host, port = sandbox.base_url.removeprefix("http://").split(":")
    request = (
        f"GET /stripe/v1/account HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {account.api_key}\r\n\r\n"
    ).encode()
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        reader = connection.makefile("rb")
        for _ in range(3):
            connection.sendall(request)
            assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while (line := reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert json.loads(reader.read(length))["id"] == account.id


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_it_listens_and_stops_cleanly(number: int) -> None:
    command = [sys.executable, "-m", "provider_sandbox", "--port", "0", "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        base = line.split()[-1]
        assert requests.get(f"{base}/_sandbox/stats", timeout=5).status_code == 200
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
