"""`webhook_events`: what providers told of becomes a run within seconds.

The set of connections and objects stands in `control.sync_batches`, as for every other sync, so
thousands of events over hundreds of venues are one run.
"""

import json
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, Self

import dagster as dg
from sqlalchemy import Engine, func, select

from integration_pipelines.core.events.claims import (
    any_due,
    claim,
    leave_to_workers,
    secrets_of,
)
from integration_pipelines.core.events.waiting import ended, waiting
from integration_pipelines.defs.inbox import evaluation, observation, verdict
from integration_pipelines.defs.jobs import sync_venues
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.defs.sensors.sync_queue import run_request
from integration_pipelines.providers import PROVIDERS

CLAIMED_AT_ONCE = 5_000
OBSERVED_EVERY = timedelta(minutes=1)
WATCH = 18.5
"""Seconds for which a tick that finds nothing looks on. The daemon begins one every five seconds,
unless the one before is still under way: the fewer, the less often nobody looks."""
LOOK_EVERY = 0.2
GATHER = 0.3
"""Seconds: a change's events come together, and one that comes after a claim waits for its run."""
LONGEST_LANDING = timedelta(seconds=30)
"""Events bear the time at which the transaction that ended them began: an observation counts what
ended until so long ago, or it would miss those of a transaction that is open still."""


class Told(NamedTuple):
    """The cursor: whether the check was told to pass, and when the inbox was last observed."""

    passed: bool | None = None
    observed_at: datetime | None = None

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        """Out of ``cursor``; of nothing, where it says nothing that is known."""
        try:
            said = json.loads(cursor or "")
            return cls(said["passed"], datetime.fromisoformat(said["observed_at"]))
        except (ValueError, TypeError, KeyError):
            return cls()

    def written(self) -> str:
        return json.dumps(self._asdict(), default=datetime.isoformat)


@dg.sensor(
    job=sync_venues,
    # Less than the daemon's round of five seconds: with five, every second round is too early.
    minimum_interval_seconds=3,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def webhook_events(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """Claim what came in, or comes in while the tick watches, and read again what it is about. The
    tick says how much, and how long the oldest waits. The inbox is observed every minute, whoever
    works on it; its check is told when it changes, and every minute while it fails."""
    told = Told.read(context.cursor)
    events: list[Any] = []
    _watch(pipeline.engine)
    with pipeline.engine.begin() as session:
        now = session.scalars(select(func.now())).one()
        found = waiting(session)
        passed, why, metadata = verdict(found)
        due = told.observed_at is None or now - told.observed_at >= OBSERVED_EVERY
        if due:
            since = (told.observed_at or now - OBSERVED_EVERY) - LONGEST_LANDING
            came_to = ended(session, since=since, until=now - LONGEST_LANDING)
            events.append(observation(found, came_to))
        if passed != told.passed or (due and not passed):
            events.append(evaluation(passed, why, metadata))
        claimed = claim(
            session,
            PROVIDERS,
            limit=CLAIMED_AT_ONCE,
            waited=leave_to_workers(session),
            secrets_of=partial(secrets_of, session, pipeline.vault),
        )
    waits = "nothing waits"
    if claimed.waits_since is not None:
        waits = f"the oldest waits {(now - claimed.waits_since).total_seconds():.0f} s"
    said = (
        f"{claimed.claimed} events of {claimed.connections} connections claimed, "
        f"{claimed.ignored} ignored, {claimed.unknown} of no connection, {claimed.dead} given up; "
        f"{waits}"
    )
    if claimed.batch_id is None and not events:
        return dg.SkipReason(said)
    context.log.info(said)
    requests = []
    if claimed.batch_id is not None:
        requests = [run_request(claimed.batch_id, events=claimed.claimed)]
    observed_at = now if due else told.observed_at
    return dg.SensorResult(
        run_requests=requests,
        asset_events=events,
        cursor=Told(passed, observed_at).written(),
    )


def _watch(engine: Engine) -> None:
    """Return when something is due, else after WATCH seconds. Who waits for the next tick instead
    waits for five seconds at worst."""
    until = time.monotonic() + WATCH
    while time.monotonic() < until:
        with engine.begin() as session:
            due = any_due(session, waited=leave_to_workers(session))
        if due:
            time.sleep(GATHER)
            return
        time.sleep(LOOK_EVERY)
