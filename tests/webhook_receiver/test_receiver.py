"""The receiver as it runs, under gunicorn: what it takes, what it refuses, and what it stores."""

import gzip
import hashlib
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import psutil
import pytest
import requests
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.settings import Settings
from tests.faults.moments import until
from tests.webhook_receiver.conftest import (
    QUICKBOOKS,
    SECRET_PATH,
    SQUARE,
    STRIPE,
    send,
    stored,
    stripe_event,
)
from webhook_receiver.places import AT_ONCE, MOST_OF_ONE
from webhook_receiver.server import READ_WITHIN
from webhook_receiver.server import threads as THREADS


@pytest.fixture
def endpoint(
    venue: Callable[..., str], connect: Callable[..., UUID], pipeline_engine: Engine
) -> UUID:
    """A path of the hall's own, for its Mailchimp account."""
    connection_id = connect(venue("hall"), "mailchimp", "mc-1")
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text(
                "INSERT INTO control.webhook_endpoints"
                " (venue_id, connection_id, path_hash, provider, account_id)"
                " VALUES ('hall', :connection, :hash, 'mailchimp', 'mc-1')"
            ),
            {
                "connection": connection_id,
                "hash": hashlib.sha256(SECRET_PATH.encode()).digest(),
            },
        )
    return connection_id


def test_each_provider_is_verified_stored_and_then_acknowledged(
    receiver: str, endpoint: UUID, pipeline_engine: Engine, tmp_path: Path
) -> None:
    square = {"merchant_id": "M1", "event_id": "e-1", "type": "payment.updated", "data": {}}
    entity = {"name": "Invoice", "id": "7", "operation": "Update"}
    old = {
        "eventNotifications": [
            {"realmId": realm, "dataChangeEvent": {"entities": [entity]}} for realm in ("1", "2")
        ]
    }
    new = [
        {"specversion": "1.0", "id": "c-1", "type": "qbo.class.created.v1",
         "intuitentityid": "9", "intuitaccountid": "3"}
    ]  # fmt: skip
    form = b"type=profile&data%5Blist_id%5D=l1&data%5Bemail%5D=a%40b.example"
    for name, body, path in (
        ("stripe", stripe_event(), ""),
        ("square", json.dumps(square).encode(), ""),
        ("quickbooks", json.dumps(old).encode(), ""),
        ("quickbooks", json.dumps(new).encode(), ""),
        ("mailchimp", form, f"/{SECRET_PATH}"),
    ):
        for _ in range(2):
            answer = send(receiver, name, body, path=path)
            assert answer.status_code == 200, (name, answer.text)
    rows = stored(pipeline_engine)
    assert [(row.provider, row.account_id, row.status) for row in rows] == [
        ("stripe", "acct_1", "pending"),
        ("square", "M1", "pending"),
        ("quickbooks", "1", "pending"),
        ("quickbooks", "2", "pending"),
        ("quickbooks", "3", "pending"),
        ("mailchimp", "mc-1", "pending"),
    ]
    assert rows[0].payload == json.loads(stripe_event())
    assert (rows[-1].venue_id, rows[-1].connection_id) == ("hall", endpoint)
    assert all(row.venue_id is None for row in rows[:-1])
    asked = requests.get(f"{receiver}/webhooks/mailchimp/{SECRET_PATH}", timeout=10)
    assert asked.status_code == 200
    log = (tmp_path / "receiver.log").read_text()
    assert "received" in log
    for secret in (SECRET_PATH, STRIPE, SQUARE, QUICKBOOKS, "a@b.example"):
        assert secret not in log


def test_what_is_not_authentic_or_leads_nowhere_is_refused_and_not_stored(
    receiver: str, endpoint: UUID, pipeline_engine: Engine
) -> None:
    body = stripe_event()
    for name in ("stripe", "square", "quickbooks"):
        unsigned = requests.post(f"{receiver}/webhooks/{name}", data=body, timeout=10)
        assert unsigned.status_code == 401
    wrong = send(receiver, "stripe", body, headers={"Stripe-Signature": "t=1,v1=00"})
    assert wrong.status_code == 401
    for name, path in (
        ("nobody", ""),
        ("mailchimp", ""),
        ("mailchimp", "/another-path"),
        ("mailchimp", "/" + "x" * 300),
        ("square", f"/{SECRET_PATH}"),
    ):
        lost = requests.post(f"{receiver}/webhooks/{name}{path}", data=body, timeout=10)
        assert lost.status_code == 404, (name, path)
    asked = requests.get(f"{receiver}/webhooks/mailchimp/another-path", timeout=10)
    assert asked.status_code == 404
    assert stored(pipeline_engine) == []


