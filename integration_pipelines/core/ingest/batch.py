"""Batches: the set of connections that one run works on, in `control.sync_batches`.

A batch outlives its run: run again, it goes on with what is not done yet. Who is due and what was
asked for (`control.sync_queue`) become batches here; one connection's trouble is its own outcome.
"""

import contextvars
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy import ColumnElement, Engine, Text, and_, delete, func, insert, select, update
from sqlalchemy import Connection as Session
from sqlalchemy import cast as cast_as
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from integration_pipelines.core.budget import Budget
from integration_pipelines.core.credentials import Connection, open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.ingest.sync import LOCK_WAIT, OnLanded, StreamResult, sync
from integration_pipelines.core.mapping import waits_for_build
from integration_pipelines.core.presence import alone, is_held
from integration_pipelines.core.provider import Client, Provider
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.tables import (
    connections,
    field_mappings,
    integration_health,
    sync_batches,
    sync_cursors,
    sync_logs,
    sync_queue,
)

FULL_PASS_EVERY = timedelta(hours=20)
"""Less than a day, so that a nightly pass that came late does not shift the next one."""

SLACK = timedelta(minutes=5)
"""A reading ends a while after the tick that began it, and its interval is met all the same."""

FORGET_AFTER = timedelta(hours=1)
"""Rows of a batch that are done: `sync_logs` keeps the history."""

LONGEST_ERROR = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One connection to sync. ``streams`` None: all of them; ``objects``: ids by stream to read
    again singly, first; ``allow_deletes``: the streams of which somebody has said that what
    vanished is gone."""

    connection: Connection
    streams: tuple[str, ...] | None = None
    full: bool = False
    objects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    allow_deletes: tuple[str, ...] = ()

    def stream_names(self, provider: Provider) -> list[str]:
        """The streams it is about, in the provider's order."""
        asked = provider.stream_names if self.streams is None else self.streams
        return [name for name in provider.stream_names if name in {*asked, *self.objects}]


class Candidate(NamedTuple):
    """A connection that may be synced, and what bears on whether to do so now.

    ``full_pass_at``: when the stream read whole the longest ago was; None before the first load;
    ``read_at`` and ``passed_at``: when each stream was last read, and read whole, where reads are
    metered.
    """

    connection: Connection
    in_batch: bool
    breaker_open_until: datetime | None
    synced_at: datetime | None
    full_pass_at: datetime | None
    read_at: Mapping[str, datetime] = {}
    passed_at: Mapping[str, datetime] = {}


class OpenBatch(NamedTuple):
    """A batch with connections that are not done; ``under_way``: a living process works on it."""

    batch_id: UUID
    created_at: datetime
    under_way: bool


# Who is due.


def due(
    session: Session, *, budgets: Mapping[str, Budget] | None = None, full: bool = False
) -> list[BatchItem]:
    """What to sync now, those that waited longest first; ``full``: what to read whole again.

    ``budgets``: of the metered providers, whose readings are spaced by them.
    """
    now = session.scalars(select(func.now())).one()
    budgets = budgets or {}
    return choose_due(_candidates(session, budgets), budgets=budgets, full=full, now=now)


def choose_due(
    candidates: Iterable[Candidate],
    *,
    budgets: Mapping[str, Budget] | None = None,
    full: bool,
    now: datetime,
) -> list[BatchItem]:
    """Of candidates those not already in a batch nor behind an open breaker; ``full``: and whose
    last full pass is long enough ago (before the first load, every sync is one). Of a metered
    provider, the streams whose turn has come."""
    chosen = []
    for candidate in candidates:
        blocked_until = candidate.breaker_open_until
        if candidate.in_batch or (blocked_until is not None and blocked_until > now):
            continue
        budget = (budgets or {}).get(candidate.connection.provider)
        if full and budget is not None:
            if whole := budget.passes(candidate.connection.connection_id, candidate.passed_at):
                item = BatchItem(candidate.connection, tuple(whole), full=True)
                chosen.append((candidate, item))
        elif full:
            if _is_over(candidate.full_pass_at, FULL_PASS_EVERY, now):
                chosen.append((candidate, BatchItem(candidate.connection, full=True)))
        elif budget is None or candidate.full_pass_at is None:
            chosen.append((candidate, BatchItem(candidate.connection)))
        elif streams := tuple(_whose_turn(candidate, budget, now)):
            chosen.append((candidate, BatchItem(candidate.connection, streams)))
    chosen.sort(key=lambda one: (one[0].synced_at is not None, one[0].synced_at))
    return [item for _, item in chosen]


