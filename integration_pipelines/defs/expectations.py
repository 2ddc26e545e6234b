"""`meets_expectations`, one check a canonical table: whether what is published looks as it did.

dbt's tests hold rows to their keys, references and accepted values before these are published.
This looks at what is, and holds back nothing: volumes, sums, distributions and formats, see suites.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import dagster as dg

from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.settings import Settings
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.defs.suites import SUITES, Verdict, evaluate, last_complete_week

NAME = "meets_expectations"
TABLES = {dg.AssetKey(["analytics", suite.table]): suite for suite in SUITES}


@dg.multi_asset_check(
    name="expectations",
    specs=[
        dg.AssetCheckSpec(
            NAME,
            asset=key,
            description="No venue's last week is far from its weeks before, in rows, amounts and "
            "shares, and what people typed is well-formed. Figures and shapes alone are shown: a "
            "letter is an x, a digit a 9.",
        )
        for key in TABLES
    ],
    can_subset=True,
)
def meets_expectations(
    context: dg.AssetCheckExecutionContext, pipeline: Pipeline
) -> Iterator[dg.AssetCheckResult]:
    """A look at the selected tables, as the analyst of all venues, and Data Docs of it."""
    selected = {key.asset_key for key in context.selected_asset_check_keys}
    engine = create_engine(
        pipeline.settings, Role.ANALYST_ALL, application_name="expectations", pool_size=1
    )
    with engine.connect() as session:
        verdicts = evaluate(
            session,
            [suite for key, suite in TABLES.items() if key in selected],
            week=last_complete_week(datetime.now(UTC).date()),
            docs=pipeline.settings.data_docs_path,
        )
    engine.dispose()
    for verdict in verdicts:
        yield _result(verdict, link=_link(pipeline.settings, verdict.page))


def _link(settings: Settings, page: Path) -> dg.UrlMetadataValue | dg.PathMetadataValue:
    """Where a page is served, to be followed from Dagster's own; else which file it is."""
    if settings.data_docs_url is None:
        return dg.MetadataValue.path(page)
    at = quote(page.relative_to(settings.data_docs_path).as_posix())
    return dg.MetadataValue.url(f"{settings.data_docs_url}/{at}")


def _result(
    verdict: Verdict, *, link: dg.UrlMetadataValue | dg.PathMetadataValue
) -> dg.AssetCheckResult:
    rows: list[dict[str, str | int]] = [
        {
            "venue": each.venue_id,
            "provider": each.provider,
            "what": each.what,
            "figure": each.figure,
            "expected": each.expected,
        }
        for each in verdict.failing
    ]
    return dg.AssetCheckResult(
        asset_key=["analytics", verdict.table],
        check_name=NAME,
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(
            f"{row['venue']}: {row['provider']}: {row['what']}: {row['figure']},"
            f" expected {row['expected']}"
            for row in rows[:3]
        )
        or f"{verdict.expectations} expectations are met, {verdict.judged} histories were judged",
        metadata={
            "expectations": verdict.expectations,
            "failed_expectations": len(verdict.failed),
            "judged_histories": verdict.judged,
            "data_docs": link,
            **({"failed": dg.MetadataValue.json(verdict.failed)} if rows else {}),
            **({"failing_rows": verdict.failing_count, "failing": table(rows)} if rows else {}),
        },
    )


check_expectations = dg.define_asset_job(
    "check_expectations", selection=dg.AssetSelection.checks(meets_expectations)
)
