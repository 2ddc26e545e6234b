"""`mapped_fields_are_there`: what fields payloads have, and whether the ones that rules read still
come."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy.exc import DBAPIError

from integration_pipelines.core import fields
from integration_pipelines.core.ingest.batch import side_by_side
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline

FIELDS = dg.AssetSpec(
    dg.AssetKey(["control", "raw_fields"]),
    group_name="control",
    description="Which fields raw payloads have, by venue and stream: since when, of which type, "
    "and since when no more. `integrations fields` lists what changed.",
    kinds={"postgres"},
)
SHOWN = timedelta(days=30)
SHOWN_AT_MOST = 200
NAMED_AT_MOST = 3
AT_ONCE = 4


@dg.asset_check(
    asset=FIELDS.key,
    name="mapped_fields_are_there",
    description="Each field that a venue's rule reads still comes in that venue's payloads. Red "
    "names the rules that read a field which has vanished, a warning streams that could not be "
    "looked at. Fields that appeared, changed their type or vanished within 30 days stand in the "
    "metadata.",
)
def mapped_fields_are_there(
    context: dg.AssetCheckExecutionContext, pipeline: Pipeline
) -> dg.AssetCheckResult:
    """Looks at what has changed since the last look. A stream that cannot be looked at is named by
    the kind of its error, which may quote what payloads hold."""
    with pipeline.engine.connect() as session:
        streams = fields.changed_streams(session)

    def look(stream: tuple[str, str, str]) -> int | Exception:
        venue_id, provider, name = stream
        try:
            return fields.look(pipeline.engine, venue_id=venue_id, provider=provider, stream=name)
        except Exception as error:
            return error

    rows = 0
    failures: list[dict[str, str | int]] = []
    for stream, looked in side_by_side(streams, look, concurrency=AT_ONCE):
        if isinstance(looked, Exception):
            error = looked.orig if isinstance(looked, DBAPIError) else looked
            failures.append({"stream": "/".join(stream), "why": type(error).__name__})
            context.log.warning("%(stream)s cannot be looked at: %(why)s", failures[-1])
        else:
            rows += looked
    with pipeline.engine.connect() as session:
        changes = fields.changes(session, since=datetime.now(UTC) - SHOWN)
        missing = fields.missing(session)
    shown: list[dict[str, str | int]] = [
        {
            "provider": each.provider,
            "stream": each.stream,
            "field": each.path,
            "what": each.what,
            "since": f"{each.at:%Y-%m-%d %H:%M} UTC",
            "types": ", ".join(each.types),
            "venues": len(each.venues),
            "sample": each.sample or "",
        }
        for each in changes[:SHOWN_AT_MOST]
    ]
    troubles = [each.words for each in missing[:NAMED_AT_MOST]]
    if failures:
        named = ", ".join("{stream}: {why}".format_map(each) for each in failures[:NAMED_AT_MOST])
        troubles.append(
            f"{len(failures)} of {len(streams)} streams could not be looked at: {named}"
        )
    return dg.AssetCheckResult(
        passed=not troubles,
        severity=dg.AssetCheckSeverity.ERROR if missing else dg.AssetCheckSeverity.WARN,
        description="; ".join(troubles)
        or f"{rows} rows looked at, {len(changes)} fields changed within 30 days",
        metadata={
            "rows": rows,
            "failed_looks": len(failures),
            "changed_fields": len(changes),
            **({"changes": table(shown)} if shown else {}),
            **({"failures": table(failures)} if failures else {}),
            **({"missing": table([{"rule": m.words} for m in missing])} if missing else {}),
        },
    )


watch_fields = dg.define_asset_job(
    "watch_fields", selection=dg.AssetSelection.checks(mapped_fields_are_there)
)
