"""The transport against a real server that misbehaves (faults 6, 7, 23 and 24)."""

import json
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
import structlog
from requests import PreparedRequest

from integration_pipelines.core.errors import (
    AccessRevoked,
    ConfigurationError,
    MalformedResponse,
    NotFound,
    ProviderError,
    RateLimited,
    Refused,
    Transient,
)
from integration_pipelines.core.transport import Bounds, Response, RetryPolicy, default_error

from .conftest import QUICK, Reply, Server, running, zipped

CANARY = "sk_live_canary4242424242"
JSON = Reply(body=b'{"data": [1, 2]}')


def bearer(request: PreparedRequest) -> PreparedRequest:
    request.headers["Authorization"] = f"Bearer {CANARY}"
    return request


def get(transport, path="/list", **options):
    return transport.request("GET", path, endpoint="GET /list", **options)


def parse_json(response: Response):
    try:
        return json.loads(response.body)["data"]
    except (ValueError, KeyError) as error:
        raise MalformedResponse("not the list that acme documents") from error


def test_answer_has_body_status_headers_and_start(server, make_transport):
    server.script("/list", Reply(body=b"[]", headers={"X-Total": "0"}))
    before = datetime.now(UTC)
    response = get(make_transport(auth=bearer), params=[("limit", "100"), ("expand[]", "data.x")])
    assert (response.status, response.body, response.headers["x-total"]) == (200, b"[]", "0")
    assert before - timedelta(seconds=1) < response.started_at < datetime.now(UTC)
    (request,) = server.received
    assert request.path == "/list?limit=100&expand%5B%5D=data.x"
    assert request.headers["Authorization"] == f"Bearer {CANARY}"


def test_gzip_is_asked_for_and_read(server, make_transport):
    server.script("/list", zipped(b"x" * 100_000))
    assert get(make_transport()).body == b"x" * 100_000
    assert server.received[0].headers["Accept-Encoding"] == "gzip"


def test_connection_is_kept_alive(server, make_transport):
    server.script("/list", JSON)
    transport = make_transport(concurrency=1)
    for _ in range(5):
        get(transport)
    assert len({request.port for request in server.received}) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500, b"oops"),
        Reply(503, b"<html>"),
        Reply(408, b""),
        Reply(409, b""),
        Reply(429, b""),
        Reply(reset=True),
        Reply(body=b'{"da', says=500),
        Reply(body=b'{"da', says=-1),
        Reply(body=b"garbage", headers={"Content-Encoding": "gzip"}),
        Reply(wait=0.8),
        Reply(body=b"<html>We are down</html>"),
        Reply(body=b'{"data": [1'),
        Reply(body=b'{"unexpected": 1}'),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}-{reply.says}-{reply.reset}-{reply.wait}",
)
def test_passing_fault_is_retried_until_the_whole_answer_is_there(server, make_transport, fault):
    server.script("/list", fault, fault, JSON)
    transport = make_transport(bounds=Bounds(read=0.5))
    assert get(transport, parse=parse_json) == [1, 2]
    assert len(server.received) == 3
    (cost,) = transport.drain_costs()
    assert (cost.calls, cost.errors, cost.rate_limited) == (3, 2, 2 * (fault.status == 429))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Reply(500), Transient),
        (Reply(429, b""), RateLimited),
        (Reply(body=b"<html>"), MalformedResponse),
        (Reply(body=b'{"da', says=500), Transient),
        (Reply(body=b"{}", says=0), MalformedResponse),
    ],
)
def test_lasting_fault_is_an_error_after_the_last_try_never_an_empty_page(
    server, make_transport, fault, error
):
    server.script("/list", fault)
    with pytest.raises(error):
        get(make_transport(), parse=parse_json)
    assert len(server.received) == QUICK.attempts


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (401, AccessRevoked), (402, Refused), (403, Refused), (404, NotFound)],
)
def test_refusal_is_not_retried(server, make_transport, status, error):
    server.script("/list", Reply(status))
    with pytest.raises(error) as caught:
        get(make_transport())
    assert caught.value.status == status
    assert len(server.received) == 1


def test_unreachable_server_is_transient(make_transport):
    transport = make_transport(base_url="http://127.0.0.1:1")
    with pytest.raises(Transient, match="acme GET /list: connection failed"):
        get(transport)


