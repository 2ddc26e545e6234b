"""From a figure to what it is made of: rows of a mart, the canonical rows that add up to them, the
rules that mapped those, the payloads they were read from, the sync or webhook that brought them.

What a mart is made of stands beside it in the project, as `meta.made_of`: a table, by which columns
its rows are found (``by``: the mart's to the part's), which of them count (``where``, a condition
of the project's own), for which of the mart's rows (``when``), and which columns add up to which
(``sums``). Knows no Dagster.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.events.masking import masked
from integration_pipelines.defs.dbt_build import project

DEEP = 3
"""Marts are made of marts no more often than this."""
OUR_WORDS = frozenset(
    [
        "provider",
        "providers",
        "matched_by",
        "alert",
        "breaker",
        "period",
        "mapping_errors",
        "failing_streams",
        "error_kinds",
        "stale_tables",
        "billing_interval",
        "classification",
    ]
)
"""Columns of text in which models and providers speak, and never people."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table that a mart is made of."""

    table: str
    by: Mapping[str, str]
    where: str = "true"
    when: Mapping[str, str | None] = field(default_factory=dict)
    sums: Mapping[str, str] = field(default_factory=dict)


def explainable() -> list[str]:
    """Tables of analytics and marts, as analysts name them."""
    return sorted(project().label(unique_id) for unique_id in project().tables)


def parts_of(table: str) -> list[Part]:
    """What a mart says it is made of; nothing for a canonical table."""
    node = project().node(_unique_id(table))
    return [
        Part(
            _label(declared["table"]),
            _pairs(declared["by"]),
            declared.get("where", "true"),
            declared.get("when", {}),
            _pairs(declared.get("sums", {})),
        )
        for declared in node["config"]["meta"].get("made_of", ())
    ]


