"""A run whose process is gone is reported, and none whose process may be there."""

from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine

from integration_pipelines.core.presence import present
from integration_pipelines.definitions import defs
from integration_pipelines.defs.jobs import run_config, run_tags
from integration_pipelines.defs.resources import resources
from integration_pipelines.defs.sensors import lost_runs
from integration_pipelines.defs.sensors.lost_runs import GRACE, Losses, plan
from tests.faults.moments import until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("absent", "missed", "losses"),
    [
        (["a"], {}, Losses([], {"a": NOW})),
        (["a"], {"a": NOW - GRACE / 2}, Losses([], {"a": NOW - GRACE / 2})),
        (["a"], {"a": NOW - GRACE}, Losses(["a"], {})),
        ([], {"a": NOW - GRACE}, Losses([], {})),
    ],
    ids=["missed the first time", "missed not long", "missed for long", "it is there again"],
)
def test_plan(absent: list[str], missed: dict[str, datetime], losses: Losses) -> None:
    assert plan(absent, missed, now=NOW) == losses


def test_a_started_run_that_nobody_works_on_has_failed(
    instance: dg.DagsterInstance, pipeline_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_runs, "GRACE", GRACE * 0)
    job = defs.resolve_job_def("sync_venues")
    run = instance.create_run_for_job(
        job,
        run_config=run_config(uuid4()),
        tags=run_tags(uuid4()),
        status=dg.DagsterRunStatus.STARTED,
    )

    def look() -> dg.DagsterRunStatus:
        sensor = defs.get_repository_def().get_sensor_def("lost_runs")
        with dg.build_sensor_context(instance=instance, resources=resources()) as context:
            sensor(context)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status

    with present(pipeline_engine, run.run_id):
        until(lambda: len(locks(pipeline_engine)) == 1, "it is there")
        assert look() == dg.DagsterRunStatus.STARTED
    assert look() == dg.DagsterRunStatus.FAILURE


def test_the_batch_of_a_killed_worker_gets_a_run_and_what_a_person_asked_for_does_not(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_runs, "GRACE", GRACE * 0)
    of_worker, of_person = uuid4(), uuid4()
    for batch_id, tags in (
        (of_worker, run_tags(of_worker, events=3)),
        (of_person, run_tags(of_person)),
    ):
        instance.create_run_for_job(
            defs.resolve_job_def("sync_venues"),
            run_config=run_config(batch_id),
            tags=tags,
            status=dg.DagsterRunStatus.STARTED,
        )
    sensor = defs.get_repository_def().get_sensor_def("lost_runs")
    with dg.build_sensor_context(instance=instance, resources=resources()) as context:
        told = sensor(context)
    assert isinstance(told, dg.SensorResult)
    assert told.run_requests is not None
    (request,) = told.run_requests
    assert request.run_key == str(of_worker)
    assert request.tags.items() >= run_tags(of_worker, events=3).items()
    assert request.run_config == run_config(of_worker)


def locks(engine: Engine) -> list[object]:
    with engine.connect() as session:
        asked = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database ="
        ours = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        return list(session.exec_driver_sql(f"{asked} {ours}"))


def test_who_is_present_stays_so_though_the_database_loses_the_session(
    pipeline_engine: Engine, owner_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integration_pipelines.core.presence.LOOKS_EVERY", 0.1)
    with present(pipeline_engine, "somebody"):
        ((first,),) = until(lambda: locks(pipeline_engine), "it is there")
        with owner_engine.connect() as session:
            session.exec_driver_sql(f"SELECT pg_terminate_backend({first})")
        ((second,),) = until(
            lambda: [each for each in locks(pipeline_engine) if each != (first,)],
            "it is there again",
        )
        assert second != first
    assert locks(pipeline_engine) == []
