"""Stripe's webhooks. Source: docs.stripe.com/webhooks and /api/events/types.

An event's body has the shape of the API version that the endpoint was made with, whatever we ask
for: so the object it is about is read again, and of the body only its id is used.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Raw, Struct

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import MalformedResponse
from integration_pipelines.core.events import (
    TOLERANCE,
    Delivery,
    Event,
    Meaning,
    Unauthentic,
    Webhooks,
    read_json,
    several,
    text_of,
)
from integration_pipelines.providers.stripe.client import PAGE_SIZE
from integration_pipelines.providers.stripe.streams import BY_NAME, BY_OBJECT
from integration_pipelines.providers.stripe.writes import PlatformHooks, hooks_of

SIGNATURE = "stripe-signature"
DEAUTHORIZED = "account.application.deauthorized"
IGNORED = {
    "account": "the account itself is no stream",
    "balance": "the balance is the sum of balance_transactions, which are read",
    "bank_account": "bank accounts are no stream",
    "card": "cards stand on the charges they paid",
    "customer.discount": "discounts stand on the invoices they lessen",
    "mandate": "mandates are no stream",
    "payment_link": "payment links are no stream; what is paid by them is",
    "payment_method": "payment methods stand on the charges they paid",
    "plan": "plans are prices, which are read",
    "quote": "quotes are no stream; the invoices made of them are",
    "setup_intent": "setup intents move no money",
    "source": "sources stand on the charges they paid",
    "subscription_schedule": "schedules are no stream; their subscriptions are",
    "tax_rate": "tax rates stand on the invoices they apply to",
    "transfer": "transfers between accounts are in balance_transactions, which are read",
    "discount": "discounts stand on the invoices they lessen",
}
"""Objects of events, and why an event about one changes no row."""
NOT_YET = {"invoice.upcoming": "the invoice does not exist yet"}


def verify(delivery: Delivery, secrets: Sequence[str]) -> None:
    """See Webhooks. Stripe's own library takes times from the future."""
    fields = [part.partition("=") for part in delivery.headers.get(SIGNATURE, "").split(",")]
    times = [value for name, _, value in fields if name.strip() == "t"]
    given = [value.strip() for name, _, value in fields if name.strip() == "v1"]
    if len(times) != 1 or not times[0].isdecimal() or len(times[0]) > 12 or not given:
        raise Unauthentic(f"{SIGNATURE} is missing or has no t and v1")
    message = times[0].encode() + b"." + delivery.body
    is_ours = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        for signature in given:
            is_ours |= hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
    if not is_ours:
        raise Unauthentic(f"{SIGNATURE} is made with another secret, or of another body")
    away = abs(int(delivery.received_at.timestamp()) - int(times[0]))
    if away > TOLERANCE.total_seconds():
        raise Unauthentic(f"{SIGNATURE} is of a time {away} s away from ours")


def read(delivery: Delivery) -> list[Event]:
    """See Webhooks: one event a delivery."""
    return [_event(delivery.body)]


def listed(client: Any, since: datetime) -> Iterator[Event]:
    """See Webhooks: `/v1/events`, newest first."""
    params: list[tuple[str, Any]] = [("created[gte]", int(since.timestamp())), ("limit", PAGE_SIZE)]
    after: list[tuple[str, Any]] = []
    while True:
        page: _Listed = client.transport.request(
            "GET",
            "/v1/events",
            params=params + after,
            endpoint="GET /v1/events",
            parse=lambda response: bodies.decode(response.body, _Listed, "Stripe"),
        )
        events = [_event(bytes(raw)) for raw in page.data]
        yield from events
        if not page.has_more:
            return
        if not events or after == [("starting_after", events[-1].event_id)]:
            raise MalformedResponse("the events feed loops: it says there is more and has nothing")
        after = [("starting_after", events[-1].event_id)]


class _Listed(Struct):
    data: list[Raw]
    has_more: bool


def _event(json: bytes) -> Event:
    body = read_json(json)
    event_id, event_type = text_of(body, "id"), text_of(body, "type")
    account_id = None if body.get("account") is None else text_of(body, "account")
    created = body.get("created")
    known = isinstance(created, int) and 0 < created < 2**33
    created_at = datetime.fromtimestamp(created, UTC) if known else None
    return Event(event_id, event_type, account_id, created_at, body)


def meaning(event_type: str, payload: Any) -> Meaning:
    """See Webhooks."""
    if event_type == DEAUTHORIZED:
        return Meaning(revoked=True)
    if event_type in NOT_YET:
        return Meaning(ignored=NOT_YET[event_type])
    data = payload.get("data") if isinstance(payload, dict) else None
    held = data.get("object") if isinstance(data, dict) else None
    if not isinstance(held, dict):
        return Meaning(ignored="the event is about no object")
    kind = str(held.get("object", ""))
    stream = BY_OBJECT.get(kind)
    if stream is None:
        subject = event_type.rpartition(".")[0]
        reason = IGNORED.get(kind) or IGNORED.get(subject) or f"{kind or subject} is no stream"
        return Meaning(ignored=reason)
    found = {stream.name: [str(held["id"])]} if held.get("id") else {}
    for field, linked in stream.links:
        other = held.get(field)
        other_id = other.get("id") if isinstance(other, dict) else other
        if isinstance(other_id, str) and linked in BY_NAME:
            found.setdefault(linked, []).append(other_id)
    return Meaning(objects=found) if found else Meaning(ignored=f"its {kind} has no id")


WEBHOOKS = Webhooks(
    secrets=lambda settings: several(settings.stripe_webhook_secret),
    verify=verify,
    read=read,
    meaning=meaning,
    signature=SIGNATURE,
    setting="STRIPE_WEBHOOK_SECRET",
    of_application=PlatformHooks,
    of_connection=hooks_of,
    listed=listed,
)
