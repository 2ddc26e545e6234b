"""The fields that payloads have, by venue and stream: new ones, ones of another type, ones that are
gone. Providers change what they send without a word, and what people type at them even more.

A look reads the rows that changed since the last one. What the first look finds is how the stream
is; what a later one finds is new. A field is gone where so many rows lack it as, by how often it
was there before, is no chance.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.events.masking import UNTOLD, masked, masked_name
from integration_pipelines.core.mapping import PLAIN_NAME, TARGETS, steps_of
from integration_pipelines.core.tables import field_looks, field_mappings, raw_fields, raw_table

AT_MOST = 20_000
"""Rows of a stream that one look goes on by, and those of their last instant; the next goes on."""
LOOKBACK = timedelta(minutes=10)
"""A row counts from the beginning of the transaction that wrote it, which may have ended later."""
FIELDS_AT_MOST = 2_000
"""Of a stream: where names are made up by people there is no end of them."""
CHANGES_AT_MOST = 1_000
DEEPEST, LONGEST, SAMPLE = 12, 200, 80
NO_CHANCE = 1e-6

_TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A field that appeared, changed its type or vanished, at some of the venues. ``types``: all
    that it has had, the newest last; ``sample``: a value of the newest, masked."""

    provider: str
    stream: str
    path: str
    what: str
    at: datetime
    types: list[str]
    venues: list[str]
    sample: str | None


@dataclass(frozen=True, slots=True)
class Missing:
    """A venue's rule whose field has vanished from its rows."""

    venue_id: str
    provider: str
    target: str
    stream: str
    path: str
    vanished_at: datetime

    @property
    def words(self) -> str:
        """What is wrong, by name."""
        return (
            f"{self.venue_id}: {self.target} reads {self.path} of {self.provider}'s {self.stream}, "
            f"which is in no row since {self.vanished_at:%Y-%m-%d}"
        )


def changed_streams(session: Connection) -> list[tuple[str, str, str]]:
    """Venue, provider and stream of whatever has changed since it was looked at."""
    return [(row.venue_id, row.provider, row.stream) for row in session.execute(_CHANGED)]


_CHANGED = text(
    """
    SELECT DISTINCT venue_id, provider, stream
    FROM control.sync_cursors
    JOIN control.connections USING (venue_id, connection_id)
    LEFT JOIN control.field_looks AS look USING (venue_id, provider, stream)
    CROSS JOIN LATERAL (
        -- One that is under way has not ended, and comes first.
        SELECT coalesce(log.finished_at, 'infinity') AS at
        FROM control.sync_logs AS log
        WHERE log.venue_id = connections.venue_id AND log.provider = connections.provider
            AND log.stream = sync_cursors.stream AND log.inserted + log.updated > 0
        ORDER BY log.finished_at DESC
        LIMIT 1
    ) AS changed
    WHERE look.looked_to IS NULL OR changed.at > look.looked_to
    ORDER BY venue_id, provider, stream
    """
)


def look(engine: Engine, *, venue_id: str, provider: str, stream: str) -> int:
    """Read what changed of a venue's stream since the last look, and note its fields; how many rows
    that were. One transaction: a look that fails is made again."""
    raw = raw_table(provider, stream).c
    key = {"venue_id": venue_id, "provider": provider, "stream": stream}
    with engine.begin() as session:
        venue_scope(session, venue_id)
        before = session.execute(select(field_looks).filter_by(**key)).one_or_none()
        wanted = fresh = raw.venue_id == venue_id
        if before is not None:
            # Only fresh rows count against AT_MOST, so that each look ends later than the last.
            fresh &= raw.last_changed_at > before.looked_to
            wanted &= raw.last_changed_at > before.looked_to - LOOKBACK
        last = (
            select(raw.last_changed_at)
            .where(fresh)
            .order_by(raw.last_changed_at)
            .offset(AT_MOST - 1)
            .limit(1)
        )
        until = session.scalar(last) or session.scalar(select(func.now()))
        found = session.execute(
            select(raw.payload, raw.last_changed_at).where(wanted, raw.last_changed_at <= until),
            execution_options={"stream_results": True},
        )
        seen = _Seen()
        for row in found:
            seen.add(row.payload, row.last_changed_at)
        if seen.rows:
            _note(session, key, seen, before)
        looked = insert(field_looks).values(**key, looked_to=until, rows=seen.rows)
        session.execute(
            looked.on_conflict_do_update(
                index_elements=list(key),
                set_={"looked_to": until, "rows": field_looks.c.rows + seen.rows},
            )
        )
    return seen.rows


