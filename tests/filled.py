"""A database in which every control table holds a row of each venue."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Connection
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.tables import metadata

VALUES: dict[str, Any] = {
    "provider": "stripe",
    "role": "viewer",
    "mode": "load",
    "ids": ["a"],
    "expected": 1,
    "missing_ids": ["a"],
    "counted_at": datetime(2026, 1, 1, tzinfo=UTC),
    "state": {},
    "version": 1,
    "rate": 1,
    "day": date(2026, 1, 1),
    "expires_at": datetime(2026, 1, 1, tzinfo=UTC),
    "mapping_version": 1,
    "kept_out": True,
    "next_at": datetime(2026, 1, 1, tzinfo=UTC),
    "first_seen_at": datetime(2026, 1, 1, tzinfo=UTC),
    "last_seen_at": datetime(2026, 1, 1, tzinfo=UTC),
    "looked_to": datetime(2026, 1, 1, tzinfo=UTC),
    "rows": 1,
    "is_initial": True,
}
IDS = ("user_id", "connection_id", "batch_id", "sync_id", "pass_id")


def fill(connection: Connection, venue_id: str) -> None:
    """One row of ``venue_id`` in each control table, as the owner."""
    venue_scope(connection, venue_id)
    ids = {"venue_id": venue_id} | {name: uuid4() for name in IDS}
    for table in metadata.sorted_tables:
        row = {
            column.name: _value(column, venue_id, ids)
            for column in table.columns
            if column.name in ids
            or not (column.nullable or column.server_default or column.identity)
        }
        connection.execute(insert(table).values(row).on_conflict_do_nothing())


def _value(column: Column[Any], venue_id: str, ids: dict[str, Any]) -> Any:
    """A value of the column's type that no other venue has, unless it must be one of a few."""
    if column.name in ids or column.name in VALUES:
        return (ids | VALUES)[column.name]
    return venue_id.encode() if column.type.python_type is bytes else venue_id