def test_retry_after_in_seconds_is_obeyed_and_shown(server, make_transport):
    server.script("/list", Reply(429, headers={"Retry-After": "1"}), JSON)
    waits = []
    get(make_transport(on_wait=lambda seconds, reason: waits.append((seconds, reason))))
    first, second = server.received
    assert 1.0 <= second.at - first.at < 1.5
    ((seconds, reason),) = waits
    assert 1.0 <= seconds < 1.1
    assert "429 Too Many Requests" in reason


def test_retry_after_as_a_date_is_counted_from_the_providers_own_clock():
    skewed = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    response = Response(
        429,
        {
            "Date": format_datetime(skewed, usegmt=True),
            "Retry-After": format_datetime(skewed + timedelta(seconds=77), usegmt=True),
        },
        b"",
        datetime.now(UTC),
        "acme",
        "GET /list",
    )
    assert response.retry_after == 77


@pytest.mark.parametrize("value", ["", "soon", "-5", "nan", "1e999", "Wed, 99 Foo"])
def test_nonsense_retry_after_is_ignored(value):
    response = Response(429, {"Retry-After": value}, b"", datetime.now(UTC), "acme", "GET /list")
    assert response.retry_after is None


def test_retry_after_too_long_to_wait_for_ends_the_request_at_once(server, make_transport):
    server.script("/list", Reply(429, headers={"Retry-After": "86400"}))
    begun = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        get(make_transport())
    assert caught.value.retry_after == 86400
    assert len(server.received) == 1
    assert time.monotonic() - begun < 1


def test_waits_grow_are_random_and_are_capped(server, make_transport):
    server.script("/list", Reply(500))
    policy = RetryPolicy(attempts=12, base=0.01, cap=0.04, total=5)
    with pytest.raises(Transient):
        get(make_transport(retry=policy))
    times = [request.at for request in server.received]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) == 12
    assert max(gaps) < 0.04 + 0.03
    assert len({round(gap, 4) for gap in gaps}) > 5


def test_nothing_is_begun_after_the_total(server, make_transport):
    server.script("/list", Reply(500))
    begun = time.monotonic()
    with pytest.raises(Transient):
        get(make_transport(retry=RetryPolicy(attempts=1000, base=0.05, cap=0.1, total=0.5)))
    assert time.monotonic() - begun < 0.8


def test_post_is_sent_once_unless_it_is_idempotent(server, make_transport):
    transport = make_transport()
    server.script("/write", Reply(500))
    for options, tries in (
        ({}, 1),
        ({"headers": {"Idempotency-Key": "k1"}}, QUICK.attempts),
        ({"idempotent": True}, QUICK.attempts),
    ):
        server.received.clear()
        with pytest.raises(Transient):
            transport.request("POST", "/write", json={"a": 1}, endpoint="POST /write", **options)
        assert len(server.received) == tries
        assert all(json.loads(request.body) == {"a": 1} for request in server.received)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://127.0.0.1:1/list",
        "https://{host}/list",
        "http://evil.example/list",
        "//evil.example/list",
        "http://{host}@evil.example/list",
        "http://user:pw@{host}/list",
        "http://evil.example\\@{host}/list",
        "http://evil.example#@{host}/list",
        "ftp://{host}/list",
        "list",
        "",
    ],
)
def test_next_page_elsewhere_never_gets_the_credential(server, make_transport, elsewhere):
    with running(Server()) as other:
        url = elsewhere.format(host=f"127.0.0.1:{server.server_port}")
        server.script("/list", JSON)
        server.script("/evil.example/list", JSON)
        if url.startswith("/"):
            get(make_transport(auth=bearer), url)
            assert server.received[0].path.endswith("/evil.example/list")
        else:
            with pytest.raises(ConfigurationError, match="the credential goes nowhere else"):
                get(make_transport(auth=bearer), url)
            assert not server.received
        assert not other.received


def test_whole_url_of_the_same_server_is_called(server, make_transport):
    server.script("/list", JSON)
    get(make_transport(), f"{server.base_url}/list?page=2")
    assert server.received[0].path == "/list?page=2"


def test_redirect_is_refused_and_not_followed(server, make_transport):
    with running(Server()) as other:
        server.script("/list", Reply(302, headers={"Location": f"{other.base_url}/list"}))
        with pytest.raises(Refused, match="redirects are not followed"):
            get(make_transport(auth=bearer))
        assert not other.received


def test_answer_larger_than_the_bound_is_refused(server, make_transport):
    server.script("/list", Reply(body=b"x" * 3_000_000))
    with pytest.raises(Refused, match="larger than 1048576 bytes"):
        get(make_transport())


