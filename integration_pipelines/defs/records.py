"""What Dagster is told of a run: which venues' partitions are new, and what each sync did.

`control.sync_logs` holds the truth of every sync; an event costs, so a batch records the streams
that changed (the data of the others is what it was).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, cast
from uuid import uuid4

import dagster as dg

from integration_pipelines.core.ingest import StreamResult

Context = dg.OpExecutionContext | dg.AssetExecutionContext

RECORDED_APART = {"__source_asset_observation__": True}
"""Metadata of an output whose partitions were recorded by a Recorder: Dagster then records nothing
for it. It would the whole range, with the venues that failed or are not connected; and an output
left out skips what is downstream, for the others too."""

NAMED_AT_MOST = 100
HELD_AT_MOST = 2_000


class _EventBatch(NamedTuple):
    """Where an event stands among those written by one statement; read by attribute."""

    id: str
    is_end: bool


class Recorder:
    """Records materializations in bulk while a run goes on, the rest when its block ends.

    DAGSTER_EVENT_BATCH_SIZE of one asset are written by one statement: 0.4 ms each, where
    `context.log_event` takes 8.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: dict[dg.AssetKey, list[dg.AssetMaterialization]] = defaultdict(list)
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def add(self, materializations: Iterable[dg.AssetMaterialization]) -> None:
        for each in materializations:
            self._held[each.asset_key].append(each)
            self._count += 1
        if self._count >= HELD_AT_MOST:
            self._write()

    def _write(self) -> None:
        step = self._context.get_step_execution_context()
        for of_asset in self._held.values():
            batch_id = str(uuid4())
            for number, each in enumerate(of_asset, start=1):
                place = _EventBatch(batch_id, is_end=number == len(of_asset))
                dg.DagsterEvent.asset_materialization(step, each, cast(Any, place))
        self._held.clear()
        self._count = 0


def asset_key(result: StreamResult) -> dg.AssetKey:
    """The raw asset of a stream."""
    return dg.AssetKey([f"raw_{result.provider}", result.stream])


def materialization(
    result: StreamResult, **more: dg.MetadataValue | None
) -> dg.AssetMaterialization:
    """A stream of one venue, brought up to date."""
    metadata: dict[str, Any] = {
        "mode": result.mode,
        "fetched": result.fetched,
        "inserted": result.inserted,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "deleted": result.deleted,
        "api_calls": result.api_calls,
        "seconds": round(result.seconds, 3),
    }
    if result.repaired is not None:
        metadata["repaired"] = result.repaired
    if result.cursor_at is not None:
        metadata["complete_up_to"] = dg.MetadataValue.timestamp(result.cursor_at)
        metadata["lag_seconds"] = round((datetime.now(UTC) - result.cursor_at).total_seconds(), 1)
    return dg.AssetMaterialization(
        asset_key(result),
        partition=result.venue_id,
        metadata=metadata | {name: value for name, value in more.items() if value},
    )


def table(rows: Sequence[dict[str, str | int]]) -> dg.TableMetadataValue:
    """``rows``, at most 100 of them, as a table in the UI."""
    shown = [dg.TableRecord(row) for row in rows[:NAMED_AT_MOST]]
    columns = [
        dg.TableColumn(name, type="integer" if isinstance(value, int) else "string")
        for name, value in (rows[0] if rows else {}).items()
    ]
    return dg.MetadataValue.table(records=shown, schema=dg.TableSchema(columns))


def log_check(context: Context, result: dg.AssetCheckResult) -> None:
    """Record a check from a run that does not declare it."""
    assert result.asset_key is not None
    assert result.check_name is not None
    evaluation = dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )
    context.log_event(cast(Any, evaluation))  # Taken, though its type does not say so.


def failure(failed: Sequence[StreamResult]) -> dg.Failure:
    """What a step raises: which streams of which venues did not succeed, and what to do."""
    first = failed[0]
    others = len(failed) - 1
    return dg.Failure(
        f"{first.provider} {first.stream} of {first.venue_id}: {first.error}"
        + (f" (and {others} more)" if others else ""),
        metadata={
            "failed": table(
                [
                    {
                        "venue": result.venue_id,
                        "stream": result.stream,
                        "kind": result.error_kind or result.outcome,
                        "why": result.error or "",
                    }
                    for result in failed
                ]
            )
        },
        allow_retries=False,
    )
