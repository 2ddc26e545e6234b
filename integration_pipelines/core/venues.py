"""Venues: adding one, listing them, and removing one with all that is its own.

These act as the owner, who alone may make and drop the analysts' roles; row-level security binds
the owner too, so each works under the scope of its venue.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, NamedTuple
from zoneinfo import available_timezones

from babel.numbers import is_currency
from psycopg import sql
from sqlalchemy import Connection, CursorResult, Engine, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.database import (
    ANALYST,
    administers,
    analyst_role,
    execute,
    role_password,
    set_password,
    venue_scope,
)
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.tables import CONTROL, SLUG, venues

NOON = time(12)


@dataclass(frozen=True, slots=True)
class Venue:
    """One tenant. Its business day runs from ``day_starts_at`` to the same hour of the next day,
    in its ``timezone``; ``currency`` is what its totals are shown in."""

    venue_id: str
    name: str
    timezone: str
    currency: str
    day_starts_at: time
    created_at: datetime


def add_venue(
    owner: Engine,
    venue_id: str,
    *,
    name: str | None = None,
    timezone: str = "UTC",
    currency: str = "USD",
    day_starts_at: str = "00:00",
) -> Venue:
    """Add a venue and the login role of its analysts; ``name`` defaults to the slug in words.

    Raises ConfigurationError naming the argument that is wrong, or if the venue exists.
    """
    row = {
        "venue_id": _slug(venue_id),
        "name": _name(name if name is not None else venue_id.replace("-", " ").title()),
        "timezone": _timezone(timezone),
        "currency": _currency(currency),
        "day_starts_at": _day_starts_at(day_starts_at),
    }
    with owner.begin() as connection:
        venue_scope(connection, venue_id)
        added = connection.execute(
            insert(venues).values(row).on_conflict_do_nothing().returning(venues)
        ).one_or_none()
        if added is None:
            raise ConfigurationError(f"venue {venue_id} exists already: choose another slug")
        role = analyst_role(venue_id)
        known = text("SELECT true FROM pg_roles WHERE rolname = :role")
        if not connection.scalar(known, {"role": role}):
            execute(connection, "CREATE ROLE {} LOGIN IN ROLE {}", role, ANALYST)
        set_password(connection, role, role_password(owner.url.password or "", role))
        return Venue(**added._mapping)


def list_venues(engine: Engine) -> list[Venue]:
    """All venues by slug, as the owner or the pipeline."""
    with engine.connect() as connection:
        return [
            Venue(**row._mapping)
            for row in connection.execute(select(venues).order_by(venues.c.venue_id))
        ]


def describe_removal(owner: Engine, venue_id: str) -> dict[str, int]:
    """Rows that `remove_venue` would delete, by `schema.table`; tables without any are left out.

    Raises ConfigurationError where there is no such venue.
    """
    with owner.begin() as connection:
        _enter(connection, venue_id)
        return _count_rows(connection, venue_id)


def remove_venue(owner: Engine, venue_id: str) -> dict[str, int]:
    """Delete all that is the venue's, credentials and analyst role included, in one transaction.

    Returns the rows deleted, as `describe_removal` does. Raises ConfigurationError where there is
    no such venue.
    """
    with owner.begin() as connection:
        _enter(connection, venue_id)
        counts = _count_rows(connection, venue_id)
        for table in _tables_of_venues(connection):
            if table.schema != CONTROL:
                _of_venue(connection, "DELETE", table, venue_id)
        # The rest of the control tables follow by their foreign keys.
        connection.execute(delete(venues).where(venues.c.venue_id == venue_id))
        if administers(connection, analyst_role(venue_id)):
            execute(connection, "DROP ROLE {}", analyst_role(venue_id))
        return counts


def _enter(connection: Connection, venue_id: str) -> None:
    """Scope the transaction to the venue and hold its row, so that no sync lands rows meanwhile."""
    venue_scope(connection, venue_id)
    held = select(venues.c.venue_id).where(venues.c.venue_id == venue_id).with_for_update()
    if connection.scalar(held) is None:
        raise ConfigurationError(
            f"there is no venue {venue_id}: `integrations venues list` shows those that exist"
        )


class _Table(NamedTuple):
    owner: str
    schema: str
    name: str


def _tables_of_venues(connection: Connection) -> list[_Table]:
    """Every table of ours that has a `venue_id`, whichever role made it."""
    tables = connection.exec_driver_sql(
        "SELECT r.rolname, n.nspname, c.relname FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped"
        " WHERE a.attname = 'venue_id' AND pg_has_role(c.relowner, 'SET')"
        " AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'"
        " ORDER BY 2, 3"
    )
    return [_Table(*map(str, table)) for table in tables]


def _count_rows(connection: Connection, venue_id: str) -> dict[str, int]:
    counts = {
        f"{table.schema}.{table.name}": int(
            _of_venue(connection, "SELECT count(*)", table, venue_id).scalar_one()
        )
        for table in _tables_of_venues(connection)
    }
    return {table: count for table, count in counts.items() if count}


def _of_venue(connection: Connection, verb: str, table: _Table, venue_id: str) -> CursorResult[Any]:
    """SELECT or DELETE the venue's rows, as the role whose table it is: it alone may."""
    execute(connection, "SET LOCAL ROLE {}", table.owner)
    statement = verb + " FROM {}.{} WHERE venue_id = {}"
    result = execute(connection, statement, table.schema, table.name, sql.Literal(venue_id))
    execute(connection, "RESET ROLE")
    return result


def _slug(value: str) -> str:
    if re.fullmatch(SLUG, value) is None or value == "all":
        raise ConfigurationError(
            f"slug {value!r} cannot name a venue: use 1 to 48 lower-case letters, digits and "
            "hyphens, a letter or digit at both ends, and not 'all'; moonlight-hall is one"
        )
    return value


def _name(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ConfigurationError(f"name {value!r} is empty or cannot be printed: give another")
    return value.strip()


def _timezone(value: str) -> str:
    if value not in available_timezones() - {"Factory", "localtime"}:
        raise ConfigurationError(
            f"timezone {value!r} is unknown: use an IANA name such as America/New_York"
        )
    return value


def _currency(value: str) -> str:
    if value != value.upper() or not is_currency(value):
        raise ConfigurationError(
            f"currency {value!r} is unknown: use an ISO 4217 code such as USD or EUR"
        )
    return value


def _day_starts_at(value: str) -> time:
    try:
        hour = datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007 - an hour of any day
    except ValueError:
        hour = NOON
    if hour >= NOON:
        raise ConfigurationError(
            f"day_starts_at {value!r} is not a time before noon: use HH:MM such as 05:00"
        )
    return hour