def _whose_turn(candidate: Candidate, budget: Budget, now: datetime) -> Iterator[str]:
    """Streams whose last reading is as long ago as the budget spaces them."""
    for cadence in budget.metering.cadences:
        if cadence.reading != "changes":
            continue
        interval = budget.interval(cadence, candidate.connection.connection_id) - SLACK
        read = [candidate.read_at.get(stream) for stream in cadence.streams]
        if any(at is None or at <= now - interval for at in read):
            yield from cadence.streams


def _is_over(last: datetime | None, interval: timedelta, now: datetime) -> bool:
    return last is not None and last <= now - interval


def _candidates(session: Session, budgets: Mapping[str, Budget]) -> list[Candidate]:
    in_batch: set[UUID] = set(
        session.scalars(
            select(sync_batches.c.connection_id).where(sync_batches.c.done_at.is_(None))
        )
    )
    health = integration_health.c
    blocked = {
        (row.venue_id, row.provider): row.open_until
        for row in session.execute(
            select(health.venue_id, health.provider, health.open_until).where(
                health.open_until.is_not(None)
            )
        )
    }
    cursors = {
        row.connection_id: row
        for row in session.execute(
            select(
                sync_cursors.c.connection_id,
                func.max(sync_cursors.c.updated_at).label("synced_at"),
                func.min(sync_cursors.c.full_pass_at).label("full_pass_at"),
            ).group_by(sync_cursors.c.connection_id)
        )
    }
    metered = [account for budget in budgets.values() for account in budget.accounts]
    read_at: dict[UUID, dict[str, datetime]] = defaultdict(dict)
    passed_at: dict[UUID, dict[str, datetime]] = defaultdict(dict)
    for row in (
        session.execute(
            select(
                sync_cursors.c.connection_id,
                sync_cursors.c.stream,
                sync_cursors.c.updated_at,
                sync_cursors.c.full_pass_at,
            ).where(sync_cursors.c.connection_id == func.any(metered))
        )
        if metered
        else ()
    ):
        read_at[row.connection_id][row.stream] = row.updated_at
        if row.full_pass_at is not None:
            passed_at[row.connection_id][row.stream] = row.full_pass_at
    return [
        Candidate(
            connection,
            in_batch=connection.connection_id in in_batch,
            breaker_open_until=blocked.get((connection.venue_id, connection.provider)),
            synced_at=cursor.synced_at if cursor else None,
            full_pass_at=cursor.full_pass_at if cursor else None,
            read_at=read_at.get(connection.connection_id, {}),
            passed_at=passed_at.get(connection.connection_id, {}),
        )
        for connection in open_connections(session, due=True)
        for cursor in [cursors.get(connection.connection_id)]
    ]


# Batches and their life.


def create_batch(session: Session, items: Iterable[BatchItem]) -> UUID:
    """A batch of ``items``, to be run by its id; committed by the caller."""
    batch_id = uuid4()
    session.execute(delete(sync_batches).where(sync_batches.c.done_at < func.now() - FORGET_AFTER))
    session.execute(
        insert(sync_batches),
        [
            {
                "venue_id": item.connection.venue_id,
                "batch_id": batch_id,
                "connection_id": item.connection.connection_id,
                "streams": item.streams,
                "objects": dict(item.objects) or None,
                "full_pass": item.full,
                "allow_deletes": item.allow_deletes or None,
            }
            for item in items
        ],
    )
    return batch_id


