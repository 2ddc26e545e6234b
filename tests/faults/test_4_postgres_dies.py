"""Fault 4: Postgres restarted or killed under a sync, which goes on without a person."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration_pipelines.core.embedded_postgres import revive
from integration_pipelines.core.settings import Settings
from provider_sandbox import Sandbox
from tests.faults.moments import DOWN_FOR, Hold, end_server, until
from tests.providers.stripe.conftest import ConnectedVenue, ConnectStripe
from tests.stripe_ledger import connected, differences, open_account

ROWS = {"charges": 2_000, "payment_intents": 500}


@pytest.fixture
def settings(mortal: Settings) -> Settings:
    return mortal


@pytest.fixture
def small_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    syncing = importlib.import_module("integration_pipelines.core.ingest.sync")
    monkeypatch.setattr(syncing, "CHECKPOINT_ROWS", 500)


def charges_landed(venue: ConnectedVenue) -> int:
    return int(venue.rows("SELECT count(*) FROM raw_stripe.charges")[0][0])


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.usefixtures("small_checkpoints")
def test_a_sync_outlives_a_server_that_is_down_for_a_second(
    sandbox: Sandbox, connect_stripe: ConnectStripe, data_path: Path, order: signal.Signals
) -> None:
    account = open_account(sandbox, only=ROWS)
    venue = connected(sandbox, connect_stripe, account, venue_id=order.name.lower())
    sandbox.reset_stats()
    hold = sandbox.faults.add(Hold(path="/v1/charges", skip=12))
    assert isinstance(hold, Hold)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(venue.sync)
        until(lambda: hold.struck and charges_landed(venue) >= 500, "a checkpoint of charges")
        end_server(data_path, order)
        hold.release()
        time.sleep(DOWN_FOR)
        revive(data_path)
        results = running.result(60)
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
    logged = venue.rows(
        "SELECT outcome FROM control.sync_logs WHERE venue_id = :venue_id",
        venue_id=venue.connection.venue_id,
    )
    assert logged == [("succeeded",)] * 16
    ((counted,),) = venue.rows(
        "SELECT sum(calls) FROM control.integration_costs WHERE venue_id = :venue_id",
        venue_id=venue.connection.venue_id,
    )
    # A commit whose answer was lost may be counted again, but no call goes uncounted.
    assert counted >= sum(sandbox.requests.values())


def test_a_sync_on_the_embedded_server_brings_it_back_itself(
    sandbox: Sandbox, connect_stripe: ConnectStripe, data_path: Path
) -> None:
    account = open_account(sandbox, only=ROWS)
    venue = connected(sandbox, connect_stripe, account, venue_id="self-sufficient")
    hold = sandbox.faults.add(Hold(path="/v1/charges", skip=12))
    assert isinstance(hold, Hold)
    environment = {
        "PATH": os.environ["PATH"],
        "APP_ENV": "test",
        "DATA_DIR": str(data_path),
        "STRIPE_API_BASE": str(venue.settings.stripe_api_base),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.worker", venue.connection.venue_id],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: hold.struck and charges_landed(venue) >= 500, "a checkpoint of charges")
        end_server(data_path, signal.SIGKILL)
        hold.release()
        said, _ = process.communicate(timeout=60)
    assert set(json.loads(said).values()) == {"succeeded"}
    assert differences(venue, account) == []
