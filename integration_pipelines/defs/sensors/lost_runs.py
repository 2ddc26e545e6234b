"""`lost_runs`: a run whose process was killed is reported as failed.

Dagster's launcher cannot tell: such a run would count as started, and hold its place in the queue,
until its time is over. A run holds a lock by its id (see resources.py); where it is free at two
looks, a while apart, its process is gone. What is reported Dagster starts again, to go on with its
batch; what ran within a worker it cannot, so its batch gets a run here.
"""

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import dagster as dg
from sqlalchemy import func, select

from integration_pipelines.defs.jobs import BATCH_TAG, EVENTS_TAG, sync_venues
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.defs.sensors.sync_queue import is_there, run_request

GRACE = timedelta(seconds=15)
"""Longer than a process takes to say that it is there, also after the database was away."""
PAGE = 100


class Losses(NamedTuple):
    """Runs to report, and since when others are missed."""

    report: list[str]
    missed: dict[str, datetime]


def plan(absent: Collection[str], missed: Mapping[str, datetime], *, now: datetime) -> Losses:
    """What follows from the runs that are ``absent`` now, given since when they were ``missed``."""
    losses = Losses([], {})
    for run_id in absent:
        since = missed.get(run_id, now)
        if now - since >= GRACE:
            losses.report.append(run_id)
        else:
            losses.missed[run_id] = since
    return losses


@dg.sensor(
    job=sync_venues,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def lost_runs(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """Report runs of batches that say they have started, and whose process is gone."""
    started = context.instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], job_name="sync_venues"), limit=PAGE
    )
    of_batches = {run.run_id: run for run in started if BATCH_TAG in run.tags}
    with pipeline.engine.connect() as session:
        now = session.scalars(select(func.now())).one()
        absent = [id for id, run in of_batches.items() if not is_there(session, run)]
    before = json.loads(context.cursor) if context.cursor else {}
    missed = {id: datetime.fromisoformat(since) for id, since in before.items()}
    losses = plan(absent, missed, now=now)
    requests = []
    for run_id in losses.report:
        run = context.instance.get_run_by_id(run_id)
        if run is not None and run.status == dg.DagsterRunStatus.STARTED:
            context.instance.report_run_failed(run, "Its process is gone.")
            if EVENTS_TAG in run.tags and run.remote_job_origin is None:
                batch_id, events = UUID(run.tags[BATCH_TAG]), int(run.tags[EVENTS_TAG])
                requests.append(run_request(batch_id, events=events))
    context.update_cursor(
        json.dumps({id: since.isoformat() for id, since in losses.missed.items()})
    )
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason(f"{len(started)} runs, {len(losses.report)} of them without a process")
