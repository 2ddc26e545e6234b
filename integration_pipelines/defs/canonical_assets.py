"""Canonical assets: dbt's tables `analytics/…` and `marts/…`, downstream of the raw ones.

Partitioned as those are, so that one venue goes from API to mart in one run. Staging models are
views: they hold nothing that could be materialized, so an asset depends on the raw ones through
them. dbt's tests are checks. Their specs come from dbt's manifest, without importing dagster_dbt
(see dbt_build).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Connection as Session

from integration_pipelines.defs.checks import every_row_mapped, every_venue_published
from integration_pipelines.defs.dbt_build import PROJECT, Build, Built, build, project, run_tests
from integration_pipelines.defs.partitions import VENUES, venues
from integration_pipelines.defs.records import (
    NAMED_AT_MOST,
    RECORDED_APART,
    Context,
    Recorder,
    log_check,
    table,
)
from integration_pipelines.defs.resources import Pipeline

FAILING = "failing"
"""Metadata of a check: rows that fail it, by venue."""


def asset_key(unique_id: str) -> dg.AssetKey:
    """The asset of a table or source of dbt's: its schema and name."""
    return dg.AssetKey(project().key(unique_id))


def check_key(test_id: str) -> dg.AssetCheckKey:
    """The check that a test of dbt's is."""
    return dg.AssetCheckKey(asset_key(project().tests[test_id]), project().node(test_id)["name"])


def _asset_spec(unique_id: str) -> dg.AssetSpec:
    """A model as an asset; one that is a view is never materialized."""
    node = project().node(unique_id)
    return dg.AssetSpec(
        asset_key(unique_id),
        deps=[asset_key(parent) for parent in sorted(project().upstream(unique_id))],
        description=node["description"],
        group_name=node["schema"],
        kinds={"dbt", "postgres"},
        code_version=node["checksum"]["checksum"],
        metadata={
            "dagster/table_name": f"{node['schema']}.{node['name']}",
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(
                        column["name"], column["data_type"] or "", column["description"] or None
                    )
                    for column in node["columns"].values()
                ]
            ),
            "model": str(Path(PROJECT.name) / node["original_file_path"]),
        },
        skippable=True,
    )


def _check_spec(unique_id: str) -> dg.AssetCheckSpec:
    node = project().node(unique_id)
    key = check_key(unique_id)
    return dg.AssetCheckSpec(
        key.name,
        asset=key.asset_key,
        description=node["description"] or _what_it_tests(node),
        additional_deps=[
            asset_key(parent)
            for parent in node["depends_on"]["nodes"]
            if parent in project().tables and asset_key(parent) != key.asset_key
        ],
    )


def _what_it_tests(test: Mapping[str, Any]) -> str:
    """A generic test and its arguments; a test of its own kind is a query to read."""
    generic = test.get("test_metadata")
    if not generic:
        return f"No row comes from {Path(PROJECT.name) / test['original_file_path']}."
    arguments = [
        ", ".join(value) if isinstance(value, list) else str(value)
        for name, value in generic["kwargs"].items()
        if name != "model"
    ]
    return f"{generic['name'].replace('_', ' ').capitalize()}: {'; '.join(arguments)}."


views = [_asset_spec(unique_id) for unique_id in project().views_for_analysts]


@dg.multi_asset(
    name="dbt",
    specs=[_asset_spec(unique_id) for unique_id in project().tables],
    check_specs=[_check_spec(unique_id) for unique_id in project().tests],
    partitions_def=venues,
    backfill_policy=dg.BackfillPolicy.single_run(),
    can_subset=True,
)
def canonical(context: dg.AssetExecutionContext, pipeline: Pipeline) -> Iterator[Any]:
    """Build the selected tables for the run's venues and test them; tests alone are run over all
    venues."""
    tables = [each for each in project().tables if asset_key(each) in context.selected_asset_keys]
    checks = {
        test: check_key(test)
        for test in project().tests
        if check_key(test) in context.selected_asset_check_keys
    }
    if tables:
        built = build(
            pipeline.settings,
            pipeline.engine,
            venue_ids=context.partition_keys,
            tables=None if len(tables) == len(project().tables) else tables,
        )
    else:
        built = run_tests(pipeline.settings, pipeline.engine, tests=checks)
    if built is None:
        return
    with Recorder(context) as recorder:
        recorder.add(materializations(built, tables=tables))
    if tables:
        tell_trouble(context, pipeline, built)
    yield from check_results(context, built, tests=checks)
    if built.broken:
        raise build_failure(built)
    for table_id in tables:
        yield dg.MaterializeResult(asset_key=asset_key(table_id), metadata=RECORDED_APART)


