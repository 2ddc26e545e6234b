"""`renew_tokens`: access tokens renewed before they end, so that no sync ever waits for one."""

from datetime import timedelta

import dagster as dg

from integration_pipelines.core.credentials import renew_due
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.providers import PROVIDERS

AHEAD = timedelta(minutes=10)
"""Two ticks of the schedule: one may be missed."""


@dg.op(out=dg.Out(dg.Nothing))
def renew(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """Renew what is due; a venue whose consent was taken away is marked, and named here."""
    rows: list[dict[str, str | int]] = []
    for renewal in renew_due(
        pipeline.settings, pipeline.engine, pipeline.vault, PROVIDERS, ahead=AHEAD
    ):
        which = f"{renewal.connection.venue_id}/{renewal.connection.provider}"
        outcome = "renewed" if renewal.error is None else renewal.error.kind
        if renewal.error is not None:
            context.log.warning("%s: %s", which, renewal.error)
        rows.append({"connection": which, "outcome": outcome})
    if rows:
        context.add_output_metadata({"renewals": table(rows)})


@dg.job
def renew_tokens() -> None:
    """Access tokens renewed before they end."""
    renew()
