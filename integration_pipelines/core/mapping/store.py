"""Rules in `control.field_mappings`: in force, tried on a venue's own rows, changed, taken back.

Every function works in the caller's transaction, under the venue's scope, and commits nothing. A
change writes a version and never overwrites one; the venue's next build applies it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy import Connection as Session
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.expression import TableValuedAlias

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.mapping.defaults import default_rule
from integration_pipelines.core.mapping.rules import MOST_CUSTOM, Rule
from integration_pipelines.core.mapping.targets import CUSTOM, TARGETS
from integration_pipelines.core.tables import field_mappings

SAMPLED = 200
"""Rows that a rule is tried on before it is taken."""
SHOWN = 10
MOST_READ = 1000
SETTLES_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule makes of the venue's latest raw rows. ``rows`` were read, ``filled`` of them get
    a value, ``changed`` another than now: than the rule in force gives, else the one that ships;
    ``failures``: how many rows fail, by reason; ``kept_out``: rows that would not be in the entity
    for it; ``examples``: id, before, after and error of a few that change or fail."""

    rows: int
    filled: int
    changed: int
    failures: Mapping[str, int]
    kept_out: int
    examples: Sequence[Mapping[str, Any]]

    @property
    def words(self) -> str:
        """The numbers, for people."""
        told = f"of {self.rows} rows {self.filled} get a value, {self.changed} another than now"
        for reason, count in self.failures.items():
            told += f"; in {count} it {reason}"
        return f"{told}; {self.kept_out} would be kept out" if self.kept_out else told

    @property
    def why_refused(self) -> str | None:
        """Why the rule cannot hold: it fails on every row that it was tried on."""
        if not self.rows or sum(self.failures.values()) < self.rows:
            return None
        return f"{', '.join(sorted(self.failures))}, in all of the {self.rows} latest rows"


class NoSuchRule(ConfigurationError):
    """A field has no rule, or not that version of it."""


def rules_in_force(session: Session) -> list[Any]:
    """Rows of `control.field_mappings` that hold now, of the venue in scope."""
    held = field_mappings.c
    return list(
        session.execute(
            select(field_mappings)
            .where(_of_venue(), held.superseded_at.is_(None))
            .order_by(held.provider, held.target_table, held.target_field)
        )
    )


def versions(session: Session, provider: str, target_table: str, target_field: str) -> list[Any]:
    """All that a field's rule ever was, the latest first."""
    held = field_mappings.c
    return list(
        session.execute(
            select(field_mappings)
            .where(*_of(provider, target_table, target_field))
            .order_by(held.version.desc())
        )
    )


def sample(
    session: Session, provider: str, target_table: str, *, limit: int = SAMPLED
) -> list[Any]:
    """Payloads of the venue's latest raw rows that the entity is made from; where it is made of
    several streams, as many of each as there are."""
    return list(session.scalars(select(_sampled(provider, target_table, limit).c.payload)))


def preview(session: Session, rule: Rule, *, limit: int = SAMPLED) -> Preview:
    """Try a rule on the venue's latest rows; nothing is changed."""
    raw = _sampled(rule.provider, rule.target_table, limit)
    made = func.control.map_value(raw.c.payload, bindparam("new", rule.compiled(), JSONB))
    before, asked = _before(session, rule, raw)
    rows = session.execute(asked.add_columns(made.label("after"), before.label("before"))).all()
    failures: dict[str, int] = {}
    filled = changed = 0
    examples: list[dict[str, Any]] = []
    for row in rows:
        after, now = row.after, row.before or {"value": None}
        failed = after.get("error")
        if failed:
            failures[failed] = failures.get(failed, 0) + 1
        elif after["value"] is not None:
            filled += 1
        changed += after != now
        if len(examples) < SHOWN and after != now:
            examples.append(
                {
                    "id": row.id,
                    "before": now.get("value"),
                    "after": after.get("value"),
                    "error": failed,
                }
            )
    kept_out = sum(failures.values()) if rule.required else 0
    return Preview(len(rows), filled, changed, failures, kept_out, examples)