def test_9_a_signature_is_good_for_five_minutes_either_way(receiver: str) -> None:
    for away, status in ((-295, 200), (295, 200), (-305, 401), (305, 401)):
        body = stripe_event(away)
        answer = send(receiver, "stripe", body, at=int(time.time()) + away)
        assert answer.status_code == status, away


def test_10_one_event_delivered_a_thousand_times_at_once_is_one_row(
    receiver: str, pipeline_engine: Engine
) -> None:
    body = stripe_event()
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: send(receiver, "stripe", body), range(1_000)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(stored(pipeline_engine)) == 1


def test_20_a_body_that_is_none_is_refused_and_what_postgres_cannot_keep_is_no_harm(
    receiver: str, endpoint: UUID, pipeline_engine: Engine
) -> None:
    endless = stripe_event().replace(b"1772000000", b"1e999")
    hostile = (
        b"", b"{", b'{"id": NaN}', b'{"id": 1, "id": 2}', b"\xff\xfe", b"[" * 5_000, b"null",
        endless,
    )  # fmt: skip
    for body in hostile:
        assert send(receiver, "stripe", body).status_code == 400, body[:20]
    form = send(receiver, "mailchimp", b"type=a%00b", path=f"/{SECRET_PATH}")
    assert form.status_code == 400
    assert send(receiver, "stripe", stripe_event(), path="/%ff%00").status_code == 404
    body = stripe_event()
    body = body.replace(b'"charge.succeeded"', rb'"charge.succeeded", "x\ud83d": "a\u0000b"')
    body = body.replace(b"evt_1", rb"evt_1\ud83d")
    for _ in range(2):
        assert send(receiver, "stripe", body).status_code == 200
    named = send(receiver, "mailchimp", b"type=profile&a%00=b%00", path=f"/{SECRET_PATH}")
    assert named.status_code == 200
    event, member = stored(pipeline_engine)
    assert (event.event_id, event.payload["x\ufffd"]) == ("evt_1\ufffd", "a\ufffdb")
    assert member.payload["a\ufffd"] == "b\ufffd"


def raw(url: str, request: bytes) -> socket.socket:
    place = urlsplit(url)
    connection = socket.create_connection((str(place.hostname), place.port or 80), timeout=30)
    connection.sendall(request)
    return connection


def first_line(connection: socket.socket) -> str:
    try:
        return connection.recv(4_096).decode("latin-1").partition("\r\n")[0]
    except ConnectionError:
        return ""


