"""From the inbox to runs: what waits is claimed, a batch reads its objects again, and what came of
it is noted.

A claim is a lease, renewed for as long as the batch waits for its run or a process works on it: a
batch that dies gives its events back. Whatever is read is read as it is now, so events that came
late, twice or in the wrong order end in the same rows.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import (
    Engine,
    Select,
    Text,
    cast,
    func,
    insert,
    null,
    or_,
    select,
    tuple_,
    update,
)

from integration_pipelines.core.credentials import (
    Connection,
    Vault,
    load_secret,
    mark_revoked,
    open_connections,
)
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import VaultError
from integration_pipelines.core.events.deliveries import Meaning, Unauthentic
from integration_pipelines.core.events.endpoints import FORMER_SECRET, SECRET
from integration_pipelines.core.events.inbox import check_proof
from integration_pipelines.core.ingest import StreamResult
from integration_pipelines.core.ingest.batch import BatchItem, create_batch, lives
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.tables import connections, integration_webhooks, sync_batches

LEASE = timedelta(minutes=2)
MOST_ATTEMPTS = 8
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(hours=1)
MOST_OF_ONE = 500
"""Events that a claim takes of one account, so that a flood of one delays no other."""
KEPT_FOR_STRANGERS = timedelta(days=1)
"""An account may just be being connected when its first events come."""
STRANGER_WAIT = timedelta(minutes=2)
UNPROVEN_WAIT = timedelta(minutes=1)
LONGEST_ERROR = 500
COPIED = (
    "provider",
    "account_id",
    "event_id",
    "event_type",
    "event_created_at",
    "received_at",
    "payload",
    "request_id",
)
CANNOT_TELL = "what it was signed with is not to be had from the vault"

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


SecretsOf = Callable[[Connection], Sequence[str]]


WORKERS = 0x776F726B
"""Held, shared, as a lock of a database session by each worker that claims by itself."""
HEAD_START = timedelta(seconds=45)


@contextmanager
def at_hand(engine: Engine) -> Iterator[Session]:
    """Within, and for as long as the session it gives lives, a worker is at hand: see
    `leave_to_workers`."""
    with engine.connect() as session:
        with session.begin():
            session.execute(select(func.pg_advisory_lock_shared(WORKERS)))
        try:
            yield session
        finally:
            session.invalidate()


def leave_to_workers(session: Session) -> timedelta:
    """How long an event has to have waited for others than a worker to claim it: no time, where
    none is at hand."""
    nobody = session.scalar(select(func.pg_try_advisory_xact_lock(WORKERS)))
    return timedelta(0) if nobody else HEAD_START


def claim(
    session: Session,
    providers: Mapping[str, Provider],
    *,
    limit: int,
    secrets_of: SecretsOf,
    waited: timedelta = timedelta(0),
) -> Claim:
    """Make a batch of what is due, the longest waiting first, of what has been due for ``waited``.
    Several may claim at once. An account of which a batch holds events waits for that batch. Where
    several venues share one, each has the event as a row of its own from here on.

    ``secrets_of(connection)``: what a connection's own endpoint signs with; may raise VaultError,
    and then what came by that endpoint waits.
    """
    now: datetime = session.scalars(select(func.now())).one()
    _renew(session)
    rows = session.execute(
        select(integration_webhooks)
        .where(held.webhook_id.in_(_due(now, waited)))
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
    unproven: list[int] = []
    proofs = _Proofs(providers, secrets_of)
    known: dict[UUID, Connection] = {}
    owned: dict[UUID, list[int]] = defaultdict(list)
    shared: dict[UUID, list[int]] = defaultdict(list)
    wanted: dict[UUID, list[Meaning]] = defaultdict(list)
    for row in rows:
        meaning = _meaning(providers, row)
        if meaning.ignored is not None:
            ignored[meaning.ignored].append(row.webhook_id)
            continue
        whose = owners.get(row.webhook_id, [])
        age = now - (row.replayed_at or row.received_at)
        if whose and row.proof is not None and (refused := proofs.refuse(row, whose[0])):
            if refused is CANNOT_TELL and age < KEPT_FOR_STRANGERS:
                unproven.append(row.webhook_id)
            else:
                given_up[refused].append(row.webhook_id)
        elif not whose and age > KEPT_FOR_STRANGERS:
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
            first, *others = [connection for connection in whose if connection.is_due]
            owned[first.connection_id].append(row.webhook_id)
            for other in others:
                shared[other.connection_id].append(row.webhook_id)
            for connection in (first, *others):
                known[connection.connection_id] = connection
                wanted[connection.connection_id].append(meaning)
    for reason, ids in ignored.items():
        _end(session, ids, "ignored", reason)
    for reason, ids in given_up.items():
        _end(session, ids, "dead", reason)
    _put_off(session, unknown, now + STRANGER_WAIT, "no venue has connected this account yet")
    _put_off(session, unproven, now + UNPROVEN_WAIT, CANNOT_TELL)
    batch_id = None
    if wanted:
        items = [_item(known[id], meanings) for id, meanings in wanted.items()]
        batch_id = create_batch(session, items)
        for connection_id, ids in shared.items():
            owned[connection_id] += _copied(session, ids)
        for connection_id, ids in owned.items():
            session.execute(
                update(integration_webhooks)
                .where(held.webhook_id.in_(ids))
                .values(
                    status="claimed",
                    claimed_by=str(batch_id),
                    fence=held.fence + 1,
                    lease_expires_at=now + LEASE,
                    venue_id=known[connection_id].venue_id,
                    connection_id=connection_id,
                    proof=null(),
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


def any_due(session: Session, *, waited: timedelta = timedelta(0)) -> bool:
    """Whether there is something to `claim`."""
    now: datetime = session.scalars(select(func.now())).one()
    return bool(session.scalar(select(_due(now, waited).exists())))


def _due(now: datetime, waited: timedelta) -> Select[tuple[int]]:
    """Events that may be claimed, of each account those that wait longest."""
    account = tuple_(held.provider, func.coalesce(held.account_id, ""))
    # Not correlated, so that it is read once, whatever the planner makes of a table that changes.
    in_a_batch = select(held.provider, func.coalesce(held.account_id, "")).where(
        held.status == "claimed", held.lease_expires_at >= now
    )
    place = func.row_number().over(
        partition_by=(held.provider, held.account_id), order_by=held.next_attempt_at
    )
    due = (
        select(held.webhook_id, place.label("place"))
        .where(
            or_(
                (held.status == "pending") & (held.next_attempt_at <= now - waited),
                (held.status == "claimed") & (held.lease_expires_at < now),
            ),
            account.not_in(in_a_batch.correlate(None)),
        )
        .subquery()
    )
    return select(due.c.webhook_id).where(due.c.place <= MOST_OF_ONE)


def _renew(session: Session) -> None:
    """Renew the leases of batches that live."""
    ending = (
        select(held.webhook_id)
        .join(
            sync_batches,
            (cast(sync_batches.c.batch_id, Text) == held.claimed_by)
            & (sync_batches.c.connection_id == held.connection_id),
        )
        .where(
            held.status == "claimed",
            held.lease_expires_at < func.now() + LEASE / 2,
            sync_batches.c.done_at.is_(None),
            lives(),
        )
        # What is being noted at this moment is not waited for.
        .with_for_update(skip_locked=True, of=integration_webhooks)
    )
    session.execute(
        update(integration_webhooks)
        .where(held.webhook_id.in_(ending))
        .values(lease_expires_at=func.now() + LEASE)
    )


def _copied(session: Session, ids: Sequence[int]) -> list[int]:
    """The same events again, for another venue that shares their account."""
    added = insert(integration_webhooks).from_select(
        COPIED, select(*(held[name] for name in COPIED)).where(held.webhook_id.in_(ids))
    )
    return list(session.scalars(added.returning(held.webhook_id)))


def begin(session: Session, batch_id: UUID) -> None:
    """Count an attempt at the events that the batch holds: its run has taken it up."""
    session.execute(
        update(integration_webhooks)
        .where(held.claimed_by == str(batch_id), held.status == "claimed")
        .values(attempts=held.attempts + 1, lease_expires_at=func.now() + LEASE)
    )


def secrets_of(session: Session, vault: Vault, connection: Connection) -> list[str]:
    """What the connection's own endpoint signs with, and the one before it. Raises VaultError."""
    found = (
        load_secret(session, vault, connection, field=field) for field in (SECRET, FORMER_SECRET)
    )
    return [secret for secret in found if secret is not None]


