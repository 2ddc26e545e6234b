"""Fault 4: Postgres restarted or killed under a sync, which goes on without a person."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import URL

from integration_pipelines.core import database
from integration_pipelines.core.embedded_postgres import (
    DATABASE,
    HOST,
    OWNER,
    Server,
    embedded_postgres,
    revive,
    status,
)
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox
from tests.faults.moments import Hold, until
from tests.providers.stripe.conftest import ConnectedVenue, ConnectStripe
from tests.stripe_ledger import connected, differences, open_account

ROWS = {"charges": 2_000, "payment_intents": 500}
DOWN_FOR = 1.0


@pytest.fixture(scope="module")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mortal")


@pytest.fixture(scope="module")
def server(data_path: Path) -> Iterator[Server]:
    """A server of this module's own, to be killed."""
    with embedded_postgres(data_path, configuration={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="module")
def mortal(server: Server, data_path: Path) -> Settings:
    """Settings whose DATABASE_URL leads to that server: nobody but an operator revives it."""
    url = URL.create(
        database.PSYCOPG,
        username=OWNER,
        password=server.owner_password,
        host=HOST,
        port=server.port,
        database=DATABASE,
    )
    settings = Settings(
        app_env=AppEnv.TEST,
        database_url=SecretStr(url.render_as_string(hide_password=False)),
        data_dir=data_path,
    )
    database.initialise(settings, PROVIDERS.values())
    return settings


@pytest.fixture
def settings(mortal: Settings) -> Settings:
    return mortal


@pytest.fixture
def small_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    syncing = importlib.import_module("integration_pipelines.core.ingest.sync")
    monkeypatch.setattr(syncing, "CHECKPOINT_ROWS", 500)


def end_server(data_path: Path, order: signal.Signals) -> None:
    pid = status(data_path).pid
    assert pid is not None
    os.kill(pid, order)
    until(lambda: not status(data_path).running, f"the server is gone after {order.name}")


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
