"""`keep_house`: what was kept for minutes ends, also where nobody came back for it."""

import dagster as dg
from sqlalchemy import func, select

from integration_pipelines.defs.resources import Pipeline


@dg.op(out=dg.Out(dg.Nothing))
def purge_expired(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """Sessions of browsers, consents that were begun, and accounts that wait for an answer, sealed
    credentials and all."""
    with pipeline.engine.begin() as session:
        ended: int = session.scalars(select(func.control.purge_expired())).one()
    context.add_output_metadata({"ended": dg.MetadataValue.int(ended)})


@dg.job
def keep_house() -> None:
    """What the portal kept for minutes, deleted when its time is over."""
    purge_expired()
