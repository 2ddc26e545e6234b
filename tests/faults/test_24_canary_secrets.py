"""Fault 24: a secret that exists nowhere else passes through all of it and is found nowhere."""

import io
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import Engine

from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.ingest import unconnected_client
from integration_pipelines.core.logs import configure_logging
from integration_pipelines.core.settings import AppEnv
from integration_pipelines.core.transport import Bounds, RetryPolicy
from integration_pipelines.providers.stripe import StripeCredentials
from provider_sandbox import Fault, Sandbox
from provider_sandbox.faults import (
    Cut,
    Html,
    Loop,
    RateLimited,
    Reset,
    ServerError,
    Slow,
    Truncated,
    Unauthorized,
    WrongType,
)  # fmt: skip
from provider_sandbox.stripe import Key
from tests.canary import Echo, assert_unseen, echoes, every_row, make_canary
from tests.providers.stripe.conftest import STRIPE, ConnectedVenue, ConnectStripe
from tests.stripe_ledger import open_account

SOON_TIRED = RetryPolicy(attempts=2, base=0.01, cap=0.02, longest_wait=1.0)


def faults() -> list[Fault]:
    lasting: dict[str, Any] = {"times": None}
    return [
        ServerError(**lasting),
        RateLimited(retry_after=600, **lasting),
        Reset(**lasting),
        Truncated(**lasting),
        Slow(seconds=0.5, **lasting),
        Cut(**lasting),
        Html(**lasting),
        WrongType(variant="text", **lasting),
        Loop(path="/v1/events"),
        *echoes(),
        Unauthorized(skip=2, **lasting),
    ]


@pytest.fixture(params=["key", "nothing"])
def canary(request: pytest.FixtureRequest) -> str:
    return make_canary(request.param)


class _Unredacted(logging.Handler):
    """Keeps every record as the library wrote it, before any redaction."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        shown = [str(record.msg), repr(record.args)]
        if record.exc_info and record.exc_info[0]:
            shown += traceback.format_exception(*record.exc_info)
        self.lines += shown


@pytest.fixture
def logged() -> Iterator[Any]:
    """``logged() -> text``: all that is logged at DEBUG, redacted and raw."""
    root, chatty = logging.getLogger(), logging.getLogger("urllib3")
    handlers, level, quiet = root.handlers, root.level, chatty.level
    stream, raw = io.StringIO(), _Unredacted()
    configure_logging(AppEnv.PRODUCTION, level=logging.DEBUG, stream=stream)
    root.addHandler(raw)
    chatty.setLevel(logging.DEBUG)
    yield lambda: "\n".join([stream.getvalue(), *raw.lines])
    root.handlers, root.level = handlers, level
    chatty.setLevel(quiet)
    structlog.reset_defaults()


def told(error: BaseException) -> str:
    """All that an exception says, its causes included."""
    return "\n".join([str(error), repr(error), *traceback.format_exception(error)])


def test_a_key_is_found_nowhere_after_connecting_syncing_and_every_fault(
    sandbox: Sandbox,
    connect_stripe: ConnectStripe,
    owner_engine: Engine,
    canary: str,
    logged: Any,
) -> None:
    account = open_account(sandbox, size=15)
    sandbox.stripe.keys[canary] = Key(account.id)
    venue = connect_stripe(f"{sandbox.base_url}/stripe", canary)
    venue.retry, venue.bounds = SOON_TIRED, Bounds(read=0.2)
    said = [repr(venue.connection), repr(venue.client())]
    assert {result.outcome for result in venue.sync().values()} == {"succeeded"}
    kinds = set()
    for fault in faults():
        account.economy.advance(3_600, mutations=3)
        sandbox.faults.add(fault)
        results = venue.sync(lock_wait=1)
        sandbox.faults.clear()
        assert fault.struck
        kinds |= {result.error_kind for result in results.values()}
        said += [repr(result) for result in results.values()]
        said.append(every_row(owner_engine, "moonlight-hall"))
        recover(venue)
    assert kinds >= {"transient", "malformed", "refused", "rate_limited", "access_revoked"}
    assert account.id in said[-1]
    assert all(table in said[-1] for table in ("raw_stripe.", "control.venue_api_keys"))
    assert "[redacted]" in "\n".join(said)
    assert_unseen(canary, *said, logged())


def recover(venue: ConnectedVenue) -> None:
    """Close the breaker and lift the pace, so that the next fault is met as the first was."""
    venue.rows(
        "UPDATE control.integration_health SET breaker = 'closed', consecutive_failures = 0,"
        " open_until = NULL WHERE venue_id = 'moonlight-hall' RETURNING 1"
    )
    venue.rows("DELETE FROM control.rate_limits RETURNING 1")


def test_no_exception_of_connecting_tells_the_key(
    sandbox: Sandbox, connect_stripe: ConnectStripe, canary: str, logged: Any
) -> None:
    account = open_account(sandbox, size=10)
    venue = connect_stripe(f"{sandbox.base_url}/stripe", account.api_key)
    credentials = StripeCredentials(api_key=SecretStr(canary))
    said = [repr(credentials), str(credentials)]
    for fault in [None, *echoes(), Html(), Reset(), WrongType(variant="text"), Unauthorized()]:
        if fault is not None:
            fault.times, fault.skip = None, 0
            sandbox.faults.add(fault)
        client: Any = unconnected_client(
            venue.settings, venue.engine, STRIPE, credentials, "moonlight-hall", retry=SOON_TIRED
        )
        with pytest.raises(IntegrationError) as refused:
            client.identify()
        said += [told(refused.value), repr(client), repr(client.transport)]
        sandbox.faults.clear()
    assert_unseen(canary, *said, logged() or "nothing")


def test_no_exception_of_a_stored_key_tells_it(
    sandbox: Sandbox, connect_stripe: ConnectStripe, canary: str
) -> None:
    account = open_account(sandbox, size=10)
    sandbox.stripe.keys[canary] = Key(account.id)
    venue = connect_stripe(f"{sandbox.base_url}/stripe", canary)
    venue.retry = RetryPolicy(attempts=1)
    said = []
    for fault in (Echo(status=401), Echo(status=400), Unauthorized()):
        sandbox.faults.add(fault)
        with pytest.raises(IntegrationError) as refused:
            list(venue.client().fetch("customers", account.ids("customers")[:1]))
        said.append(told(refused.value))
        sandbox.faults.clear()
    assert_unseen(canary, *said)
