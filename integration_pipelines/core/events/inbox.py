"""The inbox: events stored before they are acknowledged, each once."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from integration_pipelines.core.events.deliveries import Delivery, Event, Webhooks
from integration_pipelines.core.tables import integration_webhooks, webhook_deduplication


def proof_of(webhooks: Webhooks, delivery: Delivery) -> dict[str, Any] | None:
    """What is kept of a delivery that a connection's own secret signs, which is in the vault and
    not to be had here; None where none does."""
    if webhooks.verify is None:
        return None
    return {
        "body": delivery.body.decode(errors="surrogateescape"),
        "signature": delivery.headers.get(webhooks.signature, ""),
        "url": delivery.url,
        "received_at": delivery.received_at.isoformat(),
    }


def check_proof(webhooks: Webhooks, proof: Mapping[str, Any], secrets: Sequence[str]) -> None:
    """Raise Unauthentic where the delivery was signed with none of ``secrets``."""
    assert webhooks.verify is not None
    delivery = Delivery(
        proof["body"].encode(errors="surrogateescape"),
        {webhooks.signature: proof["signature"]},
        proof["url"],
        datetime.fromisoformat(proof["received_at"]),
    )
    webhooks.verify(delivery, secrets)


class Endpoint(NamedTuple):
    """The connection that a path of its own belongs to."""

    venue_id: str
    connection_id: UUID
    account_id: str


def endpoint_of(session: Session, provider: str, path: str) -> Endpoint | None:
    """Whose path it is; None where it is nobody's any more, or never was. It is found by its hash,
    so how long that takes tells nothing of it."""
    hashed = hashlib.sha256(path.encode()).digest()
    found = func.control.webhook_endpoint(provider, hashed).table_valued(*Endpoint._fields)
    row = session.execute(select(found)).one_or_none()
    return None if row is None else Endpoint._make(row)


def store(
    session: Session,
    provider: str,
    events: Sequence[Event],
    *,
    request_id: str,
    endpoint: Endpoint | None = None,
    proof: dict[str, Any] | None = None,
) -> int:
    """Store what has not come before, in the caller's transaction; how many were new.

    Without ``endpoint`` each event is its own account's; whose connection that is, is looked up
    when it is worked on, for the connection may just be being made. ``proof``: what tells whether
    the delivery is authentic, for whoever may open the endpoint's secret (see `proof_of`).
    """
    if not events:
        return 0
    scoped = [
        (endpoint.account_id if endpoint else event.account_id or "", event) for event in events
    ]
    new = {
        tuple(row)
        for row in session.execute(
            upsert(webhook_deduplication)
            .values(
                [
                    {"provider": provider, "scope": scope, "event_id": event.event_id}
                    # In one order, or two deliveries of the same would wait for each other.
                    for scope, event in sorted(scoped, key=lambda one: (one[0], one[1].event_id))
                ]
            )
            .on_conflict_do_nothing()
            .returning(webhook_deduplication.c.scope, webhook_deduplication.c.event_id)
        )
    }
    rows = []
    for scope, event in scoped:
        if (scope, event.event_id) not in new:
            continue
        new.discard((scope, event.event_id))
        rows.append(
            {
                "provider": provider,
                "account_id": scope or None,
                "venue_id": endpoint.venue_id if endpoint else None,
                "connection_id": endpoint.connection_id if endpoint else None,
                "event_id": event.event_id,
                "event_type": event.event_type,
                "event_created_at": event.created_at,
                "payload": event.payload,
                "request_id": request_id,
                "proof": proof,
            }
        )
    if rows:
        session.execute(insert(integration_webhooks), rows)
    return len(rows)
