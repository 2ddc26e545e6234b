"""From the inbox to runs: what waits is claimed, a batch reads its objects again, and what came of
it is noted.

A claim is a lease: a batch that dies gives its events back. Whatever is read is read as it is now,
so events that came late, twice or in the wrong order end in the same rows.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import func, or_, select, tuple_, update

from integration_pipelines.core.credentials import Connection, mark_revoked, open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.events.deliveries import Meaning
from integration_pipelines.core.ingest import StreamResult
from integration_pipelines.core.ingest.batch import BatchItem, create_batch
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.tables import connections, integration_webhooks

LEASE = timedelta(minutes=15)
MOST_ATTEMPTS = 8
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(hours=1)
KEPT_FOR_STRANGERS = timedelta(days=1)
"""An account may just be being connected when its first events come."""
STRANGER_WAIT = timedelta(minutes=2)
LONGEST_ERROR = 500

held = integration_webhooks.c


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim came to: the batch (None where nothing is to be read), and events by what
    became of them; ``waits_since``: when the oldest that still waits came in."""

    batch_id: UUID | None
    claimed: int = 0
    ignored: int = 0
    dead: int = 0
    unknown: int = 0
    connections: int = 0
    waits_since: datetime | None = None


def claim(session: Session, providers: Mapping[str, Provider], *, limit: int) -> Claim:
    """Make a batch of what is due, the longest waiting first. Several may claim at once."""
    now: datetime = session.scalars(select(func.now())).one()
    rows = session.execute(
        select(integration_webhooks)
        .where(
            or_(
                (held.status == "pending") & (held.next_attempt_at <= now),
                (held.status == "claimed") & (held.lease_expires_at < now),
            )
        )
        .order_by(held.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return Claim(None, waits_since=_waits_since(session))
    owners = _owners(session, rows)
    ignored: dict[str, list[int]] = defaultdict(list)
    given_up: dict[str, list[int]] = defaultdict(list)
    unknown: list[int] = []
    known: dict[UUID, Connection] = {}
    owned: dict[UUID, list[int]] = defaultdict(list)
    wanted: dict[UUID, list[Meaning]] = defaultdict(list)
    for row in rows:
        meaning = _meaning(providers, row)
        if meaning.ignored is not None:
            ignored[meaning.ignored].append(row.webhook_id)
            continue
        whose = owners.get(row.webhook_id, [])
        if not whose and now - row.received_at > KEPT_FOR_STRANGERS:
            given_up["no venue has connected this account"].append(row.webhook_id)
        elif not whose:
            unknown.append(row.webhook_id)
        elif meaning.revoked:
            for connection in whose:
                # One that came late tells nothing of the consent that was given since.
                if (row.event_created_at or row.received_at) >= connection.connected_at:
                    _revoke(session, connection)
            ignored["our access was ended: the connection waits for its owner"].append(
                row.webhook_id
            )
        elif row.attempts >= MOST_ATTEMPTS:
            reason = row.last_error or "nobody who took it ended it"
            given_up[f"given up after {row.attempts} attempts: {reason}"].append(row.webhook_id)
        elif not any(connection.is_due for connection in whose):
            ignored["the connection is paused: its next sync reads what changed"].append(
                row.webhook_id
            )
        else:
            due = [connection for connection in whose if connection.is_due]
            # A shared account's event is noted at one of its venues, and read for all of them.
            owned[due[0].connection_id].append(row.webhook_id)
            for connection in due:
                known[connection.connection_id] = connection
                wanted[connection.connection_id].append(meaning)
    for reason, ids in ignored.items():
        _end(session, ids, "ignored", reason)
    for reason, ids in given_up.items():
        _end(session, ids, "dead", reason)
    _put_off(session, unknown, now + STRANGER_WAIT)
    batch_id = None
    if wanted:
        items = [_item(known[id], meanings) for id, meanings in wanted.items()]
        batch_id = create_batch(session, items)
        for connection_id, ids in owned.items():
            session.execute(
                update(integration_webhooks)
                .where(held.webhook_id.in_(ids))
                .values(
                    status="claimed",
                    claimed_by=str(batch_id),
                    fence=held.fence + 1,
                    attempts=held.attempts + 1,
                    lease_expires_at=now + LEASE,
                    venue_id=known[connection_id].venue_id,
                    connection_id=connection_id,
                )
            )
    return Claim(
        batch_id,
        claimed=sum(map(len, owned.values())),
        ignored=sum(map(len, ignored.values())),
        dead=sum(map(len, given_up.values())),
        unknown=len(unknown),
        connections=len(wanted),
        waits_since=_waits_since(session),
    )


def settle(
    session: Session,
    providers: Mapping[str, Provider],
    *,
    batch_id: UUID,
    connection: Connection,
    results: Sequence[StreamResult],
) -> None:
    """Note what became of the events that ``batch_id`` holds of the connection, now that it has
    been synced: done where all their streams succeeded, else again later, or given up. Events whose
    lease has passed to another batch are its own."""
    failed = {result.stream: result for result in results if result.outcome != "succeeded"}
    rows = session.execute(
        select(integration_webhooks).where(
            held.claimed_by == str(batch_id),
            held.venue_id == connection.venue_id,
            held.connection_id == connection.connection_id,
            held.status == "claimed",
        )
    ).all()
    done: list[int] = []
    for row in rows:
        meaning = _meaning(providers, row)
        troubles = [failed[name] for name in (*meaning.objects, *meaning.streams) if name in failed]
        if not troubles:
            done.append(row.webhook_id)
            continue
        error = redact(f"{troubles[0].stream}: {troubles[0].error}")[:LONGEST_ERROR]
        if row.attempts >= MOST_ATTEMPTS:
            reason = f"given up after {row.attempts} attempts: {error}"
            _end(session, [row.webhook_id], "dead", reason)
        else:
            wait = min(FIRST_WAIT * 2 ** (row.attempts - 1), LONGEST_WAIT)
            session.execute(
                update(integration_webhooks)
                .where(held.webhook_id == row.webhook_id)
                .values(
                    status="pending",
                    claimed_by=None,
                    lease_expires_at=None,
                    last_error=error,
                    next_attempt_at=func.now() + wait * random.uniform(0.8, 1.2),  # noqa: S311
                )
            )
    if done:
        session.execute(
            update(integration_webhooks)
            .where(held.webhook_id.in_(done))
            .values(status="done", processed_at=func.now(), lease_expires_at=None, last_error=None)
        )


def replay(session: Session, webhook_ids: Iterable[int]) -> int:
    """Let dead letters, or events that are done, be worked on again; how many. Safe to repeat."""
    again = session.execute(
        update(integration_webhooks)
        .where(
            held.webhook_id.in_(list(webhook_ids)),
            held.status.in_(("dead", "done", "ignored")),
            held.payload.is_not(None),
        )
        .values(
            status="pending",
            attempts=0,
            next_attempt_at=func.now(),
            claimed_by=None,
            processed_at=None,
            last_error=None,
        )
    )
    return again.rowcount


def _meaning(providers: Mapping[str, Provider], row: Any) -> Meaning:
    webhooks = providers[row.provider].webhooks if row.provider in providers else None
    if webhooks is None:
        return Meaning(ignored=f"{row.provider} is not known here")
    return webhooks.meaning(row.event_type, row.payload)


def _owners(session: Session, rows: Sequence[Any]) -> dict[int, list[Connection]]:
    """The open connections of each event's account, or the one whose path it came by."""
    accounts = {(row.provider, row.account_id) for row in rows if row.account_id is not None}
    venue_ids: set[str] = set(
        session.scalars(
            select(connections.c.venue_id).where(
                tuple_(connections.c.provider, connections.c.account_id).in_(accounts),
                connections.c.status != "disconnected",
            )
        )
    )
    by_account: dict[tuple[str, str], list[Connection]] = defaultdict(list)
    for connection in open_connections(session, venue_ids=venue_ids):
        by_account[connection.provider, connection.account_id].append(connection)
    return {
        row.webhook_id: [
            connection
            for connection in by_account.get((row.provider, row.account_id), [])
            # By a path of its own, it is about that venue's connection alone.
            if row.attempts or row.venue_id in (None, connection.venue_id)
        ]
        for row in rows
    }


def _item(connection: Connection, meanings: Iterable[Meaning]) -> BatchItem:
    objects: dict[str, dict[str, None]] = {}
    streams: dict[str, None] = {}
    for meaning in meanings:
        streams |= dict.fromkeys(meaning.streams)
        for name, ids in meaning.objects.items():
            objects.setdefault(name, {}).update(dict.fromkeys(ids))
    return BatchItem(
        connection,
        tuple(streams),
        objects={name: tuple(ids) for name, ids in objects.items()},
    )


def _revoke(session: Session, connection: Connection) -> None:
    venue_scope(session, connection.venue_id)
    mark_revoked(session, connection, reason="the provider says that our access was ended")


def _end(session: Session, ids: Sequence[int], status: str, reason: str) -> None:
    session.execute(
        update(integration_webhooks)
        .where(held.webhook_id.in_(ids))
        .values(
            status=status,
            processed_at=func.now(),
            lease_expires_at=None,
            last_error=reason[:LONGEST_ERROR],
        )
    )


def _put_off(session: Session, ids: Sequence[int], until: datetime) -> None:
    if ids:
        session.execute(
            update(integration_webhooks)
            .where(held.webhook_id.in_(ids))
            .values(
                status="pending",
                next_attempt_at=until,
                last_error="no venue has connected this account yet",
            )
        )


def _waits_since(session: Session) -> datetime | None:
    waiting: datetime | None = session.scalar(
        select(func.min(held.received_at)).where(held.status.in_(("pending", "claimed")))
    )
    return waiting
