"""Faults 12 to 14: renewals that race, that are cut off, and tokens that are no longer good."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from integration_pipelines.core.credentials import (
    Keeper,
    LiveCredentials,
    Sealed,
    Vault,
    open_connections,
    save_connection,
)
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import AccessRevoked, IntegrationError, Transient, VaultError
from integration_pipelines.core.provider import Account
from integration_pipelines.core.settings import Settings
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.faults import Reset, ServerError, Slow, Truncated
from provider_sandbox.quickbooks import QuickBooksAccount
from tests.connected import ConnectedVenue, connect_account
from tests.faults.moments import until
from tests.providers.accounts import KINDS, pointed_at

QUICKBOOKS = KINDS["quickbooks"].provider
TOKENS = "/oauth2/v1/tokens/bearer"
WORKERS, PROCESSES = 200, 4


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox) -> QuickBooksAccount:
    return sandbox.quickbooks.create_account("hall", size=10)


Open = Callable[..., ConnectedVenue]


@pytest.fixture
def opened(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str], sandbox: Sandbox
) -> Open:
    """``opened(account, venue_id)``: a venue whose access token has ended."""

    def connect(account: QuickBooksAccount, venue_id: str = "hall") -> ConnectedVenue:
        ended = datetime.now(UTC) - timedelta(seconds=1)
        credentials = QUICKBOOKS.credentials.model_validate(
            {**account.credentials, "expires_at": ended + timedelta(hours=2)}
        )
        here = pointed_at(settings, sandbox)
        hall = connect_account(here, pipeline_engine, QUICKBOOKS, credentials, venue(venue_id))
        sandbox.quickbooks.tokens.expire(account.id)
        set_end(hall, ended)
        return hall

    return connect


@pytest.fixture
def hall(opened: Open, account: QuickBooksAccount) -> ConnectedVenue:
    return opened(account)


def set_end(hall: ConnectedVenue, at: datetime | None) -> None:
    hall.rows("UPDATE control.oauth_tokens SET expires_at = :at RETURNING 1", at=at)


def keeper(hall: ConnectedVenue) -> Keeper:
    return Keeper(hall.settings, hall.engine, hall.vault, hall.provider, hall.connection)


def token(credentials: Any) -> str:
    return str(credentials.access_token.get_secret_value())


class Stored(NamedTuple):
    """``begun``: a renewal is noted as begun; the tokens are ciphertexts."""

    version: int
    begun: bool
    access_token: bytes
    refresh_token: bytes


def stored(hall: ConnectedVenue) -> Stored:
    (row,) = hall.rows(
        "SELECT version, refresh_started_at IS NOT NULL AS begun, access_token, refresh_token"
        " FROM control.oauth_tokens WHERE venue_id = :venue_id",
        venue_id=hall.connection.venue_id,
    )
    return Stored(*row)


def status(hall: ConnectedVenue) -> Any:
    (row,) = hall.rows(
        "SELECT status, status_reason FROM control.connections WHERE venue_id = :venue_id",
        venue_id=hall.connection.venue_id,
    )
    return row


def renewals(sandbox: Sandbox) -> int:
    return sum(count for (*_, path), count in sandbox.requests.items() if path == TOKENS)


@contextmanager
def workers(
    hall: ConnectedVenue, environment: dict[str, str], sandbox: Sandbox, count: int
) -> Iterator["subprocess.Popen[str]"]:
    """A process of ``count`` workers that wait for the word; dead when the block ends."""
    assert hall.settings.local_key_file is None
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.renewer", hall.connection.venue_id, str(count)],
        env=environment | sandbox.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n"
            yield process
        finally:
            process.kill()


def begin(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("now\n")
    process.stdin.flush()


def test_12_two_hundred_workers_make_one_post_and_all_get_the_new_token(
    hall: ConnectedVenue, environment: dict[str, str], sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    sandbox.reset_stats()
    sandbox.faults.add(Slow(provider="quickbooks", path=TOKENS, seconds=0.5, times=None))
    with ExitStack() as stack:
        running = [
            stack.enter_context(workers(hall, environment, sandbox, WORKERS // PROCESSES))
            for _ in range(PROCESSES)
        ]
        for process in running:
            begin(process)
        said = "".join(process.communicate(timeout=60)[0] for process in running)
    got = [line.split()[1] for line in said.splitlines() if line.startswith("GOT ")]
    assert len(got) == WORKERS
    assert set(got) == {token(keeper(hall).read().credentials)[-12:]}
    assert renewals(sandbox) == 1
    assert stored(hall).version == 2
    grant = sandbox.quickbooks.tokens.of(token(keeper(hall).read().credentials))
    assert grant is not None
    assert not stored(hall).begun


def test_13_a_renewal_killed_after_the_token_was_rotated_asks_for_a_new_connection_once(
    hall: ConnectedVenue, environment: dict[str, str], sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    before = stored(hall)
    sandbox.reset_stats()
    held = account.credentials["refresh_token"]
    slow = Slow(provider="quickbooks", path=TOKENS, seconds=5.0, midway=True)
    sandbox.faults.add(slow)
    with workers(hall, environment, sandbox, 1) as process:
        begin(process)
        until(lambda: sandbox.quickbooks.tokens.current(held) != held, "the token is rotated")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    after = stored(hall)
    assert after.begun
    assert after._replace(begun=False) == before

    results = hall.sync()
    assert {result.error_kind for result in results.values()} == {"access_revoked"}
    assert status(hall).status == "revoked"
    assert "cut off" in status(hall).status_reason
    assert "connect the account again" in status(hall).status_reason
    assert stored(hall)[2:] == before[2:]
    # Whoever is due next is not asked: the connection waits for its owner.
    assert renewals(sandbox) == 2
    with hall.engine.connect() as session:
        assert open_connections(session, due=True) == []


def test_13_a_renewal_that_never_reached_the_provider_is_made_by_the_next(
    hall: ConnectedVenue, sandbox: Sandbox
) -> None:
    sandbox.faults.add(Reset(provider="quickbooks", path=TOKENS))
    with pytest.raises(Transient):
        keeper(hall).renew(1)
    assert stored(hall).begun
    renewed = keeper(hall).renew(1)
    assert (renewed.version, renewed.was_interrupted) == (2, False)
    assert not stored(hall).begun


@pytest.mark.parametrize(
    "fault",
    [
        Truncated(provider="quickbooks", path=TOKENS),
        ServerError(provider="quickbooks", path=TOKENS),
    ],
    ids=["rotation lost on the wire", "5xx"],
)
def test_13_an_answer_that_is_lost_overwrites_nothing(
    hall: ConnectedVenue, sandbox: Sandbox, fault: Any
) -> None:
    before = stored(hall)
    sandbox.faults.add(fault)
    with pytest.raises(Transient):
        keeper(hall).renew(1)
    assert stored(hall)._replace(begun=False) == before
    assert stored(hall).begun


class FailingVault(Vault):
    """Seals nothing from the ``after``-th time on, so many ``times``."""

    def __init__(self, settings: Settings, *, after: int, times: int) -> None:
        super().__init__(settings)
        self.left = [False] * after + [True] * times

    def seal(self, *arguments: Any, **options: Any) -> Sealed:
        if self.left and self.left.pop(0):
            raise VaultError("KMS does not answer")
        return super().seal(*arguments, **options)


def test_13_a_token_that_could_not_be_sealed_is_not_asked_for(
    hall: ConnectedVenue, sandbox: Sandbox
) -> None:
    before = stored(hall)
    hall.vault = FailingVault(hall.settings, after=0, times=1)
    with pytest.raises(VaultError):
        keeper(hall).renew(1)
    assert renewals(sandbox) == 0
    assert stored(hall) == before
    assert keeper(hall).renew(1).version == 2


def test_13_a_vault_that_fails_when_the_token_has_come_is_asked_again(
    hall: ConnectedVenue, sandbox: Sandbox
) -> None:
    hall.vault = FailingVault(hall.settings, after=1, times=2)
    assert keeper(hall).renew(1).version == 2
    assert renewals(sandbox) == 1
    assert not stored(hall).begun
    assert hall.sync(streams=["customers"])["customers"].outcome == "succeeded"


def test_14_a_revoked_token_pauses_its_own_venue_and_no_other_and_is_told_once(
    opened: Open, sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    hall = opened(account)
    bar = opened(sandbox.quickbooks.create_account("bar", size=10), "bar")
    sandbox.quickbooks.tokens.revoke(account.id)
    before = stored(hall)
    with capture_logs() as logs:
        for _ in range(2):
            told = {result.error_kind for result in hall.sync().values()}
            assert told == {"access_revoked"}
    (alert,) = (each for each in logs if each["log_level"] == "error")
    assert (alert["event"], alert["venue_id"]) == ("access revoked", "hall")
    assert "invalid_grant" in alert["cause"]
    assert "/venues/hall/quickbooks/connect" in alert["cure"]
    assert not [result for result in bar.sync().values() if result.error]
    assert (status(hall).status, status(bar).status) == ("revoked", "active")
    assert stored(hall)[2:] == before[2:]
    sandbox.reset_stats()
    with hall.engine.connect() as session:
        assert [one.venue_id for one in open_connections(session, due=True)] == ["bar"]


def test_a_token_that_ends_before_its_time_is_renewed_and_nothing_is_missed(
    hall: ConnectedVenue, sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    set_end(hall, datetime.now(UTC) + timedelta(hours=1))
    sandbox.reset_stats()
    assert not [result for result in hall.sync().values() if result.error]
    assert renewals(sandbox) == 1
    assert account.economy.sell() is not None
    assert not [result for result in hall.sync().values() if result.error]
    assert renewals(sandbox) == 1


def test_a_token_that_is_refused_as_soon_as_it_is_renewed_is_not_renewed_for_ever(
    hall: ConnectedVenue, sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    sandbox.reset_stats()
    client = hall.client()
    assert client.identify().account_id == account.id
    sandbox.quickbooks.tokens.expire(account.id)
    with pytest.raises(AccessRevoked):
        client.identify()
    assert renewals(sandbox) == 1


def test_a_token_of_unknown_end_is_renewed_at_its_first_use(
    hall: ConnectedVenue, sandbox: Sandbox
) -> None:
    set_end(hall, None)
    sandbox.reset_stats()
    live = LiveCredentials(keeper(hall))
    assert token(live.current()) == token(live.current())
    assert renewals(sandbox) == 1


def test_a_connection_made_anew_during_a_renewal_stays(
    hall: ConnectedVenue, sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    anew = QUICKBOOKS.credentials.model_validate(sandbox.quickbooks.tokens.grant(account))

    class Meantime(Slow):
        def before(self, *_: Any) -> None:
            with hall.engine.begin() as session:
                venue_scope(session, "hall")
                save_connection(
                    session,
                    hall.vault,
                    venue_id="hall",
                    provider="quickbooks",
                    account=Account(account.id, account.name),
                    credentials=anew,
                )

    sandbox.faults.add(Meantime(provider="quickbooks", path=TOKENS, seconds=0))
    assert token(keeper(hall).renew(1).credentials) == token(anew)


def test_without_an_application_a_token_is_used_until_it_ends(
    hall: ConnectedVenue, sandbox: Sandbox
) -> None:
    alone = hall.settings.model_copy(update={"quickbooks_client_id": None})
    held = Keeper(alone, hall.engine, hall.vault, hall.provider, hall.connection).read()
    assert held.due_in is None
    sandbox.reset_stats()
    hall.settings = alone
    assert {result.error_kind for result in hall.sync().values()} == {"access_revoked"}
    assert renewals(sandbox) == 0


def test_no_secret_is_in_what_a_failed_renewal_says(
    hall: ConnectedVenue, sandbox: Sandbox, account: QuickBooksAccount, capfd: Any
) -> None:
    sandbox.quickbooks.tokens.revoke(account.id)
    with pytest.raises(IntegrationError) as refused:
        keeper(hall).renew(1)
    said = f"{refused.getrepr(chain=True)}" + "".join(capfd.readouterr())
    assert account.credentials["refresh_token"] not in said.replace("\n", "")
    assert hall.engine.connect().execute(text("SELECT 1")).scalar() == 1