def _sampled(provider: str, target_table: str, limit: int) -> Subquery:
    target = TARGETS[target_table]
    only = bindparam("only", dict(target.only.get(provider, {})), JSONB)
    latest = [
        func.control.sample_raw(provider, stream, limit, only)
        .table_valued("id", column("payload", JSONB), with_ordinality="place")
        .render_derived()
        for stream in target.streams[provider]
    ]
    of_all = union_all(*map(select, latest)).subquery()
    return select(of_all).order_by(of_all.c.place).limit(limit).subquery()


def _before(session: Session, rule: Rule, raw: Subquery) -> tuple[ColumnElement[Any], Select[Any]]:
    """What a sampled row has in the rule's field now, as `control.map_value` gives it, and the
    query that it stands in."""
    field = (rule.provider, rule.target_table, rule.target_field)
    in_force = session.scalar(
        select(field_mappings.c.compiled).where(
            *_of(*field), field_mappings.c.superseded_at.is_(None)
        )
    )
    if in_force is None and not rule.target_field.startswith(CUSTOM):
        shipped = default_rule(*field)
        if shipped is None:
            # No rule could say it, as where it stands in other objects: as it was built last.
            rows = analysts_rows(rule.provider, rule.target_table)
            value = rows.c.record[rule.target_field].label("value")
            # Lines of a document are rows of one payload.
            built = select(rows.c.raw_id, value).distinct().subquery()
            return (
                func.jsonb_build_object("value", built.c.value, type_=JSONB),
                select(raw.c.id).select_from(raw.outerjoin(built, built.c.raw_id == raw.c.id)),
            )
        in_force = shipped.compiled()
    if in_force is None:
        return literal(None, JSONB), select(raw.c.id)
    return (
        func.control.map_value(raw.c.payload, bindparam("old", in_force, JSONB)),
        select(raw.c.id),
    )


def analysts_rows(provider: str, target_table: str) -> TableValuedAlias:
    """The latest rows of an entity, as analysts see them, of the venue in scope: ``raw_id`` and
    ``record``, the whole row as JSON; none before the first build."""
    rows: TableValuedAlias = func.control.sample_analytics(
        target_table, provider, MOST_READ
    ).table_valued("raw_id", column("record", JSONB))
    return rows


def found_by_analysts(
    session: Session, provider: str, target_table: str, target_field: str
) -> list[Any]:
    """What analysts find in a field now: ``source_id`` and ``value`` of a few of the latest rows
    that have one, lines of a document as one."""
    built = analysts_rows(provider, target_table)
    value = (
        built.c.record["custom_fields"][target_field.removeprefix(CUSTOM)]
        if target_field.startswith(CUSTOM)
        else built.c.record[target_field]
    )
    source_id = built.c.record["source_id"].astext
    read_at = func.max(built.c.record["raw_observed_at"].astext)
    return list(
        session.execute(
            select(source_id.label("source_id"), value.label("value"))
            .where(func.jsonb_typeof(value) != "null")
            .group_by(source_id, value)
            .order_by(read_at.desc(), source_id)
            .limit(SHOWN)
        )
    )


def set_rule(session: Session, venue_id: str, rule: Rule, *, by: str, reason: str | None) -> int:
    """Let ``rule`` hold from now on; its version. Raises ConfigurationError where every row that
    it was tried on fails, which names the field and why."""
    if why := preview(session, rule).why_refused:
        raise ConfigurationError(
            f"{rule.target_field}: what stands at {rule.source_path} {why}: mend source_path or "
            "transforms"
        )
    held = rules_in_force(session)
    mine = {
        row.target_field
        for row in held
        if row.target_table == rule.target_table and row.target_field.startswith(CUSTOM)
    }
    if rule.target_field.startswith(CUSTOM):
        if len(mine | {rule.target_field}) > MOST_CUSTOM:
            raise ConfigurationError(
                f"{rule.target_table} has {MOST_CUSTOM} fields of your own already: remove one"
            )
        for row in held:
            same = (row.target_table, row.target_field) == (rule.target_table, rule.target_field)
            if same and row.provider != rule.provider and row.type != rule.type:
                raise ConfigurationError(
                    f"{rule.target_field}: its type is {row.type} for {row.provider}; a field has "
                    "one type"
                )
    version = _supersede(session, rule.provider, rule.target_table, rule.target_field) + 1
    session.execute(
        insert(field_mappings).values(
            venue_id=venue_id,
            provider=rule.provider,
            target_table=rule.target_table,
            target_field=rule.target_field,
            version=version,
            source_path=rule.source_path,
            transforms=[step.model_dump(mode="json") for step in rule.transforms],
            default_value=rule.default,
            required=rule.required,
            type=rule.type,
            compiled=rule.compiled(),
            created_by=by,
            reason=reason,
        )
    )
    return version


