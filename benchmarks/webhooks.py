"""Webhooks: how many one receiver acknowledges, how soon a change is in `analytics`, and how a
flood of events over many venues is worked off."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as Session
from sqlalchemy import Engine, insert, text

from benchmarks.stage import Stage, free_port
from benchmarks.venues import daemon
from integration_pipelines.core.credentials import Vault, open_connections
from integration_pipelines.core.database import Role, create_engine, owner_engine, venue_scope
from integration_pipelines.core.events import Event, store
from integration_pipelines.core.events.claims import claim
from integration_pipelines.core.events.endpoints import ensure_connection
from integration_pipelines.core.events.letters import Asked, count
from integration_pipelines.core.events.retention import forget
from integration_pipelines.core.status import read_status
from integration_pipelines.core.tables import connections
from integration_pipelines.core.venues import add_venue
from integration_pipelines.instance import environment, open_instance
from integration_pipelines.providers import PROVIDERS

KEY = "the-key-that-signs"
CLIENTS = 16
SECONDS = 8.0
CHANGES = {"warm worker": 20, "sensor alone": 10}
EVENTS, VENUES = 10_000, 500
DUE = 5_000
DEADLINE = 900.0
NOTE = "n" * 900

Figures = dict[str, Any]


def nothing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The peer: an application that reads what is sent and answers 204."""
    environ["wsgi.input"].read()
    start_response("204 No Content", [])
    return []


def acknowledged(stage: Stage) -> list[Figures]:
    """Signed events, each its own, that 16 clients send one after another to one receiver (two
    processes), beside the same gunicorn answering 204 with no work."""
    found = []
    for case, application in (
        ("204 and no work", "benchmarks.webhooks:nothing"),
        ("receiver", "webhook_receiver:create_app()"),
    ):
        with _gunicorn(stage, application) as port:
            found.append({"case": case, **_load(port)})
    stored = _count(stage, "SELECT count(*) FROM control.integration_webhooks")
    assert stored == found[1]["acknowledged"], (stored, found)
    for figures in found:
        figures["share of the peer"] = figures["a second"] / found[0]["a second"]
    return found


def latency(stage: Stage) -> list[Figures]:
    """Seconds from a change at the provider until `analytics` shows it: the webhook on its way, the
    event stored, claimed, its object read again, landed, and the table built."""
    account = stage.account("stripe", "hall", size=200)
    stage.connect("stripe", "hall", account)
    os.environ |= stage.environment() | environment(stage.settings)
    with _gunicorn(stage, "webhook_receiver:create_app()") as port:
        _register(stage, f"http://127.0.0.1:{port}")
        found = []
        with _worker(stage):
            found.append(_changes(stage, account["account_id"], "warm worker"))
        with daemon(stage):
            found.append(_changes(stage, account["account_id"], "sensor alone"))
    return found


