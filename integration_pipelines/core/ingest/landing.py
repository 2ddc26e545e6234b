"""Landing: records of one stream into `raw_<provider>.<stream>`, inside the caller's transaction.

A row whose content hash is already there costs a look-up and is not written. What is new or
changed is copied into a staging table of this session's own (temporary: it goes with the session,
so a killed sync leaves none) and merged in one statement, in which a later version is never
overwritten by an earlier one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from integration_pipelines.core.provider import Page, Record


@dataclass(slots=True)
class Landed:
    """What landing did, in rows; ``fetched`` counts records handed over, duplicates included."""

    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0

    @property
    def changes(self) -> int:
        """Rows that are other than before."""
        return self.inserted + self.updated + self.deleted

    def add(self, other: "Landed") -> None:
        """Count ``other`` in."""
        self.fetched += other.fetched
        self.inserted += other.inserted
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.deleted += other.deleted


class Target(NamedTuple):
    """Where rows go: one stream of one venue's account."""

    venue_id: str
    account_id: str
    provider: str
    stream: str

    @property
    def table(self) -> sql.Identifier:
        """The quoted raw table."""
        return sql.Identifier(f"raw_{self.provider}", self.stream)


Cursor = psycopg.Cursor[tuple[Any, ...]]


class _Incoming(msgspec.Struct, gc=False):
    record: Record
    observed_at: datetime
    touch: bool
    content_hash: bytes


COPY_ROWS = 100
"""Rows written at once: a buffer that the allocator can use again."""
ID_SEPARATOR = "\x1f"
"""Joins the ids of a look-up: `string_to_array` takes one text far faster than psycopg an array,
and the planner sees through it. An id that held it would cost a merge, and change nothing."""