def materializations(
    built: Build, *, tables: Collection[str] | None = None
) -> Iterator[dg.AssetMaterialization]:
    """Every table built (of ``tables``, if given), for each of the venues published."""
    for made in built.tables:
        if not made.ok or (tables is not None and made.unique_id not in tables):
            continue
        metadata: dict[str, Any] = {"seconds": round(made.seconds, 3)}
        if len(built.venue_ids) == 1 and made.rows is not None:
            metadata["dagster/partition_row_count"] = made.rows
        else:
            metadata["venues_built_together"] = len(built.venue_ids)
        for venue_id in built.published:
            yield dg.AssetMaterialization(
                asset_key(made.unique_id), partition=venue_id, metadata=metadata
            )


def check_results(
    context: Context, built: Build, *, tests: Collection[str] | None = None
) -> Iterator[dg.AssetCheckResult]:
    """What dbt's tests (None: all) found; one that could not run is no result.

    A build tests its own venues. Others that failed when they were last tested fail still, so that
    one venue's pass does not hide another's failure.
    """
    still_there = set(context.instance.get_dynamic_partitions(VENUES)) - set(built.venue_ids)
    for test in built.tests:
        if test.status not in ("pass", "warn", "fail") or (
            tests is not None and test.unique_id not in tests
        ):
            continue
        key = check_key(test.unique_id)
        before = _last_evaluation(context.instance, key)
        failing = dict(test.failing)
        if before is not None:
            failing |= {
                venue: rows for venue, rows in _failing(before).items() if venue in still_there
            }
        passed = test.ok and not failing
        severity = (
            before.severity
            if test.ok and before is not None
            else dg.AssetCheckSeverity.WARN
            if test.status == "warn"
            else dg.AssetCheckSeverity.ERROR
        )
        metadata: dict[str, Any] = {
            "seconds": round(test.seconds, 3),
            "venues_tested": len(built.venue_ids),
        }
        if failing:
            metadata[FAILING] = table(
                [{"venue": venue, "rows": rows} for venue, rows in failing.items()]
            )
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=passed,
            severity=severity,
            description=_found(failing) if failing or test.ok else test.message,
            metadata=metadata,
        )


def tell_trouble(context: Context, pipeline: Pipeline, built: Build) -> None:
    """Name the venues that keep earlier rows, in the log and by the check; by another the rows on
    which mappings fail; warn of raw rows that lack what their provider documents, by staging view
    and venue."""
    for venue_id, reasons in list(built.refused.items())[:NAMED_AT_MOST]:
        context.log.warning("%s is not published: %s", venue_id, "; ".join(reasons))
    with pipeline.engine.connect() as session:
        log_check(context, every_venue_published.evaluate(session))
        log_check(context, _every_row_mapped(context, session, built))
    for test in built.unreadable:
        context.log.warning(
            "%s cannot be read in full: %s",
            project().node(project().tests_of_views[test.unique_id])["name"],
            _found(test.failing) if test.failing else test.message,
        )


def _every_row_mapped(context: Context, session: Session, built: Build) -> dg.AssetCheckResult:
    """The check after a build, which changed its own venues' rows: others' are as last told."""
    before = _last_evaluation(context.instance, every_row_mapped.KEY)
    told = None if before is None else every_row_mapped.read_failures(before.metadata)
    if told is None:
        return every_row_mapped.evaluate(session)
    still_there = set(context.instance.get_dynamic_partitions(VENUES)) - set(built.venue_ids)
    return every_row_mapped.evaluate(
        session,
        built.venue_ids,
        of_others=[each for each in told if each.venue_id in still_there],
    )


def _last_evaluation(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey
) -> dg.AssetCheckEvaluation | None:
    """What the check said last; the newest records may be of runs that have not evaluated it."""
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    said = (record.evaluation for record in records if record.status.value != "PLANNED")
    return next(filter(None, said), None)


def _failing(evaluation: dg.AssetCheckEvaluation) -> dict[str, int]:
    """Failing rows by venue, as an evaluation's metadata has them."""
    named = evaluation.metadata.get(FAILING)
    if not isinstance(named, dg.TableMetadataValue):
        return {}
    return {str(row.data["venue"]): int(row.data["rows"] or 0) for row in named.records}


def build_failure(built: Build) -> dg.Failure:
    """What a step raises where tables could not be built."""
    broken = built.broken
    first = broken[0]
    return dg.Failure(
        f"{project().label(first.unique_id)}: {first.message}"
        + (f" (and {len(broken) - 1} more)" if broken[1:] else ""),
        metadata={"broken": table(_why(broken))},
        allow_retries=False,
    )


def _why(broken: Sequence[Built]) -> list[dict[str, str | int]]:
    return [
        {"table or test": project().label(each.unique_id), "why": each.message} for each in broken
    ]


def _found(failing: Mapping[str, int]) -> str:
    named = ", ".join(f"{venue} ({rows} rows)" for venue, rows in list(failing.items())[:3])
    return f"{len(failing)} venues: {named}" if failing else "passed"
