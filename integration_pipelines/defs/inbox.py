"""The inbox of webhooks as Dagster shows it, and the check that nothing in it grows old."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from integration_pipelines.core.events.waiting import Ended, Waiting, waiting
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline

INBOX = dg.AssetSpec(
    dg.AssetKey(["control", "integration_webhooks"]),
    group_name="control",
    description="Events that providers sent, as the receiver stored them. Observed every minute.",
    kinds={"postgres"},
)
NAME = "no_event_waits_long"
LONG = timedelta(minutes=10)
"""Far more than a tick and a run take; what waits for its account to be connected is no delay."""


def verdict(found: Sequence[Waiting]) -> tuple[bool, str, dict[str, Any]]:
    """Whether the check passes, why, and events by provider with the oldest's age in seconds."""
    late = [
        f"{each.provider}'s oldest waits {each.seconds // 60} min"
        for each in found
        if each.seconds > LONG.total_seconds()
    ]
    metadata: dict[str, Any] = {"waiting": sum(each.events for each in found)}
    if found:
        metadata["by_provider"] = table(
            [
                {
                    "provider": each.provider,
                    "events": each.events,
                    "oldest_seconds": each.seconds,
                }
                for each in found
            ]
        )
    return not late, "; ".join(late) or "what came in is worked on at once", metadata


@dg.asset_check(
    asset=INBOX.key,
    name=NAME,
    description=(
        "No event waits for more than ten minutes. Told by the sensor when that changes, and every"
        " minute for as long as one does."
    ),
)
def no_event_waits_long(pipeline: Pipeline) -> dg.AssetCheckResult:
    """Asked by hand."""
    with pipeline.engine.connect() as session:
        passed, said, metadata = verdict(waiting(session))
    return dg.AssetCheckResult(passed=passed, description=said, metadata=metadata)


def evaluation(passed: bool, said: str, metadata: dict[str, Any]) -> dg.AssetCheckEvaluation:
    """The same, as a sensor tells it."""
    return dg.AssetCheckEvaluation(
        asset_key=INBOX.key,
        check_name=NAME,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=said,
        metadata=metadata,
    )


def observation(found: Sequence[Waiting], ended: Ended) -> dg.AssetObservation:
    """The inbox as it stands, in numbers that Dagster plots: events that wait, those of them that
    are in work, the oldest's age in seconds, and what ended since the observation before,
    whoever worked on it."""
    return dg.AssetObservation(
        INBOX.key,
        metadata={
            "waiting": sum(each.events for each in found),
            "claimed": sum(each.claimed for each in found),
            "oldest_seconds": max((each.seconds for each in found), default=0),
            **ended._asdict(),
        },
    )
