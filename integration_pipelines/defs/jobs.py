"""`sync_venues`: many venues in one run, for schedules, sensors and the `integrations` command.

Which connections stands in `control.sync_batches`, keyed by ``batch_id``. One step syncs them,
the next publishes the venues that changed by one dbt build. A venue's failure never raises: it is a
row of `control.sync_logs`, named by the check `every_venue_synced`. The run fails where no stream
of any venue could be read, and where dbt cannot build.

    batch_id = create_batch(session, [BatchItem(connection), …])
    defs.resolve_job_def("sync_venues").execute_in_process(
        run_config=run_config(batch_id), tags=run_tags(batch_id), instance=open_instance(settings)
    )
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import dagster as dg
import psycopg
from dagster_postgres.utils import DagsterPostgresException
from pydantic import Field
from sqlalchemy.exc import OperationalError

from integration_pipelines.core.database import is_outage
from integration_pipelines.core.events.claims import Landing, begin, settle
from integration_pipelines.core.ingest import StreamResult
from integration_pipelines.core.ingest.batch import (
    BatchItem,
    changed_streams,
    changed_venues,
    providers_of,
    run_batch,
    sync_item,
)
from integration_pipelines.core.ingest.sync import LOCK_WAIT
from integration_pipelines.defs.canonical_assets import (
    build_failure,
    check_results,
    materializations,
    tell_trouble,
)
from integration_pipelines.defs.checks import every_object_landed, every_venue_synced
from integration_pipelines.defs.dbt_build import build
from integration_pipelines.defs.records import (
    Recorder,
    failure,
    log_check,
    materialization,
)
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.providers import PROVIDERS

BATCH_TAG = "batch_id"
SYNCS_TAG, EVENTS_TAG = "syncs", "events"
"""Of a batch's run, with how much it is about: the queue counts syncs apart from events."""
EVENTS_AT_MOST = 15 * 60
"""Seconds of a run of events; what it leaves behind is claimed again."""
CONCURRENCY = 8
LOCK_WAIT_OF_EVENTS = 5.0
"""A first load may hold a connection for hours: its events come again, and the others of the run
do not wait."""


OUTAGE_TRIES = 6
OUTAGE_WAIT = 5.0
"""Seconds. What it takes longer than these tries, a later run goes on with."""


class BatchConfig(dg.Config):
    """Which batch, and how to sync it."""

    batch_id: str = Field(description="A batch of control.sync_batches.")
    concurrency: int = Field(default=CONCURRENCY, ge=1, le=32, description="Venues synced at once.")
    allow_deletes: bool = Field(
        default=False, description="Let a full pass mark more than 5% of a stream as deleted."
    )


class PublishConfig(dg.Config):
    """Which batch's changes."""

    batch_id: str


def run_config(
    batch_id: UUID, *, concurrency: int = CONCURRENCY, allow_deletes: bool = False
) -> dict[str, Any]:
    """The config of a run of `sync_venues`."""
    return {
        "batch_id": str(batch_id),
        "concurrency": concurrency,
        "allow_deletes": allow_deletes,
    }


def run_tags(batch_id: UUID | str, *, events: int | None = None) -> dict[str, str]:
    """What marks a run of `sync_venues`: a batch finds its runs by it, the queue counts them.
    ``events``: how many it works on, if that is what it is for; it goes before others then."""
    if events is None:
        return {BATCH_TAG: str(batch_id), SYNCS_TAG: "batch"}
    return {
        BATCH_TAG: str(batch_id),
        EVENTS_TAG: str(events),
        "dagster/priority": "1",
        "dagster/max_runtime": str(EVENTS_AT_MOST),
    }


@contextmanager
def _outliving_the_database() -> Iterator[None]:
    """A step whose database goes away is done again in its run, and goes on with what is not done;
    a run that ended with its step would leave what has landed unpublished."""
    try:
        yield
    except (OperationalError, psycopg.OperationalError, DagsterPostgresException) as error:
        if not is_outage(error):
            raise
        raise dg.RetryRequested(max_retries=OUTAGE_TRIES, seconds_to_wait=OUTAGE_WAIT) from error


