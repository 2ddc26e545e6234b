"""`requested_syncs`: what was asked for becomes a run, and no batch stays without one.

A batch is made in one transaction and its run requested after, so either may die between. Each
tick therefore looks at every batch that is not done and that nobody works on: one that never had
a run gets it (its id is the run key: a second request starts nothing), one whose runs are all over
is closed, and its connections are due again. A run that died is started again by Dagster first.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import dagster as dg
from sqlalchemy import Connection as Session
from sqlalchemy import func, select

from integration_pipelines.core.ingest.batch import (
    OpenBatch,
    abandon,
    claim_requests,
    open_batches,
)
from integration_pipelines.core.presence import is_held
from integration_pipelines.defs.jobs import BATCH_TAG, run_config, run_tags, sync_venues
from integration_pipelines.defs.resources import Pipeline

GRACE = timedelta(minutes=2)
"""For a new batch to get its run, and for a run that ended to be started again by Dagster."""

CLAIMED_AT_ONCE = 2_500

WAITING = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
)


class BatchRun(NamedTuple):
    """A run of a batch. ``lives``: it has yet to begin, or its process is there; ``since``: its
    last change."""

    lives: bool
    since: datetime


class Mending(NamedTuple):
    """Batches to request a run for, and to close."""

    request: list[UUID]
    abandon: list[UUID]


def plan(
    batches: Sequence[OpenBatch], runs: Mapping[UUID, Sequence[BatchRun]], *, now: datetime
) -> Mending:
    """What to do about batches that are not done, given the ``runs`` of each."""
    mending = Mending([], [])
    for batch in batches:
        if batch.under_way or now - batch.created_at < GRACE:
            continue
        of_batch = runs.get(batch.batch_id, ())
        if not of_batch:
            mending.request.append(batch.batch_id)
        elif all(not run.lives and now - run.since >= GRACE for run in of_batch):
            mending.abandon.append(batch.batch_id)
    return mending


@dg.sensor(
    job=sync_venues,
    # Less than the daemon's round of five seconds: with five, every second round is too early.
    minimum_interval_seconds=3,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def requested_syncs(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """Claim what waits in control.sync_queue as one batch, and mend batches that lost their run."""
    with pipeline.engine.begin() as session:
        now = session.scalars(select(func.now())).one()
        batches = open_batches(session)
        mending = plan(batches, _runs(context.instance, session, batches, now), now=now)
        abandon(session, mending.abandon)
        claimed = claim_requests(session, limit=CLAIMED_AT_ONCE)
    requests = [*mending.request, *([claimed] if claimed else [])]
    if not requests:
        return dg.SkipReason("nothing was asked for")
    return dg.SensorResult(run_requests=[run_request(batch_id) for batch_id in requests])


def run_request(
    batch_id: UUID, *, events: int | None = None, tags: Mapping[str, str] | None = None
) -> dg.RunRequest:
    """The one run of a batch; ``events`` as in `run_tags`, ``tags`` beside those it always has."""
    return dg.RunRequest(
        run_key=str(batch_id),
        job_name=sync_venues.name,
        run_config=run_config(batch_id),
        tags=run_tags(batch_id, events=events) | dict(tags or {}),
    )


def is_there(session: Session, run: dg.DagsterRun) -> bool:
    """Whether the process of a run of `sync_venues` is there."""
    return bool(session.scalar(select(is_held(run.run_id))))


def _runs(
    instance: dg.DagsterInstance, session: Session, batches: Sequence[OpenBatch], now: datetime
) -> dict[UUID, list[BatchRun]]:
    """The runs of those batches that `plan` may have to mend."""
    return {
        batch.batch_id: [
            BatchRun(
                record.dagster_run.status in WAITING or is_there(session, record.dagster_run),
                record.update_timestamp.replace(tzinfo=UTC),
            )
            for record in instance.get_run_records(
                dg.RunsFilter(tags={BATCH_TAG: str(batch.batch_id)})
            )
        ]
        for batch in batches
        if not batch.under_way and now - batch.created_at >= GRACE
    }