def test_19_large_and_encoded_bodies_are_refused_before_they_are_read(receiver: str) -> None:
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n"
    declared = raw(receiver, head + b"Content-Length: 50000000\r\n\r\n")
    assert "413" in first_line(declared)
    chunked = raw(receiver, head + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    sent = 0
    try:
        for _ in range(200):
            chunked.sendall(chunk)
            sent += 65_536
    except ConnectionError:
        pass
    assert "413" in first_line(chunked) or sent < 200 * 65_536
    bomb = send(
        receiver, "stripe", gzip.compress(b"0" * 10_000_000), headers={"Content-Encoding": "gzip"}
    )
    assert bomb.status_code == 415
    for connection in (declared, chunked):
        connection.close()


@pytest.mark.timeout(90)
def test_19_slow_clients_are_cut_off_while_others_are_served(
    receiver: str, endpoint: UUID, pipeline_engine: Engine
) -> None:
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
    begun = time.monotonic()
    slow = [raw(receiver, head + b"{") for _ in range(16)]
    # What is cut off is no shorter delivery, where nothing is signed either.
    form = b"type=profile&data%5Blist_id%5D=l1"
    post = b"POST /webhooks/mailchimp/" + SECRET_PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n"
    slow.append(raw(receiver, post + b"Content-Length: 500\r\n\r\n" + form))
    chunk = b"%x\r\n%s\r\n" % (len(form), form)
    slow.append(raw(receiver, post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk))
    slow_heads = [raw(receiver, b"POST /webhooks/stripe HTTP/1.1\r\nX: ") for _ in range(8)]
    dripping = slow[:4] + slow_heads[:4]
    served = 0
    ended: set[socket.socket] = set()
    while time.monotonic() - begun < READ_WITHIN + 4:
        for connection in dripping:
            try:
                connection.sendall(b" ")
            except OSError:
                ended.add(connection)
        answer = send(receiver, "stripe", stripe_event(served))
        assert answer.status_code == 200
        served += 1
        time.sleep(0.5)
    assert served > 10
    for connection in slow:
        connection.settimeout(5)
        assert "408" in first_line(connection) or connection in ended
    for connection in slow_heads:
        connection.settimeout(5)
        assert connection in ended or first_line(connection) in ("", "HTTP/1.1 400 Bad Request")
    assert len(stored(pipeline_engine)) == served
    for connection in (*slow, *slow_heads):
        connection.close()


@pytest.mark.timeout(90)
def test_19_more_slow_clients_than_threads_keep_nobody_from_being_served(
    receiver: str, pipeline_engine: Engine
) -> None:
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"
    slow = [raw(receiver, head) for _ in range(3 * THREADS)]

    def delivered(number: int) -> bool:
        return send(receiver, "stripe", stripe_event(number)).status_code == 200

    for number in range(10):
        until(lambda number=number: delivered(number), "it is taken")
    assert len(stored(pipeline_engine)) == 10
    for connection in slow:
        assert first_line(connection).partition(" ")[2][:3] in ("", "408", "503")
        connection.close()


def test_18_a_flood_of_one_account_is_asked_to_come_back_and_others_are_served(
    receiver: str, pipeline_engine: Engine
) -> None:
    flood = stripe_event(0, account="acct_flood")
    in_the_way = text(
        "INSERT INTO control.webhook_deduplication (provider, scope, event_id)"
        " VALUES ('stripe', 'acct_flood', 'evt_0')"
    )
    clients = 2 * MOST_OF_ONE + 40
    with ThreadPoolExecutor(clients) as pool, pipeline_engine.connect() as session:
        # Each of the flood takes for ever to be stored.
        session.execute(in_the_way)
        flooding = [pool.submit(send, receiver, "stripe", flood) for _ in range(clients)]
        until(lambda: any(one.done() for one in flooding), "some were refused")
        for number in range(1, 30):
            calm = send(receiver, "stripe", stripe_event(number, account="acct_calm"))
            assert calm.status_code == 200
        statuses = {one.result().status_code for one in flooding}
    assert 429 in statuses
    assert statuses <= {429, 503}
    assert send(receiver, "stripe", flood).status_code == 200
    accounts = [row.account_id for row in stored(pipeline_engine)]
    assert accounts == ["acct_calm"] * 29 + ["acct_flood"]


@pytest.mark.timeout(120)
def test_18_ten_times_what_is_in_work_at_once_loses_nothing_and_takes_no_more_memory(
    receiver: str, pipeline_engine: Engine
) -> None:
    ours = [each for each in psutil.Process().children(recursive=True) if "gunicorn" in each.name()]
    note = b', "n": "' + b"n" * 200_000 + b'"}'

    def flood(client: int) -> dict[str, int]:
        found = {}
        with requests.Session() as session:
            for number in (2 * client, 2 * client + 1):
                body = stripe_event(number, account="acct_flood")[:-1] + note
                # In a crowd one may also be cut off before it is answered.
                with suppress(requests.ConnectionError):
                    answer = send(receiver, "stripe", body, session=session)
                    found[f"evt_{number}"] = answer.status_code
        return found

    answers: dict[str, int] = {}
    most = 0
    with ThreadPoolExecutor(2 * AT_ONCE * 10) as pool:
        running = [pool.submit(flood, client) for client in range(1, 2 * AT_ONCE * 10 + 1)]
        calm = [
            send(receiver, "stripe", stripe_event(number, account="acct_calm")).status_code
            for number in range(5)
        ]
        while not all(one.done() for one in running):
            most = max(most, sum(each.memory_info().rss for each in ours))
            time.sleep(0.05)
        for one in running:
            answers |= one.result()
    assert set(answers.values()) <= {200, 429, 503}
    assert calm == [200] * 5
    rows = {row.event_id for row in stored(pipeline_engine) if row.account_id == "acct_flood"}
    acknowledged = {id for id, status in answers.items() if status == 200}
    assert acknowledged <= rows
    assert acknowledged
    assert most < 700 * 2**20


def test_the_receivers_role_puts_in_and_takes_nothing_out(
    settings: Settings, pipeline_engine: Engine
) -> None:
    engine = create_engine(settings, Role.RECEIVER)
    for statement in (
        "SELECT payload FROM control.integration_webhooks",
        "DELETE FROM control.integration_webhooks",
        "SELECT * FROM control.webhook_endpoints",
        "SELECT * FROM control.oauth_tokens",
        "SELECT * FROM control.venues",
    ):
        with engine.connect() as session, pytest.raises(ProgrammingError, match="denied"):
            session.execute(text(statement))
    engine.dispose()