def settle(
    session: Session,
    providers: Mapping[str, Provider],
    *,
    batch_id: UUID,
    connection: Connection,
    results: Sequence[StreamResult],
) -> None:
    """Note what became of the events that ``batch_id`` holds of the connection and that are not
    done, now that it has been synced: done where all their streams succeeded, else again later, or
    given up. That another sync had the connection in hand is no attempt. Events whose lease has
    passed to another batch are its own."""
    failed = {result.stream: result for result in results if result.outcome != "succeeded"}
    rows = _held(session, batch_id, connection)
    done: list[int] = []
    for row in rows:
        meaning = _meaning(providers, row)
        troubles = [failed[name] for name in (*meaning.objects, *meaning.streams) if name in failed]
        if not troubles:
            done.append(row.webhook_id)
            continue
        error = redact(f"{troubles[0].stream}: {troubles[0].error}")[:LONGEST_ERROR]
        attempts = row.attempts
        if all(trouble.outcome == "skipped" for trouble in troubles):
            attempts = max(attempts - 1, 0)
        if attempts >= MOST_ATTEMPTS:
            reason = f"given up after {attempts} attempts: {error}"
            _end(session, [row.webhook_id], "dead", reason)
        else:
            wait = min(FIRST_WAIT * 2 ** max(attempts - 1, 0), LONGEST_WAIT)
            session.execute(
                update(integration_webhooks)
                .where(held.webhook_id == row.webhook_id)
                .values(
                    status="pending",
                    attempts=attempts,
                    claimed_by=None,
                    lease_expires_at=None,
                    last_error=error,
                    next_attempt_at=func.now() + wait * random.uniform(0.8, 1.2),  # noqa: S311
                )
            )
    _end_done(session, done, batch_id)


