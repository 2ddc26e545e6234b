"""Schedules: one run for many venues, and none where nobody is due."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine, func, insert, select

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.tables import sync_batches, sync_cursors
from integration_pipelines.definitions import defs
from integration_pipelines.defs import schedules
from integration_pipelines.defs.resources import resources


@pytest.fixture
def halls(
    instance: dg.DagsterInstance, venue: Callable[..., str], connect: Callable[..., UUID]
) -> dict[str, UUID]:
    names = [f"room-{number}" for number in range(5)]
    return {name: connect(venue(name), "stripe", f"acct_{name}") for name in names}


def tick(instance: dg.DagsterInstance, name: str) -> list[Any]:
    schedule = defs.get_repository_def().get_schedule_def(name)
    context = dg.build_schedule_context(
        instance=instance,
        resources=resources(),
        scheduled_execution_time=datetime(2026, 3, 1, 3, tzinfo=UTC),
    )
    with context:
        evaluated = schedule.evaluate_tick(context)
    return list(evaluated.run_requests or [])


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
