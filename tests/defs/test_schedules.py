"""Schedules: one run for many venues, and none where nobody is due."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine, delete, func, insert, select

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.tables import (
    integration_costs,
    sync_batches,
    sync_cursors,
    sync_logs,
    webhook_endpoints,
)
from integration_pipelines.definitions import defs
from integration_pipelines.defs import schedules
from integration_pipelines.defs.resources import resources
from integration_pipelines.providers.quickbooks.streams import CAPTURED, STREAMS


@pytest.fixture
def halls(
    instance: dg.DagsterInstance, venue: Callable[..., str], connect: Callable[..., UUID]
) -> dict[str, UUID]:
    names = [f"room-{number}" for number in range(5)]
    return {name: connect(venue(name), "stripe", f"acct_{name}") for name in names}


def tick(instance: dg.DagsterInstance, name: str) -> list[Any]:
    return list(evaluated(instance, name).run_requests or [])


def evaluated(instance: dg.DagsterInstance, name: str, *, minute: int = 0) -> Any:
    schedule = defs.get_repository_def().get_schedule_def(name)
    context = dg.build_schedule_context(
        instance=instance,
        resources=resources(),
        scheduled_execution_time=datetime(2026, 3, 1, 3, minute, tzinfo=UTC),
    )
    with context:
        return schedule.evaluate_tick(context)


def test_a_tick_makes_one_run_for_all_who_are_due_and_the_next_none(
    instance: dg.DagsterInstance, halls: dict[str, UUID], pipeline_engine: Engine
) -> None:
    (request,) = tick(instance, "incremental")
    with pipeline_engine.connect() as session:
        rows = session.execute(
            select(sync_batches.c.batch_id, func.count()).group_by(sync_batches.c.batch_id)
        ).all()
    assert rows == [(UUID(request.run_key), 5)]
    assert tick(instance, "incremental") == [], "they are in a batch already"


def test_more_than_a_run_should_hold_become_several(
    instance: dg.DagsterInstance, halls: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "CONNECTIONS_PER_BATCH", 2)
    assert len({request.run_key for request in tick(instance, "incremental")}) == 3


def test_the_night_reads_whole_only_what_was_not_read_whole_of_late(
    instance: dg.DagsterInstance, halls: dict[str, UUID], pipeline_engine: Engine
) -> None:
    assert tick(instance, "nightly_full") == [], "a first load is a full pass"
    for name, hours in (("room-1", 1), ("room-2", 24)):
        with pipeline_engine.begin() as session:
            venue_scope(session, name)
            session.execute(
                insert(sync_cursors).values(
                    venue_id=name,
                    connection_id=halls[name],
                    stream="customers",
                    state={},
                    sync_id=uuid4(),
                    full_pass_at=datetime.now(UTC) - timedelta(hours=hours),
                )
            )
    assert len(tick(instance, "nightly_full")) == 1
    with pipeline_engine.connect() as session:
        rows = session.execute(select(sync_batches.c.venue_id, sync_batches.c.full_pass)).all()
    assert rows == [("room-2", True)]


def test_where_the_months_reads_are_spent_syncs_are_rare_and_say_so(
    instance: dg.DagsterInstance,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUICKBOOKS_MONTHLY_READS", "2000")
    connection_id = connect(venue("hall"), "quickbooks", "9341")

    def read(ago: timedelta) -> None:
        """As if every stream had been read whole so long ago, and nothing waited."""
        now = datetime.now(UTC)
        with pipeline_engine.begin() as session:
            venue_scope(session, "hall")
            session.execute(delete(sync_batches))
            session.execute(delete(sync_cursors))
            session.execute(
                insert(sync_cursors).values(
                    venue_id="hall",
                    connection_id=connection_id,
                    state={},
                    sync_id=uuid4(),
                    full_pass_at=now - ago,
                    updated_at=now - ago,
                ),
                [{"stream": stream.name} for stream in STREAMS],
            )

    def chosen() -> list[str]:
        with pipeline_engine.connect() as session:
            return list(session.scalars(select(sync_batches.c.streams)).one())

    read(timedelta(minutes=15))
    (request,) = tick(instance, "incremental")
    assert chosen() == list(CAPTURED)
    assert "slowed" not in request.tags

    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            insert(integration_costs).values(
                venue_id="hall",
                provider="quickbooks",
                endpoint="GET /cdc",
                day=datetime.now(UTC).date(),
                calls=1_950,
                cost=1_950,
            )
        )
    words = "quickbooks reads this month: 1,950 of 2,000, forecast "
    for days in (1, 6):
        read(timedelta(days=days))
        for schedule in ("incremental", "nightly_full"):
            skipped = evaluated(instance, schedule)
            assert not skipped.run_requests
            assert f"no connection is due: {words}" in skipped.skip_message
    read(timedelta(days=7))
    (request,) = tick(instance, "incremental")
    assert chosen() == list(CAPTURED), "one read for all, and nothing that costs more"
    assert request.tags["slowed"].startswith(words)
    assert "their changes are read once a week" in request.tags["slowed"]


def test_endpoints_are_looked_at_once_an_hour_and_as_soon_as_an_audience_appears(
    instance: dg.DagsterInstance,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEBHOOK_BASE_URL", "http://127.0.0.1:9")
    here = {"venue_id": venue("hall"), "provider": "mailchimp", "account_id": "mc-1"}
    here["connection_id"] = connect(*here.values())

    def is_asked(minute: int) -> bool:
        return bool(evaluated(instance, "webhook_registration", minute=minute).run_requests)

    assert is_asked(10), "a new connection has no endpoint"
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        looked = insert(webhook_endpoints).values(**here, path_hash=b"p", checked_at=func.now())
        session.execute(looked)
    assert not is_asked(20)
    assert is_asked(0), "those that serve all venues"
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        read = {"sync_id": uuid4(), "stream": "lists", "mode": "incremental", "inserted": 1}
        ended = {"outcome": "succeeded", "finished_at": func.now()}
        session.execute(insert(sync_logs).values(**here, **read, **ended))
    assert is_asked(20), "an audience has appeared"
