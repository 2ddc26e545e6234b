"""Refusals, bodies that lie, lists that move, syncs that die: what landed is what is true."""

import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import pytest

from integration_pipelines.core.errors import Refused
from integration_pipelines.core.ingest import sync, unconnected_client
from integration_pipelines.core.provider import Page, StreamFailed, StreamPlan
from integration_pipelines.core.transport import RetryPolicy
from integration_pipelines.providers.square import client
from provider_sandbox import Fault, Sandbox
from provider_sandbox.faults import (
    Cut,
    Duplicates,
    ErrorIn200,
    Html,
    Loop,
    RateLimited,
    Reset,
    ServerError,
    Shift,
    Truncated,
    Unauthorized,
    WrongType,
)
from provider_sandbox.messages import Request
from provider_sandbox.square import SquareAccount
from provider_sandbox.square.endpoints import SCOPES
from tests.connected import ConnectedVenue
from tests.faults.moments import Meanwhile
from tests.providers.square.conftest import SQUARE, ConnectSquare, differences

PERSISTENT = RetryPolicy(attempts=12, base=0.001, cap=0.01)
SOON_TIRED = RetryPolicy(attempts=2, base=0.001, cap=0.01)


def failures(results: dict[str, Any]) -> dict[str, str]:
    return {name: result.error_kind for name, result in results.items() if result.error_kind}


@pytest.fixture
def account(sandbox: Sandbox) -> SquareAccount:
    return sandbox.square.create_account("hall", size=40)


@pytest.fixture
def hall(connected: ConnectSquare, account: SquareAccount) -> ConnectedVenue:
    venue = connected(account)
    venue.retry = PERSISTENT
    return venue


def often(kind: type[Fault], **settings: Any) -> Fault:
    """A fault that strikes one request in twenty."""
    return kind(provider="square", times=None, probability=0.05, **settings)


REFUSALS = (
    often(RateLimited, retry_after=0),
    often(ServerError, status=503),
    often(ServerError, html=True),
    often(Reset),
    often(ErrorIn200),
)
LIES = (
    often(Truncated),
    often(Cut),
    often(Html),
    *(
        often(WrongType, variant=variant)
        for variant in ("null_data", "object_data", "row", "list", "null", "text")
    ),
)


@pytest.mark.parametrize("faults", [REFUSALS, LIES], ids=["refusals", "lies"])
def test_what_passes_is_tried_again_and_all_lands(
    sandbox: Sandbox, connected: ConnectSquare, faults: tuple[Fault, ...]
) -> None:
    account = sandbox.square.create_account("hall", size=150)
    venue = connected(account)
    venue.retry = PERSISTENT
    for fault in faults:
        sandbox.faults.add(fault)
    results = venue.sync()
    assert all(fault.struck for fault in faults)
    assert failures(results) == {}
    assert differences(venue, account) == []


def test_a_body_that_stays_wrong_fails_its_stream_alone_and_moves_no_cursor(
    sandbox: Sandbox, hall: ConnectedVenue, account: SquareAccount
) -> None:
    hall.sync()
    reached = hall.rows("SELECT state FROM control.sync_cursors WHERE stream = 'payments'")
    account.economy.mutate(20)
    sandbox.faults.add(WrongType(provider="square", path="/v2/payments", times=None))
    hall.retry = SOON_TIRED
    assert failures(hall.sync()) == {"payments": "malformed"}
    assert hall.rows("SELECT state FROM control.sync_cursors WHERE stream = 'payments'") == reached
    sandbox.faults.clear()
    hall.sync()
    assert differences(hall, account, lingering=True) == []


