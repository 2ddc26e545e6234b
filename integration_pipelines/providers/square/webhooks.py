"""Square's webhooks. Source: developer.squareup.com/docs/webhooks."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Raw, Struct

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import MalformedResponse
from integration_pipelines.core.events import (
    Delivery,
    Event,
    Meaning,
    Unauthentic,
    Webhooks,
    read_json,
    several,
    signed_with,
    text_of,
    time_of,
)
from integration_pipelines.providers.square.streams import BY_NAME
from integration_pipelines.providers.square.writes import Subscriptions

SIGNATURE = "x-square-hmacsha256-signature"
REVOKED = "oauth.authorization.revoked"
SEARCH, PAGE = "/v2/events", 100

BY_SUBJECT = {
    "customer": "customers",
    "dispute": "disputes",
    "gift_card": "gift_cards",
    "invoice": "invoices",
    "location": "locations",
    "loyalty.account": "loyalty_accounts",
    "loyalty.event": "loyalty_events",
    "loyalty.program": "loyalty_programs",
    "order": "orders",
    "order.fulfillment": "orders",
    "payment": "payments",
    "payout": "payouts",
    "refund": "refunds",
    "subscription": "subscriptions",
    "team_member": "team_members",
    "team_member.wage_setting": "team_members",
}
"""What an event's type begins with, and the stream of the object that it names."""

LISTED = {
    "catalog.version": ("catalog",),
    "gift_card.activity": ("gift_cards",),
    "inventory.count": ("inventory_counts",),
}
"""Events that name no object which could be read alone: what changed since is listed."""

IGNORED = {
    "bank_account": "bank accounts are no stream; payouts to them are",
    "booking": "bookings are no stream",
    "card": "cards on file are no stream",
    "device": "devices are no stream",
    "dispute.evidence": "evidence is no stream; its dispute is",
    "job": "jobs are no stream",
    "labor": "shifts and timecards are no stream",
    "loyalty.promotion": "promotions are no stream; the events they cause are",
    "merchant": "attributes of the merchant are no stream",
    "online_checkout": "settings of the online checkout are no stream",
    "terminal": "what a terminal does becomes payments and refunds, which are read",
    "vendor": "vendors are no stream",
}
CUSTOM = "custom attributes are no stream"


def verify(delivery: Delivery, secrets: Sequence[str]) -> None:
    """See Webhooks: the URL that Square was told, and then the body, are signed together."""
    signature = delivery.headers.get(SIGNATURE, "")
    if not signed_with(secrets, delivery.url.encode() + delivery.body, signature):
        raise Unauthentic(f"{SIGNATURE} is missing, of another key, or of another URL or body")


def read(delivery: Delivery) -> list[Event]:
    """See Webhooks: one event a delivery."""
    return [_event(delivery.body)]


def listed(client: Any, since: datetime) -> Iterator[Event]:
    """See Webhooks: SearchEvents, oldest first."""
    asked: dict[str, Any] = {
        "limit": PAGE,
        "query": {
            "filter": {"created_at": {"start_at": since.isoformat()}},
            "sort": {"field": "DEFAULT", "order": "ASC"},
        },
    }
    cursors: set[str] = set()
    while True:
        page: _Listed = client.transport.request(
            "POST",
            SEARCH,
            json=asked,
            endpoint=f"POST {SEARCH}",
            idempotent=True,
            parse=lambda response: bodies.decode(response.body, _Listed, "Square"),
        )
        yield from (_event(bytes(raw)) for raw in page.events)
        if not page.cursor:
            return
        if page.cursor in cursors:
            raise MalformedResponse("the list of events loops: a cursor came twice")
        cursors.add(page.cursor)
        asked["cursor"] = page.cursor


class _Listed(Struct):
    events: list[Raw] = []
    cursor: str = ""


def _event(json: bytes) -> Event:
    body = read_json(json)
    event_id, event_type = text_of(body, "event_id"), text_of(body, "type")
    merchant_id = text_of(body, "merchant_id")
    return Event(event_id, event_type, merchant_id, time_of(body.get("created_at")), body)


def meaning(event_type: str, payload: Any) -> Meaning:
    """See Webhooks."""
    if event_type == REVOKED:
        return Meaning(revoked=True)
    if ".custom_attribute" in event_type:
        return Meaning(ignored=CUSTOM)
    subject = event_type.rpartition(".")[0]
    for prefix, streams in LISTED.items():
        if subject == prefix or subject.startswith(f"{prefix}."):
            return Meaning(streams=streams)
    for prefix, reason in IGNORED.items():
        if subject == prefix or subject.startswith(f"{prefix}."):
            return (
                _of_evidence(payload) if prefix == "dispute.evidence" else Meaning(ignored=reason)
            )
    stream = BY_SUBJECT.get(subject) or BY_SUBJECT.get(subject.partition(".")[0])
    data = payload.get("data") if isinstance(payload, dict) else None
    object_id = data.get("id") if isinstance(data, dict) else None
    if stream is None or stream not in BY_NAME:
        return Meaning(ignored=f"{subject or event_type} is no stream")
    if not isinstance(object_id, str) or not object_id:
        return Meaning(streams=(stream,))
    return Meaning(objects={stream: [object_id]})


def applies(event_type: str) -> bool:
    """Whether anything follows from events of this type."""
    return meaning(event_type, {"data": {"id": "any"}}).ignored is None


def _of_evidence(payload: Any) -> Meaning:
    """Evidence is no stream, but its dispute may have moved on."""
    data = payload.get("data") if isinstance(payload, dict) else None
    held = data.get("object") if isinstance(data, dict) else None
    dispute = held.get("dispute") if isinstance(held, dict) else None
    dispute_id = dispute.get("id") if isinstance(dispute, dict) else None
    if isinstance(dispute_id, str) and dispute_id:
        return Meaning(objects={"disputes": [dispute_id]})
    return Meaning(streams=("disputes",))


WEBHOOKS = Webhooks(
    secrets=lambda settings: several(settings.square_webhook_signature_key),
    verify=verify,
    read=read,
    meaning=meaning,
    signature=SIGNATURE,
    setting="SQUARE_WEBHOOK_SIGNATURE_KEY",
    of_application=lambda settings: Subscriptions(settings, applies),
    listed=listed,
)