@dg.op(required_resource_keys={"pipeline", *PROVIDERS}, out=dg.Out(dg.Nothing))
@_outliving_the_database()
def sync(context: dg.OpExecutionContext, config: BatchConfig) -> None:
    """Sync every connection of the batch that is not done yet; one's trouble is its own outcome.

    Recorded are the streams whose data changed or was read whole. An unchanged one is as fresh as
    `control.sync_cursors` says; an event for each would be most of what a quiet hour costs.
    """
    batch_id = UUID(config.batch_id)
    if EVENTS_TAG not in context.run_tags:
        context.instance.add_run_tags(context.run_id, run_tags(batch_id))
    pipeline: Pipeline = context.resources.pipeline

    def sync_one(item: BatchItem) -> list[StreamResult]:
        provider = PROVIDERS[item.connection.provider]
        return sync_item(
            pipeline.engine,
            item,
            provider=provider,
            open_client=getattr(context.resources, provider.name).open_client,
            run_id=context.run_id,
            allow_deletes=config.allow_deletes,
            on_landed=Landing(PROVIDERS, batch_id=batch_id, connection=item.connection),
            lock_wait=LOCK_WAIT_OF_EVENTS if EVENTS_TAG in context.run_tags else LOCK_WAIT,
        )

    done: list[StreamResult] = []
    synced = run_batch(
        pipeline.engine,
        batch_id=batch_id,
        sync_one=sync_one,
        concurrency=config.concurrency,
        take_up=lambda session: begin(session, batch_id),
        settle=lambda session, item, results: settle(
            session,
            PROVIDERS,
            batch_id=batch_id,
            connection=item.connection,
            results=results,
        ),
    )
    with Recorder(context) as recorder:
        for results in synced:
            recorder.add(
                materialization(result)
                for result in results
                if result.outcome == "succeeded"
                and (result.changed or result.mode != "incremental")
            )
            done += results
    with pipeline.engine.connect() as session:
        # Also of what a try of this step before has synced.
        for name in providers_of(session, batch_id):
            for checked in every_venue_synced.evaluate(
                session, provider=name, streams=PROVIDERS[name].stream_names
            ):
                log_check(context, checked)
            # What only a refetch or a pass can mend.
            mended = {
                result.stream
                for result in done
                if result.provider == name and result.mode in ("refetch", "full")
            }
            for checked in every_object_landed.evaluate(
                session, provider=name, streams=sorted(mended)
            ):
                log_check(context, checked)
    failed = [result for result in done if result.outcome != "succeeded"]
    context.log.info(
        "%d streams of %d venues synced, %d of them not",
        len(done),
        len({result.venue_id for result in done}),
        len(failed),
    )
    if failed and len(failed) == len(done) and not any(result.changed for result in done):
        raise failure(failed)


@dg.op(
    ins={"synced": dg.In(dg.Nothing)},
    out=dg.Out(dg.Nothing),
)
@_outliving_the_database()
def publish(context: dg.OpExecutionContext, config: PublishConfig, pipeline: Pipeline) -> None:
    """Rebuild the canonical tables of the venues that the batch changed, by one dbt build: where
    single streams were asked for, only what is made of them."""
    # A run that took the batch up again publishes what the one before it could not.
    runs = context.instance.get_runs(dg.RunsFilter(tags={BATCH_TAG: config.batch_id}))
    with pipeline.engine.connect() as session:
        batch_id, run_ids = UUID(config.batch_id), {context.run_id, *(run.run_id for run in runs)}
        venue_ids = changed_venues(session, batch_id=batch_id, run_ids=run_ids)
        streams = changed_streams(session, batch_id=batch_id, run_ids=run_ids)
    built = build(pipeline.settings, pipeline.engine, venue_ids=venue_ids, streams=streams)
    if built is None:
        context.log.info("nothing changed: nothing to publish")
        return
    with Recorder(context) as recorder:
        recorder.add(materializations(built))
    for result in check_results(context, built):
        log_check(context, result)
    tell_trouble(context, pipeline, built)
    context.log.info("published %d venues", len(built.published))
    if built.broken:
        raise build_failure(built)


@dg.config_mapping
def of_batch(config: BatchConfig) -> dict[str, Any]:
    """One config for both steps."""
    return {
        "ops": {
            "sync": {"config": config.model_dump()},
            "publish": {"config": {"batch_id": config.batch_id}},
        }
    }


@dg.job(executor_def=dg.in_process_executor, config=of_batch)
def sync_venues() -> None:
    """Sync the connections of a batch, and publish what changed."""
    publish(sync())