def claim_requests(session: Session, *, limit: int) -> UUID | None:
    """Make a batch of what waits in `control.sync_queue`, the most urgent first; None if nothing
    does. Several may claim at once. A request that cannot be met is closed and says why."""
    rows = session.execute(
        select(sync_queue)
        .where(sync_queue.c.done_at.is_(None), sync_queue.c.batch_id.is_(None))
        .order_by(sync_queue.c.priority.desc(), sync_queue.c.requested_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    held = {
        (connection.venue_id, connection.provider): connection
        for connection in open_connections(session, venue_ids={row.venue_id for row in rows})
    }
    asked: dict[UUID, BatchItem] = {}
    claimed: list[UUID] = []
    for row in rows:
        connection = held.get((row.venue_id, row.provider))
        if connection is None or not connection.is_due:
            _close_request(session, row.request_id, _why_not(connection))
            continue
        claimed.append(row.request_id)
        item = _item(connection, row)
        known = asked.get(connection.connection_id)
        asked[connection.connection_id] = _joined(known, item) if known else item
    if not asked:
        return None
    batch_id = create_batch(session, asked.values())
    session.execute(
        update(sync_queue)
        .where(sync_queue.c.request_id.in_(claimed))
        .values(batch_id=batch_id, claimed_at=func.now())
    )
    return batch_id


def request_sync(
    session: Session,
    connection: Connection,
    *,
    requested_by: str,
    streams: Collection[str] | None = None,
    objects: Mapping[str, Sequence[str]] | None = None,
    full: bool = False,
    allow_deletes: Collection[str] = (),
    priority: int = 0,
) -> UUID:
    """Ask in `control.sync_queue` for a sync, committed by the caller; a sensor claims it.

    ``streams``, ``objects`` and ``allow_deletes`` as in `sync`: with objects alone, ``streams`` is
    empty.
    """
    request_id = uuid4()
    session.execute(
        insert(sync_queue).values(
            venue_id=connection.venue_id,
            request_id=request_id,
            provider=connection.provider,
            streams=None if streams is None else list(streams),
            objects=objects,
            full_pass=full,
            allow_deletes=list(allow_deletes) or None,
            priority=priority,
            requested_by=requested_by,
        )
    )
    return request_id


def open_batches(session: Session) -> list[OpenBatch]:
    """Batches that are not done, oldest first."""
    created_at = func.min(sync_batches.c.created_at)
    rows = session.execute(
        select(
            sync_batches.c.batch_id,
            created_at.label("created_at"),
            is_held(cast_as(sync_batches.c.batch_id, Text)).label("under_way"),
        )
        .where(sync_batches.c.done_at.is_(None))
        .group_by(sync_batches.c.batch_id)
        .order_by(created_at)
    )
    return [OpenBatch(row.batch_id, row.created_at, row.under_way) for row in rows]


def lives() -> ColumnElement[bool]:
    """Of a row of `sync_batches` that is not done: its run is still to come, or works on it."""
    batch_id = cast_as(sync_batches.c.batch_id, Text)
    return sync_batches.c.taken_at.is_(None) | is_held(batch_id)


def abandon(session: Session, batch_ids: Collection[UUID]) -> None:
    """Close batches that no run works on any more: their connections are free to be due again."""
    for table in (sync_batches, sync_queue):
        session.execute(
            update(table)
            .where(table.c.batch_id.in_(batch_ids), table.c.done_at.is_(None))
            .values(done_at=func.now(), outcome="abandoned")
        )


def providers_of(session: Session, batch_id: UUID) -> list[str]:
    """Providers of the batch's connections, in order."""
    found = (
        select(connections.c.provider)
        .join(sync_batches, sync_batches.c.connection_id == connections.c.connection_id)
        .where(sync_batches.c.batch_id == batch_id)
    )
    return sorted(session.scalars(found.distinct()))


def changed_venues(session: Session, *, batch_id: UUID, run_ids: Collection[str]) -> list[str]:
    """Venues whose rows the runs changed, those of the batch whose field mappings changed, and
    those that it was to read whole: a nightly rebuild also takes in a venue's changed settings, and
    whatever was missed."""
    changed = select(sync_logs.c.venue_id).where(
        sync_logs.c.run_id.in_(run_ids),
        sync_logs.c.inserted + sync_logs.c.updated + sync_logs.c.deleted > 0,
    )
    read_whole = select(sync_batches.c.venue_id).where(
        sync_batches.c.batch_id == batch_id, sync_batches.c.full_pass
    )
    remapped = (
        select(sync_batches.c.venue_id)
        .join(field_mappings, field_mappings.c.venue_id == sync_batches.c.venue_id)
        .where(sync_batches.c.batch_id == batch_id, waits_for_build())
    )
    return sorted(session.scalars(changed.union(read_whole, remapped)))


def changed_streams(
    session: Session, *, batch_id: UUID, run_ids: Collection[str]
) -> set[tuple[str, str]] | None:
    """Streams, by provider and name, whose rows the runs changed; None where the batch was to sync
    all of a connection, or a mapping has changed: then anything may be another than it was."""
    of_batch = sync_batches.c.batch_id == batch_id
    anything = session.scalar(
        select(func.count())
        .select_from(sync_batches)
        .outerjoin(
            field_mappings,
            and_(field_mappings.c.venue_id == sync_batches.c.venue_id, waits_for_build()),
        )
        .where(
            of_batch,
            sync_batches.c.streams.is_(None)
            | sync_batches.c.full_pass
            | field_mappings.c.venue_id.is_not(None),
        )
    )
    if anything:
        return None
    rows = session.execute(
        select(sync_logs.c.provider, sync_logs.c.stream)
        .where(
            sync_logs.c.run_id.in_(run_ids),
            sync_logs.c.inserted + sync_logs.c.updated + sync_logs.c.deleted > 0,
        )
        .distinct()
    )
    return {(row.provider, row.stream) for row in rows}


def _item(connection: Connection, row: Any) -> BatchItem:
    """What a row of `sync_queue` or `sync_batches` asks for."""
    streams = None if row.streams is None else tuple(row.streams)
    allowed = tuple(row.allow_deletes or ())
    return BatchItem(connection, streams, row.full_pass, row.objects or {}, allowed)


def _joined(one: BatchItem, other: BatchItem) -> BatchItem:
    """One item that does what both ask for."""
    streams = None
    if one.streams is not None and other.streams is not None:
        streams = tuple(dict.fromkeys(one.streams + other.streams))
    objects = {
        name: tuple(dict.fromkeys([*one.objects.get(name, ()), *other.objects.get(name, ())]))
        for name in {**one.objects, **other.objects}
    }
    allowed = tuple(dict.fromkeys(one.allow_deletes + other.allow_deletes))
    return BatchItem(one.connection, streams, one.full or other.full, objects, allowed)


def _why_not(connection: Connection | None) -> str:
    if connection is None:
        return "not connected"
    return connection.status if connection.status != "active" else "paused"


def _close_request(session: Session, request_id: UUID, outcome: str) -> None:
    session.execute(
        update(sync_queue)
        .where(sync_queue.c.request_id == request_id)
        .values(done_at=func.now(), outcome=outcome)
    )


# Running.

SyncOne = Callable[[BatchItem], list[StreamResult]]
Settle = Callable[[Session, BatchItem, list[StreamResult]], None]
TakeUp = Callable[[Session], None]


def run_batch(
    engine: Engine,
    *,
    batch_id: UUID,
    sync_one: SyncOne,
    concurrency: int,
    take_up: TakeUp | None = None,
    settle: Settle | None = None,
) -> Iterator[list[StreamResult]]:
    """Sync what is not done of a batch and note each outcome; yields each connection's results.
    ``take_up`` notes that the batch is in hand, ``settle`` what else hangs on an outcome, each in
    the same transaction.

    Nothing to do where another process has the batch in hand: that holds its lock, which goes with
    the process, so whoever sees it free knows that nobody works on the batch.
    """
    with alone(engine, str(batch_id)) as mine:
        items = _take_up(engine, batch_id, take_up) if mine else []
        for item, results in side_by_side(items, sync_one, concurrency=concurrency):
            _finish(engine, batch_id, item, results, settle)
            yield results


Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    items: Sequence[Item], work: Callable[[Item], Result], *, concurrency: int
) -> Iterator[tuple[Item, Result]]:
    """Do ``work`` on each item, at most ``concurrency`` at a time; yields each when it is done.

    Who stops listening waits for nobody: nothing further begins, and what is under way ends with
    the process, which a sync survives at any instant.
    """
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Item, Result, None] | tuple[Item, None, BaseException]]
    done = queue.SimpleQueue()
    stopped = threading.Event()
    for item in items:
        todo.put(item)

    def take() -> None:
        with suppress(queue.Empty):
            while not stopped.is_set():
                item = todo.get_nowait()
                try:
                    done.put((item, work(item), None))
                except BaseException as error:
                    done.put((item, None, error))

    for _ in range(min(concurrency, len(items))):
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(take,), daemon=True).start()
    try:
        for _ in items:
            item, result, error = done.get()
            if error is not None:
                raise error
            yield item, cast(Result, result)
    finally:
        stopped.set()


