"""`every_venue_published`: which venues' tables are not of their latest build, and why.

A build publishes the venues whose rows pass its tests (see dbt_build); of the others analysts go on
seeing the rows of before. Read from `control.publications`, so it speaks of every venue, whichever
of them a build was about.
"""

from typing import Any

import dagster as dg
from sqlalchemy import Connection as Session

from integration_pipelines.core.status import read_stale
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline

PUBLICATIONS = dg.AssetSpec(
    dg.AssetKey(["control", "publications"]),
    group_name="control",
    description="Of which build each venue's canonical tables are.",
    kinds={"postgres"},
)
NAME = "every_venue_published"


def evaluate(session: Session) -> dg.AssetCheckResult:
    """The check, over all venues."""
    stale = read_stale(session)
    rows: list[dict[str, str | int]] = [
        {
            "venue": each.venue_id,
            "tables": each.tables,
            "stale since": f"{each.since:%Y-%m-%d %H:%M} UTC",
            "rows of": f"{each.published_at or 'nothing'}",
            "why": "; ".join(each.reasons),
        }
        for each in stale
    ]
    metadata: dict[str, Any] = {"stale_venues": len(rows)}
    if rows:
        metadata["venues"] = table(rows)
    return dg.AssetCheckResult(
        asset_key=PUBLICATIONS.key,
        check_name=NAME,
        passed=not rows,
        description=(
            f"{len(rows)} venues keep earlier rows: {stale[0].words}"
            if rows
            else "every venue's tables are of its latest build"
        ),
        metadata=metadata,
    )


@dg.asset_check(
    asset=PUBLICATIONS.key,
    name=NAME,
    description=(
        "Every venue's rows passed the tests of its latest build, and are what analysts see. Red "
        "names the venues that keep earlier rows, and why. Told after each build."
    ),
)
def every_venue_published(pipeline: Pipeline) -> dg.AssetCheckResult:
    """Asked by hand."""
    with pipeline.engine.connect() as session:
        return evaluate(session)