_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS landing_stage (
    id text, payload jsonb, version bigint, observed_at timestamptz, content_hash bytea
) ON COMMIT DELETE ROWS
"""

_COPY = "COPY pg_temp.landing_stage (id, payload, version, observed_at, content_hash) FROM STDIN"

_MERGE = """
WITH merged AS (
    INSERT INTO {table} AS held
        (venue_id, account_id, id, payload, version, observed_at, content_hash)
    SELECT %(venue_id)s, %(account_id)s, id, payload, version, observed_at, content_hash
    FROM pg_temp.landing_stage
    ON CONFLICT (venue_id, account_id, id) DO UPDATE SET
        payload = excluded.payload,
        version = excluded.version,
        observed_at = excluded.observed_at,
        content_hash = excluded.content_hash,
        last_changed_at = now(),
        deleted_at = NULL,
        deleted_by = NULL
    WHERE held.deleted_by IS DISTINCT FROM 'provider'
        AND (held.content_hash <> excluded.content_hash OR held.deleted_at IS NOT NULL)
        AND CASE
            WHEN excluded.version <> held.version THEN excluded.version > held.version
            ELSE excluded.observed_at >= held.observed_at
        END
    RETURNING (xmax = 0) AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM merged
"""

_HELD = """
SELECT id, content_hash, deleted_at IS NOT NULL
FROM {table}
WHERE venue_id = %(venue_id)s AND account_id = %(account_id)s
    AND id = ANY(string_to_array(%(ids)s, %(separator)s))
"""

_TOUCH = """
UPDATE {table} AS held SET observed_at = seen.observed_at
FROM unnest(%(ids)s::text[], %(observed)s::timestamptz[]) AS seen (id, observed_at)
WHERE venue_id = %(venue_id)s AND account_id = %(account_id)s
    AND held.id = seen.id AND held.observed_at < seen.observed_at
"""

_BURY = """
WITH buried AS (
    INSERT INTO {table} AS held (
        venue_id, account_id, id, payload, version, observed_at, content_hash,
        deleted_at, deleted_by
    )
    SELECT %(venue_id)s, %(account_id)s, gone.id, gone.payload::jsonb, gone.version,
        gone.observed_at, gone.content_hash, now(), 'provider'
    FROM unnest(
        %(ids)s::text[], %(payloads)s::text[], %(versions)s::bigint[],
        %(observed)s::timestamptz[], %(hashes)s::bytea[]
    ) AS gone (id, payload, version, observed_at, content_hash)
    ON CONFLICT (venue_id, account_id, id) DO UPDATE SET
        deleted_at = coalesce(held.deleted_at, now()),
        deleted_by = 'provider',
        last_changed_at = now()
    WHERE held.deleted_by IS DISTINCT FROM 'provider'
    RETURNING 1
)
SELECT count(*) FROM buried
"""

_VANISH = """
UPDATE {table}
SET deleted_at = now(), deleted_by = 'full_pass', last_changed_at = now()
WHERE venue_id = %(venue_id)s AND account_id = %(account_id)s
    AND id = ANY(%(ids)s) AND deleted_at IS NULL
"""


def land(
    cursor: Cursor, target: Target, *, pages: Sequence[Page], target_is_empty: bool = False
) -> Landed:
    """Land the records of ``pages`` (all of ``target``'s stream) in the cursor's transaction.

    ``target_is_empty``: the account had no rows of this stream when its first load began, so
    nothing is looked up; the merge still keeps duplicates and races right. Commits nothing.
    """
    incoming, fetched = _latest(pages)
    landed = Landed(fetched=fetched)
    alive = [item for item in incoming if not item.record.deleted]
    dead = [item for item in incoming if item.record.deleted]
    if alive and not target_is_empty:
        alive = _changed(cursor, target, alive)
    if alive:
        landed.inserted, landed.updated = _merge(cursor, target, alive)
    if dead:
        landed.deleted = _bury(cursor, target, dead)
    landed.unchanged = len(incoming) - landed.inserted - landed.updated - landed.deleted
    return landed


def mark_vanished(cursor: Cursor, target: Target, *, ids: Iterable[str]) -> int:
    """Mark rows that a full pass did not see and the provider does not know; returns how many."""
    cursor.execute(
        sql.SQL(_VANISH).format(table=target.table),
        {"venue_id": target.venue_id, "account_id": target.account_id, "ids": list(ids)},
    )
    return cursor.rowcount


def content_hash(payload: bytes) -> bytes:
    """16 bytes that tell one content from another."""
    return blake2b(payload, digest_size=16).digest()


_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u(?!0000|[dD][89a-fA-F])....|\\[^u])|\\u....",
    re.DOTALL,
)
"""An escape that JSONB takes (group 1: a surrogate pair, a plain character), or one it refuses."""


def _storable(payload: bytes) -> bytes:
    """Replace what JSON may hold and JSONB may not (NUL, lone surrogates) by U+FFFD."""
    if b"\\u" not in payload:
        return payload
    return _ESCAPE.sub(lambda match: match[1] or rb"\ufffd", payload)


def _latest(pages: Sequence[Page]) -> tuple[list[_Incoming], int]:
    """One incoming row an id: of duplicates the later version, then the later observation."""
    latest: dict[str, _Incoming] = {}
    fetched = 0
    for page in pages:
        fetched += len(page.records)
        for record in page.records:
            item = _Incoming(record, page.observed_at, page.touch, content_hash(record.payload))
            held = latest.get(record.id)
            if held is None or _order(item) >= _order(held):
                latest[record.id] = item
    return list(latest.values()), fetched


def _order(item: _Incoming) -> tuple[bool, int, datetime]:
    version = item.record.version
    return (item.record.deleted, -1 if version is None else version, item.observed_at)


def _changed(cursor: Cursor, target: Target, items: list[_Incoming]) -> list[_Incoming]:
    """Of ``items`` those that are not held with the same content. Seen again because of an event,
    an unchanged row takes the later time of observation."""
    key = {"venue_id": target.venue_id, "account_id": target.account_id}
    cursor.execute(
        sql.SQL(_HELD).format(table=target.table),
        {
            **key,
            "ids": ID_SEPARATOR.join(item.record.id for item in items),
            "separator": ID_SEPARATOR,
        },
        binary=True,
    )
    held = {row[0]: row[1:] for row in cursor}
    changed, touched = [], []
    for item in items:
        if held.get(item.record.id) != (item.content_hash, False):
            changed.append(item)
        elif item.touch:
            touched.append(item)
    if touched:
        cursor.execute(
            sql.SQL(_TOUCH).format(table=target.table),
            {
                **key,
                "ids": [item.record.id for item in touched],
                "observed": [item.observed_at for item in touched],
            },
        )
    return changed


def _merge(cursor: Cursor, target: Target, items: list[_Incoming]) -> tuple[int, int]:
    """COPY into the session's staging table, then one merge: (inserted, updated)."""
    cursor.execute(_STAGE)
    with cursor.copy(_COPY) as copy:
        for start in range(0, len(items), COPY_ROWS):
            copy.write(_copy_data(items[start : start + COPY_ROWS]))
    cursor.execute(
        sql.SQL(_MERGE).format(table=target.table),
        {"venue_id": target.venue_id, "account_id": target.account_id},
    )
    counts = cursor.fetchone()
    assert counts is not None
    cursor.execute("TRUNCATE pg_temp.landing_stage")
    return counts[0], counts[1]


def _copy_data(items: Iterable[_Incoming]) -> bytes:
    """COPY's text format. Compact JSON holds no raw tab or newline: only backslashes need care."""
    parts: list[bytes] = []
    for item in items:
        record = item.record
        version = "\\N" if record.version is None else record.version
        parts += (
            record.id.translate(_COPY_ESCAPES).encode(),
            b"\t",
            _storable(record.payload).replace(b"\\", b"\\\\"),
            f"\t{version}\t{item.observed_at}\t\\\\x{item.content_hash.hex()}\n".encode(),
        )
    return b"".join(parts)


_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"})


def _bury(cursor: Cursor, target: Target, items: list[_Incoming]) -> int:
    cursor.execute(
        sql.SQL(_BURY).format(table=target.table),
        {
            "venue_id": target.venue_id,
            "account_id": target.account_id,
            "ids": [item.record.id for item in items],
            "payloads": [_storable(item.record.payload or b"{}").decode() for item in items],
            "versions": [item.record.version for item in items],
            "observed": [item.observed_at for item in items],
            "hashes": [item.content_hash for item in items],
        },
    )
    count = cursor.fetchone()
    assert count is not None
    return int(count[0])
