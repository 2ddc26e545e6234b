"""Claims: each event reaches its connections, once, and what cannot succeed says why."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select, text, update

from integration_pipelines.core.credentials import Connection, open_connections
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.events import Event, claims, store
from integration_pipelines.core.events.claims import (
    HEAD_START,
    MOST_ATTEMPTS,
    Claim,
    at_hand,
    begin,
    claim,
    leave_to_workers,
    replay,
    settle,
)
from integration_pipelines.core.ingest import StreamResult
from integration_pipelines.core.ingest.batch import abandon
from integration_pipelines.core.presence import alone
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import integration_webhooks, sync_batches
from integration_pipelines.providers import PROVIDERS

Come = Callable[..., None]


def no_secrets(connection: Connection) -> Sequence[str]:
    """No connection of these has an endpoint of its own."""
    raise AssertionError(f"asked for the secrets of {connection.connection_id}")


@pytest.fixture
def come(settings: Settings) -> Iterator[Come]:
    """``come(provider, type, object, account=…, id=…)``: an event, as the receiver stores it."""
    engine = create_engine(settings, Role.RECEIVER)

    def stored(provider: str, event_type: str, payload: Any, *, account: str, id: str) -> None:
        event = Event(id, event_type, account, None, payload)
        with engine.begin() as session:
            assert store(session, provider, [event, event], request_id="r") == 1
            assert store(session, provider, [event], request_id="r") == 0

    yield stored
    engine.dispose()


def payment(id: str) -> dict[str, Any]:
    return {"data": {"id": id}}


def claimed(engine: Engine, limit: int = 100) -> Claim:
    with engine.begin() as session:
        return claim(session, PROVIDERS, limit=limit, secrets_of=no_secrets)


def items(engine: Engine, batch_id: UUID | None) -> dict[str, Any]:
    with engine.connect() as session:
        rows = session.execute(select(sync_batches).where(sync_batches.c.batch_id == batch_id))
        return {row.venue_id: (row.streams, row.objects) for row in rows}


def events(engine: Engine) -> list[Any]:
    order = integration_webhooks.c.webhook_id
    with engine.connect() as session:
        return list(session.execute(select(integration_webhooks).order_by(order)))


def statuses(engine: Engine) -> list[str]:
    return [row.status for row in events(engine)]


def ended(
    engine: Engine, found: Claim, venue_id: str, outcome: Any = "succeeded", **more: Any
) -> None:
    """The batch was taken up, and its sync of the venue's connection ended so."""
    assert found.batch_id is not None
    with engine.begin() as session:
        begin(session, found.batch_id)
        (connection,) = open_connections(session, venue_ids=[venue_id])
        results = [
            StreamResult(venue_id, connection.provider, name, outcome, "refetch", **more)
            for name in PROVIDERS[connection.provider].stream_names
        ]
        settle(session, PROVIDERS, batch_id=found.batch_id, connection=connection, results=results)


def taken_up(engine: Engine, batch_id: UUID) -> None:
    """A run took the batch up; what follows is that nobody settles anything."""
    with engine.begin() as session:
        session.execute(update(sync_batches).values(taken_at=func.now()))
        begin(session, batch_id)


def set_events(engine: Engine, assignment: str) -> None:
    with engine.begin() as session:
        session.execute(text(f"UPDATE control.integration_webhooks SET {assignment}"))


def at_once(engine: Engine) -> None:
    """What waits for its next attempt is due."""
    set_events(engine, "next_attempt_at = now()")


def leases_are_over(engine: Engine) -> None:
    set_events(engine, "lease_expires_at = now() - interval '1 s'")


@pytest.fixture
def square(venue: Callable[..., str], connect: Callable[..., UUID]) -> None:
    for slug in ("hall", "bar"):
        connect(venue(slug), "square", f"M-{slug}")


