"""Schedules: whoever is due, in batches, so that a tick starts a run and not a run a venue."""

from collections.abc import Iterator

import dagster as dg

from integration_pipelines.core.budget import read_budgets
from integration_pipelines.core.credentials import due_for_renewal
from integration_pipelines.core.ingest.batch import create_batch, due
from integration_pipelines.defs.census import take_census
from integration_pipelines.defs.endpoints import register_webhooks, waiting
from integration_pipelines.defs.expectations import check_expectations
from integration_pipelines.defs.fields import watch_fields
from integration_pipelines.defs.gaps import find_missed_events
from integration_pipelines.defs.housekeeping import keep_house
from integration_pipelines.defs.jobs import sync_venues
from integration_pipelines.defs.renewal import AHEAD, renew_tokens
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.defs.sensors.sync_queue import run_request
from integration_pipelines.providers import PROVIDERS

CONNECTIONS_PER_BATCH = 2_500
"""About what one run syncs within a quarter of an hour; more make another run beside it."""

CENSUS_DAYS = 35
SUNDAY = 6


@dg.schedule(
    job=sync_venues,
    cron_schedule="*/15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def incremental(pipeline: Pipeline) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Every quarter of an hour: what is new at the providers, for every connection that is due."""
    yield from _requests(pipeline, full=False)


@dg.schedule(
    job=sync_venues,
    cron_schedule="40 2-6 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly_full(pipeline: Pipeline) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Once a night: everything again, to find what vanished or was missed. It asks each hour of
    the night (UTC), so that a connection that was busy, or a run that failed, has another turn."""
    yield from _requests(pipeline, full=True)


@dg.schedule(
    job=take_census,
    cron_schedule="10 8 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_census(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Once a day, after the night's full passes: what exists at the providers and is not here, of
    the last months; on Sundays of all time. Where reads are metered, whose turn has come."""
    whole = context.scheduled_execution_time.weekday() == SUNDAY
    return dg.RunRequest(run_config={} if whole else {"days": CENSUS_DAYS})


@dg.schedule(
    job=renew_tokens,
    cron_schedule="*/5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def token_renewal(pipeline: Pipeline) -> dg.RunRequest | dg.SkipReason:
    """Every five minutes: access tokens that end soon."""
    with pipeline.engine.connect() as session:
        due = due_for_renewal(session, pipeline.settings, PROVIDERS, ahead=AHEAD)
    return dg.RunRequest() if due else dg.SkipReason("no token ends soon")


@dg.schedule(
    job=keep_house,
    cron_schedule="25 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_housekeeping() -> dg.RunRequest:
    """Once an hour: what the portal kept for minutes."""
    return dg.RunRequest()


@dg.schedule(
    job=register_webhooks,
    cron_schedule="*/10 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def webhook_registration(
    context: dg.ScheduleEvaluationContext, pipeline: Pipeline
) -> dg.RunRequest | dg.SkipReason:
    """Every ten minutes: new connections, new audiences; each of them once a day, and those that
    serve all venues once an hour."""
    waits = any(connections for _, connections in waiting(pipeline))
    hourly = context.scheduled_execution_time.minute == 0
    return dg.RunRequest() if waits or hourly else dg.SkipReason("every endpoint was looked at")


@dg.schedule(
    job=find_missed_events,
    cron_schedule="50 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def missed_events() -> dg.RunRequest:
    """Once an hour: events that the providers list and that never came."""
    return dg.RunRequest()


@dg.schedule(
    job=watch_fields,
    cron_schedule="35 */6 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def field_watch() -> dg.RunRequest:
    """Every six hours: fields that payloads have got, changed or lost."""
    return dg.RunRequest()


@dg.schedule(
    job=check_expectations,
    cron_schedule="30 7 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_expectations() -> dg.RunRequest:
    """Once a day, after the night's full passes: whether what is published looks as it did."""
    return dg.RunRequest()


def _requests(pipeline: Pipeline, *, full: bool) -> Iterator[dg.RunRequest | dg.SkipReason]:
    with pipeline.engine.begin() as session:
        budgets = read_budgets(session, pipeline.settings, PROVIDERS.values())
        items = due(session, budgets=budgets, full=full)
        batches = [
            create_batch(session, items[start : start + CONNECTIONS_PER_BATCH])
            for start in range(0, len(items), CONNECTIONS_PER_BATCH)
        ]
    slowed = "; ".join(budget.words for budget in budgets.values() if budget.slowdown > 1)
    if not batches:
        yield dg.SkipReason("no connection is due" + (slowed and f": {slowed}"))
    for batch_id in batches:
        yield run_request(batch_id, tags={"slowed": slowed} if slowed else None)
