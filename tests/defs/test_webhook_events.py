"""`webhook_events`: from a stored event to the analyst's table, by the sensor and its run."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.events import Event, store
from integration_pipelines.core.events.claims import CANNOT_TELL, LEASE
from integration_pipelines.core.ingest.batch import BatchItem, create_batch
from integration_pipelines.core.settings import Settings
from integration_pipelines.definitions import defs
from integration_pipelines.defs.jobs import run_config, run_tags
from integration_pipelines.defs.resources import resources
from integration_pipelines.defs.sensors import webhooks
from provider_sandbox import Sandbox


@pytest.fixture(autouse=True)
def _no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that finds nothing ends."""
    monkeypatch.setattr(webhooks, "WATCH", 0.0)


def evaluated(instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    sensor = defs.get_repository_def().get_sensor_def("webhook_events")
    with dg.build_sensor_context(
        instance=instance, resources=resources(), cursor=cursor
    ) as context:
        return sensor.evaluate_tick(context)


def tick(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    return list(evaluated(instance).run_requests or ())


def told(found: Any) -> list[Any]:
    """What the tick told of the inbox's check."""
    return [each for each in found.asset_events if isinstance(each, dg.AssetCheckEvaluation)]


def observed(found: Any) -> list[dict[str, Any]]:
    """What the tick observed of the inbox, in numbers."""
    observations = [each for each in found.asset_events if isinstance(each, dg.AssetObservation)]
    return [{name: each.value for name, each in one.metadata.items()} for one in observations]


def a_minute_later(cursor: str) -> str:
    said = json.loads(cursor)
    before = datetime.fromisoformat(said["observed_at"]) - timedelta(minutes=1)
    return json.dumps(said | {"observed_at": before.isoformat()})


def come(engine: Engine, *, age: str, **columns: Any) -> None:
    """An event of Square's account M1 that came in ``age`` ago."""
    row = {"event_id": age, "status": "pending"} | columns
    names = "".join(f", {name}" for name in row)
    with engine.begin() as session:
        session.execute(
            text(
                "INSERT INTO control.integration_webhooks (provider, account_id, event_type,"
                f" payload, received_at{names}) VALUES ('square', 'M1', 'refund.updated', '{{}}',"
                f" now() - CAST(:age AS interval){''.join(f', :{name}' for name in row)})"
            ),
            {"age": age} | row,
        )


def change(engine: Engine, assignments: str) -> None:
    with engine.begin() as session:
        session.execute(text(f"UPDATE control.integration_webhooks SET {assignments}"))


def test_the_check_of_the_inbox_is_told_when_events_grow_old_and_when_they_no_longer_do(
    instance: dg.DagsterInstance, venue: Any, connect: Any, pipeline_engine: Engine
) -> None:
    first = evaluated(instance)
    (passed,) = told(first)
    assert (passed.check_name, passed.passed) == ("no_event_waits_long", True)
    assert evaluated(instance, first.cursor).asset_events == []
    connect(venue("hall"), "square", "M1", connected_at=datetime.now(UTC) - timedelta(days=1))
    come(pipeline_engine, age="11 minutes")
    late = evaluated(instance, first.cursor)
    (failed,) = told(late)
    assert (failed.passed, failed.description) == (False, "square's oldest waits 11 min")
    assert told(evaluated(instance, late.cursor)) == []
    change(pipeline_engine, "received_at = received_at - '2 min'::interval")
    (still,) = told(evaluated(instance, a_minute_later(late.cursor)))
    assert still.description == "square's oldest waits 13 min", "the number does not freeze"
    change(pipeline_engine, "replayed_at = now()")
    assert told(evaluated(instance, late.cursor))[0].passed, "it waits since it was replayed"
    change(pipeline_engine, "status = 'done', replayed_at = NULL")
    (well,) = told(evaluated(instance, late.cursor))
    assert well.passed


def test_events_wait_for_a_closed_vault_and_not_for_accounts_that_nobody_has_connected(
    instance: dg.DagsterInstance, venue: Any, connect: Any, pipeline_engine: Engine
) -> None:
    come(pipeline_engine, age="3 hours", last_error="no venue has connected this account yet")
    assert told(evaluated(instance))[0].passed
    connect(venue("hall"), "square", "M1")
    (just,) = told(evaluated(instance))
    assert just.passed, "it could not be worked on before its account was connected"
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text("UPDATE control.connections SET connected_at = now() - '1 day'::interval")
        )
    change(
        pipeline_engine,
        f"status = 'pending', attempts = 0, last_error = '{CANNOT_TELL}', lease_expires_at = NULL",
    )
    (closed,) = told(evaluated(instance))
    assert (closed.passed, closed.description) == (False, "square's oldest waits 180 min")


def test_the_inbox_is_observed_every_minute_whoever_works_on_it(
    instance: dg.DagsterInstance, venue: Any, connect: Any, pipeline_engine: Engine
) -> None:
    first = evaluated(instance)
    nothing = {"waiting": 0, "claimed": 0, "oldest_seconds": 0, "done": 0, "ignored": 0, "dead": 0}
    assert observed(first) == [nothing]
    assert evaluated(instance, first.cursor).asset_events == []
    connect(venue("hall"), "square", "M1", connected_at=datetime.now(UTC) - timedelta(days=1))
    a_worker = {"claimed_by": "a-worker", "lease_expires_at": datetime.now(UTC) + LEASE}
    come(pipeline_engine, age="4 minutes", status="claimed", **a_worker)
    ended = datetime.now(UTC) - timedelta(seconds=45)
    for number, status in enumerate(("done", "done", "dead")):
        come(pipeline_engine, age=f"{number} minutes", status=status, processed_at=ended)
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    come(pipeline_engine, age="9 minutes", status="done", processed_at=long_ago)
    later = evaluated(instance, a_minute_later(first.cursor))
    (seen,) = observed(later)
    age = seen.pop("oldest_seconds")
    assert 240 <= age < 300
    assert seen == {"waiting": 1, "claimed": 1, "done": 2, "ignored": 0, "dead": 1}
    assert later.run_requests == [], "what a worker holds is left to it"


def test_a_tick_claims_what_comes_in_while_it_watches(
    instance: dg.DagsterInstance,
    venue: Any,
    connect: Any,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(venue("hall"), "square", "M1")
    monkeypatch.setattr(webhooks, "WATCH", 60.0)
    coming = threading.Timer(2.0, come, [pipeline_engine], {"age": "0 seconds"})
    coming.start()
    (request,) = tick(instance)
    coming.join()
    assert request.tags["events"] == "1"


def test_an_event_is_a_row_of_analytics_after_one_tick_and_one_run(
    hall: Any,
    instance: dg.DagsterInstance,
    settings: Settings,
    sandbox: Sandbox,
    pipeline_engine: Engine,
) -> None:
    for slug in ("a-room", "b-room"):
        hall(slug)
    assert tick(instance) == []
    with pipeline_engine.connect() as session:
        held = {each.venue_id: each for each in open_connections(session)}
    account = sandbox.stripe.accounts[held["a-room"].account_id]
    charge_id = sorted(account.ids("charges"))[-1]
    body = {"data": {"object": {"object": "charge", "id": charge_id}}}
    gone = {"data": {"object": {"object": "charge", "id": "ch_of_nobody"}}}
    receiver = create_engine(settings, Role.RECEIVER)
    with receiver.begin() as session:
        for id, payload in (("evt_1", body), ("evt_2", body), ("evt_3", gone)):
            event = Event(id, "charge.updated", account.id, None, payload)
            store(session, "stripe", [event], request_id="r")
    receiver.dispose()

    (request,) = tick(instance)
    assert request.tags["events"] == "3"
    assert tick(instance) == []
    ran = defs.resolve_job_def("sync_venues").execute_in_process(
        run_config=request.run_config, tags=request.tags, instance=instance
    )
    assert ran.success
    built = materialized(instance, ran)
    assert built >= {"raw_stripe/charges", "analytics/payments", "marts/daily_revenue"}
    assert "analytics/products" not in built, "what is made of charges, and no more"
    with pipeline_engine.connect() as session:
        asked = text("SELECT status, last_error FROM control.integration_webhooks")
        assert session.execute(asked).all() == [("done", None)] * 3
        runs = text("SELECT count(DISTINCT sync_id) FROM control.sync_logs")
        assert session.scalar(runs) == 1, "the other venue is left alone"
        venue_scope(session, "a-room")
        together = text(
            "SELECT count(*) FROM raw_stripe.charges AS row JOIN control.integration_webhooks"
            " ON processed_at = last_changed_at WHERE row.id = :id AND event_id <> 'evt_3'"
        )
        assert session.scalar(together, {"id": charge_id}) == 2, "one transaction"
    analyst = create_engine(settings, Role.ANALYST_ALL)
    with analyst.connect() as session:
        rows = session.execute(text("SELECT venue_id, source_id FROM analytics.payments")).all()
    analyst.dispose()
    succeeded = sandbox.stripe.accounts[account.id]
    assert set(rows) <= {("a-room", charge_id)}
    assert (len(rows) == 1) == any(
        charge["id"] == charge_id and charge["status"] == "succeeded" and charge["captured"]
        for charge in succeeded.objects("charges")
    )


def test_only_what_is_made_of_a_changed_stream_is_built_again(
    hall: Any,
    instance: dg.DagsterInstance,
    settings: Settings,
    sandbox: Sandbox,
    pipeline_engine: Engine,
) -> None:
    hall("a-room")
    with pipeline_engine.connect() as session:
        (held,) = open_connections(session)
    account = sandbox.stripe.accounts[held.account_id]
    job = defs.resolve_job_def("sync_venues")
    with pipeline_engine.begin() as session:
        batch_id = create_batch(session, [BatchItem(held)])
    first = job.execute_in_process(
        run_config=run_config(batch_id), tags=run_tags(batch_id), instance=instance
    )
    assert first.success
    customer = account.ids("customers")[0]
    account.economy.update("customers", customer, {"name": "Somebody new"})
    body = {"data": {"object": {"object": "customer", "id": customer}}}
    receiver = create_engine(settings, Role.RECEIVER)
    with receiver.begin() as session:
        event = Event("evt_1", "customer.updated", account.id, None, body)
        store(session, "stripe", [event], request_id="r")
    receiver.dispose()
    (request,) = tick(instance)
    ran = job.execute_in_process(
        run_config=request.run_config, tags=request.tags, instance=instance
    )
    assert materialized(instance, ran) == {
        "raw_stripe/customers",
        "analytics/customers",
        "marts/person_records",
        "marts/customer_360",
        "marts/campaign_revenue",
    }
    analyst = create_engine(settings, Role.ANALYST_ALL)
    with analyst.connect() as session:
        named = text("SELECT name FROM analytics.customers WHERE source_id = :id")
        assert session.scalar(named, {"id": customer}) == "Somebody new"
    analyst.dispose()
    with pipeline_engine.connect() as session:
        left = text("SELECT count(*) FROM control.dbt_build_venues")
        assert session.scalar(left) == 0


def materialized(instance: dg.DagsterInstance, ran: dg.ExecuteInProcessResult) -> set[str]:
    """Assets that the run has materialized."""
    logged = instance.all_logs(ran.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    keys = (each.dagster_event.asset_key for each in logged if each.dagster_event)
    return {key.to_user_string() for key in keys if key}