def test_events_of_many_venues_are_one_batch_with_each_object_once(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    for number in range(3):
        come("square", "payment.updated", payment("p1"), account="M-hall", id=f"h{number}")
    come("square", "refund.created", payment("r1"), account="M-hall", id="h9")
    come("square", "inventory.count.updated", {}, account="M-bar", id="b1")
    come("square", "labor.shift.created", {}, account="M-bar", id="b2")
    found = claimed(pipeline_engine)
    assert (found.claimed, found.connections, found.ignored) == (5, 2, 1)
    assert items(pipeline_engine, found.batch_id) == {
        "hall": ([], {"payments": ["p1"], "refunds": ["r1"]}),
        "bar": (["inventory_counts"], None),
    }
    assert claimed(pipeline_engine).batch_id is None, "what is leased is nobody else's"
    ended(pipeline_engine, found, "hall")
    assert statuses(pipeline_engine) == ["done"] * 4 + ["claimed", "ignored"]
    assert "shifts and timecards" in events(pipeline_engine)[-1].last_error
    ended(pipeline_engine, found, "bar")
    assert claimed(pipeline_engine) == Claim(None)


def test_what_fails_is_tried_again_and_given_up_with_the_reason(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "payment.updated", payment("p1"), account="M-hall", id="e")
    waits = []
    for attempt in range(1, MOST_ATTEMPTS + 1):
        found = claimed(pipeline_engine)
        assert found.claimed == 1
        ended(pipeline_engine, found, "hall", "failed", error_kind="transient", error="it is down")
        (event,) = events(pipeline_engine)
        assert event.attempts == attempt
        waits.append(event.next_attempt_at)
        if attempt < MOST_ATTEMPTS:
            assert event.status == "pending"
            assert claimed(pipeline_engine).batch_id is None, "not before its time"
            at_once(pipeline_engine)
    assert event.status == "dead"
    assert event.last_error == f"given up after {MOST_ATTEMPTS} attempts: payments: it is down"
    with pipeline_engine.begin() as session:
        assert replay(session, [event.webhook_id]) == 1
        assert replay(session, [event.webhook_id]) == 0
    found = claimed(pipeline_engine)
    ended(pipeline_engine, found, "hall")
    assert statuses(pipeline_engine) == ["done"]


def test_a_batch_that_died_gives_its_events_back_and_can_end_them_no_more(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "payment.updated", payment("p1"), account="M-hall", id="e")
    dead = claimed(pipeline_engine)
    assert dead.batch_id is not None
    with alone(pipeline_engine, str(dead.batch_id)):
        taken_up(pipeline_engine, dead.batch_id)
        leases_are_over(pipeline_engine)
        assert claimed(pipeline_engine).batch_id is None, "a process works on it"
    leases_are_over(pipeline_engine)
    second = claimed(pipeline_engine)
    assert second.claimed == 1 and second.batch_id != dead.batch_id
    ended(pipeline_engine, dead, "hall")
    assert statuses(pipeline_engine) == ["claimed"], "its lease is over"
    ended(pipeline_engine, second, "hall")
    assert statuses(pipeline_engine) == ["done"]


def test_events_of_a_batch_that_waits_for_its_run_are_neither_claimed_again_nor_given_up(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "payment.updated", payment("p1"), account="M-hall", id="e")
    waiting = claimed(pipeline_engine)
    assert waiting.batch_id is not None
    for _ in range(MOST_ATTEMPTS + 1):
        leases_are_over(pipeline_engine)
        assert claimed(pipeline_engine).batch_id is None
    (event,) = events(pipeline_engine)
    assert (event.status, event.claimed_by) == ("claimed", str(waiting.batch_id))
    assert event.attempts == 0, "nobody has worked on it"
    with pipeline_engine.begin() as session:
        abandon(session, [waiting.batch_id])
    leases_are_over(pipeline_engine)
    assert claimed(pipeline_engine).claimed == 1, "no run will come any more"


def test_events_that_end_whoever_takes_them_up_are_given_up(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "payment.updated", payment("p1"), account="M-hall", id="e")
    for _ in range(MOST_ATTEMPTS):
        found = claimed(pipeline_engine)
        assert found.batch_id is not None
        taken_up(pipeline_engine, found.batch_id)
        leases_are_over(pipeline_engine)
    assert claimed(pipeline_engine).dead == 1
    assert events(pipeline_engine)[0].last_error == (
        f"given up after {MOST_ATTEMPTS} attempts: nobody who took it ended it"
    )


def test_a_connection_that_another_sync_has_in_hand_costs_its_events_no_attempt(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "payment.updated", payment("p1"), account="M-hall", id="e")
    for _ in range(MOST_ATTEMPTS + 1):
        found = claimed(pipeline_engine)
        ended(pipeline_engine, found, "hall", "skipped", error="another sync is under way")
        assert claimed(pipeline_engine).batch_id is None, "not before its time"
        at_once(pipeline_engine)
    (event,) = events(pipeline_engine)
    assert (event.status, event.attempts) == ("pending", 0)


def test_an_accounts_events_wait_for_its_batch_and_others_for_nobody(
    come: Come, square: None, pipeline_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MOST_OF_ONE", 3)
    for number in range(5):
        come("square", "payment.updated", payment(f"p{number}"), account="M-hall", id=f"h{number}")
    come("square", "payment.updated", payment("p"), account="M-bar", id="b")
    first = claimed(pipeline_engine, limit=5)
    assert (first.claimed, first.connections) == (4, 2), "a flood takes its share alone"
    come("square", "payment.updated", payment("q"), account="M-hall", id="h9")
    assert claimed(pipeline_engine).batch_id is None
    ended(pipeline_engine, first, "bar")
    come("square", "payment.updated", payment("q"), account="M-bar", id="b9")
    assert set(items(pipeline_engine, claimed(pipeline_engine).batch_id)) == {"bar"}
    ended(pipeline_engine, first, "hall")
    assert claimed(pipeline_engine).claimed == 3


def test_an_unknown_account_has_a_day_to_be_connected(
    come: Come,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
    pipeline_engine: Engine,
) -> None:
    for number, age in enumerate(("1 hour", "25 hours")):
        come("square", "payment.updated", payment("p"), account=f"M-{number}", id="e")
        with pipeline_engine.begin() as session:
            session.execute(
                text(
                    "UPDATE control.integration_webhooks SET received_at = now() - CAST(:age AS"
                    " interval) WHERE account_id = :account"
                ),
                {"age": age, "account": f"M-{number}"},
            )
    found = claimed(pipeline_engine)
    assert (found.unknown, found.dead, found.batch_id) == (1, 1, None)
    assert statuses(pipeline_engine) == ["pending", "dead"]
    assert "no venue has connected this account" in events(pipeline_engine)[1].last_error
    connect(venue("hall"), "square", "M-0")
    at_once(pipeline_engine)
    assert claimed(pipeline_engine).claimed == 1


def connection_of(engine: Engine, venue_id: str) -> Connection:
    with engine.connect() as session:
        (found,) = open_connections(session, venue_ids=[venue_id])
    return found


def test_14_a_revocation_pauses_its_venue_alone(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "oauth.authorization.revoked", {}, account="M-hall", id="e1")
    come("square", "payment.updated", payment("p"), account="M-bar", id="e2")
    assert claimed(pipeline_engine).claimed == 1
    assert connection_of(pipeline_engine, "hall").status == "revoked"
    assert connection_of(pipeline_engine, "bar").status == "active"
    come("square", "payment.updated", payment("p"), account="M-hall", id="e3")
    later = claimed(pipeline_engine)
    assert (later.batch_id, later.ignored) == (None, 1)
    assert "its next sync reads what changed" in events(pipeline_engine)[-1].last_error


def test_a_revocation_that_comes_late_does_not_end_the_consent_that_was_given_since(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "oauth.authorization.revoked", {}, account="M-hall", id="e1")
    with pipeline_engine.begin() as session:
        session.execute(
            text(
                "UPDATE control.integration_webhooks SET event_created_at = now() - '1 d'::interval"
            )
        )
    assert claimed(pipeline_engine).ignored == 1
    assert connection_of(pipeline_engine, "hall").status == "active"


def test_a_shared_accounts_event_is_read_for_each_of_its_venues(
    come: Come,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
    pipeline_engine: Engine,
) -> None:
    for slug in ("hall", "bar"):
        connect(venue(slug), "square", "M-shared")
    come("square", "payment.updated", payment("p"), account="M-shared", id="e")
    found = claimed(pipeline_engine)
    assert (found.claimed, found.connections) == (2, 2)
    assert set(items(pipeline_engine, found.batch_id)) == {"hall", "bar"}
    first, second = (event.venue_id for event in events(pipeline_engine))
    assert {first, second} == {"hall", "bar"}
    ended(pipeline_engine, found, first)
    ended(pipeline_engine, found, second, "failed", error_kind="transient", error="it is down")
    assert statuses(pipeline_engine) == ["done", "pending"]
    at_once(pipeline_engine)
    again = claimed(pipeline_engine)
    assert set(items(pipeline_engine, again.batch_id)) == {second}, "what failed is tried again"
    ended(pipeline_engine, again, second)
    assert statuses(pipeline_engine) == ["done", "done"]
    with pipeline_engine.begin() as session:
        assert replay(session, [event.webhook_id for event in events(pipeline_engine)]) == 2
    again = claimed(pipeline_engine)
    assert set(items(pipeline_engine, again.batch_id)) == {"hall", "bar"}, "replayed, too"
    with pipeline_engine.begin() as session:
        ids = [event.webhook_id for event in events(pipeline_engine)]
        assert replay(session, ids) == 0, "what is in work is left alone"


def test_two_claims_at_once_share_nothing(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    for number in range(6):
        come("square", "payment.updated", payment(f"p{number}"), account="M-hall", id=f"e{number}")
    with pipeline_engine.begin() as first, pipeline_engine.begin() as second:
        one = claim(first, PROVIDERS, limit=4, secrets_of=no_secrets)
        other = claim(second, PROVIDERS, limit=4, secrets_of=no_secrets)
    assert (one.claimed, other.claimed) == (4, 2)


def test_a_venue_that_is_removed_takes_its_events_along(
    come: Come, square: None, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    come("square", "payment.updated", payment("p"), account="M-hall", id="e1")
    come("square", "payment.updated", payment("p"), account="M-bar", id="e2")
    found = claimed(pipeline_engine)
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(text("DELETE FROM control.venues WHERE venue_id = 'hall'"))
    ended(pipeline_engine, found, "bar")
    assert statuses(pipeline_engine) == ["done"]


def test_while_a_worker_is_at_hand_others_leave_it_a_head_start(
    come: Come, square: None, pipeline_engine: Engine
) -> None:
    come("square", "payment.updated", payment("p"), account="M-hall", id="e")

    def by_the_sensor() -> Claim:
        with pipeline_engine.begin() as session:
            waited = leave_to_workers(session)
            return claim(session, PROVIDERS, limit=9, secrets_of=no_secrets, waited=waited)

    with at_hand(pipeline_engine), at_hand(pipeline_engine):
        assert by_the_sensor().batch_id is None
        set_events(pipeline_engine, f"next_attempt_at = now() - interval '{HEAD_START}'")
        assert by_the_sensor().claimed == 1, "the worker is busy, or stuck"
    come("square", "payment.updated", payment("p"), account="M-bar", id="e")
    assert by_the_sensor().claimed == 1, "no worker is there"