@dataclass(slots=True)
class _Field:
    rows: int
    first_seen_at: datetime
    last_seen_at: datetime
    sample: str | None


@dataclass(slots=True)
class _Seen:
    """Fields of some rows, by path and type."""

    rows: int = 0
    fields: dict[tuple[str, str], _Field] = field(default_factory=dict)

    def add(self, payload: Any, at: datetime) -> None:
        self.rows += 1
        for key, value in dict(fields_of(payload)).items():
            held = self.fields.get(key)
            if held is not None:
                held.rows += 1
                held.first_seen_at = min(held.first_seen_at, at)
                held.last_seen_at = max(held.last_seen_at, at)
            elif len(self.fields) < FIELDS_AT_MOST:
                self.fields[key] = _Field(1, at, at, _sample(key[0], value))


def fields_of(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[tuple[str, str], Any]]:
    """(path, type) of every field of a payload, each with a value: `lines[].amount` is what any
    element of a list has, and names that people typed are masked. The same field may come several
    times."""
    if isinstance(value, dict):
        inner = [(f"{path}.{_name(name)}" if path else _name(name), v) for name, v in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[]", each) for each in value]
    else:
        return
    for name, each in inner:
        if len(name) <= LONGEST and depth < DEEPEST:
            yield (name, _TYPES[type(each)]), each
            yield from fields_of(each, name, depth + 1)


@lru_cache(maxsize=10_000)
def _name(name: str) -> str:
    shown = masked_name(name)
    return shown if re.fullmatch(PLAIN_NAME, shown) else json.dumps(shown, ensure_ascii=False)


def _sample(path: str, value: Any) -> str | None:
    # What is personal shows from the names above a value, and one of these is not known here.
    if isinstance(value, dict | list) or value is None or UNTOLD in path:
        return None
    for name in reversed(path.split(".")):
        value = {name.removesuffix("[]"): value}
    shown = masked(value)
    while isinstance(shown, dict):
        (shown,) = shown.values()
    return str(shown)[:SAMPLE]


def _note(session: Connection, key: dict[str, str], seen: _Seen, before: Row[Any] | None) -> None:
    held = raw_fields.c
    of_stream = (
        (held.venue_id == key["venue_id"])
        & (held.provider == key["provider"])
        & (held.stream == key["stream"])
    )
    known = session.execute(select(raw_fields).where(of_stream)).all()
    there = {path for path, _ in seen.fields}
    total = (before.rows if before else 0) + 1
    times: dict[str, int] = {}
    for row in known:
        if row.vanished_at is None:
            times[row.path] = times.get(row.path, 0) + row.rows
    gone = [
        path
        for path, rows in times.items()
        if path not in there and max(0.0, 1 - rows / total) ** seen.rows < NO_CHANCE
    ]
    if gone:
        session.execute(
            update(raw_fields)
            .where(of_stream, held.path.in_(gone), held.vanished_at.is_(None))
            .values(vanished_at=func.now())
        )
    back = [row.path for row in known if row.vanished_at is not None and row.path in there]
    if back:
        # A field is there whichever of its types came.
        session.execute(
            update(raw_fields).where(of_stream, held.path.in_(back)).values(vanished_at=None)
        )
    room = max(0, FIELDS_AT_MOST - len(known))
    names = {(row.path, row.type) for row in known}
    fresh = [name for name in seen.fields if name not in names][:room]
    noted = [name for name in seen.fields if name in names] + fresh
    if not noted:
        return
    statement = insert(raw_fields)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[held.venue_id, held.provider, held.stream, held.path, held.type],
            set_={
                "rows": held.rows + statement.excluded.rows,
                "last_seen_at": func.greatest(held.last_seen_at, statement.excluded.last_seen_at),
            },
        ),
        [
            {
                **key,
                "path": path,
                "type": type_,
                "rows": one.rows,
                "is_initial": before is None,
                "first_seen_at": one.first_seen_at,
                "last_seen_at": one.last_seen_at,
                "sample": one.sample,
            }
            for path, type_ in noted
            for one in [seen.fields[path, type_]]
        ],
    )


