"""`venue_partitions`: keeps the partitions as `control.venues` is."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import dagster as dg
from sqlalchemy import select

from integration_pipelines.core.tables import venues as venue_table
from integration_pipelines.defs.partitions import VENUES, venues
from integration_pipelines.defs.resources import Pipeline


class Changes(NamedTuple):
    """Partitions to add and to delete, each in order."""

    add: list[str]
    delete: list[str]


def plan(partitions: Collection[str], venue_ids: Collection[str]) -> Changes:
    """What makes ``partitions`` equal to ``venue_ids``.

    A table that reads empty deletes nothing: it is far likelier that we may not see it. The last
    venue's partition goes with `integrations venues remove`.
    """
    there, wanted = set(partitions), set(venue_ids)
    return Changes(sorted(wanted - there), sorted(there - wanted) if wanted else [])


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def venue_partitions(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """Add a partition for each new venue, delete those of removed ones."""
    with pipeline.engine.connect() as session:
        venue_ids: Sequence[str] = session.scalars(select(venue_table.c.venue_id)).all()
    changes = plan(context.instance.get_dynamic_partitions(VENUES), venue_ids)
    if not any(changes):
        return dg.SkipReason(f"{len(venue_ids)} venues, each with its partition")
    return dg.SensorResult(
        dynamic_partitions_requests=[
            venues.build_add_request(changes.add),
            venues.build_delete_request(changes.delete),
        ]
    )
