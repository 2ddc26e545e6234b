"""`take_census`: what is missing turns a check red by name, is asked for, and comes back."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, delete, select, text, update

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.ingest.batch import claim_requests
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import completeness, connections, raw_table
from integration_pipelines.definitions import defs
from integration_pipelines.defs.jobs import run_config
from integration_pipelines.defs.partitions import VENUES
from integration_pipelines.defs.resources import resources
from provider_sandbox import Sandbox
from provider_sandbox.faults import DropPage
from tests.providers.accounts import KINDS

CHARGES = "raw_stripe/charges"
CHECK = "every_object_landed"


@pytest.fixture
def take_census(instance: dg.DagsterInstance) -> Callable[..., dg.ExecuteInProcessResult]:
    def run(**config: Any) -> dg.ExecuteInProcessResult:
        return defs.resolve_job_def("take_census").execute_in_process(
            run_config=config, instance=instance, raise_on_error=False
        )

    return run


def test_a_missing_object_is_named_and_fetched_and_the_check_turns_green(
    hall: Any,
    locked_out: Any,
    materialize: Any,
    take_census: Any,
    said: Any,
    instance: dg.DagsterInstance,
    pipeline_engine: Engine,
) -> None:
    hall("blue-room")
    hall("red-room")
    locked_out("grey-room")
    materialize([CHARGES], "blue-room", "red-room")
    assert said(CHARGES, CHECK).passed
    charges = raw_table("stripe", "charges")
    with pipeline_engine.begin() as session:
        venue_scope(session, "red-room")
        lost = session.scalars(select(charges.c.id).limit(2)).all()
        session.execute(delete(charges).where(charges.c.id.in_(lost)))

    assert take_census().success
    red = said(CHARGES, CHECK)
    assert not red.passed
    assert red.severity == dg.AssetCheckSeverity.ERROR
    assert "red-room: charges: " in red.description
    assert "blue-room" not in red.description
    rows = red.metadata["gaps"].records
    named = {name for row in rows for name in row.data["objects"].split(", ")}
    assert named == set(lost)

    with pipeline_engine.begin() as session:
        batch_id = claim_requests(session, limit=10)
    assert batch_id is not None
    defs.resolve_job_def("sync_venues").execute_in_process(
        run_config=run_config(batch_id), op_selection=["sync"], instance=instance
    )
    assert said(CHARGES, CHECK).passed
    with pipeline_engine.begin() as session:
        venue_scope(session, "red-room")
        assert set(lost) <= set(session.scalars(select(charges.c.id)))


@pytest.mark.parametrize(
    ("name", "stream", "path"),
    [("stripe", "charges", "/v1/charges"), ("square", "payments", "/v2/payments")],
)
def test_a_dropped_page_and_deleted_rows_are_named_by_the_check_and_come_back(
    instance: dg.DagsterInstance,
    settings: Settings,
    pipeline_engine: Engine,
    sandbox: Sandbox,
    venue: Any,
    materialize: Any,
    take_census: Any,
    said: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    stream: str,
    path: str,
) -> None:
    kind = KINDS[name]
    account = kind.open_account(sandbox, f"census-{name}", size=15)
    hall = kind.connect(settings, pipeline_engine, sandbox, account, venue("hall"))
    instance.add_dynamic_partitions(VENUES, ["hall"])
    monkeypatch.setattr(kind.client, "PAGE_SIZE", 2)
    asset, true = f"raw_{name}/{stream}", set(account.ids(stream))
    dropped = DropPage(provider=name, path=path, account=account.id, times=6)
    sandbox.faults.add(dropped)
    materialize([asset], "hall")
    sandbox.faults.clear()
    assert dropped.struck
    unread = true - hall.payloads(stream).keys()
    assert unread
    deleted = min(hall.payloads(stream))
    table = raw_table(name, stream)
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(delete(table).where(table.c.id == deleted))

    assert take_census(providers=[name]).success
    red = said(asset, CHECK)
    assert red.severity == dg.AssetCheckSeverity.ERROR
    rows = red.metadata["gaps"].records
    named = {id for row in rows for id in row.data["objects"].split(", ")}
    assert red.metadata["missing"].value == len(unread | {deleted})
    assert named <= unread | {deleted}
    assert sum(row.data["missing"] for row in rows) == len(unread | {deleted})

    with pipeline_engine.begin() as session:
        batch_id = claim_requests(session, limit=10)
    assert batch_id is not None
    defs.resolve_job_def("sync_venues").execute_in_process(
        run_config=run_config(batch_id), op_selection=["sync"], instance=instance
    )
    assert said(asset, CHECK).passed
    assert hall.payloads(stream).keys() == true


def test_an_account_that_breaks_the_count_breaks_it_for_itself_alone(
    hall: Any,
    materialize: Any,
    take_census: Any,
    owner_engine: Engine,
    pipeline_engine: Engine,
) -> None:
    for name in ("blue-room", "red-room", "white-room"):
        hall(name)
    materialize([CHARGES], "blue-room", "white-room")
    with owner_engine.begin() as session:
        session.execute(text("ALTER TABLE control.completeness ADD CHECK (venue_id <> 'red-room')"))
    taken = take_census(concurrency=1)
    assert taken.success
    with pipeline_engine.connect() as session:
        counted = set(session.scalars(select(completeness.c.venue_id)))
    assert counted == {"blue-room", "white-room"}


def test_a_stream_that_nobody_counts_is_a_warning(
    hall: Any, materialize: Any, said: Any, pipeline_engine: Engine
) -> None:
    hall("blue-room")
    with pipeline_engine.begin() as session:
        venue_scope(session, "blue-room")
        session.execute(update(connections).values(connected_at=text("now() - interval '10 days'")))
    materialize([CHARGES], "blue-room")
    warned = said(CHARGES, CHECK)
    assert not warned.passed
    assert warned.severity == dg.AssetCheckSeverity.WARN
    assert "not counted since it was connected" in warned.description


@pytest.mark.parametrize(
    ("day", "config"), [(7, {"days": 35}), (8, {})], ids=["saturday", "sunday"]
)
def test_the_schedule_counts_recent_months_daily_and_everything_on_sundays(
    instance: dg.DagsterInstance, day: int, config: dict[str, Any]
) -> None:
    schedule = defs.get_repository_def().get_schedule_def("daily_census")
    with dg.build_schedule_context(
        instance=instance,
        resources=resources(),
        scheduled_execution_time=datetime(2026, 3, day, 8, 10, tzinfo=UTC),
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or []
    resolved = defs.resolve_job_def("take_census")
    assert request.run_config == config
    assert dg.validate_run_config(resolved, request.run_config)