def explain(
    analyst: Connection,
    pipeline: Connection,
    *,
    table: str,
    venue_id: str,
    chosen: Mapping[str, str],
    at_most: int,
) -> list[dict[str, Any]]:
    """The venue's rows of ``table`` in which columns are as ``chosen``, at most so many of them and
    of what each is made of, as nested dicts (see the module).

    ``analyst`` reads tables, ``pipeline``, in the scope of the venue, what is below them. Raises
    ConfigurationError for an unknown table or column, for another venue chosen by column, and for a
    value that is none of its type.
    """
    if "venue_id" in chosen:
        raise ConfigurationError(f"venue_id is {venue_id}: a key cannot choose another venue")
    types = _columns(analyst, table)
    for column, value in chosen.items():
        if column not in types:
            raise ConfigurationError(f"{table} has no column {column}: it has {', '.join(types)}")
        if not analyst.scalar(_IS_VALID, {"value": value, "type": types[column]}):
            raise ConfigurationError(f"{column} is a {types[column]}, and {value!r} is none")
    wanted = [f"{name} = CAST(:{name} AS {types[name]})" for name in chosen]
    rows = _select(analyst, table, ["venue_id = :venue_id", *wanted], at_most, venue_id, chosen)
    walk = _Walk(analyst, pipeline, venue_id, at_most)
    return [walk.row(table, row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Walk:
    analyst: Connection
    pipeline: Connection
    venue_id: str
    at_most: int

    def row(self, table: str, row: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        """A row with what it is made of."""
        found: dict[str, Any] = {"table": table, "row": _shown(row)}
        if row.get("raw_id") is not None:
            return found | self._origin(table, row)
        parts = [
            part
            for part in parts_of(table)
            if depth < DEEP and all(row[name] == value for name, value in part.when.items())
        ]
        made_of = [self._part(part, row, depth) for part in parts]
        found["made_of"] = made_of
        for name in dict.fromkeys(name for part in parts for name in part.sums):
            if row[name] is None:
                continue
            total = sum(each["sums"].get(name) or 0 for each in made_of)
            found.setdefault("adds_up", {})[name] = total == row[name]
        return found

    def _part(self, part: Part, row: Mapping[str, Any], depth: int) -> dict[str, Any]:
        types = _columns(self.analyst, part.table)
        wanted = [f"({part.where})", "venue_id = :venue_id"]
        wanted += [f"{theirs} = CAST(:{theirs} AS {types[theirs]})" for theirs in part.by.values()]
        values = {theirs: row[ours] for ours, theirs in part.by.items()}
        sums = ", ".join(f"sum({theirs}) AS {ours}" for ours, theirs in part.sums.items())
        totals = self.analyst.execute(
            text(
                f"SELECT count(*) AS rows{', ' if sums else ''}{sums} FROM {part.table}"
                f" WHERE {' AND '.join(wanted)}"
            ),
            {"venue_id": self.venue_id} | values,
        ).one()
        rows = _select(self.analyst, part.table, wanted, self.at_most, self.venue_id, values)
        return {
            "table": part.table,
            "rows": totals.rows,
            "sums": {name: getattr(totals, name) for name in part.sums},
            "examples": [self.row(part.table, each, depth + 1) for each in rows],
        }

    def _origin(self, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Rules and payloads that a canonical row was made from. Where an id is another entity's
        too, the payload's hash tells them apart."""
        raw = [*self._payloads(table, row)]
        unchanged = [each for each in raw if each["is_as_built"]]
        return {"rules": [*self._rules(table, row)], "raw": unchanged or raw}

    def _rules(self, table: str, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        if row.get("mapping_version") is None:
            return
        query = text(
            "SELECT target_field AS field, version, source_path, created_by, created_at, reason"
            " FROM control.field_mappings WHERE venue_id = :venue_id AND provider = :provider"
            " AND target_table = :name AND version <= :version"
            " AND (superseded_at IS NULL OR superseded_at > applied_at) ORDER BY field, version"
        )
        values = {
            "venue_id": self.venue_id,
            "provider": row["provider"],
            "name": table.partition(".")[2],
            "version": row["mapping_version"],
        }
        newest = {each.field: dict(each._mapping) for each in self.pipeline.execute(query, values)}
        yield from newest.values()

    def _payloads(self, table: str, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        schema = f"raw_{row['provider']}"
        sources = (project().key(each) for each in project().sources_of(_unique_id(table)))
        for stream in sorted(name for of, name in sources if of == schema):
            query = text(
                "SELECT id, payload, observed_at, first_seen_at, last_changed_at, deleted_at,"
                f" content_hash = :hash AS is_as_built FROM {schema}.{stream}"
                " WHERE venue_id = :venue_id AND account_id = :account_id AND id = :id"
            )
            values = {
                "venue_id": self.venue_id,
                "account_id": row["account_id"],
                "id": row["raw_id"],
                "hash": row["raw_content_hash"],
            }
            for found in self.pipeline.execute(query, values).mappings():
                yield {
                    "table": f"{schema}.{stream}",
                    **found,
                    "payload": masked(found["payload"]),
                    "brought_by": self._brought(row, stream, found["last_changed_at"]),
                }

    def _brought(
        self, row: Mapping[str, Any], stream: str, changed_at: object
    ) -> dict[str, Any] | None:
        """The webhooks that were done with in the transaction that changed the row, else the sync
        under way then; None where their record has been cleared away."""
        values = {
            "venue_id": self.venue_id,
            "provider": row["provider"],
            "account_id": row["account_id"],
            "stream": stream,
            "changed_at": changed_at,
        }
        sync = self.pipeline.execute(_SYNC, values).mappings().one_or_none()
        webhooks = [dict(each) for each in self.pipeline.execute(_WEBHOOKS, values).mappings()]
        if sync is None and not webhooks:
            return None
        return {"sync": dict(sync) if sync else None, "webhooks": webhooks}


_IS_VALID = text("SELECT pg_input_is_valid(:value, :type)")
_COLUMNS = text(
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
    " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_SYNC = text(
    "SELECT sync_id, mode, outcome, run_id, started_at FROM control.sync_logs"
    " WHERE venue_id = :venue_id AND provider = :provider AND account_id = :account_id"
    " AND stream = :stream AND started_at <= :changed_at"
    " AND coalesce(finished_at, 'infinity') >= :changed_at ORDER BY started_at DESC LIMIT 1"
)
_WEBHOOKS = text(
    "SELECT webhook_id, event_id, event_type, received_at FROM control.integration_webhooks"
    " WHERE venue_id = :venue_id AND provider = :provider AND account_id = :account_id"
    " AND processed_at = :changed_at AND status = 'done' ORDER BY webhook_id"
)


def _select(
    session: Connection,
    table: str,
    wanted: Sequence[str],
    at_most: int,
    venue_id: str,
    values: Mapping[str, Any],
) -> list[Mapping[str, Any]]:
    query = text(f"SELECT * FROM {table} WHERE {' AND '.join(wanted)} ORDER BY 1, 2, 3, 4 LIMIT :n")
    found = session.execute(query, {"venue_id": venue_id, "n": at_most} | dict(values))
    return [dict(each) for each in found.mappings()]


def _columns(session: Connection, table: str) -> dict[str, str]:
    """Columns of a table that is there, and their types."""
    _unique_id(table)
    found = {row[0]: row[1] for row in session.execute(_COLUMNS, {"table": table})}
    if not found:
        raise ConfigurationError(f"{table} is not there yet: the first build makes it")
    return found


def _unique_id(table: str) -> str:
    """Raises ConfigurationError where the project has no such table."""
    for unique_id in project().tables:
        if project().label(unique_id) == table:
            return unique_id
    raise ConfigurationError(f"there is no table {table}: there are {', '.join(explainable())}")


def _label(name: str) -> str:
    """A model's name with its schema."""
    labels = (project().label(unique_id) for unique_id in project().tables)
    return next(label for label in labels if label.partition(".")[2] == name)


def _pairs(declared: Mapping[str, str] | Sequence[str]) -> Mapping[str, str]:
    """Columns by the name they have there: a list has the same on both sides."""
    return declared if isinstance(declared, Mapping) else {name: name for name in declared}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row, masked as payloads are, without what is said of it elsewhere and what is not there."""
    return {
        name: _told(name, value)
        for name, value in row.items()
        if value is not None and name not in ("raw_content_hash", "raw_id", "raw_observed_at")
    }


def _told(name: str, value: Any) -> Any:
    """A column's value. Only texts and JSON hold what people typed: other types are amounts, times
    and counts."""
    match value:
        case bytes():
            return value.hex()
        case str() | list() | dict() if not name.endswith("_id") and name not in OUR_WORDS:
            return masked({name: value})[name]
        case _:
            return value
