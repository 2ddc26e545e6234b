"""Census: ask a provider which objects exist, and find what has not landed.

Nothing that a sync has read is trusted for it. What is not here is first looked for by a sync of
what is new; what is then still missing is a shortfall, kept in `control.completeness` and asked
for by id in `control.sync_queue`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection as Session
from sqlalchemy import Engine, func, select

from integration_pipelines.core.budget import Budget
from integration_pipelines.core.credentials import Connection
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.ingest import completeness
from integration_pipelines.core.ingest.batch import request_sync
from integration_pipelines.core.ingest.completeness import Cursor, Shortfall
from integration_pipelines.core.ingest.sync import sync
from integration_pipelines.core.provider import Client, Provider, StreamFailed, Tally, period_of
from integration_pipelines.core.tables import raw_table, sync_cursors, sync_queue
from integration_pipelines.core.transport import record_costs

REQUESTED_BY = "completeness"
REFETCHED_AT_MOST = 2_000
"""Of a stream; where more is missing, a full pass is the cheaper way."""


LATE = timedelta(hours=12)
"""It is asked once a day who is due, and a count ends a while after it began."""


@dataclass(slots=True)
class CensusResult:
    """One connection's census. ``found``: every period of each stream counted; ``failed``: the
    streams that could not be, and why; ``requested``: whether what is missing was asked for."""

    connection: Connection
    found: dict[str, list[Shortfall]] = field(default_factory=dict)
    failed: dict[str, IntegrationError] = field(default_factory=dict)
    requested: bool = False

    @property
    def missing(self) -> dict[str, list[str]]:
        """Ids by stream that the provider has and we have not."""
        ids = {
            stream: [object_id for period in periods for object_id in period.missing_ids]
            for stream, periods in self.found.items()
        }
        return {stream: missing for stream, missing in ids.items() if missing}


def due_for_census(
    session: Session, connections: Sequence[Connection], budgets: Mapping[str, Budget]
) -> list[Connection]:
    """Of connections those to count now: of a metered provider, those whose last count is as long
    ago as its budget spaces them."""
    metered = [one.connection_id for one in connections if one.provider in budgets]
    counted_at = completeness.counted_at(session, metered)

    def may_rest(connection: Connection) -> bool:
        last, budget = counted_at.get(connection.connection_id), budgets.get(connection.provider)
        if last is None or budget is None:
            return False
        return last > budget.now + LATE - budget.census_interval(connection.connection_id)

    return [connection for connection in connections if not may_rest(connection)]


def take_census(
    engine: Engine,
    *,
    provider: Provider,
    connection: Connection,
    client: Client,
    streams: Collection[str] | None = None,
    since: datetime | None = None,
    run_id: str | None = None,
) -> CensusResult:
    """Count what exists against what landed, of ``streams`` (all, by default) once loaded.

    ``since``: leave out what was created before its month, unless every read is metered. What the
    provider refuses is in the result, not an exception.
    """
    if provider.metering:
        since = None  # A part would cost as much.
    if since is not None:
        since = since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    result = CensusResult(connection)
    with engine.connect() as session:
        with session.begin():
            venue_scope(session, connection.venue_id)
            loaded = _loaded(session, connection)
            begun = session.scalars(select(func.now())).one()
        names = [
            name
            for name in provider.stream_names
            if name in loaded and (streams is None or name in streams)
        ]
        try:
            held = _held(session, connection, names) if provider.metering else {}
            _count(session, connection, client, names, since, held, result)
        except IntegrationError as error:
            result.failed |= dict.fromkeys(names, error)
        counted = [name for name in names if name not in result.failed]
        listed = [name for name in counted if name not in result.found]
        _compare(session, connection, listed, result)
        if result.missing:
            sync(
                engine,
                provider=provider,
                connection=connection,
                client=client,
                streams=list(result.missing),
                run_id=run_id,
            )
            _compare(session, connection, list(result.missing), result)
        with session.begin():
            venue_scope(session, connection.venue_id)
            for name in counted:
                completeness.record(
                    session,
                    connection,
                    stream=name,
                    found=result.found[name],
                    counted_at=begun,
                    since=since,
                )
            result.requested = _ask_for(session, connection, result.missing)
            record_costs(session, client.drain_costs())
        # What was put down goes with the session.
        session.invalidate()
    return result


def _loaded(session: Session, connection: Connection) -> set[str]:
    """Streams whose first load has ended."""
    return set(
        session.scalars(
            select(sync_cursors.c.stream).where(
                sync_cursors.c.venue_id == connection.venue_id,
                sync_cursors.c.connection_id == connection.connection_id,
                sync_cursors.c.cursor_at.is_not(None),
            )
        )
    )


def _held(session: Session, connection: Connection, names: Collection[str]) -> dict[str, int]:
    """How many living rows of each stream are here."""
    with session.begin():
        venue_scope(session, connection.venue_id)
        return {
            name: session.scalars(
                select(func.count()).where(
                    raw.c.venue_id == connection.venue_id,
                    raw.c.account_id == connection.account_id,
                    raw.c.deleted_at.is_(None),
                )
            ).one()
            for name in names
            for raw in [raw_table(connection.provider, name)]
        }


def _count(
    session: Session,
    connection: Connection,
    client: Client,
    names: list[str],
    since: datetime | None,
    held: Mapping[str, int],
    result: CensusResult,
) -> None:
    """Put down what the client counts, of the periods that were asked about."""
    for piece in client.census(names, since, held):
        if isinstance(piece, StreamFailed):
            result.failed[piece.stream] = piece.error
            continue
        if isinstance(piece, Tally):
            result.found[piece.stream] = [
                Shortfall(piece.stream, period_of(None), piece.expected, [])
            ]
            continue
        if since is not None and piece.period < period_of(since):
            continue
        with session.begin(), _cursor(session) as cursor:
            completeness.put_down(cursor, piece)


def _compare(
    session: Session, connection: Connection, names: list[str], result: CensusResult
) -> None:
    with session.begin():
        venue_scope(session, connection.venue_id)
        with _cursor(session) as cursor:
            for name in names:
                result.found[name] = completeness.compare(cursor, connection, name)


def _cursor(session: Session) -> Cursor:
    driver = session.connection.driver_connection
    assert driver is not None
    cursor: Cursor = driver.cursor()
    return cursor


def _ask_for(session: Session, connection: Connection, missing: dict[str, list[str]]) -> bool:
    """Ask for what is missing, unless that still waits; returns whether it is asked for."""
    if not missing:
        return False
    waiting = session.scalar(
        select(func.count())
        .select_from(sync_queue)
        .where(
            sync_queue.c.venue_id == connection.venue_id,
            sync_queue.c.provider == connection.provider,
            sync_queue.c.requested_by == REQUESTED_BY,
            sync_queue.c.done_at.is_(None),
        )
    )
    if not waiting:
        few = {name: ids for name, ids in missing.items() if len(ids) <= REFETCHED_AT_MOST}
        many = [name for name in missing if name not in few]
        if few:
            request_sync(session, connection, requested_by=REQUESTED_BY, streams=[], objects=few)
        if many:
            request_sync(session, connection, requested_by=REQUESTED_BY, streams=many, full=True)
    return True