def remove_rule(session: Session, provider: str, target_table: str, target_field: str) -> None:
    """Let what ships by default hold again. Raises NoSuchRule where no rule is in force."""
    in_force = [
        row
        for row in rules_in_force(session)
        if (row.provider, row.target_table, row.target_field)
        == (provider, target_table, target_field)
    ]
    if not in_force:
        raise NoSuchRule(f"{provider} {target_table}.{target_field} has no rule to remove")
    _supersede(session, provider, target_table, target_field)


def roll_back(
    session: Session,
    venue_id: str,
    provider: str,
    target_table: str,
    target_field: str,
    *,
    to: int,
    by: str,
    reason: str | None,
) -> int:
    """Let an earlier version hold again, as a new one; its number. Raises NoSuchRule."""
    for row in versions(session, provider, target_table, target_field):
        if row.version == to:
            return set_rule(session, venue_id, as_rule(row), by=by, reason=reason)
    raise NoSuchRule(f"{provider} {target_table}.{target_field} has no version {to}")


def waits_for_build() -> ColumnElement[bool]:
    """Whether a row of `control.field_mappings` tells of a change that no build has applied."""
    held = field_mappings.c
    return held.applied_at.is_(None) | (held.applied_at < held.superseded_at)


def mark_applied(session: Session, *, by_build_of: datetime) -> None:
    """Note that a build which began at that instant applied what had changed before, of the venue
    in scope. What changed in its last seconds may not have been committed: it is built again."""
    held = field_mappings.c
    before = by_build_of - SETTLES_WITHIN
    session.execute(
        update(field_mappings)
        .where(
            _of_venue(),
            waits_for_build(),
            func.coalesce(held.superseded_at, held.created_at) < before,
        )
        .values(applied_at=by_build_of)
    )


def as_rule(row: Any) -> Rule:
    """The rule that a row of `control.field_mappings` holds."""
    return Rule.model_validate(
        {
            "provider": row.provider,
            "target_table": row.target_table,
            "target_field": row.target_field,
            "source_path": row.source_path,
            "transforms": row.transforms,
            "default": row.default_value,
            "required": row.required,
            "type": row.type,
        }
    )


def _supersede(session: Session, provider: str, target_table: str, target_field: str) -> int:
    """End the rule in force; the latest version there was."""
    held = field_mappings.c
    # Two at once would both be the next version.
    key = func.hashtextextended(f"{provider}/{target_table}/{target_field}", 0)
    session.execute(select(func.pg_advisory_xact_lock(key)))
    of_field = _of(provider, target_table, target_field)
    session.execute(
        update(field_mappings)
        .where(*of_field, held.superseded_at.is_(None))
        .values(superseded_at=func.now())
    )
    latest: int | None = session.scalar(select(func.max(held.version)).where(*of_field))
    return latest or 0


def _of(provider: str, target_table: str, target_field: str) -> list[ColumnElement[bool]]:
    held = field_mappings.c
    return [
        _of_venue(),
        held.provider == provider,
        held.target_table == target_table,
        held.target_field == target_field,
    ]


def _of_venue() -> ColumnElement[bool]:
    """Of the venue in scope, also for a role that reads across venues."""
    return field_mappings.c.venue_id == func.current_setting("app.venue_id", True)
