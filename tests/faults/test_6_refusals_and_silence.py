"""Fault 6: 429, 5xx, timeouts, resets. Everything lands; the breaker is one venue's own."""

import time
from typing import Any

import pytest

from integration_pipelines.core.transport import Bounds, RetryPolicy
from provider_sandbox import Fault, Sandbox
from provider_sandbox.faults import RateLimited, Reset, ServerError, Slow, Truncated
from tests.faults.moments import Arrivals
from tests.providers.stripe.conftest import ConnectedVenue, ConnectStripe
from tests.stripe_ledger import connected, differences, open_account

PERSISTENT = RetryPolicy(attempts=12, base=0.01, cap=0.05)
SOON_TIRED = RetryPolicy(attempts=2, base=0.01, cap=0.02)
ROWS = {"charges": 1_500}


def outcomes(results: dict[str, Any]) -> set[str]:
    return {result.outcome for result in results.values()}


def health(venue: ConnectedVenue) -> Any:
    return venue.rows(
        "SELECT breaker, open_until > now() AS is_open, last_error FROM control.integration_health"
        " WHERE venue_id = :venue_id",
        venue_id=venue.connection.venue_id,
    )[0]


def calls(sandbox: Sandbox, account_id: str) -> int:
    return sum(count for (_, who, *_), count in sandbox.requests.items() if who == account_id)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(RateLimited(times=3, skip=5), id="429"),
        pytest.param(ServerError(times=None, probability=0.3), id="500"),
        pytest.param(ServerError(times=None, probability=0.3, status=502, html=True), id="502"),
        pytest.param(Slow(times=4, skip=5, seconds=1.5), id="no answer"),
        pytest.param(Slow(times=4, skip=5, seconds=1.5, midway=True), id="half an answer"),
        pytest.param(Reset(times=None, probability=0.3), id="reset"),
        pytest.param(Truncated(times=None, probability=0.3), id="cut short"),
    ],
)
def test_everything_lands_through_a_storm(
    sandbox: Sandbox, connect_stripe: ConnectStripe, fault: Fault
) -> None:
    account = open_account(sandbox, only=ROWS)
    venue = connected(sandbox, connect_stripe, account)
    venue.retry, venue.bounds = PERSISTENT, Bounds(read=0.5)
    sandbox.faults.add(fault)
    assert outcomes(venue.sync()) == {"succeeded"}
    assert fault.struck >= 3
    assert differences(venue, account) == []


def test_retry_after_is_obeyed_by_every_request_of_the_account(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, only=ROWS)
    venue = connected(sandbox, connect_stripe, account)
    venue.retry = PERSISTENT
    arrivals = sandbox.faults.add(Arrivals())
    assert isinstance(arrivals, Arrivals)
    sandbox.faults.add(RateLimited(skip=10, retry_after=2))
    assert outcomes(venue.sync()) == {"succeeded"}
    refused_at = arrivals.at[10]
    since = [at - refused_at for at in arrivals.at]
    assert [seconds for seconds in since if 1.2 < seconds < 2.0] == []
    assert max(since) < 6
    assert differences(venue, account) == []


def test_a_retry_after_longer_than_we_wait_fails_by_name_at_once_and_holds_the_next_sync_back(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, size=10)
    venue = connected(sandbox, connect_stripe, account)
    sandbox.faults.add(RateLimited(times=None, retry_after=600))
    begun = time.monotonic()
    results = venue.sync()
    assert {result.error_kind for result in results.values()} <= {"rate_limited", "breaker_open"}
    sandbox.faults.clear()
    sandbox.reset_stats()
    assert outcomes(venue.sync()) == {"failed"}
    assert time.monotonic() - begun < 20
    assert calls(sandbox, account.id) == 0


def test_a_breaker_opens_for_one_venue_alone_and_closes_by_itself_after_the_cool_down(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    struck, spared = (open_account(sandbox, slug, size=20) for slug in ("struck", "spared"))
    down = connected(sandbox, connect_stripe, struck, venue_id="blue-room")
    up = connected(sandbox, connect_stripe, spared, venue_id="green-room")
    down.retry = SOON_TIRED
    sandbox.faults.add(ServerError(times=None, account=struck.id))
    results = down.sync()
    assert outcomes(results) == {"failed"}
    assert {result.error_kind for result in results.values()} == {"transient", "breaker_open"}
    assert health(down)[:2] == ("open", True)
    assert "500" in health(down).last_error

    sandbox.reset_stats()
    assert {result.error_kind for result in down.sync().values()} == {"breaker_open"}
    assert calls(sandbox, struck.id) == 0
    assert outcomes(up.sync()) == {"succeeded"}
    assert differences(up, spared) == []

    sandbox.faults.clear()
    down.rows(
        "UPDATE control.integration_health SET open_until = now() - interval '1 second'"
        " WHERE venue_id = 'blue-room' RETURNING 1"
    )
    if outcomes(down.sync()) != {"succeeded"}:
        assert outcomes(down.sync()) == {"succeeded"}
    assert differences(down, struck) == []
    assert health(down)[0] == "closed"