def sync_item(
    engine: Engine,
    item: BatchItem,
    *,
    provider: Provider,
    open_client: Callable[[Connection], Client],
    run_id: str | None = None,
    allow_deletes: bool = False,
    on_landed: OnLanded | None = None,
    lock_wait: float = LOCK_WAIT,
) -> list[StreamResult]:
    """Open the client of one connection and sync it. Whatever goes wrong, with its credentials or
    by a bug of ours, is an outcome of this connection alone, noted in `control.sync_logs`."""
    try:
        return sync(
            engine,
            provider=provider,
            connection=item.connection,
            client=open_client(item.connection),
            streams=item.streams,
            objects=item.objects,
            full=item.full,
            run_id=run_id,
            allow_deletes=allow_deletes or item.allow_deletes,
            on_landed=on_landed,
            lock_wait=lock_wait,
        )
    except Exception as error:
        if not isinstance(error, IntegrationError):
            log.exception("unexpected", venue_id=item.connection.venue_id, provider=provider.name)
        results = _failed(item, provider, error)
        with suppress(SQLAlchemyError):
            _log_failure(engine, item.connection, results, run_id)
        return results


def _failed(item: BatchItem, provider: Provider, error: Exception) -> list[StreamResult]:
    if isinstance(error, IntegrationError):
        kind, message = error.kind, str(error)
    else:
        kind, message = "unexpected", f"{type(error).__name__}: {error}"
    return [
        StreamResult(
            venue_id=item.connection.venue_id,
            provider=provider.name,
            stream=stream,
            outcome="failed",
            mode="full" if item.full else "incremental",
            error_kind=kind,
            error=redact(message)[:LONGEST_ERROR],
        )
        for stream in item.stream_names(provider)
    ]


