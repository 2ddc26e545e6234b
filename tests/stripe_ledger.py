"""The sandbox's ledger held against the raw tables."""

from collections.abc import Callable
from typing import Any

from provider_sandbox import Sandbox
from provider_sandbox.stripe import StripeAccount
from tests.providers.stripe.conftest import STRIPE, ConnectedVenue

LEDGER = {name: name for name in STRIPE.stream_names} | {"invoice_items": "invoiceitems"}
"""The ledger's names of our streams."""


def open_account(sandbox: Sandbox, slug: str = "hall", **options: Any) -> StripeAccount:
    """An account whose time is its own, told in the Date header."""
    account = sandbox.stripe.create_account(slug, now=1_790_000_000, **options)
    account.clock.told = True
    return account


def connected(
    sandbox: Sandbox,
    connect_stripe: Callable[..., ConnectedVenue],
    account: StripeAccount,
    **options: Any,
) -> ConnectedVenue:
    """A venue connected to the account."""
    return connect_stripe(f"{sandbox.base_url}/stripe", account.api_key, **options)


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
