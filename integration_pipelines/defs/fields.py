"""`mapped_fields_are_there`: what fields payloads have, and whether the ones that rules read still
come."""

from datetime import UTC, datetime, timedelta

import dagster as dg

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
AT_ONCE = 4


@dg.asset_check(
    asset=FIELDS.key,
    name="mapped_fields_are_there",
    description="Each field that a venue's rule reads still comes in that venue's payloads. Red "
    "names the rules that read a field which has vanished. Fields that appeared, changed their "
    "type or vanished within 30 days stand in the metadata.",
)
def mapped_fields_are_there(
    context: dg.AssetCheckExecutionContext, pipeline: Pipeline
) -> dg.AssetCheckResult:
    """Looks at what has changed since the last look. Who cannot be looked at is told in the log."""
    with pipeline.engine.connect() as session:
        streams = fields.changed_streams(session)

    def look(stream: tuple[str, str, str]) -> int | Exception:
        venue_id, provider, name = stream
        try:
            return fields.look(pipeline.engine, venue_id=venue_id, provider=provider, stream=name)
        except Exception as error:
            return error

    rows = 0
    for stream, looked in side_by_side(streams, look, concurrency=AT_ONCE):
        if isinstance(looked, Exception):
            context.log.warning("%s: %s", "/".join(stream), type(looked).__name__)
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
    return dg.AssetCheckResult(
        passed=not missing,
        description="; ".join(each.words for each in missing[:3])
        if missing
        else f"{rows} rows looked at, {len(changes)} fields changed within 30 days",
        metadata={
            "rows": rows,
            "changed_fields": len(changes),
            **({"changes": table(shown)} if shown else {}),
            **({"missing": table([{"rule": m.words} for m in missing])} if missing else {}),
        },
    )


watch_fields = dg.define_asset_job(
    "watch_fields", selection=dg.AssetSelection.checks(mapped_fields_are_there)
)