def test_gzip_bomb_is_cut_off(server, make_transport):
    server.script("/list", zipped(bytes(200 * 2**20)))
    begun = time.monotonic()
    with pytest.raises(Refused, match="larger than"):
        get(make_transport())
    assert time.monotonic() - begun < 1


def test_body_that_drips_meets_the_deadline(server, make_transport):
    server.script("/list", Reply(body=b"x" * 1000, drip=0.05))
    transport = make_transport(
        bounds=Bounds(connect=1, read=1, total=0.4), retry=RetryPolicy(attempts=1)
    )
    begun = time.monotonic()
    with pytest.raises(Transient, match="took more than"):
        get(transport)
    assert time.monotonic() - begun < 1


def test_providers_own_words_are_in_the_error(server, make_transport):
    def classify(response: Response) -> ProviderError | None:
        said = json.loads(response.body)["error"]
        return default_error(response, message=said["message"], code=said["code"])

    server.script(
        "/list",
        Reply(
            400,
            b'{"error": {"message": "No such price: \\n price_1", "code": "resource_missing"}}',
            {"Request-Id": "req_42"},
        ),
    )
    with pytest.raises(Refused) as caught:
        get(make_transport(classify=classify))
    assert str(caught.value) == (
        "acme GET /list: 400 No such price: price_1 (resource_missing, request req_42)"
    )
    assert caught.value.code == "resource_missing"


def test_concurrency_is_bounded(server, make_transport):
    server.script("/list", Reply(wait=0.05))
    transport = make_transport(concurrency=3)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: get(transport), range(24)))
    assert server.most_under_way == 3
    (cost,) = transport.drain_costs()
    assert (cost.calls, cost.errors) == (24, 0)
    assert cost.seconds >= 24 * 0.05
    assert transport.drain_costs() == []


def test_close_ends_a_wait_at_once(server, make_transport):
    server.script("/list", Reply(429, headers={"Retry-After": "30"}))
    transport = make_transport(retry=RetryPolicy(longest_wait=60))
    caught = []

    def run():
        try:
            get(transport)
        except ProviderError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not server.received:
        time.sleep(0.01)
    time.sleep(0.05)
    transport.close()
    thread.join(2)
    assert not thread.is_alive()
    assert "stopped" in str(caught[0])


def test_cookies_are_not_kept(server, make_transport):
    server.script("/list", Reply(headers={"Set-Cookie": "session=1; Path=/"}))
    transport = make_transport()
    get(transport)
    get(transport)
    assert "Cookie" not in server.received[1].headers


def test_no_secret_in_errors_reprs_or_logs(server, make_transport, caplog):
    """The canary goes through every fault here and shows up nowhere."""
    faults = [
        Reply(401, CANARY.encode()),
        Reply(500),
        Reply(reset=True),
        Reply(body=b"{", says=99),
        Reply(429, headers={"Retry-After": "1"}),
        Reply(302, headers={"Location": f"http://x/{CANARY}"}),
        Reply(wait=0.5),
    ]

    def classify(response: Response) -> ProviderError | None:
        return default_error(response, message=f"Invalid API Key provided: {CANARY}")

    transport = make_transport(
        auth=bearer,
        classify=classify,
        retry=RetryPolicy(attempts=2, base=0.001),
        bounds=Bounds(read=0.3),
    )
    seen = [repr(transport), repr(vars(transport)["_auth"])]
    with structlog.testing.capture_logs() as logged:
        for fault in faults:
            server.script("/list", fault)
            with pytest.raises(ProviderError) as caught:
                get(transport)
            chain = traceback.TracebackException.from_exception(
                caught.value, capture_locals=False
            ).format(chain=True)
            seen += [str(caught.value), repr(caught.value), "".join(chain)]
            cause = caught.value.__cause__
            assert getattr(cause, "request", None) is None
    seen += [str(logged), caplog.text]
    assert len(server.received) >= len(faults)
    assert not [text for text in seen if "canary" in text]


@pytest.mark.parametrize("character", ["\n", "\r\nX-Evil: 1", "\u2019"])
def test_credential_that_no_header_can_hold_is_named_without_being_shown(
    server, make_transport, character
):
    def auth(request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {CANARY}{character}"
        return request

    for transport in (
        make_transport(auth=auth),
        make_transport(headers={"Authorization": f"Bearer {CANARY}{character}"}),
    ):
        with pytest.raises(ConfigurationError, match="connect the account again") as caught:
            get(transport)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert not server.received
