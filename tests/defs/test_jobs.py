"""`sync_venues`: many venues in one run, on the real instance, database and sandbox."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import Engine, select, text
from structlog.testing import capture_logs

from integration_pipelines.cli import work
from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import Role, create_engine, execute, venue_scope
from integration_pipelines.core.ingest.batch import BatchItem, create_batch
from integration_pipelines.core.mapping import read_rule, set_rule
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import (
    dbt_build_venues,
    publications,
    sync_batches,
    sync_logs,
)
from integration_pipelines.definitions import defs
from integration_pipelines.defs import jobs
from integration_pipelines.defs.jobs import BATCH_TAG, run_config
from tests.canary import every_row
from tests.faults.moments import until

END_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND usename IS NOT NULL"
)

WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE NOT granted AND datname = current_database() AND usename = 'dbt'"
)


@pytest.fixture
def run(instance: dg.DagsterInstance, pipeline_engine: Engine) -> Any:
    """``run(full=..., streams=..., only=[ops])``: a batch of every connection, run to its end."""

    def execute(
        *, batch_id: UUID | None = None, only: list[str] | None = None, **asked: Any
    ) -> dg.ExecuteInProcessResult:
        if batch_id is None:
            with pipeline_engine.begin() as session:
                batch_id = create_batch(
                    session, [BatchItem(each, **asked) for each in open_connections(session)]
                )
        return defs.resolve_job_def("sync_venues").execute_in_process(
            run_config=run_config(batch_id),
            op_selection=only,
            instance=instance,
            raise_on_error=False,
        )

    return execute


def venues_in(engine: Engine, table: str) -> set[str]:
    """Venues that have rows in a table."""
    with engine.connect() as session:
        return set(session.scalars(text(f"SELECT DISTINCT venue_id FROM {table}")))


@pytest.fixture
def analyst(settings: Settings) -> Iterator[Engine]:
    engine = create_engine(settings, Role.ANALYST_ALL)
    yield engine
    engine.dispose()


def test_a_batch_lands_and_publishes_the_good_and_names_the_failed(
    hall: Any,
    locked_out: Any,
    run: Any,
    recorded: Any,
    said: Any,
    instance: dg.DagsterInstance,
    pipeline_engine: Engine,
    owner_engine: Engine,
    analyst: Engine,
) -> None:
    hall("a-room")
    locked_out("b-room")
    hall("c-room")

    first = run()
    assert first.success
    assert recorded("raw_stripe/charges") == {"a-room", "c-room"}
    assert recorded("marts/daily_revenue") == {"a-room", "c-room"}
    assert venues_in(analyst, "analytics.payments") == {"a-room", "c-room"}
    assert said("marts/daily_revenue", "daily_revenue_is_complete").passed
    assert not said("raw_stripe/charges", "every_venue_synced").passed
    (stored,) = instance.get_runs(dg.RunsFilter(run_ids=[first.run_id]))
    with pipeline_engine.connect() as session:
        batches = session.execute(select(sync_batches)).all()
        assert {(row.venue_id, row.outcome) for row in batches} == {
            ("a-room", "succeeded"),
            ("b-room", "failed"),
            ("c-room", "succeeded"),
        }
        assert stored.tags[BATCH_TAG] == str(batches[0].batch_id)
        assert session.scalars(select(dbt_build_venues.c.venue_id)).all() == []

    events = len(instance.all_logs(first.run_id))
    second = run()
    assert second.success
    quiet = instance.all_logs(second.run_id)
    assert not any(
        entry.dagster_event and entry.dagster_event.is_step_materialization for entry in quiet
    ), "nothing changed, so nothing is recorded"
    assert len(quiet) < events

    # A changed field mapping is published by the venue's next sync, whatever that finds; what lacks
    # a field that it requires is kept out, and named by a check.
    numbered = "SELECT venue_id, source_id, custom_fields FROM analytics.customers ORDER BY 1, 2"
    with analyst.connect() as session:
        before = session.execute(text(numbered)).all()
    of_a_room = [row.source_id for row in before if row.venue_id == "a-room"]
    rule = {"provider": "stripe", "target_table": "customers", "source_path": "id"}
    number = rule | {
        "target_field": "custom.number",
        "type": "text",
        "transforms": [{"do": "split", "separator": "_", "part": 1}],
    }
    first_one = rule | {
        "target_field": "custom.is_first",
        "type": "boolean",
        "transforms": [{"do": "lookup", "table": {of_a_room[0]: True}}],
        "required": True,
    }
    assert said("control/quarantine", "every_row_mapped").passed
    with pipeline_engine.begin() as session:
        venue_scope(session, "a-room")
        for each in (number, first_one):
            set_rule(session, "a-room", read_rule(each), by="test", reason=None)
    assert run().success
    with analyst.connect() as session:
        rows = session.execute(text(numbered)).all()
    own = {"number": of_a_room[0].split("_")[1], "is_first": True}
    assert rows == [
        ("a-room", of_a_room[0], own),
        *(row for row in before if row.venue_id == "c-room"),
    ]
    told = said("control/quarantine", "every_row_mapped")
    assert not told.passed
    assert told.severity is dg.AssetCheckSeverity.ERROR
    (named,) = told.metadata["failures"].records
    assert (named.data["venue"], named.data["field"]) == ("a-room", "customers.custom.is_first")
    assert named.data["rows"] == named.data["kept out"] == len(of_a_room) - 1

    # A build looks at its own venues alone: another's failure stands until its own build.
    with owner_engine.begin() as session:
        venue_scope(session, "a-room")
        session.execute(text("DELETE FROM control.quarantine"))
    for venue_id, each in (("c-room", number), ("a-room", first_one | {"required": False})):
        assert not said("control/quarantine", "every_row_mapped").passed
        with pipeline_engine.begin() as session:
            venue_scope(session, venue_id)
            set_rule(session, venue_id, read_rule(each), by="test", reason=None)
        assert run().success
    assert said("control/quarantine", "every_row_mapped").passed


def test_a_batch_in_which_nothing_succeeded_is_a_failed_run(locked_out: Any, run: Any) -> None:
    locked_out("a-room")
    locked_out("b-room")
    result = run()
    assert not result.success
    (failed,) = [event for event in result.all_node_events if event.is_step_failure]
    assert failed.step_key == "sync"
    said = failed.step_failure_data.user_failure_data
    assert "room has no stripe credential" in said.description
    assert {row.data["venue"] for row in said.metadata["failed"].records} == {"a-room", "b-room"}


def test_what_a_killed_run_changed_is_published_by_the_run_that_takes_its_batch_up(
    hall: Any, run: Any, pipeline_engine: Engine, recorded: Any
) -> None:
    hall("a-room")
    assert run(only=["sync"]).success
    assert recorded("analytics/payments") == set()
    with pipeline_engine.connect() as session:
        batch_id = session.scalars(select(sync_batches.c.batch_id)).one()
    again = run(batch_id=batch_id)
    assert again.success
    with pipeline_engine.connect() as session:
        synced_by = set(session.scalars(select(sync_logs.c.run_id)))
    assert again.run_id not in synced_by, "what was done is not done again"
    assert recorded("analytics/payments") == {"a-room"}


def test_a_build_whose_database_goes_away_refuses_nobody_and_is_done_again_in_its_run(
    hall: Any,
    run: Any,
    analyst: Engine,
    owner_engine: Engine,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "OUTAGE_WAIT", 0)
    hall("a-room")
    assert run(only=["sync"]).success
    with pipeline_engine.connect() as session:
        batch_id = session.scalars(select(sync_batches.c.batch_id)).one()
    with ThreadPoolExecutor(1) as pool, owner_engine.begin() as session:
        session.execute(text("LOCK TABLE raw_stripe.charges"))
        publishing = pool.submit(run, batch_id=batch_id)
        until(lambda: session.scalar(WAITING), "dbt reads charges")
        session.execute(END_OTHERS)
        session.commit()
        result = publishing.result()
    assert result.success
    again = [event.step_key for event in result.all_node_events if event.is_step_restarted]
    assert again == ["publish"]
    assert venues_in(analyst, "analytics.payments") == {"a-room"}
    with pipeline_engine.connect() as session:
        assert set(session.scalars(select(publications.c.stale_since))) == {None}


def test_a_worker_begins_its_run_as_soon_as_the_database_takes_one(
    locked_out: Any,
    instance: dg.DagsterInstance,
    owner_engine: Engine,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dagster_postgres.utils.calculate_delay", lambda **_: 0.0)
    monkeypatch.setattr(work, "AFTER_TROUBLE", 0.1)
    locked_out("a-room")
    with pipeline_engine.begin() as session:
        batch_id = create_batch(session, [BatchItem(each) for each in open_connections(session)])
    job = defs.resolve_job_def("sync_venues")
    lets_in = "GRANT CONNECT ON DATABASE {} TO PUBLIC"
    with ThreadPoolExecutor(1) as pool, capture_logs() as logged:
        with owner_engine.begin() as session:
            database = session.engine.url.database or ""
            execute(session, "REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database)
        working = pool.submit(work._run, job, instance, batch_id, 1, threading.Event())
        try:
            until(lambda: logged or working.done(), "the run cannot begin")
        finally:
            with owner_engine.begin() as session:
                execute(session, lets_in, database)
        working.result()
    assert logged[0]["event"] == "the database does not answer"
    assert len(instance.get_runs(dg.RunsFilter(tags={BATCH_TAG: str(batch_id)}))) == 1
    with pipeline_engine.connect() as session:
        assert session.scalars(select(sync_batches.c.outcome)).all() == ["failed"]


def test_a_failing_test_stays_red_until_the_failing_venue_itself_passes_and_quotes_no_row(
    hall: Any, run: Any, said: Any, pipeline_engine: Engine, settings: Settings
) -> None:
    check = ("analytics/prices", "prices_have_known_products")
    hall("a-room")
    hall("b-room")
    _change_a_price(pipeline_engine, "b-room", product="prod_nowhere")
    assert run().success
    failed = said(*check)
    assert not failed.passed
    assert [row.data for row in failed.metadata["failing"].records] == [
        {"venue": "b-room", "rows": 1}
    ]
    assert _rebuild(run, pipeline_engine, "a-room").success
    assert not said(*check).passed, "a's pass does not hide b's failure"
    _change_a_price(pipeline_engine, "b-room", product="prod_everywhere")
    assert _rebuild(run, pipeline_engine, "b-room").success
    assert said(*check).passed

    dbt, dagster = (create_engine(settings, role) for role in (Role.DBT, Role.DAGSTER))
    with dbt.begin() as session:
        # Postgres quotes the whole row that fails it.
        nobody = "ADD CONSTRAINT nobody CHECK (email IS NULL) NOT VALID"
        session.execute(text(f"ALTER TABLE analytics.customers {nobody}"))
    assert not _rebuild(run, pipeline_engine, "b-room").success
    told = every_row(dagster, "b-room")
    assert "violates check constraint" in told
    assert "Failing row contains" not in told
    for engine in (dbt, dagster):
        engine.dispose()


def _rebuild(run: Any, engine: Engine, venue_id: str) -> Any:
    """Publish one venue again, as after a full pass."""
    with engine.begin() as session:
        connections = open_connections(session, venue_ids=[venue_id])
        batch_id = create_batch(
            session, [BatchItem(each, ("coupons",), full=True) for each in connections]
        )
    return run(batch_id=batch_id)


def _change_a_price(engine: Engine, venue_id: str, *, product: str) -> None:
    """A price of the venue's, of a product that exists only if it is called prod_everywhere."""
    with engine.begin() as session:
        venue_scope(session, venue_id)
        account_id = open_connections(session, venue_ids=[venue_id])[0].account_id
        for stream, identity, body in (
            ("products", "prod_everywhere", {"id": "prod_everywhere", "object": "product"}),
            ("prices", "price_odd", {"id": "price_odd", "object": "price", "product": product}),
        ):
            session.execute(
                text(
                    f"""
                    INSERT INTO raw_stripe.{stream}
                        (venue_id, account_id, id, payload, observed_at, content_hash)
                    VALUES (:venue_id, :account_id, :id, :payload, now(), '')
                    ON CONFLICT (venue_id, account_id, id)
                    DO UPDATE SET payload = excluded.payload
                    """
                ),
                {
                    "venue_id": venue_id,
                    "account_id": account_id,
                    "id": identity,
                    "payload": json.dumps(body),
                },
            )