def drained(stage: Stage) -> list[Figures]:
    """10,000 events over 500 venues, all there at once, by the sensor and its runs."""
    told: list[tuple[str, list[str]]] = []
    for number in range(VENUES):
        slug = f"venue-{number:03}"
        account = stage.account("stripe", slug, only={"customers": EVENTS // VENUES})
        stage.connect("stripe", slug, account)
        told.append((account["account_id"], stage.ids(account["account_id"], "customers")))
    os.environ |= stage.environment() | environment(stage.settings)
    receiver = create_engine(stage.settings, Role.RECEIVER)
    for account_id, ids in told:
        events = [
            Event(
                f"evt_{id}",
                "customer.updated",
                account_id,
                datetime.now(UTC),
                {"data": {"object": {"object": "customer", "id": id}}},
            )
            for id in ids
        ]
        with receiver.begin() as session:
            assert store(session, "stripe", events, request_id="b") == len(events)
    receiver.dispose()
    begun = time.monotonic()
    with daemon(stage) as meter:
        cpu = stage.postgres_cpu()
        left = "SELECT count(*) FROM control.integration_webhooks WHERE status <> 'done'"
        while _count(stage, left):
            meter.look()
            assert time.monotonic() - begun < DEADLINE, "the events are not worked off"
            time.sleep(0.5)
        seconds = time.monotonic() - begun
        cpu = stage.postgres_cpu() - cpu + meter.seconds
        instance = open_instance(stage.settings)
        runs = len(instance.get_runs())
    landed = sum(_count(stage, LANDED, venue=f"venue-{number:03}") for number in range(VENUES))
    assert landed == EVENTS
    return [
        {
            "case": "10,000 events over 500 venues",
            "seconds, the daemon's start included": seconds,
            "events a second": EVENTS / seconds,
            "CPU seconds": cpu,
            "runs": runs,
        }
    ]


def at_scale(stage: Stage, *, rows: int) -> list[Figures]:
    """Each question that is asked of the inbox, of one that is empty and of one that holds ``rows``
    events: nearly all done, their payloads gone."""
    owner, engine = owner_engine(stage.settings), create_engine(stage.settings)
    for number in range(VENUES):
        venue_id = add_venue(owner, f"venue-{number:03}").venue_id
        with engine.begin() as session:
            venue_scope(session, venue_id)
            account = {"provider": "stripe", "account_id": f"acct_{venue_id}", "account_name": "x"}
            session.execute(insert(connections).values(venue_id=venue_id, **account))
    found = [{"case": "an empty inbox", **_questions(stage, "before")}]
    with engine.begin() as session:
        session.execute(text(SEEDED), {"rows": rows})
        session.execute(text(SEEN), {"rows": rows})
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(text("VACUUM ANALYZE control.integration_webhooks"))
        session.execute(text("VACUUM ANALYZE control.webhook_deduplication"))
    found.append({"case": f"{rows:,} events", **_questions(stage, "after")})
    engine.dispose()
    owner.dispose()
    return found


DEAD = """
SELECT webhook_id, last_error FROM control.integration_webhooks WHERE status = 'dead'
ORDER BY webhook_id DESC LIMIT 50
"""
SEEDED = """
INSERT INTO control.integration_webhooks (provider, account_id, venue_id, connection_id, event_id,
    event_type, status, received_at, processed_at)
SELECT 'stripe', account_id, venue_id, connection_id, 'seeded_' || number, 'customer.updated',
    CASE WHEN number % 1000 = 0 THEN 'dead' WHEN number % 10 = 0 THEN 'ignored' ELSE 'done' END,
    now() - number * interval '1 s', now() - number * interval '1 s'
FROM generate_series(1, :rows) number
JOIN (SELECT *, row_number() OVER () - 1 AS place FROM control.connections) c
    ON c.place = number % 500
"""
SEEN = """
INSERT INTO control.webhook_deduplication (provider, scope, event_id)
SELECT 'stripe', 'acct_venue-' || to_char(number % 500, 'FM000'), 'seeded_' || number
FROM generate_series(1, :rows) number
"""


def _questions(stage: Stage, name: str) -> Figures:
    receiver, engine = create_engine(stage.settings, Role.RECEIVER), create_engine(stage.settings)
    taken: list[float] = []
    for number in range(DUE):
        event = Event(
            f"{name}_{number}",
            "customer.updated",
            f"acct_venue-{number % VENUES:03}",
            datetime.now(UTC),
            {"data": {"object": {"object": "customer", "id": f"cus_{number}", "note": NOTE}}},
        )
        begun = time.perf_counter()
        with receiver.begin() as session:
            store(session, "stripe", [event], request_id="b")
        taken.append(time.perf_counter() - begun)
    receiver.dispose()

    def timed(work: Callable[[Session], Any]) -> float:
        begun = time.perf_counter()
        with engine.begin() as session:
            work(session)
        return (time.perf_counter() - begun) * 1_000

    figures = {
        "store p50 ms": statistics.median(taken) * 1_000,
        "store p99 ms": statistics.quantiles(taken, n=100)[98] * 1_000,
        f"claim {DUE:,} ms": timed(
            lambda session: claim(session, PROVIDERS, limit=DUE, secrets_of=lambda connection: [])
        ),
        "claim nothing ms": timed(
            lambda session: claim(session, PROVIDERS, limit=DUE, secrets_of=lambda connection: [])
        ),
        "list the dead ms": timed(lambda session: session.execute(text(DEAD)).all()),
        "count what is open ms": timed(lambda session: count(session, Asked())),
        "status ms": timed(lambda session: read_status(session, PROVIDERS.values())),
    }
    with engine.begin() as session:
        session.execute(
            text(
                "UPDATE control.integration_webhooks SET status = 'done',"
                " processed_at = now() - interval '40 days' WHERE status = 'claimed'"
            )
        )
    begun = time.perf_counter()
    assert forget(engine, payloads_for=timedelta(days=30)).payloads == DUE
    figures[f"forget {DUE:,} ms"] = (time.perf_counter() - begun) * 1_000
    engine.dispose()
    return figures


LANDED = "SELECT count(*) FROM raw_stripe.customers"


def _load(port: int) -> Figures:
    """``CLIENTS`` connections that are kept open, for ``SECONDS``."""
    url = f"http://127.0.0.1:{port}/webhooks/square"
    taken: list[float] = []
    refused: list[int] = []
    lock = threading.Lock()
    ends = time.perf_counter() + SECONDS

    def send(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        mine: list[float] = []
        number = 0
        while time.perf_counter() < ends:
            number += 1
            body = _event(f"{client}-{number}")
            headers = {
                "Content-Type": "application/json",
                "x-square-hmacsha256-signature": _signed(url, body),
            }
            begun = time.perf_counter()
            connection.request("POST", "/webhooks/square", body, headers)
            answer = connection.getresponse()
            answer.read()
            if 200 <= answer.status < 300:
                mine.append(time.perf_counter() - begun)
            else:
                refused.append(answer.status)
        connection.close()
        with lock:
            taken.extend(mine)

    threads = [threading.Thread(target=send, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refused, refused[:5]
    hundredths = statistics.quantiles(taken, n=100)
    return {
        "acknowledged": len(taken),
        "a second": len(taken) / SECONDS,
        "p50 ms": hundredths[49] * 1_000,
        "p99 ms": hundredths[98] * 1_000,
    }


def _event(name: str) -> bytes:
    event = {
        "merchant_id": "M1",
        "type": "payment.updated",
        "event_id": name,
        "created_at": "2026-01-01T00:00:00Z",
        "data": {"type": "payment", "id": name, "object": {"payment": {"id": name, "note": NOTE}}},
    }  # fmt: skip
    return json.dumps(event).encode()


def _signed(url: str, body: bytes) -> str:
    return base64.b64encode(
        hmac.new(KEY.encode(), url.encode() + body, hashlib.sha256).digest()
    ).decode()


def _changes(stage: Stage, account_id: str, case: str) -> Figures:
    """One change after another, each waited for."""
    engine = create_engine(stage.settings, Role.DBT)
    customers = stage.ids(account_id, "customers")
    taken = []
    for number in range(CHANGES[case] + 1):
        name = f"{case} {number}"
        stage.update(account_id, "customers", customers[number], {"name": name})
        begun = time.monotonic()
        while not _shown(engine, name):
            assert time.monotonic() - begun < 120, f"{name} is not in analytics"
            time.sleep(0.02)
        # The first finds no tables yet, and processes that have only just begun.
        if number:
            taken.append(time.monotonic() - begun)
    engine.dispose()
    twentieths = statistics.quantiles(taken, n=20, method="inclusive")
    return {
        "case": case,
        "changes": len(taken),
        "p50 s": statistics.median(taken),
        "p95 s": twentieths[18],
        "longest s": max(taken),
    }


def _shown(engine: Engine, name: str) -> bool:
    with engine.connect() as session:
        if session.scalar(text("SELECT to_regclass('analytics.customers')")) is None:
            return False
        asked = text("SELECT count(*) FROM analytics.customers WHERE name = :name")
        return bool(session.scalar(asked, {"name": name}))


def _register(stage: Stage, url: str) -> None:
    settings = stage.settings.model_copy(update={"webhook_base_url": url})
    engine = create_engine(settings)
    with engine.begin() as session:
        found = open_connections(session)
    for connection in found:
        done = ensure_connection(settings, engine, Vault(settings), PROVIDERS["stripe"], connection)
        assert done is not None
        assert done.error is None, done.error
    engine.dispose()


def _count(stage: Stage, query: str, venue: str = "") -> int:
    engine = create_engine(stage.settings)
    with engine.begin() as session:
        session.execute(text("SELECT set_config('app.venue_id', :venue, true)"), {"venue": venue})
        found = int(session.scalar(text(query)) or 0)
    engine.dispose()
    return found


@contextmanager
def _gunicorn(stage: Stage, application: str) -> Iterator[int]:
    """An application under the receiver's settings, in processes of its own."""
    port = free_port()
    here = stage.environment() | {
        "SQUARE_WEBHOOK_SIGNATURE_KEY": KEY,
        "WEBHOOK_BASE_URL": f"http://127.0.0.1:{port}",
    }
    command = [
        str(Path(sys.executable).with_name("gunicorn")),
        *("-c", "python:webhook_receiver.server", "--bind", f"127.0.0.1:{port}"),
        application,
    ]
    with _child(stage, "gunicorn", command, here):
        for _ in range(300):
            try:
                probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                probe.request("GET", "/health")
                probe.getresponse().read()
                break
            except OSError:
                time.sleep(0.1)
        yield port


@contextmanager
def _worker(stage: Stage) -> Iterator[None]:
    command = [str(Path(sys.executable).with_name("integrations")), "work"]
    with _child(stage, "worker", command, stage.environment()) as log:
        begun = time.monotonic()
        while "ready" not in log.read_text():
            assert time.monotonic() - begun < 120, log.read_text()
            time.sleep(0.1)
        yield


@contextmanager
def _child(stage: Stage, name: str, command: list[str], env: dict[str, str]) -> Iterator[Path]:
    log = stage.settings.data_path / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(60)
