"""The inbox of webhooks as Dagster shows it, and the check that nothing in it grows old."""

from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from sqlalchemy import Connection as Session
from sqlalchemy import func, select

from integration_pipelines.core.tables import integration_webhooks
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline

INBOX = dg.AssetSpec(
    dg.AssetKey(["control", "integration_webhooks"]),
    group_name="control",
    description="Events that providers sent, as the receiver stored them.",
    kinds={"postgres"},
)
NAME = "no_event_waits_long"
LONG = timedelta(minutes=10)
"""Far more than a tick and a run take; what waits for its account to be connected is no delay."""


def verdict(session: Session) -> tuple[bool, str, dict[str, Any]]:
    """Whether the check passes, why, and events by provider with the oldest's age in seconds."""
    held = integration_webhooks.c
    rows = session.execute(
        select(
            held.provider,
            func.count().label("events"),
            func.min(held.received_at).label("oldest"),
            func.now().label("now"),
        )
        .where(
            held.status.in_(("pending", "claimed")),
            (held.attempts > 0) | held.last_error.is_(None),
        )
        .group_by(held.provider)
        .order_by(held.provider)
    ).all()
    late: list[str] = []
    shown: list[dict[str, str | int]] = []
    for row in rows:
        age: timedelta = row.now - _instant(row.oldest)
        shown.append(
            {
                "provider": row.provider,
                "events": row.events,
                "oldest_seconds": int(age.total_seconds()),
            }
        )
        if age > LONG:
            late.append(f"{row.provider}'s oldest waits {int(age.total_seconds() / 60)} min")
    said = "; ".join(late) or "what came in is worked on at once"
    metadata: dict[str, Any] = {"waiting": sum(row.events for row in rows)}
    if shown:
        metadata["by_provider"] = table(shown)
    return not late, said, metadata


@dg.asset_check(
    asset=INBOX.key,
    name=NAME,
    description="No event waits for more than ten minutes. Told by the sensor when that changes.",
)
def no_event_waits_long(pipeline: Pipeline) -> dg.AssetCheckResult:
    """Asked by hand."""
    with pipeline.engine.connect() as session:
        passed, said, metadata = verdict(session)
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


def _instant(value: Any) -> datetime:
    assert isinstance(value, datetime)
    return value
