"""`integrations vault` and fault 17: keys rotated under load, and rotation that is cut short."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto.server import ThreadedMotoServer
from sqlalchemy import Engine, func, insert, select, text

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.vault import rotate
from integration_pipelines.core.credentials import (
    PENDING,
    Keeper,
    Vault,
    load_credentials,
    open_connections,
    save_connection,
    vault_status,
)
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.provider import Account
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import pending_connections
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import running_sandbox
from tests.connected import connect_account
from tests.faults.moments import until
from tests.providers.accounts import pointed_at

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


def rotate_here(settings: Settings) -> str:
    """What `vault rotate` says, run in this process."""
    application = Application()
    application.settings = settings
    done = CliRunner().invoke(rotate, obj=application, catch_exceptions=False)
    return done.output


def sealed_under(engine: Engine) -> dict[str, int]:
    """How many values each key has sealed."""
    with engine.connect() as session:
        return vault_status(session)


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


def test_what_waits_for_an_answer_is_counted_wrapped_anew_and_keeps_its_key(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]
) -> None:
    place = {"venue_id": venue("hall"), "provider": "stripe", "field": PENDING}
    sealed = Vault(settings).seal("rk_test_waiting", **place)
    portal = create_engine(settings, Role.PORTAL)
    with portal.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            insert(pending_connections).values(
                venue_id="hall",
                pending_id="p",
                session_hash=b"",
                provider="stripe",
                account={},
                credentials=sealed.ciphertext,
                key_id=sealed.key_id,
                expires_at=func.now() + timedelta(minutes=10),
            )
        )
    assert sealed_under(pipeline_engine) == {sealed.key_id: 1}
    for _ in range(2):
        assert "1 values wrapped anew" in rotate_here(settings)
    ((key, count),) = sealed_under(pipeline_engine).items()
    assert (key != sealed.key_id, count) == (True, 1)
    with portal.begin() as session:
        venue_scope(session, "hall")
        waiting = session.scalars(select(pending_connections.c.credentials)).one()
    portal.dispose()
    assert Vault(settings).open(waiting, **place) == "rk_test_waiting"


def test_17_syncs_and_renewals_go_on_while_keys_rotate(
    environment: dict[str, str],
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
) -> None:
    with running_sandbox(seed=17) as sandbox, ThreadPoolExecutor() as pool:
        provider = PROVIDERS["quickbooks"]
        account = sandbox.quickbooks.create_account("hall", size=3)
        credentials = provider.credentials.model_validate(account.credentials)
        here = pointed_at(settings, sandbox)
        hall = connect_account(here, pipeline_engine, provider, credentials, venue("hall"))
        # One vault for as long as a worker lives: it does not know of the rotation.
        keeper = Keeper(here, pipeline_engine, hall.vault, provider, hall.connection)
        stopped, done = threading.Event(), Counter[str]()

        def sync() -> None:
            assert {each.error for each in hall.sync(streams=["customers"]).values()} == {None}

        def renew() -> None:
            seen = keeper.read().version
            assert keeper.renew(seen).version > seen

        def read() -> None:
            assert len(opened(pipeline_engine, settings)) == 1

        def again_and_again(work: Callable[[], None]) -> None:
            while not stopped.wait(0.1):
                work()
                done[work.__name__] += 1

        working = [pool.submit(again_and_again, work) for work in (sync, renew, read)]
        try:
            outcomes = []
            for _ in range(2):
                before = done.copy()
                outcomes.append(run(environment, "rotate").returncode)
                until(lambda before=before: len(done - before) == 3, "all three go on")
        finally:
            stopped.set()
        for each in working:
            each.result()
        assert 0 in outcomes
        assert "all are under" in rotate_here(settings)
        assert len(sealed_under(pipeline_engine)) == 1
        sync()
        renew()


def test_17_a_kms_key_is_replaced_and_what_the_old_one_seals_meanwhile_is_not_forgotten(
    environment: dict[str, str],
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    kms = boto3.client("kms", region_name="eu-west-1", endpoint_url=url)
    old, new = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))

    with_old, with_new = (
        settings.model_copy(update={"kms_key_id": arn, "aws_endpoint_url_kms": url})
        for arn in (old, new)
    )
    told_new = environment | aws | {"KMS_KEY_ID": new, "AWS_ENDPOINT_URL_KMS": url}
    worker = Vault(with_old)
    tokens = {}
    for venue_id in ("hall-0", "hall-1"):
        tokens[venue_id] = f"token-of-{venue_id}"
        give(pipeline_engine, worker, venue(venue_id), tokens[venue_id])
    assert sealed_under(pipeline_engine) == {old: 4}
    with pipeline_engine.connect() as holder, holder.begin():
        # Held here, the second venue's row lets somebody store a token of the first meanwhile.
        venue_scope(holder, "hall-1")
        holder.execute(text("SELECT 1 FROM control.oauth_tokens FOR UPDATE"))
        with subprocess.Popen(
            [*COMMAND, "rotate"], env=told_new, stderr=subprocess.PIPE, text=True
        ) as process:
            until(lambda: waits(pipeline_engine), "the rotation waits")
            tokens["hall-0"] = "token-of-meanwhile"
            give(pipeline_engine, worker, "hall-0", tokens["hall-0"])
            holder.rollback()
            _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "2 values were sealed with another key meanwhile: run `integrations vault" in said
    assert sealed_under(pipeline_engine) == {new: 2, old: 2}
    assert opened(pipeline_engine, with_new) == tokens
    assert f"all are under {new}" in rotate_here(with_new)
    assert sealed_under(pipeline_engine) == {new: 4}
    assert opened(pipeline_engine, with_new) == tokens
    server.stop()


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
