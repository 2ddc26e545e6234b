"""What lands equals what is true: every stream, every object, through time, faults and deletes."""

from typing import Any

import pytest

from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.stripe import StripeAccount
from tests.providers.stripe.conftest import STRIPE, ConnectedVenue, ConnectStripe

DAY = 86_400
LEDGER = {name: name for name in STRIPE.stream_names} | {"invoice_items": "invoiceitems"}
"""The ledger's names of our streams."""


@pytest.fixture
def sandbox() -> Any:
    with running_sandbox(seed=7) as running:
        yield running


def open_account(sandbox: Sandbox, **options: Any) -> StripeAccount:
    """An account whose time is its own, told in the Date header."""
    account = sandbox.stripe.create_account("hall", now=1_790_000_000, **options)
    account.date_header = "account"
    return account


def connected(
    sandbox: Sandbox, connect_stripe: ConnectStripe, account: StripeAccount
) -> ConnectedVenue:
    return connect_stripe(f"{sandbox.base_url}/stripe", account.api_key)


def differences(venue: ConnectedVenue, account: StripeAccount) -> list[str]:
    """Where the raw tables and the ledger disagree; empty when they do not."""
    found = []
    items: dict[str, list[Any]] = {}
    for item in account.objects("subscription_items"):
        items.setdefault(item["subscription"], []).append(item)
    for stream in STRIPE.stream_names:
        landed = venue.payloads(stream)
        truth = by_id(account.objects(LEDGER[stream]))
        found += [f"{stream} {name} is missing" for name in truth.keys() - landed.keys()]
        found += [f"{stream} {name} is too many" for name in landed.keys() - truth.keys()]
        for name in truth.keys() & landed.keys():
            body, true = landed[name], dict(truth[name])
            for nested in ("lines", "line_items", "items"):
                if isinstance(body.get(nested), dict):
                    embedded = (true.pop(nested, None) or {}).get("data", [])
                    whole = account.lines(LEDGER[stream], name) or items.get(name) or embedded
                    if by_id(body[nested]["data"]) != by_id(whole) or body[nested]["has_more"]:
                        found.append(f"{stream} {name}: {nested} differ")
            found += [
                f"{stream} {name}: {field} is {body.get(field)!r}, not {value!r}"
                for field, value in true.items()
                if body.get(field) != value
            ]
    return found


def by_id(bodies: list[Any]) -> dict[str, Any]:
    return {body["id"]: body for body in bodies}


def test_a_first_load_lands_everything(sandbox: Sandbox, connect_stripe: ConnectStripe) -> None:
    account = open_account(sandbox, size=250)
    venue = connected(sandbox, connect_stripe, account)
    results = venue.sync()
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
    again = venue.sync(full=True)
    assert not any(result.changed for result in again.values())
    assert sum(result.unchanged for result in again.values()) == sum(
        result.inserted for result in results.values()
    )


@pytest.mark.parametrize("seed", range(4))
def test_incremental_syncs_keep_up_and_the_full_pass_has_nothing_to_repair(
    sandbox: Sandbox, connect_stripe: ConnectStripe, seed: int
) -> None:
    account = open_account(sandbox, size=60, seed=seed)
    venue = connected(sandbox, connect_stripe, account)
    venue.sync()
    for seconds, mutations in ((60, 3), (3_600, 40), (1, 1), (6 * DAY, 80), (900, 0)):
        account.economy.advance(seconds, mutations=mutations)
        results = venue.sync()
        assert {result.outcome for result in results.values()} == {"succeeded"}
        assert differences(venue, account) == []
    repaired = venue.sync(full=True)
    assert not any(result.changed for result in repaired.values())
