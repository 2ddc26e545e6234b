"""What was asked for gets its one run, and no batch is forgotten."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine, insert, select, text, update

from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.ingest.batch import BatchItem, OpenBatch, create_batch, due
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import sync_batches, sync_queue
from integration_pipelines.definitions import defs
from integration_pipelines.defs.jobs import BATCH_TAG, SYNCS_TAG, run_config, run_tags
from integration_pipelines.defs.resources import resources
from integration_pipelines.defs.sensors.sync_queue import GRACE, BatchRun, Mending, plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECENTLY, LONG_AGO = NOW - GRACE / 2, NOW - GRACE * 2
LIVING = BatchRun(lives=True, since=LONG_AGO)
OVER = BatchRun(lives=False, since=LONG_AGO)
JUST_OVER = BatchRun(lives=False, since=RECENTLY)
ID = uuid4()


@pytest.mark.parametrize(
    ("batch", "runs", "mending"),
    [
        (OpenBatch(ID, RECENTLY, False), [], Mending([], [])),
        (OpenBatch(ID, LONG_AGO, False), [], Mending([ID], [])),
        (OpenBatch(ID, LONG_AGO, True), [OVER], Mending([], [])),
        (OpenBatch(ID, LONG_AGO, False), [LIVING], Mending([], [])),
        (OpenBatch(ID, LONG_AGO, False), [JUST_OVER], Mending([], [])),
        (OpenBatch(ID, LONG_AGO, False), [OVER], Mending([], [ID])),
        (OpenBatch(ID, LONG_AGO, False), [OVER, LIVING], Mending([], [])),
    ],
    ids=[
        "its run may still come",
        "its run never came",
        "someone works on it",
        "its run is in the queue, or its process there",
        "its run may be started again",
        "its runs are over",
        "its run was started again",
    ],
)
def test_plan(batch: OpenBatch, runs: list[BatchRun], mending: Mending) -> None:
    assert plan([batch], {ID: runs}, now=NOW) == mending


@pytest.fixture
def halls(
    instance: dg.DagsterInstance, venue: Callable[..., str], connect: Callable[..., UUID]
) -> list[str]:
    names = ["blue-room", "red-room"]
    for name in names:
        connect(venue(name), "stripe", f"acct_{name}")
    return names


def tick(instance: dg.DagsterInstance) -> Any:
    sensor = defs.get_repository_def().get_sensor_def("requested_syncs")
    with dg.build_sensor_context(instance=instance, resources=resources()) as context:
        return sensor(context)


def long_ago(engine: Engine) -> None:
    """Let everything have happened before the grace."""
    with engine.begin() as session:
        session.execute(update(sync_batches).values(created_at=datetime.now(UTC) - 2 * GRACE))


def test_what_waits_in_the_queue_becomes_one_run(
    instance: dg.DagsterInstance, halls: list[str], pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session:
        asked = [{"venue_id": name, "provider": "stripe", "requested_by": "test"} for name in halls]
        session.execute(insert(sync_queue), asked)
    (request,) = tick(instance).run_requests
    with pipeline_engine.connect() as session:
        (batch_id,) = session.scalars(select(sync_batches.c.batch_id).distinct())
    assert request.run_key == str(batch_id)
    assert request.tags == {BATCH_TAG: str(batch_id), SYNCS_TAG: "batch"}
    assert request.run_config["batch_id"] == str(batch_id)
    assert isinstance(tick(instance), dg.SkipReason)


def test_a_batch_whose_request_was_lost_is_requested_again_under_the_same_key(
    instance: dg.DagsterInstance, halls: list[str], pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session:
        batch_id = create_batch(session, map(BatchItem, open_connections(session)))
    assert isinstance(tick(instance), dg.SkipReason)
    long_ago(pipeline_engine)
    (request,) = tick(instance).run_requests
    assert request.run_key == str(batch_id)


def test_a_batch_whose_run_was_killed_is_closed_and_its_connections_are_due_again(
    instance: dg.DagsterInstance,
    halls: list[str],
    pipeline_engine: Engine,
    settings: Settings,
) -> None:
    with pipeline_engine.begin() as session:
        batch_id = create_batch(session, map(BatchItem, open_connections(session)))
        assert due(session) == []
    run = instance.create_run_for_job(
        defs.resolve_job_def("sync_venues"),
        run_config=run_config(batch_id),
        tags=run_tags(batch_id),
        status=dg.DagsterRunStatus.STARTED,
    )
    long_ago(pipeline_engine)
    assert isinstance(tick(instance), dg.SkipReason), "it may be started again by Dagster"
    with create_engine(settings, Role.DAGSTER).begin() as session:
        session.execute(
            text("UPDATE runs SET update_timestamp = :then WHERE run_id = :run_id"),
            {"then": datetime.now(UTC) - timedelta(hours=1), "run_id": run.run_id},
        )
    tick(instance)
    with pipeline_engine.connect() as session:
        assert set(session.scalars(select(sync_batches.c.outcome))) == {"abandoned"}
        assert len(due(session)) == 2