def test_a_page_that_lacks_its_rows_and_says_more_follows_is_no_empty_page(
    sandbox: Sandbox, hall: ConnectedVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    fault = WrongType(provider="square", path="/v2/gift-cards", times=None, variant="no_data")
    sandbox.faults.add(fault)
    hall.retry = SOON_TIRED
    assert failures(hall.sync(streams=["gift_cards", "locations"])) == {"gift_cards": "malformed"}


def test_a_list_that_loops_ends_by_name_and_the_others_land(
    sandbox: Sandbox, hall: ConnectedVenue, account: SquareAccount
) -> None:
    paths = {
        "orders": "/v2/orders/search",
        "payments": "/v2/payments",
        "customers": "/v2/customers/search",
        "catalog": "/v2/catalog/search",
        "gift_cards": "/v2/gift-cards",
        "loyalty_events": "/v2/loyalty/events/search",
        "inventory_counts": "/v2/inventory/counts/batch-retrieve",
        "payout_entries": "/v2/payouts/*/payout-entries",
    }
    for path in paths.values():
        sandbox.faults.add(Loop(provider="square", path=path))
    hall.retry = SOON_TIRED
    assert failures(hall.sync()) == dict.fromkeys(paths, "malformed")
    assert len(hall.payloads("payouts")) == len(account.ids("payouts"))


def test_lists_that_move_under_their_reader_land(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: SquareAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 10)
    paths = (
        "/v2/orders/search", "/v2/payments", "/v2/customers/search", "/v2/catalog/search",
        "/v2/inventory/counts/batch-retrieve", "/v2/loyalty/events/search", "/v2/gift-cards",
    )  # fmt: skip
    for path in paths:
        sandbox.faults.add(Shift(provider="square", path=path, skip=1, times=3, count=2))
        sandbox.faults.add(Duplicates(provider="square", path=path, times=20))
    hall.sync()
    sandbox.faults.clear()
    hall.sync()
    assert differences(hall, account) == []


def test_changes_while_the_lists_are_read_land(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: SquareAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 10)

    def change(request: Request) -> None:
        account.economy.mutate(1)

    changes = sandbox.faults.add(
        Meanwhile(provider="square", times=None, probability=0.3, happens=change)
    )
    hall.sync()
    assert changes.struck > 10
    sandbox.faults.clear()
    hall.sync()
    assert differences(hall, account, lingering=True) == []


def test_a_cursor_that_expires_is_entered_again_by_time(
    sandbox: Sandbox, connected: ConnectSquare, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = sandbox.square.create_account("hall", size=400, now=1_790_000_000)
    venue = connected(account)
    monkeypatch.setattr(client, "PAGE_SIZE", 20)
    expired = 0

    def wait(request: Request) -> None:
        nonlocal expired
        if b'"cursor"' in (request.body or b"") or "cursor=" in request.query:
            expired += 1
            account.clock.set(account.clock.now() + (301 if expired % 7 == 0 else 0))

    sandbox.faults.add(Meanwhile(provider="square", times=None, happens=wait))
    sorted_streams = ["orders", "payments", "refunds", "customers", "payouts", "loyalty_events"]
    assert failures(venue.sync(streams=sorted_streams)) == {}
    assert expired > 20
    sandbox.faults.clear()
    venue.sync(streams=[name for name in SQUARE.stream_names if name not in sorted_streams])
    assert differences(venue, account) == []


def test_a_cursor_that_always_expires_ends_the_stream_by_name(
    sandbox: Sandbox, connected: ConnectSquare, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = sandbox.square.create_account("hall", size=60, now=int(time.time()))
    venue = connected(account)
    monkeypatch.setattr(client, "PAGE_SIZE", 1)

    def wait(request: Request) -> None:
        account.clock.set(account.clock.now() + 301)

    sandbox.faults.add(
        Meanwhile(provider="square", path="/v2/gift-cards", times=None, happens=wait)
    )
    assert failures(venue.sync(streams=["gift_cards"])) == {"gift_cards": "refused"}


@pytest.mark.parametrize("later", [0, 600], ids=["at once", "when cursors have expired"])
def test_a_first_load_killed_anywhere_goes_on_and_lands_everything(
    sandbox: Sandbox, connected: ConnectSquare, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    account = sandbox.square.create_account("hall", size=40, now=int(time.time()))
    venue = connected(account)
    monkeypatch.setattr(client, "PAGE_SIZE", 8)
    syncs = import_module("integration_pipelines.core.ingest.sync")
    monkeypatch.setattr(syncs, "CHECKPOINT_ROWS", 1)
    for pages in (5, 20, 45, 5, 30):
        with pytest.raises(KeyboardInterrupt):
            sync_killed_after(venue, pages)
        account.clock.set(account.clock.now() + later)
    assert venue.rows("SELECT 1 FROM control.sync_cursors WHERE state ->> 'phase' = 'pass'")
    assert failures(venue.sync()) == {}
    assert differences(venue, account) == []


def sync_killed_after(venue: ConnectedVenue, pages: int) -> None:
    """A sync that dies when so many pages have been read."""
    dying = venue.client()
    read = dying.extract

    def extract(plans: Sequence[StreamPlan]) -> Iterator[Page | StreamFailed]:
        for number, page in enumerate(read(plans)):
            if number == pages:
                raise KeyboardInterrupt
            yield page

    dying.extract = extract  # type: ignore[method-assign]
    sync(venue.engine, provider=SQUARE, connection=venue.connection, client=dying)


def test_a_revoked_token_pauses_this_connection_alone(
    sandbox: Sandbox, hall: ConnectedVenue, connected: ConnectSquare, account: SquareAccount
) -> None:
    other = sandbox.square.create_account("club", size=25)
    club = connected(other, venue_id="club")
    hall.sync()
    sandbox.square.revoke_token(account.access_token)
    results = hall.sync()
    assert set(failures(results).values()) == {"access_revoked"}
    assert "reconnect" in results["orders"].error
    assert standing(hall) == "revoked"
    assert failures(club.sync()) == {}
    assert standing(club) == "active"
    assert differences(club, other) == []


def test_a_token_that_is_refused_midway_keeps_what_landed(
    sandbox: Sandbox, hall: ConnectedVenue, account: SquareAccount
) -> None:
    sandbox.faults.add(Unauthorized(provider="square", path="/v2/payments", skip=2))
    assert "access_revoked" in failures(hall.sync()).values()
    assert standing(hall) == "revoked"
    assert hall.payloads("locations")


def test_a_stream_that_the_token_may_not_read_fails_by_name(
    sandbox: Sandbox, connected: ConnectSquare, account: SquareAccount
) -> None:
    scopes = [scope for scope in SCOPES if scope not in ("PAYMENTS_READ", "LOYALTY_READ")]
    venue = connected(account, token=sandbox.square.create_token(account.id, scopes=scopes))
    results = venue.sync()
    refused = {"payments", "refunds", "loyalty_programs", "loyalty_accounts", "loyalty_events"}
    assert failures(results) == dict.fromkeys(refused, "refused")
    assert "PAYMENTS_READ" in results["payments"].error
    assert len(venue.payloads("orders")) == len(account.ids("orders"))


def test_every_scope_that_is_asked_for_is_needed(
    sandbox: Sandbox, connected: ConnectSquare, account: SquareAccount
) -> None:
    assert SQUARE.oauth is not None
    scopes, whose = set(SQUARE.oauth.scopes), "MERCHANT_PROFILE_READ"
    venue = connected(account, token=sandbox.square.create_token(account.id, scopes=[whose]))
    said = " ".join(result.error or "" for result in venue.sync().values())
    assert {scope for scope in scopes if scope in said} == scopes - {whose}
    token = sandbox.square.create_token(account.id, scopes=sorted(scopes - {whose}))
    opens = SQUARE.credentials.model_validate({"access_token": token})
    with pytest.raises(Refused, match=whose):
        unconnected_client(venue.settings, venue.engine, SQUARE, opens, "hall").identify()


def test_without_locations_only_what_belongs_to_one_fails(
    sandbox: Sandbox, hall: ConnectedVenue, account: SquareAccount
) -> None:
    sandbox.faults.add(ServerError(provider="square", path="/v2/locations", times=None))
    hall.retry = SOON_TIRED
    bound = {stream.name for stream in SQUARE.streams if stream.bound}  # type: ignore[attr-defined]
    assert failures(hall.sync()) == dict.fromkeys(bound, "transient")
    assert len(hall.payloads("customers")) == len(account.ids("customers"))


def standing(venue: ConnectedVenue) -> str:
    (row,) = venue.rows(
        "SELECT status FROM control.connections WHERE connection_id = :id",
        id=venue.connection.connection_id,
    )
    return str(row.status)
