"""Mailchimp's webhooks. Source: mailchimp.com/developer/marketing/guides, Sync audience data.

Nothing is signed, and a body can be anybody's: the path is a secret, and every object is read
again. Deliveries are forms.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from integration_pipelines.core.events import (
    Delivery,
    Event,
    Meaning,
    Unreadable,
    Webhooks,
    storable,
)
from integration_pipelines.providers.mailchimp.writes import hooks_of

MOST_FIELDS = 1_000
MEMBERS = frozenset({"subscribe", "unsubscribe", "profile", "cleaned"})


def read(delivery: Delivery) -> list[Event]:
    """See Webhooks: one event a delivery, known by the hash of its body."""
    try:
        text = delivery.body.decode()
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise Unreadable("it is no form in UTF-8") from error
    fields = {storable(name): storable(value) for name, value in pairs}
    event_type = fields.get("type", "")
    if not event_type or not event_type.isascii() or len(event_type) > 50:
        raise Unreadable("it has no type")
    event_id = hashlib.sha256(delivery.body).hexdigest()
    return [Event(event_id, event_type, None, _fired_at(fields.get("fired_at", "")), fields)]


def meaning(event_type: str, payload: Any) -> Meaning:
    """See Webhooks. A member's id is the hash of the address in lower case."""
    list_id, email = payload.get("data[list_id]"), payload.get("data[email]")
    if event_type == "campaign":
        campaign_id = payload.get("data[id]")
        return Meaning(
            objects={"campaigns": [campaign_id], "reports": [campaign_id]} if campaign_id else {},
            streams=() if campaign_id else ("campaigns", "reports"),
        )
    if not list_id:
        return Meaning(ignored="it names no audience")
    if event_type == "upemail":
        given = (payload.get("data[old_email]"), payload.get("data[new_email]"))
        ids = [_member(list_id, each) for each in given if each]
        return Meaning(objects={"members": ids} if ids else {}, streams=() if ids else ("members",))
    if event_type in MEMBERS:
        if email:
            return Meaning(objects={"members": [_member(list_id, email)]})
        return Meaning(streams=("members",))
    return Meaning(ignored=f"{event_type} is about no stream")


def _member(list_id: str, email: str) -> str:
    hashed = hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()
    return f"{list_id}/{hashed}"


def _fired_at(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


WEBHOOKS = Webhooks(
    secrets=lambda settings: (),
    verify=None,
    read=read,
    meaning=meaning,
    of_connection=hooks_of,
    place_stream="lists",
)
