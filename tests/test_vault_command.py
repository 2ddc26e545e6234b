"""`integrations vault` and fault 17: keys rotated under load, and rotation that is cut short."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from integration_pipelines.core.credentials import (
    Vault,
    load_credentials,
    open_connections,
    save_connection,
)
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.provider import Account
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from tests.faults.moments import until

VENUES = 12
COMMAND = (str(Path(sys.executable).with_name("integrations")), "vault")


@pytest.fixture
def connected(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]
) -> dict[str, str]:
    """Refresh tokens by venue, sealed with the first local key."""
    vault = Vault(settings)
    for number in range(VENUES):
        give(pipeline_engine, vault, venue(f"hall-{number}"), f"first-token-{number:06}")
    return {f"hall-{number}": f"first-token-{number:06}" for number in range(VENUES)}


def give(engine: Engine, vault: Vault, venue_id: str, token: str) -> None:
    credentials = PROVIDERS["quickbooks"].credentials.model_validate(
        {"access_token": f"access-{token}", "refresh_token": token, "realm_id": "9130"}
    )
    with engine.begin() as session:
        venue_scope(session, venue_id)
        save_connection(
            session,
            vault,
            venue_id=venue_id,
            provider="quickbooks",
            account=Account("9130", "Hall"),
            credentials=credentials,
        )


def opened(engine: Engine, settings: Settings) -> dict[str, str]:
    """Refresh tokens by venue, as a process that has just begun reads them."""
    vault, found = Vault(settings), {}
    with engine.connect() as session:
        for connection in open_connections(session):
            fields = load_credentials(session, vault, connection)
            found[connection.venue_id] = fields["refresh_token"]
    return found


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def keys(environment: dict[str, str]) -> dict[str, int]:
    told: list[dict[str, Any]] = json.loads(run(environment, "status", "--json").stdout)
    assert [one["seals_now"] for one in told].count(True) == 1
    return {one["key"]: one["values"] for one in told}


def test_rotation_wraps_everything_anew_and_says_so(
    environment: dict[str, str],
    settings: Settings,
    pipeline_engine: Engine,
    connected: dict[str, str],
) -> None:
    before = keys(environment)
    assert list(before.values()) == [2 * VENUES]
    said = run(environment, "rotate")
    assert (said.returncode, said.stderr.count("Error")) == (0, 0)
    assert f"{2 * VENUES} values wrapped anew" in said.stdout
    after = keys(environment)
    assert list(after.values()) == [2 * VENUES]
    assert not before.keys() & after.keys()
    assert opened(pipeline_engine, settings) == connected
    # The next one leaves no key behind that nothing is under.
    assert run(environment, "rotate").returncode == 0
    assert settings.local_key_path.stat().st_size == 2 * 32
    assert opened(pipeline_engine, settings) == connected


def test_17_tokens_that_are_stored_while_keys_rotate_stay_readable(
    environment: dict[str, str],
    settings: Settings,
    pipeline_engine: Engine,
    connected: dict[str, str],
) -> None:
    stopped, latest = threading.Event(), dict(connected)

    def renew() -> None:
        # One vault for as long as a worker lives: it does not know of the rotation.
        vault, number = Vault(settings), 0
        while not stopped.is_set():
            venue_id = f"hall-{number % VENUES}"
            token = f"later-token-{number:06}"
            give(pipeline_engine, vault, venue_id, token)
            latest[venue_id] = token
            number += 1

    worker = threading.Thread(target=renew)
    worker.start()
    until(lambda: latest != connected, "tokens are being stored")
    outcomes = [run(environment, "rotate").returncode for _ in range(3)]
    stopped.set()
    worker.join()
    assert 0 in outcomes
    assert opened(pipeline_engine, settings) == latest
    assert run(environment, "rotate").returncode == 0
    assert opened(pipeline_engine, settings) == latest
    assert len(keys(environment)) == 1


def test_17_a_rotation_that_is_killed_goes_on_where_it_was(
    environment: dict[str, str],
    settings: Settings,
    pipeline_engine: Engine,
    connected: dict[str, str],
) -> None:
    keys(environment)
    with pipeline_engine.connect() as holder, holder.begin():
        # Held here, the sixth venue's row stops the rotation there.
        venue_scope(holder, "hall-5")
        holder.execute(
            text("SELECT 1 FROM control.oauth_tokens WHERE venue_id = 'hall-5' FOR UPDATE")
        )
        with subprocess.Popen([*COMMAND, "rotate"], env=environment) as process:
            until(lambda: len(under(pipeline_engine)) == 2, "some values are wrapped anew")
            until(lambda: waits(pipeline_engine), "the rotation waits")
            os.kill(process.pid, signal.SIGKILL)
    half = under(pipeline_engine)
    assert len(half) == 2
    assert opened(pipeline_engine, settings) == connected
    assert run(environment, "rotate").returncode == 0
    after = under(pipeline_engine)
    assert list(after.values()) == [VENUES]
    # The new key of the first attempt is the one that stays.
    assert after.keys() < half.keys()
    assert opened(pipeline_engine, settings) == connected


def under(engine: Engine) -> dict[str, int]:
    with engine.connect() as session:
        rows = session.execute(
            text("SELECT key_id, count(*) FROM control.oauth_tokens GROUP BY key_id")
        )
        return {row[0]: row[1] for row in rows}


def waits(engine: Engine) -> bool:
    with engine.connect() as session:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(session.scalar(waiting))
