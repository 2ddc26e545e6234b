"""Rows on which a venue's mapping fails, as its latest published build found them.

A build keeps out of an entity what lacks a field that its rule requires; where an optional field
fails it is null, and the row is in. Either stands in `control.quarantine` until a build finds it
mended, in the provider's data or in the rule.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection as Session
from sqlalchemy import column, func, select, true

from integration_pipelines.core.tables import quarantine

held = quarantine.c


class Failure(NamedTuple):
    """A field of an entity whose rule fails on ``rows`` rows of a venue's, for one reason;
    ``kept_out`` of them are not in the entity. ``example``: the raw id of one."""

    venue_id: str
    provider: str
    target_table: str
    field: str
    reason: str
    rows: int
    kept_out: int
    example: str

    @property
    def words(self) -> str:
        """Which field of whom, why, and what follows."""
        where = f"{self.venue_id}/{self.provider} {self.target_table}.{self.field}"
        count = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        out = f"{self.kept_out:,} kept out" if self.kept_out else "null there"
        return f"{where}: in {count} it {self.reason}; {out}"


class Quarantined(NamedTuple):
    """One row: where it comes from, and by field why."""

    target_table: str
    provider: str
    account_id: str
    source_id: str
    raw_table: str
    raw_id: str
    errors: Mapping[str, str]
    kept_out: bool
    mapping_version: int
    since: datetime


def count_failures(
    session: Session,
    venue_ids: Collection[str] | None = None,
    *,
    provider: str | None = None,
    target_table: str | None = None,
    field: str | None = None,
) -> list[Failure]:
    """What fails, of the venues in scope (of ``venue_ids``, and of the provider, entity and field,
    where they are given): what keeps most rows out first."""
    each = func.jsonb_each_text(held.errors).table_valued(column("key"), column("value")).lateral()
    rows, out = func.count(), func.count().filter(held.kept_out)
    key = (held.venue_id, held.provider, held.target_table, each.c.key, each.c.value)
    asked = (
        select(*key, rows, out, func.min(held.raw_id))
        .select_from(quarantine.join(each, true()))
        .group_by(*key)
        .order_by(out.desc(), rows.desc(), *key)
    )
    if venue_ids is not None:
        asked = asked.where(held.venue_id.in_(venue_ids))
    for of, given in (
        (held.provider, provider),
        (held.target_table, target_table),
        (each.c.key, field),
    ):
        if given is not None:
            asked = asked.where(of == given)
    return [Failure._make(row) for row in session.execute(asked)]


def find_quarantined(
    session: Session, venue_id: str, *, provider: str | None = None, limit: int = 100
) -> list[Quarantined]:
    """Rows of the venue's on which a mapping fails: those kept out first, then the latest."""
    asked = (
        select(*(held[name] for name in Quarantined._fields))
        .where(held.venue_id == venue_id)
        .order_by(held.kept_out.desc(), held.since.desc(), held.target_table, held.source_id)
        .limit(limit)
    )
    if provider is not None:
        asked = asked.where(held.provider == provider)
    return [Quarantined._make(row) for row in session.execute(asked)]
