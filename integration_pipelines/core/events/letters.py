"""Events as people look at them: those that were given up above all, what they held, masked, and
their replay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy import Connection as Session

from integration_pipelines.core.events import claims
from integration_pipelines.core.events.masking import masked
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.tables import integration_webhooks

NO_VENUE = "-"
"""The scope, in place of a venue's slug, of events that are no venue's: their account is not
connected, or was not when they were given up."""

held = integration_webhooks.c
ENVELOPE = tuple(
    held[name]
    for name in (
        "webhook_id",
        "provider",
        "venue_id",
        "account_id",
        "event_id",
        "event_type",
        "event_created_at",
        "received_at",
        "processed_at",
        "replayed_at",
        "status",
        "attempts",
        "last_error",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which events: those that are as all says that is not None. ``reason``: a part of why it was
    given up, whatever the case of its letters; ``since`` and ``until``, which is not included:
    when it came in."""

    status: str | None = None
    provider: str | None = None
    venue_id: str | None = None
    event_type: str | None = None
    account_id: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        equal = ("status", "provider", "venue_id", "event_type", "account_id")
        asked = [(name, getattr(self, name)) for name in equal]
        found = [held[name] == value for name, value in asked if value is not None]
        if self.reason is not None:
            found.append(held.last_error.icontains(self.reason, autoescape=True))
        if self.since is not None:
            found.append(held.received_at >= self.since)
        if self.until is not None:
            found.append(held.received_at < self.until)
        return found


def find(
    session: Session, asked: Asked, *, limit: int, before: int | None = None
) -> Sequence[dict[str, Any]]:
    """Envelopes of the events in scope, with a lower id than ``before``, the newest first."""
    earlier = [held.webhook_id < before] if before is not None else []
    rows = session.execute(
        select(*ENVELOPE, held.payload.is_not(None).label("may_be_replayed"))
        .where(*asked.conditions, *earlier)
        .order_by(held.webhook_id.desc())
        .limit(limit)
    )
    return [_redacted(row._mapping) for row in rows]


def count(session: Session, asked: Asked) -> dict[str, int]:
    """How many there are of each status, of those that are not over and those given up: to count
    what is done would take a minute for 100 million."""
    # Each side has an index of its own.
    kept = held.status.in_(("pending", "claimed")) | (held.status == "dead")
    rows = session.execute(
        select(held.status, func.count().label("events"))
        .where(kept, *asked.conditions)
        .group_by(held.status)
    )
    return {row.status: row.events for row in rows}


def show(session: Session, webhook_id: int, asked: Asked | None = None) -> dict[str, Any] | None:
    """One event's envelope, and its ``payload`` masked, None where that was dropped already. None
    where there is no such event, in scope and as ``asked``."""
    more = [] if asked is None else asked.conditions
    row = session.execute(
        select(*ENVELOPE, held.payload).where(held.webhook_id == webhook_id, *more)
    ).one_or_none()
    if row is None:
        return None
    found = _redacted(row._mapping)
    return found | {
        "payload": masked(found["payload"]),
        "may_be_replayed": found["payload"] is not None,
    }


def replay(session: Session, asked: Asked, webhook_ids: Sequence[int] | None = None) -> int:
    """Let what is as ``asked``, of ``webhook_ids`` where they are given, be worked on again; how
    many. Safe to repeat: see `claims.replay`."""
    named = [held.webhook_id.in_(webhook_ids)] if webhook_ids is not None else []
    return claims.replay(session, select(held.webhook_id).where(*asked.conditions, *named))


def _redacted(row: Any) -> dict[str, Any]:
    return {**row, "last_error": row["last_error"] and redact(row["last_error"])}
