"""`every_row_mapped`: rows on which a venue's field mapping fails, by venue and field, and why.

A build keeps rows that lack what their venue requires out of their table (see core.mapping). Read
from `control.quarantine`, so it speaks of every venue, whichever of them a build was about.
"""

from typing import Any

import dagster as dg
from sqlalchemy import Connection as Session

from integration_pipelines.core.mapping import count_failures
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline

QUARANTINE = dg.AssetSpec(
    dg.AssetKey(["control", "quarantine"]),
    group_name="control",
    description="Rows on which a venue's field mapping fails, as its published build found them.",
    kinds={"postgres"},
)
NAME = "every_row_mapped"


def evaluate(session: Session) -> dg.AssetCheckResult:
    """The check, over all venues: an error where rows are kept out, else a warning."""
    failures = count_failures(session)
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
        metadata["failures"] = table(rows)
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
