"""`every_event_came`: what providers list is held against what came, and the gap is filled."""

import dagster as dg

from integration_pipelines.core.credentials import Connection
from integration_pipelines.core.events.gaps import Compared, fill_gap, told_of
from integration_pipelines.core.ingest.batch import side_by_side
from integration_pipelines.defs.inbox import INBOX
from integration_pipelines.defs.jobs import CONCURRENCY
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.providers import PROVIDERS


@dg.asset_check(
    asset=INBOX.key,
    name="every_event_came",
    description="Each event that Stripe and Square list came by webhook. One that did not is put "
    "into the inbox by this check: a warning says that endpoints, or we, were out of order.",
)
def every_event_came(pipeline: Pipeline) -> dg.AssetCheckResult:
    """Compared are events since the last look. Who cannot be asked is asked again at the next."""
    with pipeline.engine.connect() as session:
        told = [
            connection
            for provider in PROVIDERS.values()
            for connection in told_of(session, pipeline.settings, provider)
        ]

    def compare(connection: Connection) -> Compared:
        provider = PROVIDERS[connection.provider]
        return fill_gap(pipeline.settings, pipeline.engine, pipeline.vault, provider, connection)

    compared = [done for _, done in side_by_side(told, compare, concurrency=CONCURRENCY)]
    missed = sum(each.missed for each in compared)
    rows: list[dict[str, str | int]] = [
        {
            "venue": each.connection.venue_id,
            "provider": each.connection.provider,
            "listed": each.listed,
            "missed": each.missed,
            "error": each.error or "",
        }
        for each in compared
        if each.missed or each.error
    ]
    return dg.AssetCheckResult(
        passed=missed == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{missed} events had not come, and are in the inbox now"
        if missed
        else f"all that {len(compared)} accounts list came",
        metadata={
            "connections": len(compared),
            "listed": sum(each.listed for each in compared),
            "missed": missed,
            **({"by_connection": table(rows)} if rows else {}),
        },
    )


find_missed_events = dg.define_asset_job(
    "find_missed_events", selection=dg.AssetSelection.checks(every_event_came)
)
