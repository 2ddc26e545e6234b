"""`webhook_events`: what providers told of becomes a run within seconds.

The set of connections and objects stands in `control.sync_batches`, as for every other sync, so
thousands of events over hundreds of venues are one run.
"""

from functools import partial

import dagster as dg
from sqlalchemy import func, select

from integration_pipelines.core.events.claims import claim, leave_to_workers, secrets_of
from integration_pipelines.defs.inbox import evaluation, verdict
from integration_pipelines.defs.jobs import sync_venues
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.defs.sensors.sync_queue import run_request
from integration_pipelines.providers import PROVIDERS

CLAIMED_AT_ONCE = 5_000
TAG = "events"
PASSED, FAILED = "no event waits long", "events wait long"
"""The cursor: what was told of the check last."""


@dg.sensor(
    job=sync_venues,
    # Less than the daemon's round of five seconds: with five, every second round is too early.
    minimum_interval_seconds=3,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def webhook_events(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """Claim what came in, and read again what it is about. The tick says how much, and how long
    the oldest waits; the inbox's check is told when it changes."""
    with pipeline.engine.begin() as session:
        passed, why, metadata = verdict(session)
        claimed = claim(
            session,
            PROVIDERS,
            limit=CLAIMED_AT_ONCE,
            waited=leave_to_workers(session),
            secrets_of=partial(secrets_of, session, pipeline.vault),
        )
        now = session.scalars(select(func.now())).one()
    waits = "nothing waits"
    if claimed.waits_since is not None:
        waits = f"the oldest waits {(now - claimed.waits_since).total_seconds():.0f} s"
    said = (
        f"{claimed.claimed} events of {claimed.connections} connections claimed, "
        f"{claimed.ignored} ignored, {claimed.unknown} of no connection, {claimed.dead} given up; "
        f"{waits}"
    )
    state = PASSED if passed else FAILED
    told = [] if context.cursor == state else [evaluation(passed, why, metadata)]
    if claimed.batch_id is None and not told:
        return dg.SkipReason(said)
    context.log.info(said)
    requests = []
    if claimed.batch_id is not None:
        requests = [run_request(claimed.batch_id, **{TAG: str(claimed.claimed)})]
    return dg.SensorResult(run_requests=requests, asset_events=told, cursor=state)