class Landing:
    """Marks the events that a batch holds of one connection as done, each in the transaction that
    lands the last of what it is about."""

    def __init__(
        self, providers: Mapping[str, Provider], *, batch_id: UUID, connection: Connection
    ) -> None:
        self._providers = providers
        self._batch_id = batch_id
        self._connection = connection
        self._landed: set[tuple[str, str | None]] = set()
        self._wanted: dict[int, set[tuple[str, str | None]]] | None = None

    def __call__(self, session: Session, stream: str, ids: Sequence[str] | None) -> None:
        """See `sync`. A transaction that fails comes again, and what it marks with it."""
        self._landed |= {(stream, None)} if ids is None else {(stream, id) for id in ids}
        if self._wanted is None:
            self._wanted = {
                row.webhook_id: _wanted(_meaning(self._providers, row))
                for row in _held(session, self._batch_id, self._connection)
            }
        done = [id for id, wanted in self._wanted.items() if wanted <= self._landed]
        _end_done(session, done, self._batch_id)


def _wanted(meaning: Meaning) -> set[tuple[str, str | None]]:
    objects: set[tuple[str, str | None]] = {
        (name, id) for name, ids in meaning.objects.items() for id in ids
    }
    return objects | {(name, None) for name in meaning.streams}


def _held(session: Session, batch_id: UUID, connection: Connection) -> Sequence[Any]:
    return session.execute(
        select(integration_webhooks).where(
            held.claimed_by == str(batch_id),
            held.venue_id == connection.venue_id,
            held.connection_id == connection.connection_id,
            held.status == "claimed",
        )
    ).all()


def _end_done(session: Session, ids: Sequence[int], batch_id: UUID) -> None:
    if ids:
        session.execute(
            update(integration_webhooks)
            .where(
                held.webhook_id.in_(ids),
                held.claimed_by == str(batch_id),
                held.status == "claimed",
            )
            .values(status="done", processed_at=func.now(), lease_expires_at=None, last_error=None)
        )


def replay(session: Session, webhook_ids: Collection[int] | Select[tuple[int]]) -> int:
    """Let dead letters, or events that are done, be worked on again; how many. Safe to repeat: what
    waits already or is in work is left alone."""
    again = session.execute(
        update(integration_webhooks)
        .where(
            held.webhook_id.in_(webhook_ids),
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
            replayed_at=func.now(),
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
            if row.venue_id in (None, connection.venue_id)
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


def _put_off(session: Session, ids: Sequence[int], until: datetime, reason: str) -> None:
    if ids:
        session.execute(
            update(integration_webhooks)
            .where(held.webhook_id.in_(ids))
            .values(status="pending", next_attempt_at=until, last_error=reason)
        )


class _Proofs:
    """Whether deliveries to connections' own endpoints are signed as they should be."""

    def __init__(self, providers: Mapping[str, Provider], secrets_of: SecretsOf) -> None:
        self._providers = providers
        self._secrets_of = secrets_of
        self._secrets: dict[UUID, Sequence[str] | None] = {}

    def refuse(self, row: Any, connection: Connection) -> str:
        """Why the event is not taken; empty where it is."""
        webhooks = self._providers[row.provider].webhooks
        assert webhooks is not None
        if connection.connection_id not in self._secrets:
            try:
                self._secrets[connection.connection_id] = self._secrets_of(connection)
            except VaultError:
                self._secrets[connection.connection_id] = None
        secrets = self._secrets[connection.connection_id]
        if not secrets:
            return CANNOT_TELL
        try:
            check_proof(webhooks, row.proof, secrets)
        except Unauthentic as error:
            return f"it is not authentic: {error}"
        return ""


def _waits_since(session: Session) -> datetime | None:
    waiting: datetime | None = session.scalar(
        select(func.min(held.received_at)).where(held.status.in_(("pending", "claimed")))
    )
    return waiting
