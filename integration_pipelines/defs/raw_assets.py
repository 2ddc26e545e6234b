"""Raw assets: `raw_<provider>/<stream>`, one a stream, made alike for every provider.

A run is about one venue, a range or all. A venue that does not use the provider is passed over and
never recorded; one that fails is not recorded, and keeps the others neither from being recorded
nor from going on downstream. Its failure stands in `control.sync_logs` and turns the check
`every_venue_synced` red. The step itself fails in a run of one venue, or where none succeeded.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from integration_pipelines.core.credentials import Connection, open_connections
from integration_pipelines.core.ingest import StreamResult
from integration_pipelines.core.ingest.batch import BatchItem, side_by_side, sync_item
from integration_pipelines.core.provider import Provider
from integration_pipelines.defs.checks import every_object_landed, every_venue_synced
from integration_pipelines.defs.partitions import venues
from integration_pipelines.defs.plots import recent_volumes
from integration_pipelines.defs.records import (
    RECORDED_APART,
    Recorder,
    failure,
    materialization,
)
from integration_pipelines.defs.resources import Pipeline, ProviderApi
from integration_pipelines.providers import PROVIDERS

CHECKS = (every_venue_synced, every_object_landed)


class SyncConfig(dg.Config):
    """How to sync."""

    full: bool = Field(
        default=False, description="Read everything again, and mark what has vanished."
    )
    allow_deletes: bool = Field(
        default=False, description="Let a full pass mark more than 5% of a stream as deleted."
    )
    concurrency: int = Field(default=8, ge=1, le=32, description="Venues synced at once.")


def raw_assets(provider: Provider) -> dg.AssetsDefinition:
    """One provider's assets, synced together: its streams share a connection and its pace."""
    schema = f"raw_{provider.name}"
    keys = {stream.name: dg.AssetKey([schema, stream.name]) for stream in provider.streams}

    @dg.multi_asset(
        name=schema,
        specs=[
            dg.AssetSpec(
                keys[stream.name],
                description=stream.description,
                group_name=schema,
                kinds={provider.name, "postgres"},
                metadata={"dagster/table_name": f"{schema}.{stream.name}"},
                skippable=True,
            )
            for stream in provider.streams
        ],
        check_specs=[check.check_spec(key) for key in keys.values() for check in CHECKS],
        partitions_def=venues,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
        required_resource_keys={"pipeline", provider.name},
    )
    def synced(context: dg.AssetExecutionContext, config: SyncConfig) -> Iterator[Any]:
        pipeline: Pipeline = context.resources.pipeline
        streams = [name for name, key in keys.items() if key in context.selected_asset_keys]
        results = _sync(context, config, pipeline, provider, streams) if streams else []
        with pipeline.engine.connect() as session:
            for check in CHECKS:
                yield from check.evaluate(
                    session,
                    provider=provider.name,
                    streams=[
                        key.asset_key.path[-1]
                        for key in context.selected_asset_check_keys
                        if key.name == check.NAME
                    ],
                )
        failed = [result for result in results if result.outcome != "succeeded"]
        if failed and (len(failed) == len(results) or len(context.partition_keys) == 1):
            raise failure(failed)
        for name in streams:
            yield dg.MaterializeResult(asset_key=keys[name], metadata=RECORDED_APART)

    return synced


def _sync(
    context: dg.AssetExecutionContext,
    config: SyncConfig,
    pipeline: Pipeline,
    provider: Provider,
    streams: Sequence[str],
) -> list[StreamResult]:
    """Sync the run's venues and record the streams that succeeded."""
    api: ProviderApi = getattr(context.resources, provider.name)
    with pipeline.engine.connect() as session:
        connections = open_connections(
            session, venue_ids=context.partition_keys, providers=[provider.name]
        )
    due = [connection for connection in connections if connection.is_due]
    context.log.info(
        "%d of %d venues to sync; %d do not use %s",
        len(due),
        len(context.partition_keys),
        len(context.partition_keys) - len(connections),
        provider.title,
    )

    def sync_one(item: BatchItem) -> list[StreamResult]:
        return sync_item(
            pipeline.engine,
            item,
            provider=provider,
            open_client=api.open_client,
            run_id=context.run.run_id,
            allow_deletes=config.allow_deletes,
        )

    items = [BatchItem(connection, tuple(streams), config.full) for connection in due]
    results = [
        _held_back(connection, stream)
        for connection in connections
        if not connection.is_due
        for stream in streams
    ]
    with Recorder(context) as recorder:
        for item, synced in side_by_side(items, sync_one, concurrency=config.concurrency):
            plots = {}
            if len(context.partition_keys) == 1:
                with pipeline.engine.connect() as session:
                    plots = recent_volumes(
                        session,
                        venue_id=item.connection.venue_id,
                        provider=provider.name,
                        streams=streams,
                    )
            recorder.add(
                materialization(result, recent_syncs=plots.get(result.stream))
                for result in synced
                if result.outcome == "succeeded"
            )
            results += synced
    return results


def _held_back(connection: Connection, stream: str) -> StreamResult:
    """A connection that is open and may not be synced."""
    if connection.paused:
        why = "paused or disabled: resume the integration"
    else:
        why = f"{connection.status}: {connection.status_reason or 'connect the account again'}"
    return StreamResult(
        connection.venue_id, connection.provider, stream, "skipped", "incremental", error=why
    )


assets = [raw_assets(provider) for provider in PROVIDERS.values()]
