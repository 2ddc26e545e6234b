"""QuickBooks' webhooks, in both formats. Source: developer.intuit.com, Webhooks.

One delivery may hold elements of several companies: each is an event of its own, with its own
realm. The old format gives them no id: theirs is a hash of what they say.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from integration_pipelines.core.events import (
    Delivery,
    Event,
    Meaning,
    Unauthentic,
    Unreadable,
    Webhooks,
    read_json,
    several,
    signed_with,
    text_of,
    time_of,
)
from integration_pipelines.providers.quickbooks.streams import STREAMS

SIGNATURE = "intuit-signature"
BY_ENTITY = {stream.entity.lower(): stream.name for stream in STREAMS if not stream.is_report}
IGNORED = {
    "currency": "currencies are no stream",
    "journalcode": "journal codes are no stream",
    "preferences": "preferences are no stream",
    "purchaseorder": "purchase orders are no stream: nothing is booked by them",
    "invoicelinks": "links of invoices are no stream; their invoices are",
}


def verify(delivery: Delivery, secrets: Sequence[str]) -> None:
    """See Webhooks."""
    if not signed_with(secrets, delivery.body, delivery.headers.get(SIGNATURE, "")):
        raise Unauthentic(f"{SIGNATURE} is missing, of another token, or of another body")


def read(delivery: Delivery) -> list[Event]:
    """See Webhooks: an event for each element."""
    body = read_json(delivery.body)
    if isinstance(body, list):
        return [_of_cloud_event(element) for element in body]
    if isinstance(body, dict) and isinstance(body.get("eventNotifications"), list):
        return [event for each in body["eventNotifications"] for event in _of_notification(each)]
    if isinstance(body, dict) and "specversion" in body:
        return [_of_cloud_event(body)]
    raise Unreadable("it is neither a list of CloudEvents nor eventNotifications")


def meaning(event_type: str, payload: Any) -> Meaning:
    """See Webhooks. A merge also ends the entity that was merged away."""
    entity = event_type.partition(".")[0]
    if entity == "qbo":
        entity = event_type.split(".")[1] if event_type.count(".") > 1 else ""
    stream = BY_ENTITY.get(entity)
    if stream is None:
        return Meaning(ignored=IGNORED.get(entity, f"{entity or event_type} is no stream"))
    ids = [payload.get(name) for name in ("intuitentityid", "id", "deletedId")]
    if "intuitentityid" in payload:
        data = payload.get("data") if isinstance(payload.get("data"), dict) else {}
        ids = [payload["intuitentityid"], *(data.get(name) for name in MERGED)]
    found = [str(each) for each in ids if isinstance(each, str | int) and str(each)]
    if not found:
        return Meaning(streams=(stream,))
    return Meaning(objects={stream: list(dict.fromkeys(found))})


MERGED = ("deletedId", "deletedid", "mergedfromid", "intuitdeletedentityid")
"""Names under which the entity that was merged away has been seen."""


def _of_cloud_event(element: Any) -> Event:
    event_type = text_of(element, "type").lower()
    return Event(
        text_of(element, "id"),
        event_type,
        text_of(element, "intuitaccountid"),
        time_of(element.get("time")),
        element,
    )


def _of_notification(notification: Any) -> Iterator[Event]:
    realm_id = text_of(notification, "realmId")
    changed = notification.get("dataChangeEvent")
    entities = changed.get("entities") if isinstance(changed, dict) else None
    if not isinstance(entities, list):
        raise Unreadable("it has no dataChangeEvent.entities")
    for entity in entities:
        name, operation = text_of(entity, "name"), text_of(entity, "operation")
        said = json.dumps([realm_id, entity], sort_keys=True)
        yield Event(
            hashlib.sha256(said.encode()).hexdigest(),
            f"{name}.{operation}".lower(),
            realm_id,
            time_of(entity.get("lastUpdated")),
            entity,
        )


BY_HAND = (
    "Intuit has no call for it. At developer.intuit.com open the application, Webhooks: paste "
    "{url} as the endpoint URL, choose every entity that is offered, save, and set "
    "QUICKBOOKS_WEBHOOK_TOKEN to the verifier token that is shown there."
)
WEBHOOKS = Webhooks(
    secrets=lambda settings: several(settings.quickbooks_webhook_token),
    verify=verify,
    read=read,
    meaning=meaning,
    signature=SIGNATURE,
    setting="QUICKBOOKS_WEBHOOK_TOKEN",
    by_hand=BY_HAND,
)
