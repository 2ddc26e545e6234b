"""`keep_house`: what was kept for a time ends, also where nobody came back for it."""

from datetime import timedelta

import dagster as dg
from sqlalchemy import func, select

from integration_pipelines.core.events.retention import forget
from integration_pipelines.core.ingest import retention
from integration_pipelines.defs.resources import Pipeline


@dg.op(out=dg.Out(dg.Nothing))
def purge_expired(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """Sessions of browsers, consents that were begun, and accounts that wait for an answer, sealed
    credentials and all."""
    with pipeline.engine.begin() as session:
        ended: int = session.scalars(select(func.control.purge_expired())).one()
    context.add_output_metadata({"ended": dg.MetadataValue.int(ended)})


@dg.op(out=dg.Out(dg.Nothing))
def forget_payloads(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """What events held, WEBHOOK_PAYLOAD_DAYS after they were done, ignored or given up: the
    envelope stays. And the ids of deliveries that no provider sends again."""
    kept_for = timedelta(days=pipeline.settings.webhook_payload_days)
    forgotten = forget(pipeline.engine, payloads_for=kept_for)
    context.add_output_metadata(
        {
            "payloads": dg.MetadataValue.int(forgotten.payloads),
            "ids": dg.MetadataValue.int(forgotten.ids),
        }
    )


@dg.op(out=dg.Out(dg.Nothing))
def forget_syncs(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """What is noted of syncs, SYNC_LOG_DAYS after they began, but for the latest of each stream."""
    kept_for = timedelta(days=pipeline.settings.sync_log_days)
    forgotten = retention.forget_syncs(pipeline.engine, kept_for=kept_for)
    context.add_output_metadata({"streams": dg.MetadataValue.int(forgotten)})


@dg.job
def keep_house() -> None:
    """What was kept for a time, deleted when that is over."""
    purge_expired()
    forget_payloads()
    forget_syncs()