def changes(
    session: Connection,
    *,
    since: datetime,
    providers: Collection[str] | None = None,
    stream: str | None = None,
    venue_ids: Collection[str] | None = None,
) -> list[Change]:
    """What appeared, changed its type or vanished since then, the newest first and at most
    CHANGES_AT_MOST. Venues of which the same is true are told together."""
    asked = {
        "since": since,
        "providers": None if providers is None else list(providers),
        "stream": stream,
        "venue_ids": None if venue_ids is None else list(venue_ids),
        "at_most": CHANGES_AT_MOST,
    }
    return [Change(**row._mapping) for row in session.execute(_CHANGES, asked)]


_CHANGES = text(
    """
    WITH touched AS (
        SELECT venue_id, provider, stream, path FROM control.raw_fields
        WHERE NOT is_initial AND first_seen_at >= :since
        UNION
        SELECT venue_id, provider, stream, path FROM control.raw_fields
        WHERE vanished_at >= :since
    ),
    field AS (
        SELECT *, lag(type) OVER earlier AS before,
            array_agg(type) OVER earlier AS types
        FROM touched JOIN control.raw_fields USING (venue_id, provider, stream, path)
        WHERE type <> 'null'
            AND (CAST(:providers AS text[]) IS NULL OR provider = ANY (:providers))
            AND (CAST(:stream AS text) IS NULL OR stream = :stream)
            AND (CAST(:venue_ids AS text[]) IS NULL OR venue_id = ANY (:venue_ids))
        WINDOW earlier AS (
            PARTITION BY venue_id, provider, stream, path ORDER BY first_seen_at, type
        )
    ),
    change AS (
        SELECT provider, stream, path, types, venue_id, sample, first_seen_at AS at,
            CASE WHEN before IS NULL THEN 'new' ELSE 'retyped' END AS what
        FROM field WHERE NOT is_initial AND first_seen_at >= :since
        UNION ALL
        SELECT provider, stream, path, types, venue_id, sample, vanished_at, 'vanished'
        FROM field WHERE vanished_at >= :since
    )
    SELECT provider, stream, path, what, min(at) AS at, types,
        array_agg(DISTINCT venue_id) AS venues, (array_agg(sample ORDER BY at DESC))[1] AS sample
    FROM change GROUP BY provider, stream, path, what, types
    ORDER BY at DESC, provider, stream, path
    LIMIT :at_most
    """
)


def missing(
    session: Connection,
    *,
    providers: Collection[str] | None = None,
    stream: str | None = None,
    venue_ids: Collection[str] | None = None,
) -> list[Missing]:
    """Rules in force, of venues that the session sees, that read a field which has vanished."""
    vanished = select(raw_fields).where(raw_fields.c.vanished_at.is_not(None))
    if providers is not None:
        vanished = vanished.where(raw_fields.c.provider.in_(providers))
    if stream is not None:
        vanished = vanished.where(raw_fields.c.stream == stream)
    if venue_ids is not None:
        vanished = vanished.where(raw_fields.c.venue_id.in_(venue_ids))
    gone = {
        (row.venue_id, row.provider, row.stream, row.path): row.vanished_at
        for row in session.execute(vanished)
    }
    found = []
    in_force = select(field_mappings).where(field_mappings.c.superseded_at.is_(None))
    for rule in session.execute(in_force.order_by(*field_mappings.primary_key)):
        path = as_seen(rule.source_path)
        for stream in TARGETS[rule.target_table].streams[rule.provider]:
            if at := gone.get((rule.venue_id, rule.provider, stream, path)):
                target = f"{rule.target_table}.{rule.target_field}"
                found.append(Missing(rule.venue_id, rule.provider, target, stream, path, at))
    return found


def as_seen(source_path: str) -> str:
    """A rule's path as fields are noted: any element of a list stands for all, and names that
    people typed are masked."""
    noted = ""
    for step in steps_of(source_path):
        noted += f"{'.' if noted else ''}{_name(step)}" if isinstance(step, str) else "[]"
    return noted