def _log_failure(
    engine: Engine, connection: Connection, results: Sequence[StreamResult], run_id: str | None
) -> None:
    sync_id = uuid4()
    with engine.begin() as session:
        venue_scope(session, connection.venue_id)
        session.execute(
            insert(sync_logs).values(
                venue_id=connection.venue_id,
                connection_id=connection.connection_id,
                account_id=connection.account_id,
                sync_id=sync_id,
                run_id=run_id,
                finished_at=func.now(),
            ),
            [
                {
                    "provider": result.provider,
                    "stream": result.stream,
                    "mode": result.mode,
                    "outcome": result.outcome,
                    "error_kind": result.error_kind,
                    "error": result.error,
                }
                for result in results
            ],
        )


def _outcome(results: Sequence[StreamResult]) -> str:
    """The worst of a connection's streams."""
    outcomes = {result.outcome for result in results}
    return next((outcome for outcome in ("failed", "skipped") if outcome in outcomes), "succeeded")


_persistently = retry(
    retry=retry_if_exception_type((OperationalError, psycopg.OperationalError)),
    wait=wait_random_exponential(multiplier=0.5, max=10),
    stop=stop_after_attempt(8),
    reraise=True,
)


@_persistently
def _take_up(engine: Engine, batch_id: UUID, noted: TakeUp | None) -> list[BatchItem]:
    """What is not done of a batch; a connection that may no longer be synced is closed."""
    with engine.begin() as session:
        rows = session.execute(
            select(sync_batches).where(
                sync_batches.c.batch_id == batch_id, sync_batches.c.done_at.is_(None)
            )
        ).all()
        due = {
            connection.connection_id: connection
            for connection in open_connections(
                session, venue_ids={row.venue_id for row in rows}, due=True
            )
        }
        gone = [row.connection_id for row in rows if row.connection_id not in due]
        session.execute(
            update(sync_batches)
            .where(sync_batches.c.batch_id == batch_id, sync_batches.c.connection_id.in_(gone))
            .values(done_at=func.now(), outcome="skipped")
        )
        session.execute(
            update(sync_batches)
            .where(sync_batches.c.batch_id == batch_id)
            .values(taken_at=func.now())
        )
        if noted is not None:
            noted(session)
    return [_item(due[row.connection_id], row) for row in rows if row.connection_id in due]


@_persistently
def _finish(
    engine: Engine,
    batch_id: UUID,
    item: BatchItem,
    results: list[StreamResult],
    settle: Settle | None,
) -> None:
    outcome = _outcome(results)
    of_item = {"venue_id": item.connection.venue_id, "batch_id": batch_id}
    with engine.begin() as session:
        for table, which in (
            (sync_batches, {"connection_id": item.connection.connection_id}),
            (sync_queue, {"provider": item.connection.provider}),
        ):
            session.execute(
                update(table)
                .filter_by(**of_item, **which)
                .values(done_at=func.now(), outcome=outcome)
            )
        if settle is not None:
            settle(session, item, results)
