"""`every_row_mapped`: rows on which a venue's field mapping fails, by venue and field, and why.

A build keeps rows that lack what their venue requires out of their table (see core.mapping). It
speaks of every venue, whichever of them a build was about: of the build's own it reads
`control.quarantine`, of others what was told last.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import dagster as dg
from sqlalchemy import Connection as Session

from integration_pipelines.core.mapping import Failure, count_failures
from integration_pipelines.defs.records import NAMED_AT_MOST, table
from integration_pipelines.defs.resources import Pipeline

QUARANTINE = dg.AssetSpec(
    dg.AssetKey(["control", "quarantine"]),
    group_name="control",
    description="Rows on which a venue's field mapping fails, as its published build found them.",
    kinds={"postgres"},
)
NAME = "every_row_mapped"
KEY = dg.AssetCheckKey(QUARANTINE.key, NAME)
FAILURES = "failures"


def evaluate(
    session: Session,
    venue_ids: Collection[str] | None = None,
    *,
    of_others: Iterable[Failure] = (),
) -> dg.AssetCheckResult:
    """The check: an error where rows are kept out, else a warning. Of ``venue_ids``, where they are
    given, with what is known ``of_others``; else of all venues."""
    failures = [*of_others, *count_failures(session, venue_ids)]
    failures.sort(key=lambda each: (-each.kept_out, -each.rows, each))
    rows: list[dict[str, str | int]] = [
        {
            "venue": each.venue_id,
            "provider": each.provider,
            "field": f"{each.target_table}.{each.field}",
            "why": each.reason,
            "rows": each.rows,
            "kept out": each.kept_out,
            "raw id of one": each.example,
        }
        for each in failures
    ]
    metadata: dict[str, Any] = {
        "failing_venues": len({each.venue_id for each in failures}),
        "venues_with_rows_kept_out": len({each.venue_id for each in failures if each.kept_out}),
    }
    if rows:
        metadata[FAILURES] = table(rows)
    return dg.AssetCheckResult(
        asset_key=QUARANTINE.key,
        check_name=NAME,
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR
        if any(each.kept_out for each in failures)
        else dg.AssetCheckSeverity.WARN,
        description=(
            f"{metadata['failing_venues']} venues: {failures[0].words}"
            if rows
            else "what venues map can be read in every row"
        ),
        metadata=metadata,
    )


def read_failures(metadata: Mapping[str, Any]) -> list[Failure] | None:
    """What an evaluation told, out of its metadata; None where that may not hold all of it."""
    told = metadata.get(FAILURES)
    if not isinstance(told, dg.TableMetadataValue):
        return []
    if len(told.records) >= NAMED_AT_MOST:
        return None
    found = []
    for row in (record.data for record in told.records):
        entity, _, field = str(row["field"]).partition(".")
        found.append(
            Failure(
                venue_id=str(row["venue"]),
                provider=str(row["provider"]),
                target_table=entity,
                field=field,
                reason=str(row["why"]),
                rows=int(row["rows"] or 0),
                kept_out=int(row["kept out"] or 0),
                example=str(row["raw id of one"]),
            )
        )
    return found


@dg.asset_check(
    asset=QUARANTINE.key,
    name=NAME,
    description=(
        "Venues' own field mappings can be applied to every row. An error where a required field "
        "keeps rows out of their table, a warning where a field is null for it. Told after each "
        "build."
    ),
)
def every_row_mapped(pipeline: Pipeline) -> dg.AssetCheckResult:
    """Asked by hand."""
    with pipeline.engine.connect() as session:
        return evaluate(session)
