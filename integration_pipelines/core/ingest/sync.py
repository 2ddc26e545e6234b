"""Sync: one connection's streams, read by its client, into the raw tables.

A sync can be killed at any instant and run again: rows and cursor commit together at checkpoints,
so at-least-once reads become exactly-once rows. One sync a connection runs at a time, held by an
advisory lock of the session that lands, so a sync that lost its session can commit nothing more.
"""

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import (
    ColumnElement,
    Engine,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import Connection as Session
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import OperationalError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from integration_pipelines.core.credentials import Connection, mark_revoked
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import (
    AccessRevoked,
    BreakerOpen,
    ConfigurationError,
    ConfirmationNeeded,
    IntegrationError,
    ProviderError,
)
from integration_pipelines.core.ingest.completeness import forget_missing, settle
from integration_pipelines.core.ingest.landing import (
    ID_SEPARATOR,
    Landed,
    Target,
    land,
    mark_vanished,
)
from integration_pipelines.core.ingest.sharing import begin_anew
from integration_pipelines.core.provider import (
    Client,
    Page,
    Provider,
    State,
    StreamFailed,
    StreamPlan,
)
from integration_pipelines.core.tables import (
    connections,
    raw_table,
    sync_cursors,
    sync_days,
    sync_logs,
    sync_seen,
)
from integration_pipelines.core.transport import Cost, record_costs

Mode = Literal["load", "incremental", "full", "refetch"]
Outcome = Literal["succeeded", "failed", "skipped"]

CHECKPOINT_ROWS = 5_000
CHECKPOINT_BYTES = 16 * 2**20
CHECKPOINT_SECONDS = 5.0
BYTES_AHEAD = 24 * 2**20
"""Reading goes on while a checkpoint is landed, so this is more than one holds."""
ANALYZE_ROWS = 2_000
REFETCHED_AT_ONCE = 500
VANISHED_SHARE = 0.05
"""A full pass that would delete a larger share of a stream's rows stops and asks."""


OnLanded = Callable[[Session, str, Sequence[str] | None], None]
LOCK_WAIT = 60.0


def _nobody_listens(session: Session, stream: str, ids: Sequence[str] | None) -> None:
    pass


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What a sync did to one stream. Counts are rows, ``seconds`` wall clock until the stream's
    end; ``cursor_at`` the instant up to which the stream is complete. ``repaired``: of a full pass
    right after an incremental one, the rows that the latter had missed (a few may have changed in
    between); None where nothing was compared."""

    venue_id: str
    provider: str
    stream: str
    outcome: Outcome
    mode: Mode
    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    api_calls: int = 0
    seconds: float = 0.0
    cursor_at: datetime | None = None
    repaired: int | None = None
    error_kind: str | None = None
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether any row of the stream is other than before."""
        return self.inserted + self.updated + self.deleted > 0


def sync(
    engine: Engine,
    *,
    provider: Provider,
    connection: Connection,
    client: Client,
    streams: Collection[str] | None = None,
    objects: Mapping[str, Sequence[str]] | None = None,
    full: bool = False,
    run_id: str | None = None,
    allow_deletes: bool | Collection[str] = False,
    on_landed: OnLanded | None = None,
    lock_wait: float = LOCK_WAIT,
) -> list[StreamResult]:
    """Bring ``streams`` (all, by default) of one connection up to date; a result a stream.

    ``objects``: ids by stream to read again singly first, also of streams not in ``streams``.
    ``full`` brings streams up to date, then reads everything again, counts what that repairs and
    marks what vanished; ``allow_deletes`` lets such a pass delete more than 5% of any stream, or
    of those it names.
    ``on_landed(session, stream, ids)`` is called in the transaction that lands these objects of
    ``objects``, and with None for the ids in the one that brings a whole stream up to date. What
    the provider or the venue does wrong is an outcome, not an exception. Another sync of the
    connection is waited for ``lock_wait`` seconds, then all streams are "skipped". A lost database
    session is taken up again from the last checkpoint;
    raises only if the database stays away, or on a bug of ours.
    """
    objects = objects or {}
    asked = provider.stream_names if streams is None else streams
    unknown = sorted({*asked, *objects} - set(provider.stream_names))
    if unknown:
        raise ConfigurationError(
            f"{provider.name} has no stream {', '.join(unknown)}: "
            f"choose of {', '.join(provider.stream_names)}"
        )
    names = [name for name in provider.stream_names if name in asked]
    work = _Sync(
        engine, provider, connection, client, names, objects, full, run_id, allow_deletes, on_landed
    )
    for attempt in Retrying(
        retry=retry_if_exception_type((OperationalError, psycopg.OperationalError)),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        stop=stop_after_attempt(8),
        reraise=True,
    ):
        with attempt:
            work.run(lock_wait)
    return work.results()


@dataclass(slots=True)
class _Cursor:
    """A stream's committed position, and the pass over the whole stream under way, if any.

    ``pass_started_at`` is None in the pass of a first load: there is nothing that could vanish.
    """

    state: State | None = None
    pass_id: UUID | None = None
    pass_started_at: datetime | None = None
    empty: bool = False

    @property
    def tracks_pass(self) -> bool:
        """Whether the pass under way, or the next one to begin, can find rows that vanished."""
        return self.pass_started_at is not None if self.pass_id else not self.empty


@dataclass(slots=True)
class _Progress:
    """One stream within this sync."""

    cursor: _Cursor = field(default_factory=_Cursor)
    mode: Mode = "incremental"
    landed: Landed = field(default_factory=Landed)
    api_calls: int = 0
    outcome: Outcome | None = None
    error: IntegrationError | None = None
    cursor_at: datetime | None = None
    seconds: float = 0.0
    changes_before_pass: int | None = None

    @property
    def repaired(self) -> int | None:
        """Rows that a pass changed although the stream had just been brought up to date."""
        if self.outcome != "succeeded" or self.changes_before_pass is None:
            return None
        return self.landed.changes - self.changes_before_pass

    def ended(
        self,
        landed: Landed,
        outcome: Outcome,
        error: IntegrationError | None = None,
        cursor_at: datetime | None = None,
    ) -> "_Progress":
        """What it is at its end, once ``landed`` is committed too."""
        total = replace(self.landed)
        total.add(landed)
        return replace(self, landed=total, outcome=outcome, error=error, cursor_at=cursor_at)


class _Sync:
    """One call of sync(), over however many database sessions it takes."""

    def __init__(
        self,
        engine: Engine,
        provider: Provider,
        connection: Connection,
        client: Client,
        names: Sequence[str],
        objects: Mapping[str, Sequence[str]],
        full: bool,
        run_id: str | None,
        allow_deletes: bool | Collection[str],
        on_landed: OnLanded | None,
    ) -> None:
        self.on_landed = on_landed or _nobody_listens
        self.engine = engine
        self.provider = provider
        self.connection = connection
        self.client = client
        self.full = full
        self.run_id = run_id
        self.may_delete = set(names if allow_deletes is True else allow_deletes or ())
        self.sync_id = uuid4()
        self.objects = {name: list(dict.fromkeys(ids)) for name, ids in objects.items()}
        self.streams = {name: _Progress() for name in names} | {
            name: _Progress(mode="refetch") for name in self.objects if name not in names
        }
        self.costs: list[Cost] = []
        self.begun = time.monotonic()
        self.logged = False

    def run(self, lock_wait: float) -> None:
        """Everything not ended yet, on one database session."""
        with self.engine.connect() as session, _locked(session, self.connection, lock_wait) as mine:
            if not mine:
                self._skip("another sync of this account is under way: wait for it")
                return
            if not self._is_as_it_was(session):
                self._skip("the connection has been changed meanwhile")
                return
            self._plan(session)
            self._refetch(session)
            if self.full:
                self._catch_up(session)
            self._read(session, self._plans(full=self.full))
            self._finish(session)

    def results(self) -> list[StreamResult]:
        return [
            StreamResult(
                venue_id=self.connection.venue_id,
                provider=self.provider.name,
                stream=name,
                outcome=progress.outcome or "failed",
                mode=progress.mode,
                fetched=progress.landed.fetched,
                inserted=progress.landed.inserted,
                updated=progress.landed.updated,
                unchanged=progress.landed.unchanged,
                deleted=progress.landed.deleted,
                api_calls=progress.api_calls,
                seconds=progress.seconds,
                cursor_at=progress.cursor_at,
                repaired=progress.repaired,
                error_kind=progress.error.kind if progress.error else None,
                error=str(progress.error) if progress.error else None,
            )
            for name, progress in self.streams.items()
        ]

    def _skip(self, reason: str) -> None:
        for progress in self.streams.values():
            progress.outcome = "skipped"
            progress.error = IntegrationError(f"{reason}; ask again")

    def _is_as_it_was(self, session: Session) -> bool:
        """Whether the client still reads what the connection owns. One that owns less than it
        did begins anew here."""
        of_this = self._mine(connections)
        with self._transaction(session):
            row = session.execute(
                select(
                    connections.c.location_ids,
                    connections.c.is_primary,
                    connections.c.begins_anew,
                ).where(*of_this)
            ).one_or_none()
            if row is None:
                return True
            locations = self.connection.location_ids
            owned = None if locations is None else list(locations)
            if (row.location_ids, row.is_primary) != (owned, self.connection.is_primary):
                return False
            if row.begins_anew:
                begin_anew(session, self.provider, self.connection)
                session.execute(update(connections).where(*of_this).values(begins_anew=False))
            return True

    # The steps of one session.

    def _pending(self) -> list[str]:
        return [name for name, progress in self.streams.items() if progress.outcome is None]

    def _plan(self, session: Session) -> None:
        """Read the cursors and open the log."""
        with self._transaction(session):
            rows = session.execute(select(sync_cursors).where(*self._mine(sync_cursors))).mappings()
            held = {
                row["stream"]: _Cursor(row["state"], row["pass_id"], row["pass_started_at"])
                for row in rows
            }
            for name in self._pending():
                progress = self.streams[name]
                cursor = held.get(name) or _Cursor(empty=self._is_empty(session, name))
                progress.cursor = cursor
                if progress.mode == "refetch":
                    continue
                if progress.cursor.state is None:
                    progress.mode = "load"
                elif self.full:
                    progress.mode = "full"
            if not self.logged:
                self._open_log(session)
        self.logged = True

    def _refetch(self, session: Session) -> None:
        """Read again the objects asked for by id. A stream asked for by nothing else ends here."""
        try:
            for name, ids in self.objects.items():
                if self.streams[name].outcome is None:
                    self._refetch_stream(session, name, ids)
        except IntegrationError as error:
            for name in self._pending():
                self._end(name, "failed", error)

    def _refetch_stream(self, session: Session, name: str, ids: list[str]) -> None:
        progress = self.streams[name]
        try:
            while ids:
                found = self._look_up(name, ids[:REFETCHED_AT_ONCE])
                with self._transaction(session):
                    counts = self._land_found(session, name, found)
                    self._count(session, {name: counts})
                    forget_missing(session, self.connection, stream=name, ids=found.gone)
                    self.on_landed(session, name, ids[:REFETCHED_AT_ONCE])
                    if progress.mode == "refetch" and len(ids) <= REFETCHED_AT_ONCE:
                        self._log_ends(session, {name: progress.ended(counts, "succeeded")})
                progress.landed.add(counts)
                del ids[:REFETCHED_AT_ONCE]
        except (AccessRevoked, BreakerOpen):
            raise
        except ProviderError as error:
            self._end(name, "failed", error)
        else:
            if progress.mode == "refetch":
                self._end(name, "succeeded")

    def _look_up(self, name: str, ids: Sequence[str]) -> "_Found":
        """What the provider has of these objects now."""
        found = _Found([], [])
        for page in self.client.fetch(name, ids):
            self.streams[name].api_calls += page.calls
            found.gone.extend(record.id for record in page.records if record.deleted)
            alive = [record for record in page.records if not record.deleted]
            if alive:
                found.pages.append(Page(name, alive, page.observed_at, touch=True))
        return found

    def _land_found(self, session: Session, name: str, found: "_Found") -> Landed:
        counts = Landed()
        driver = session.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor:
            if found.pages:
                counts = land(cursor, self._target(name), pages=found.pages)
            if found.gone:
                counts.deleted += mark_vanished(cursor, self._target(name), ids=found.gone)
        return counts

    def _plans(self, *, full: bool) -> list[StreamPlan]:
        """What to read of every stream that has not ended."""
        return [StreamPlan(name, self.streams[name].cursor.state, full) for name in self._pending()]

    def _catch_up(self, session: Session) -> None:
        """Bring the streams up to date that a new pass is about to read, so that what it changes
        is what incremental syncs miss. A stream that fails here is left to its pass."""
        ready = {
            name
            for name in self._pending()
            if self.streams[name].mode == "full" and self.streams[name].cursor.pass_id is None
        }
        if not ready:
            return
        plans = [plan for plan in self._plans(full=False) if plan.stream in ready]
        self._read(session, plans, final=False)
        for name in ready:
            progress = self.streams[name]
            if isinstance(progress.error, AccessRevoked | BreakerOpen):
                continue
            if progress.outcome == "succeeded":
                progress.changes_before_pass = progress.landed.changes
            progress.outcome = progress.error = progress.cursor_at = None

    def _read(self, session: Session, plans: Sequence[StreamPlan], *, final: bool = True) -> None:
        """Land what the client reads, a checkpoint at a time. ``final``: with its end here, a
        stream's part in the sync is over."""
        if not plans:
            return
        pages = _Prefetched(self.client.extract(plans), BYTES_AHEAD)
        held = _Held()
        try:
            for item in pages:
                if item is None:
                    self._checkpoint(session, held, final=final)
                    continue
                progress = self.streams[item.stream]
                progress.api_calls += item.calls
                if isinstance(item, StreamFailed):
                    self._fail(session, item.stream, item.error, final=final)
                    continue
                held.add(item)
                if item.last and progress.cursor.tracks_pass:
                    self._checkpoint(session, held, ending=item, final=final)
                    try:
                        self._sweep(session, item, final=final)
                    except (AccessRevoked, BreakerOpen):
                        raise
                    except ProviderError as error:
                        self._fail(session, item.stream, error, final=final)
                elif held.is_due():
                    self._checkpoint(session, held, final=final)
            self._checkpoint(session, held, final=final)
        except IntegrationError as error:
            self._checkpoint(session, held, final=final)
            for name, progress in self.streams.items():
                if progress.outcome is None:
                    self._end(name, "failed", error)
        finally:
            pages.close()

    def _fail(self, session: Session, name: str, error: IntegrationError, *, final: bool) -> None:
        """This stream cannot be read; the others go on. ``final``: see _read."""
        self._end(name, "failed", error)
        if final:
            with self._transaction(session):
                self._log_ends(session, {name: self.streams[name]})

    def _checkpoint(
        self, session: Session, held: "_Held", *, final: bool, ending: Page | None = None
    ) -> None:
        """Commit what is held: rows, cursors, ids seen, counts, the streams that end with it
        (``final``: see _read). ``ending`` is a pass's last page, whose cursor waits until what
        vanished is known."""
        if not held.pages:
            return
        by_stream = held.take()
        landed: dict[str, Landed] = {}
        passes: dict[str, _Cursor] = {}
        ends = {
            page.stream: page.cursor_at
            for pages in by_stream.values()
            for page in pages
            if page.cursor_at and page is not ending
        }
        with self._transaction(session):
            driver = session.connection.driver_connection
            assert driver is not None
            with driver.cursor() as cursor:
                for name, pages in by_stream.items():
                    landed[name] = land(
                        cursor,
                        self._target(name),
                        pages=pages,
                        target_is_empty=self.streams[name].cursor.empty,
                    )
            for name, pages in by_stream.items():
                passes[name] = self._note_seen(session, name, pages)
                reached = [page for page in pages if page.state is not None and page is not ending]
                if reached:
                    self._save_cursor(session, name, reached[-1], passes[name])
                    if reached[-1].cursor_at is not None:
                        self.on_landed(session, name, None)
            self._count(session, landed)
            if final:
                self._log_ends(
                    session,
                    {
                        name: self.streams[name].ended(landed[name], "succeeded", cursor_at=at)
                        for name, at in ends.items()
                    },
                )
        for name in by_stream:
            progress = self.streams[name]
            progress.landed.add(landed[name])
            progress.cursor = passes[name]
            if name in ends:
                self._end(name, "succeeded", cursor_at=ends[name])

    def _sweep(self, session: Session, last: Page, *, final: bool) -> None:
        """End a pass: what it did not see, and the provider does not know either, has vanished.
        ``final``: see _read."""
        name = last.stream
        progress = self.streams[name]
        with self._transaction(session):
            vanished = self._vanished(session, name, progress.cursor)
            alive = session.scalar(
                select(func.count())
                .select_from(raw := raw_table(self.provider.name, name))
                .where(*self._rows(raw), raw.c.deleted_at.is_(None))
            )
        usual = max(1, VANISHED_SHARE * (alive or 0))
        too_many = len(vanished) > usual and name not in self.may_delete
        found = self._look_up(name, [] if too_many else vanished)
        outcome: Outcome = "succeeded"
        error: IntegrationError | None = None
        cursor_at = last.cursor_at
        if too_many:
            outcome, cursor_at = "failed", None
            error = ConfirmationNeeded(
                f"{len(vanished)} of {alive} {name} are no longer listed by "
                f"{self.provider.title}: nothing was deleted; if that is right, say so in the "
                f"portal, or run `integrations sync --full --allow-deletes --venue "
                f"{self.connection.venue_id} --provider {self.provider.name} "
                f"--stream {name}`"
            )
        with self._transaction(session):
            counts = self._land_found(session, name, found)
            self._save_cursor(session, name, last, progress.cursor)
            self._count(session, {name: counts})
            if not too_many:
                self.on_landed(session, name, None)
            if final:
                ended = progress.ended(counts, outcome, error, cursor_at)
                self._log_ends(session, {name: ended})
        progress.landed.add(counts)
        progress.cursor = _Cursor(last.state)
        self._end(name, outcome, error, cursor_at)

    def _finish(self, session: Session) -> None:
        """Close the log; on a refused credential pause the connection."""
        for name, progress in self.streams.items():
            if progress.outcome is None:
                self._end(name, "failed", IntegrationError("the client stopped without a word"))
        revoked = next(
            (
                progress.error
                for progress in self.streams.values()
                if isinstance(progress.error, AccessRevoked)
            ),
            None,
        )
        with self._transaction(session):
            self._log_ends(session, self.streams)
            settle(session, self.connection, streams=self.streams)
            if revoked is not None:
                mark_revoked(session, self.connection, reason=str(revoked))
        for name, progress in self.streams.items():
            if progress.mode == "load" and progress.landed.inserted >= ANALYZE_ROWS:
                with session.begin():
                    session.execute(select(func.control.analyze_raw(self.provider.name, name)))

    # The parts of a transaction.

    @contextmanager
    def _transaction(self, session: Session) -> Iterator[None]:
        """One transaction under the venue's scope: row-level security binds what it writes. It
        also stores what the calls since the last commit cost."""
        with session.begin():
            venue_scope(session, self.connection.venue_id)
            yield
            self.costs += self.client.drain_costs()
            record_costs(session, self.costs)
        self.costs.clear()

    def _mine(self, table: Table) -> list[ColumnElement[bool]]:
        return [
            table.c.venue_id == self.connection.venue_id,
            table.c.connection_id == self.connection.connection_id,
        ]

    def _rows(self, raw: Table) -> list[ColumnElement[bool]]:
        return [
            raw.c.venue_id == self.connection.venue_id,
            raw.c.account_id == self.connection.account_id,
        ]

    def _target(self, name: str) -> Target:
        return Target(
            self.connection.venue_id, self.connection.account_id, self.provider.name, name
        )

    def _is_empty(self, session: Session, name: str) -> bool:
        raw = raw_table(self.provider.name, name)
        return not session.scalar(select(exists().where(*self._rows(raw))))

    def _open_log(self, session: Session) -> None:
        """A row a stream, `running`; whoever ran before under this connection's lock is dead."""
        session.execute(
            update(sync_logs)
            .where(
                *self._mine(sync_logs),
                sync_logs.c.outcome == "running",
                sync_logs.c.sync_id != self.sync_id,
            )
            .values(outcome="abandoned", finished_at=func.now())
        )
        # The same rows may stand there, if a session was lost while this was being committed.
        session.execute(
            upsert(sync_logs).on_conflict_do_nothing(),
            [
                {
                    "venue_id": self.connection.venue_id,
                    "sync_id": self.sync_id,
                    "stream": name,
                    "provider": self.provider.name,
                    "connection_id": self.connection.connection_id,
                    "account_id": self.connection.account_id,
                    "run_id": self.run_id,
                    "mode": progress.mode,
                }
                for name, progress in self.streams.items()
            ],
        )

    def _log_ends(self, session: Session, ended: Mapping[str, "_Progress"]) -> None:
        """Note in the log how these streams have ended: in the transaction that ends them, so that
        whoever looks sees how far the sync is."""
        if not ended:
            return
        session.execute(
            update(sync_logs)
            .where(
                sync_logs.c.venue_id == self.connection.venue_id,
                sync_logs.c.sync_id == self.sync_id,
                sync_logs.c.stream == bindparam("of_stream"),
            )
            .values(finished_at=func.coalesce(sync_logs.c.finished_at, func.now())),
            [
                {
                    "of_stream": name,
                    "outcome": progress.outcome,
                    "mode": progress.mode,
                    "api_calls": progress.api_calls,
                    "cursor_at": progress.cursor_at,
                    "repaired": progress.repaired,
                    "error_kind": progress.error.kind if progress.error else None,
                    "error": str(progress.error) if progress.error else None,
                }
                for name, progress in ended.items()
            ],
        )

    def _note_seen(self, session: Session, name: str, pages: Sequence[Page]) -> _Cursor:
        """Keep the ids a pass has seen; the first page of a pass begins it."""
        cursor = replace(self.streams[name].cursor)
        read = [page for page in pages if page.in_pass]
        if not read:
            return cursor
        if cursor.pass_id is None:
            cursor.pass_id = uuid4()
            if not cursor.empty:
                cursor.pass_started_at = min(page.observed_at for page in read)
                session.execute(
                    delete(sync_seen).where(*self._mine(sync_seen), sync_seen.c.stream == name)
                )
        if cursor.pass_started_at is not None:
            session.execute(
                insert(sync_seen).values(
                    venue_id=self.connection.venue_id,
                    pass_id=cursor.pass_id,
                    connection_id=self.connection.connection_id,
                    stream=name,
                    ids=func.string_to_array(
                        ID_SEPARATOR.join(record.id for page in read for record in page.records),
                        ID_SEPARATOR,
                    ),
                )
            )
        return cursor

    def _vanished(self, session: Session, name: str, cursor: _Cursor) -> list[str]:
        """Ids held since before the pass began and not seen in it."""
        raw = raw_table(self.provider.name, name)
        seen = (
            select(func.unnest(sync_seen.c.ids).label("id"))
            .where(
                sync_seen.c.venue_id == self.connection.venue_id,
                sync_seen.c.pass_id == cursor.pass_id,
                sync_seen.c.stream == name,
            )
            .subquery()
        )
        return list(
            session.scalars(
                select(raw.c.id).where(
                    *self._rows(raw),
                    raw.c.deleted_at.is_(None),
                    raw.c.first_seen_at < cursor.pass_started_at,
                    raw.c.observed_at < cursor.pass_started_at,
                    ~exists().where(seen.c.id == raw.c.id),
                )
            )
        )

    def _save_cursor(self, session: Session, name: str, page: Page, cursor: _Cursor) -> None:
        """Store the position that ``page`` reached; its end of a pass ends the pass."""
        if page.last:
            session.execute(
                delete(sync_seen).where(*self._mine(sync_seen), sync_seen.c.stream == name)
            )
            cursor.pass_id = cursor.pass_started_at = None
            cursor.empty = False
        cursor.state = page.state
        values: dict[str, Any] = {
            "state": page.state,
            "sync_id": self.sync_id,
            "pass_id": cursor.pass_id,
            "pass_started_at": cursor.pass_started_at,
            "updated_at": func.now(),
        }
        if page.cursor_at is not None:
            values["cursor_at"] = page.cursor_at
        if page.last:
            values["full_pass_at"] = func.now()
        session.execute(
            upsert(sync_cursors)
            .values(
                venue_id=self.connection.venue_id,
                connection_id=self.connection.connection_id,
                stream=name,
                **values,
            )
            .on_conflict_do_update(constraint=sync_cursors.primary_key, set_=values)
        )

    def _count(self, session: Session, landed: Mapping[str, Landed]) -> None:
        """Add to the log, and to the day's counts, what this transaction lands."""
        session.execute(
            update(sync_logs)
            .where(
                sync_logs.c.venue_id == self.connection.venue_id,
                sync_logs.c.sync_id == self.sync_id,
                sync_logs.c.stream == bindparam("of_stream"),
            )
            .values(
                {
                    column: sync_logs.c[column] + bindparam(f"more_{column}")
                    for column in ("fetched", "inserted", "updated", "unchanged", "deleted")
                }
            ),
            [
                {
                    "of_stream": name,
                    "more_fetched": counts.fetched,
                    "more_inserted": counts.inserted,
                    "more_updated": counts.updated,
                    "more_unchanged": counts.unchanged,
                    "more_deleted": counts.deleted,
                }
                for name, counts in landed.items()
            ],
        )
        changed = {name: counts for name, counts in landed.items() if counts.changes}
        if not changed:
            return
        add = upsert(sync_days)
        session.execute(
            add.on_conflict_do_update(
                constraint=sync_days.primary_key,
                set_={
                    column: sync_days.c[column] + add.excluded[column]
                    for column in ("inserted", "updated", "deleted")
                },
            ),
            [
                {
                    "venue_id": self.connection.venue_id,
                    "connection_id": self.connection.connection_id,
                    "stream": name,
                    "day": datetime.now(UTC).date(),
                    "provider": self.provider.name,
                    "inserted": counts.inserted,
                    "updated": counts.updated,
                    "deleted": counts.deleted,
                }
                for name, counts in changed.items()
            ],
        )

    def _end(
        self,
        name: str,
        outcome: Outcome,
        error: IntegrationError | None = None,
        cursor_at: datetime | None = None,
    ) -> None:
        progress = self.streams[name]
        progress.outcome = outcome
        progress.error = error
        progress.cursor_at = cursor_at
        progress.seconds = time.monotonic() - self.begun


class _Found(NamedTuple):
    """Objects looked up by id: those that exist, and the ids of those that do not."""

    pages: list[Page]
    gone: list[str]


class _Held:
    """Pages read and not committed yet."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.pages: list[Page] = []
        self.rows = 0
        self.bytes = 0
        self.since = time.monotonic()

    def add(self, page: Page) -> None:
        self.pages.append(page)
        self.rows += len(page.records)
        self.bytes += page.size

    def is_due(self) -> bool:
        return (
            self.rows >= CHECKPOINT_ROWS
            or self.bytes >= CHECKPOINT_BYTES
            or time.monotonic() - self.since >= CHECKPOINT_SECONDS
        )

    def take(self) -> dict[str, list[Page]]:
        """The pages by stream, in the order read; nothing is held afterwards."""
        by_stream: dict[str, list[Page]] = {}
        for page in self.pages:
            by_stream.setdefault(page.stream, []).append(page)
        self._reset()
        return by_stream


class _Prefetched:
    """Iterate ``source`` in a thread of its own, at most about ``limit`` bytes ahead, so that
    reading and landing overlap. What the source raises is raised here, in its place; None comes
    whenever nothing else did for CHECKPOINT_SECONDS."""

    def __init__(self, source: Iterator[Page | StreamFailed], limit: int) -> None:
        self._source = source
        self._limit = limit
        self._items: deque[Page | StreamFailed | BaseException | None] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._fill,), daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[Page | StreamFailed | None]:
        while True:
            with self._changed:
                came = self._changed.wait_for(lambda: len(self._items) > 0, CHECKPOINT_SECONDS)
                item = self._items.popleft() if came else None
                if isinstance(item, Page):
                    self._bytes -= item.size
                self._changed.notify()
            if came and item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """End the thread; what it has read ahead is dropped (it will be read again)."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _fill(self) -> None:
        try:
            for item in self._source:
                self._put(item)
                if self._closed:
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)
        finally:
            with suppress(Exception):
                self._source.close()  # type: ignore[attr-defined]

    def _put(self, item: Page | StreamFailed | BaseException | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < self._limit or self._closed)
            if isinstance(item, Page):
                self._bytes += item.size
            self._items.append(item)
            self._changed.notify()


def connection_key(connection: Connection) -> ColumnElement[int]:
    """The advisory lock that a sync of the connection holds."""
    return func.hashtextextended(str(connection.connection_id), 0)


@contextmanager
def _locked(session: Session, connection: Connection, wait: float) -> Iterator[bool]:
    """Hold the connection's lock on this session; False if it stayed taken for ``wait`` s."""
    key = connection_key(connection)
    deadline = time.monotonic() + wait
    while True:
        with session.begin():
            mine = bool(session.scalar(select(func.pg_try_advisory_lock(key))))
        if mine or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    try:
        yield mine
    except BaseException:
        session.invalidate()
        raise
    if mine:
        with session.begin():
            session.execute(select(func.pg_advisory_unlock(key)))
