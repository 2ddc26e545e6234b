"""What Dagster stores and shows of runs that fail over a credential holds no part of it."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine

from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.settings import Settings
from provider_sandbox import Sandbox
from provider_sandbox.faults import Unauthorized
from tests.canary import Echo, assert_unseen, every_row, make_canary


@pytest.fixture(params=["key", "nothing"])
def canary(request: pytest.FixtureRequest) -> str:
    return make_canary(request.param)


@pytest.fixture(autouse=True)
def no_faults_left(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.faults.clear()


def test_a_key_is_in_no_event_run_or_config_of_runs_that_succeed_and_fail(
    hall: Callable[..., str],
    materialize: Callable[..., dg.ExecuteInProcessResult],
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    settings: Settings,
    owner_engine: Engine,
    canary: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    venue_id = hall("a-room", api_key=canary)
    said: list[Any] = []
    faults = (None, Echo(status=400, times=None), Unauthorized(times=None), Echo(status=401))
    for fault in faults:
        if fault is not None:
            sandbox.faults.add(fault)
        result = materialize(["raw_stripe/customers", "raw_stripe/charges"], venue_id, full=True)
        sandbox.faults.clear()
        assert result.success == (fault is None)
        (run,) = instance.get_runs(dg.RunsFilter(run_ids=[result.run_id]))
        said += [repr(run), str(run.run_config)]
        said += [repr(entry) for entry in instance.all_logs(result.run_id)]
    dagster_engine = create_engine(settings, Role.DAGSTER)
    stored = every_row(owner_engine, venue_id) + every_row(dagster_engine, venue_id)
    dagster_engine.dispose()
    assert all(table in stored for table in ("control.sync_logs", "dagster.event_logs"))
    assert "STEP_FAILURE" in stored
    out, err = capfd.readouterr()
    assert_unseen(canary, *said, stored, out + err)
