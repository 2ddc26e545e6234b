"""The check of mapped fields, as Dagster runs it, and the command that lists what changed."""

from typing import Any

import dagster as dg
from sqlalchemy import text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.mapping import read_rule, set_rule
from integration_pipelines.definitions import defs
from integration_pipelines.defs.fields import mapped_fields_are_there
from provider_sandbox import Sandbox


def test_a_mapped_field_that_a_provider_ceases_to_send_turns_the_check_red(
    hall: Any, instance: dg.DagsterInstance, sandbox: Sandbox, pipeline_engine: Any
) -> None:
    hall("blue-room")

    def run(job: str, **asked: Any) -> dg.ExecuteInProcessResult:
        return defs.resolve_job_def(job).execute_in_process(instance=instance, **asked)

    def checked() -> dg.AssetCheckEvaluation:
        (evaluation,) = run("watch_fields").get_asset_check_evaluations()
        return evaluation

    def land(payload: str) -> None:
        with pipeline_engine.begin() as session:
            venue_scope(session, "blue-room")
            session.execute(text(LAND), {"payload": payload})
            session.execute(text(LOG), {"stream": "customers"})

    land('{"metadata": {"table": "4"}}')
    first = checked()
    assert first.passed and first.metadata["rows"].value == 60
    rule = {"provider": "stripe", "target_table": "customers", "target_field": "custom.table"}
    with pipeline_engine.begin() as session:
        venue_scope(session, "blue-room")
        given = read_rule(rule | {"source_path": "metadata.table", "type": "text"})
        set_rule(session, "blue-room", given, by="test", reason=None)
        for aged in AGED:
            session.execute(text(aged))
    land('{"metadata": {}, "loyalty": {"tier": "gold"}}')
    red = checked()
    assert not red.passed
    assert red.asset_check_key == mapped_fields_are_there.check_key
    assert "blue-room: customers.custom.table reads metadata.table" in str(red.description)
    shown = red.metadata["changes"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert {(row.data["field"], row.data["what"]) for row in shown.records} == {
        ("metadata.table", "vanished"),
        ("loyalty", "new"),
        ("loyalty.tier", "new"),
    }


def test_a_stream_that_cannot_be_looked_at_is_named_and_fails_the_check(
    hall: Any, instance: dg.DagsterInstance, pipeline_engine: Any
) -> None:
    hall("blue-room")
    with pipeline_engine.begin() as session:
        venue_scope(session, "blue-room")
        session.execute(text(LAND), {"payload": "{}"})
        for stream in ("customers", "of_no_table"):
            session.execute(text(LOG), {"stream": stream})
    job = defs.resolve_job_def("watch_fields")
    (checked,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert (checked.passed, checked.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert checked.description == (
        "1 of 2 streams could not be looked at: blue-room/stripe/of_no_table: UndefinedTable"
    )
    assert (checked.metadata["rows"].value, checked.metadata["failed_looks"].value) == (60, 1)
    shown = checked.metadata["failures"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert [row.data for row in shown.records] == [
        {"stream": "blue-room/stripe/of_no_table", "why": "UndefinedTable"}
    ]


LAND = """
    INSERT INTO raw_stripe.customers (venue_id, account_id, id, payload, observed_at, content_hash)
    SELECT 'blue-room', 'acct', gen_random_uuid(), CAST(:payload AS jsonb), now(), ''
    FROM generate_series(1, 60)
"""
LOG = """
    WITH read AS (
        INSERT INTO control.sync_cursors (venue_id, connection_id, stream, state, sync_id)
        SELECT venue_id, connection_id, :stream, '{}', gen_random_uuid() FROM control.connections
        ON CONFLICT DO NOTHING
    )
    INSERT INTO control.sync_logs (
        venue_id, sync_id, stream, provider, connection_id, account_id, mode, inserted, finished_at
    )
    SELECT venue_id, gen_random_uuid(), :stream, provider, connection_id, account_id, 'full',
        60, clock_timestamp()
    FROM control.connections
"""
AGED = (
    "UPDATE raw_stripe.customers SET last_changed_at = last_changed_at - interval '2 hours'",
    "UPDATE control.field_looks SET looked_to = looked_to - interval '1 hour'",
)
