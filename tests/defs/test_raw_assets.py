"""Raw assets: who is recorded, who is not, and that nobody's trouble is another's."""

from typing import Any

import dagster as dg
from sqlalchemy import Engine, select, text

from integration_pipelines.core.tables import sync_logs
from provider_sandbox import Sandbox

CHECK = "every_venue_synced"
STREAMS = ["raw_stripe/customers", "raw_stripe/charges"]


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    return [
        event.step_failure_data.user_failure_data.description
        for event in result.all_node_events
        if event.is_step_failure
    ]


def test_one_venue_is_recorded_with_what_its_sync_did(
    hall: Any, materialize: Any, recorded: Any, sandbox: Sandbox, pipeline_engine: Engine
) -> None:
    hall("blue-room")
    result = materialize(STREAMS, "blue-room")
    assert result.success
    assert recorded("raw_stripe/charges") == {"blue-room"}
    assert recorded("raw_stripe/refunds") == set()
    events = result.get_asset_materialization_events()
    assert events == [], "recorded in bulk, and not a second time for the output"
    with pipeline_engine.connect() as session:
        logged = session.execute(
            select(sync_logs.c.stream, sync_logs.c.run_id, sync_logs.c.outcome)
        ).all()
    assert {(row.stream, row.run_id, row.outcome) for row in logged} == {
        ("customers", result.run_id, "succeeded"),
        ("charges", result.run_id, "succeeded"),
    }


def test_metadata_tells_rows_calls_time_lag_and_shows_recent_syncs(
    hall: Any, materialize: Any, instance: dg.DagsterInstance
) -> None:
    hall("blue-room")
    materialize(STREAMS, "blue-room")
    event = instance.get_latest_materialization_event(dg.AssetKey(["raw_stripe", "charges"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["mode"].value == "load"
    assert metadata["inserted"].value == metadata["fetched"].value > 0
    assert metadata["api_calls"].value >= 1
    assert 0 <= metadata["lag_seconds"].value < 60
    picture = metadata["recent_syncs"].value
    assert "data:image/png;base64," in picture
    assert len(picture) < 10_000


def test_a_venue_that_fails_alone_fails_its_run_and_says_why(
    locked_out: Any, materialize: Any, recorded: Any
) -> None:
    locked_out("blue-room")
    result = materialize([*STREAMS, "analytics/customers"], "blue-room")
    assert not result.success
    (failure,) = failures(result)
    assert failure.startswith("stripe customers of blue-room: blue-room has no stripe credential")
    assert "integrations connect stripe --venue blue-room" in failure
    assert recorded("raw_stripe/customers") == set()
    assert recorded("analytics/customers") == set()


def test_in_a_range_the_good_are_recorded_and_neither_the_failed_nor_the_unconnected(
    hall: Any,
    locked_out: Any,
    unconnected: Any,
    materialize: Any,
    recorded: Any,
    said: Any,
    pipeline_engine: Engine,
) -> None:
    hall("a-room")
    locked_out("b-room")
    unconnected("c-room")
    hall("d-room")
    result = materialize([*STREAMS, "analytics/customers"], "a-room", "d-room")
    assert result.success, "one venue's trouble is a row and a red check, no failed step"
    assert recorded("raw_stripe/charges") == {"a-room", "d-room"}
    assert {"a-room", "d-room"} <= recorded("analytics/customers"), "downstream went on"
    with pipeline_engine.connect() as session:
        built = session.scalars(text("SELECT DISTINCT venue_id FROM control.sync_logs")).all()
    assert set(built) == {"a-room", "b-room", "d-room"}
    evaluation = said("raw_stripe/charges", CHECK)
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    (named,) = evaluation.metadata["venues"].records
    assert named.data["venue"] == "b-room"
    assert "integrations connect" in named.data["why"]


def test_the_check_turns_green_when_the_last_failing_venue_recovers(
    hall: Any, locked_out: Any, materialize: Any, said: Any, pipeline_engine: Engine
) -> None:
    locked_out("b-room")
    assert not materialize(STREAMS, "b-room").success
    hall("a-room")
    assert materialize(STREAMS, "a-room").success
    assert not said("raw_stripe/charges", CHECK).passed, "a's success does not hide b's failure"
    with pipeline_engine.begin() as session:
        session.execute(text("SELECT set_config('app.venue_id', 'b-room', true)"))
        session.execute(text("UPDATE control.connections SET status = 'disconnected'"))
    assert materialize(STREAMS, "a-room").success
    assert said("raw_stripe/charges", CHECK).passed


def test_a_venue_that_uses_no_provider_is_passed_over(
    unconnected: Any, materialize: Any, recorded: Any
) -> None:
    unconnected("empty-lot")
    assert materialize(STREAMS, "empty-lot").success
    assert recorded("raw_stripe/charges") == set()


def test_a_full_pass_is_asked_for_by_config(
    hall: Any, materialize: Any, pipeline_engine: Engine
) -> None:
    hall("blue-room")
    materialize(STREAMS, "blue-room")
    assert materialize(STREAMS, "blue-room", full=True).success
    with pipeline_engine.connect() as session:
        modes = session.scalars(select(sync_logs.c.mode).order_by(sync_logs.c.started_at)).all()
    assert modes == ["load", "load", "full", "full"]


def test_a_paused_connection_is_not_synced_and_says_so(
    hall: Any, materialize: Any, pipeline_engine: Engine
) -> None:
    hall("blue-room")
    with pipeline_engine.begin() as session:
        session.execute(text("UPDATE control.integrations SET paused_at = now()"))
    (failure,) = failures(materialize(STREAMS, "blue-room"))
    assert "paused or disabled: resume the integration" in failure
