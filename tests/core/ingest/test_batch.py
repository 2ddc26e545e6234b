"""Batches: who is due, what was asked for, and that one connection's trouble is its own."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, select, update

from integration_pipelines.core.credentials import Connection, open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import VaultError
from integration_pipelines.core.ingest.batch import (
    FULL_PASS_EVERY,
    BatchItem,
    Candidate,
    abandon,
    changed_venues,
    choose_due,
    claim_requests,
    create_batch,
    due,
    open_batches,
    run_batch,
    side_by_side,
    sync_item,
)
from integration_pipelines.core.ingest.sync import StreamResult
from integration_pipelines.core.tables import (
    connections,
    integration_configs,
    sync_batches,
    sync_logs,
    sync_queue,
)
from integration_pipelines.providers import PROVIDERS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def halls(venue: Callable[..., str], connect: Callable[..., UUID]) -> list[str]:
    names = ["blue-room", "green-room", "red-room"]
    for name in names:
        connect(venue(name), "stripe", f"acct_{name}")
    return names


def result(item: BatchItem, outcome: Any = "succeeded", **counts: Any) -> StreamResult:
    return StreamResult(
        item.connection.venue_id, "stripe", "customers", outcome, "incremental", **counts
    )


def batch_of(engine: Engine, **asked: Any) -> UUID:
    with engine.begin() as session:
        items = [BatchItem(connection, **asked) for connection in open_connections(session)]
        return create_batch(session, items)


def outcomes(engine: Engine, table: Any = sync_batches) -> dict[str, str | None]:
    with engine.connect() as session:
        rows = session.execute(select(table.c.venue_id, table.c.outcome))
        return {row.venue_id: row.outcome for row in rows}


def ask(engine: Engine, venue_id: str, **columns: Any) -> None:
    with engine.begin() as session:
        row = {"venue_id": venue_id, "provider": "stripe", "requested_by": "test"} | columns
        session.execute(insert(sync_queue).values(row))


def candidate(name: str, **facts: Any) -> Candidate:
    connection = Connection(
        venue_id=name,
        connection_id=uuid4(),
        provider="stripe",
        account_id="acct",
        account_name="acct",
        currency=None,
        country=None,
        livemode=True,
        status="active",
        status_reason=None,
        location_ids=None,
        is_primary=True,
        connected_at=NOW,
        disconnected_at=None,
    )
    unknown = {"breaker_open_until": None, "synced_at": None, "full_pass_at": None}
    return Candidate(connection, **({"in_batch": False} | unknown | facts))


def chosen(*candidates: Candidate, full: bool = False) -> list[str]:
    items = choose_due(candidates, full=full, now=NOW)
    assert all(item.full is full and item.streams is None for item in items)
    return [item.connection.venue_id for item in items]


def test_who_waited_longest_is_due_first_and_who_was_never_synced_before_all() -> None:
    assert chosen(
        candidate("recent", synced_at=NOW - timedelta(minutes=1)),
        candidate("old", synced_at=NOW - timedelta(days=1)),
        candidate("new"),
    ) == ["new", "old", "recent"]


def test_who_is_in_a_batch_or_behind_an_open_breaker_is_not_due() -> None:
    soon, past = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)
    assert chosen(
        candidate("busy", in_batch=True),
        candidate("resting", breaker_open_until=soon),
        candidate("rested", breaker_open_until=past),
    ) == ["rested"]


def test_a_full_pass_is_due_when_the_last_one_is_old_and_not_before_the_first_load() -> None:
    assert chosen(
        candidate("new"),
        candidate("fresh", full_pass_at=NOW - FULL_PASS_EVERY + timedelta(minutes=1)),
        candidate("stale", full_pass_at=NOW - FULL_PASS_EVERY),
        full=True,
    ) == ["stale"]


def test_paused_and_revoked_connections_are_not_due(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    with pipeline_engine.begin() as session:
        venue_scope(session, "green-room")
        paused = {"venue_id": "green-room", "provider": "stripe", "paused_at": NOW}
        session.execute(insert(integration_configs).values(paused))
    with pipeline_engine.begin() as session:
        venue_scope(session, "red-room")
        session.execute(update(connections).values(status="revoked"))
    with pipeline_engine.connect() as session:
        assert [item.connection.venue_id for item in due(session)] == ["blue-room"]


def test_a_connection_in_an_unfinished_batch_is_due_again_once_that_is_abandoned(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    batch_id = batch_of(pipeline_engine)
    with pipeline_engine.begin() as session:
        assert due(session) == []
        assert [each.batch_id for each in open_batches(session)] == [batch_id]
        abandon(session, [batch_id])
        assert len(due(session)) == 3
        assert open_batches(session) == []
    assert set(outcomes(pipeline_engine).values()) == {"abandoned"}


def test_an_exception_of_one_connection_is_its_outcome_and_the_others_succeed(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    provider = PROVIDERS["stripe"]

    def open_client(connection: Connection) -> Any:
        if connection.venue_id == "green-room":
            raise VaultError("cannot open the credential: connect it again")
        raise RuntimeError("token sk_test_51abcdefghij is odd")

    def sync_one(item: BatchItem) -> list[StreamResult]:
        if item.connection.venue_id == "blue-room":
            return [result(item)]
        return sync_item(
            pipeline_engine, item, provider=provider, open_client=open_client, run_id="run-1"
        )

    batch_id = batch_of(pipeline_engine, streams=["customers"])
    ran = run_batch(pipeline_engine, batch_id=batch_id, sync_one=sync_one, concurrency=2)
    by_venue = {results[0].venue_id: results[0] for results in ran}
    assert by_venue["green-room"].error_kind == "vault"
    assert by_venue["red-room"].error == "RuntimeError: token [redacted] is odd"
    assert outcomes(pipeline_engine) == {
        "blue-room": "succeeded",
        "green-room": "failed",
        "red-room": "failed",
    }
    with pipeline_engine.connect() as session:
        logged = session.execute(select(sync_logs).where(sync_logs.c.run_id == "run-1")).all()
    assert {(row.venue_id, row.outcome) for row in logged} == {
        ("green-room", "failed"),
        ("red-room", "failed"),
    }


def test_a_batch_run_again_goes_on_with_what_is_not_done(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    batch_id = batch_of(pipeline_engine)
    synced: list[str] = []

    def sync_one(item: BatchItem) -> list[StreamResult]:
        synced.append(item.connection.venue_id)
        return [result(item)]

    first = run_batch(pipeline_engine, batch_id=batch_id, sync_one=sync_one, concurrency=1)
    next(first)
    first.close()
    again = run_batch(pipeline_engine, batch_id=batch_id, sync_one=sync_one, concurrency=1)
    assert len(list(again)) == 2
    assert set(synced) == set(halls)


def test_a_batch_is_under_way_while_someone_works_on_it_and_no_second_one_may(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    batch_id = batch_of(pipeline_engine)

    def run() -> Any:
        return run_batch(
            pipeline_engine, batch_id=batch_id, sync_one=lambda item: [result(item)], concurrency=1
        )

    def under_way() -> list[bool]:
        with pipeline_engine.begin() as session:
            return [each.under_way for each in open_batches(session)]

    assert under_way() == [False]
    first = run()
    next(first)
    assert under_way() == [True]
    assert list(run()) == []
    first.close()
    assert under_way() == [False]
    assert len(list(run())) == 2


def test_a_connection_that_was_disconnected_meanwhile_is_skipped(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    batch_id = batch_of(pipeline_engine)
    with pipeline_engine.begin() as session:
        venue_scope(session, "red-room")
        session.execute(update(connections).values(status="disconnected"))
    ran = run_batch(
        pipeline_engine, batch_id=batch_id, sync_one=lambda item: [result(item)], concurrency=8
    )
    assert len(list(ran)) == 2
    assert outcomes(pipeline_engine)["red-room"] == "skipped"


def test_concurrency_is_bounded_and_used(pipeline_engine: Engine, halls: list[str]) -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def sync_one(item: BatchItem) -> list[StreamResult]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return [result(item)]

    items = [BatchItem(candidate(f"venue-{n}").connection) for n in range(12)]
    assert len(list(side_by_side(items, sync_one, concurrency=3))) == 12
    assert most == 3


def test_who_stops_listening_starts_no_further_sync() -> None:
    begun: list[str] = []

    def sync_one(item: BatchItem) -> list[StreamResult]:
        begun.append(item.connection.venue_id)
        time.sleep(0.05)
        return [result(item)]

    items = [BatchItem(candidate(f"venue-{n}").connection) for n in range(20)]
    listening = side_by_side(items, sync_one, concurrency=2)
    next(listening)
    listening.close()
    time.sleep(0.2)
    assert len(begun) <= 5


def test_requests_become_one_batch_joined_by_connection_and_are_closed_with_it(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    ask(pipeline_engine, "blue-room", streams=["customers"])
    ask(pipeline_engine, "blue-room", streams=["charges"], full_pass=True)
    ask(pipeline_engine, "red-room", streams=["customers"], allow_deletes=["customers"])
    ask(pipeline_engine, "red-room")
    with pipeline_engine.begin() as session:
        batch_id = claim_requests(session, limit=10)
        assert batch_id is not None
        assert claim_requests(session, limit=10) is None
    seen: dict[str, BatchItem] = {}

    def sync_one(item: BatchItem) -> list[StreamResult]:
        seen[item.connection.venue_id] = item
        return [result(item)]

    list(run_batch(pipeline_engine, batch_id=batch_id, sync_one=sync_one, concurrency=2))
    assert seen["blue-room"].streams == ("customers", "charges")
    assert seen["blue-room"].full
    assert seen["red-room"].streams is None
    # What somebody said of one stream holds for no other that is read with it.
    assert seen["red-room"].allow_deletes == ("customers",)
    assert seen["blue-room"].allow_deletes == ()
    assert not seen["red-room"].full
    assert set(outcomes(pipeline_engine, sync_queue).values()) == {"succeeded"}


def test_the_most_urgent_request_is_claimed_first(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    ask(pipeline_engine, "blue-room", requested_at=NOW)
    ask(pipeline_engine, "red-room", priority=5)
    with pipeline_engine.begin() as session:
        assert claim_requests(session, limit=1) is not None
    with pipeline_engine.connect() as session:
        claimed = session.scalars(
            select(sync_queue.c.venue_id).where(sync_queue.c.batch_id.is_not(None))
        ).all()
    assert claimed == ["red-room"]


def test_two_who_claim_at_once_never_take_the_same_request(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    for name in halls:
        ask(pipeline_engine, name)
    with pipeline_engine.begin() as one, pipeline_engine.begin() as other:
        assert claim_requests(one, limit=2) is not None
        assert claim_requests(other, limit=2) is not None
    with pipeline_engine.connect() as session:
        taken = session.scalars(select(sync_batches.c.venue_id)).all()
    assert sorted(taken) == halls


def test_a_request_for_what_is_not_connected_says_so(
    pipeline_engine: Engine, venue: Callable[..., str]
) -> None:
    ask(pipeline_engine, venue("empty-room"))
    with pipeline_engine.begin() as session:
        assert claim_requests(session, limit=10) is None
    assert outcomes(pipeline_engine, sync_queue) == {"empty-room": "not connected"}


def test_changed_venues_are_those_with_changed_rows_and_those_read_whole(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    with pipeline_engine.begin() as session:
        held = {each.venue_id: each for each in open_connections(session)}
        batch_id = create_batch(session, [BatchItem(held["red-room"], full=True)])
    for name, inserted in (("blue-room", 0), ("green-room", 2)):
        with pipeline_engine.begin() as session:
            venue_scope(session, name)
            session.execute(
                insert(sync_logs).values(
                    venue_id=name,
                    sync_id=uuid4(),
                    stream="customers",
                    provider="stripe",
                    connection_id=held[name].connection_id,
                    account_id="acct",
                    run_id="run-1",
                    mode="incremental",
                    inserted=inserted,
                )
            )
    with pipeline_engine.connect() as session:
        assert changed_venues(session, batch_id=batch_id, run_ids=["run-1"]) == [
            "green-room",
            "red-room",
        ]


def test_what_is_long_done_is_forgotten_when_a_batch_is_made(
    pipeline_engine: Engine, halls: list[str]
) -> None:
    old = batch_of(pipeline_engine)
    with pipeline_engine.begin() as session:
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        session.execute(update(sync_batches).values(done_at=long_ago))
    batch_of(pipeline_engine)
    with pipeline_engine.connect() as session:
        assert old not in set(session.scalars(select(sync_batches.c.batch_id)))
