"""Completeness: what each provider says exists, and which of it has not landed.

`control.completeness` holds the latest census of every stream by period. What lands afterwards, or
turns out to be gone, is taken off what is missing by the sync that finds it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import ColumnElement, delete, exists, func, insert, select, update
from sqlalchemy import Connection as Session

from integration_pipelines.core.credentials import Connection
from integration_pipelines.core.provider import Census, period_of
from integration_pipelines.core.tables import completeness, raw_table


class Shortfall(NamedTuple):
    """A period of a stream: how many objects the provider has, and which of them are not here."""

    stream: str
    period: str
    expected: int
    missing_ids: list[str]


_PUT_DOWN = """
CREATE TEMPORARY TABLE IF NOT EXISTS census (stream text, period text, id text)
"""

_COMPARE = """
SELECT counted.period, count(*),
    array_remove(array_agg(CASE WHEN held.id IS NULL THEN counted.id END), NULL)
FROM (SELECT DISTINCT ON (id) period, id FROM pg_temp.census WHERE stream = %(stream)s
    ORDER BY id, period) counted
LEFT JOIN {table} held ON held.venue_id = %(venue_id)s AND held.account_id = %(account_id)s
    AND held.id = counted.id AND held.deleted_at IS NULL
GROUP BY counted.period
ORDER BY counted.period
"""

Cursor = psycopg.Cursor[tuple[Any, ...]]


def put_down(cursor: Cursor, piece: Census) -> None:
    """Keep a piece of a census in this session's own temporary table."""
    cursor.execute(_PUT_DOWN)
    with cursor.copy("COPY pg_temp.census (stream, period, id) FROM STDIN") as copy:
        for object_id in piece.ids:
            copy.write_row((piece.stream, piece.period, object_id))


def compare(cursor: Cursor, connection: Connection, stream: str) -> list[Shortfall]:
    """The census of ``stream`` against its living rows, by period."""
    cursor.execute(_PUT_DOWN)
    cursor.execute(
        sql.SQL(_COMPARE).format(table=sql.Identifier(f"raw_{connection.provider}", stream)),
        {
            "stream": stream,
            "venue_id": connection.venue_id,
            "account_id": connection.account_id,
        },
    )
    return [Shortfall(stream, *row) for row in cursor]


def record(
    session: Session,
    connection: Connection,
    *,
    stream: str,
    found: Sequence[Shortfall],
    counted_at: datetime,
    since: datetime | None,
) -> None:
    """Replace what is known of ``stream`` from the month of ``since`` on, which is what ``found``
    is about."""
    session.execute(
        delete(completeness).where(
            *_of(connection, [stream]),
            *([] if since is None else [completeness.c.period >= period_of(since)]),
        )
    )
    if found:
        session.execute(
            insert(completeness),
            [
                {
                    "venue_id": connection.venue_id,
                    "connection_id": connection.connection_id,
                    "provider": connection.provider,
                    "counted_at": counted_at,
                    **of_period._asdict(),
                }
                for of_period in found
            ],
        )


def counted_at(session: Session, connection_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When each of these connections was last counted, of those that were."""
    rows = session.execute(
        select(
            completeness.c.connection_id, func.max(completeness.c.counted_at).label("counted_at")
        )
        .where(completeness.c.connection_id.in_(connection_ids))
        .group_by(completeness.c.connection_id)
    )
    return {row.connection_id: row.counted_at for row in rows}


def settle(session: Session, connection: Connection, *, streams: Collection[str]) -> None:
    """Take off what is missing whatever has landed since."""
    short: Sequence[str] = session.scalars(
        select(completeness.c.stream)
        .where(*_of(connection, streams), func.cardinality(completeness.c.missing_ids) > 0)
        .distinct()
    ).all()
    for stream in short:
        raw = raw_table(connection.provider, stream)
        _keep_missing(
            session,
            connection,
            stream,
            ~exists().where(
                raw.c.venue_id == connection.venue_id,
                raw.c.account_id == connection.account_id,
                raw.c.id == _missing_id,
                raw.c.deleted_at.is_(None),
            ),
        )


def forget_missing(
    session: Session, connection: Connection, *, stream: str, ids: Sequence[str]
) -> None:
    """Take off what is missing these objects, which the provider no longer has."""
    if ids:
        _keep_missing(session, connection, stream, _missing_id.not_in(ids))


_missing_id = func.unnest(completeness.c.missing_ids).column_valued("missing_id")


def _keep_missing(
    session: Session, connection: Connection, stream: str, wanted: ColumnElement[bool]
) -> None:
    """Leave missing what is ``wanted`` alone."""
    session.execute(
        update(completeness)
        .where(*_of(connection, [stream]), func.cardinality(completeness.c.missing_ids) > 0)
        .values(missing_ids=func.array(select(_missing_id).where(wanted).scalar_subquery()))
    )


def _of(connection: Connection, streams: Collection[str]) -> list[ColumnElement[bool]]:
    return [
        completeness.c.venue_id == connection.venue_id,
        completeness.c.connection_id == connection.connection_id,
        completeness.c.stream.in_(streams),
    ]
