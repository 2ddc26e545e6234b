"""What was synced, how fresh and how much each stream is, and who did what: of a venue in scope."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection as Session
from sqlalchemy import and_, func, select

from integration_pipelines.core.status import NOT_SUCCEEDED, latest_syncs, worst
from integration_pipelines.core.tables import (
    audit_log,
    connections,
    sync_cursors,
    sync_days,
    sync_logs,
)

DAYS = 14
STREAMS_A_SYNC = 100


def days() -> list[date]:
    """The days that charts show, oldest first (UTC)."""
    today = datetime.now(UTC).date()
    return [today - timedelta(days=ago) for ago in reversed(range(DAYS))]


def syncs(
    session: Session,
    *,
    provider: str | None = None,
    before: datetime | None = None,
    limit: int = 30,
) -> list[Any]:
    """Syncs that began before ``before``, the newest first, each summed over its streams."""
    asked = [sync_logs.c.provider == provider] if provider else []
    if before is not None:
        asked.append(sync_logs.c.started_at < before)
    recent = (
        select(sync_logs.c.sync_id)
        .where(*asked)
        .order_by(sync_logs.c.started_at.desc())
        .limit(limit * STREAMS_A_SYNC)
        .subquery()
    )
    began = func.min(sync_logs.c.started_at)
    return list(
        session.execute(
            select(
                sync_logs.c.sync_id,
                sync_logs.c.provider,
                began.label("started_at"),
                func.max(sync_logs.c.finished_at).label("finished_at"),
                func.max(sync_logs.c.mode).label("mode"),
                func.sum(sync_logs.c.fetched).label("fetched"),
                func.sum(sync_logs.c.inserted).label("inserted"),
                func.sum(sync_logs.c.updated).label("updated"),
                func.sum(sync_logs.c.deleted).label("deleted"),
                func.bool_or(sync_logs.c.outcome == "running").label("running"),
                func.count().filter(sync_logs.c.outcome.in_(NOT_SUCCEEDED)).label("failed"),
                func.count().label("streams"),
                worst(sync_logs, "error_kind").label("error_kind"),
            )
            .where(sync_logs.c.sync_id.in_(select(recent.c.sync_id)))
            .group_by(sync_logs.c.sync_id, sync_logs.c.provider)
            .having(*([began < before] if before is not None else []))
            .order_by(began.desc())
            .limit(limit)
        )
    )


def deeds(session: Session, *, before: int | None = None, limit: int = 30) -> list[Any]:
    """Who did what, entries with a lower id than ``before``, the newest first."""
    asked = [audit_log.c.entry_id < before] if before is not None else []
    return list(
        session.execute(
            select(audit_log).where(*asked).order_by(audit_log.c.entry_id.desc()).limit(limit)
        )
    )


def streams(session: Session, *, provider: str | None = None) -> list[dict[str, Any]]:
    """Each stream of the open connections: rows here, up to when it is complete, its latest sync,
    and what was new or changed by day (`days`)."""
    shown = days()
    asked = [connections.c.status != "disconnected"]
    if provider:
        asked.append(connections.c.provider == provider)
    read = select(
        sync_cursors.c.venue_id, sync_cursors.c.connection_id, sync_cursors.c.stream
    ).subquery()
    latest = latest_syncs(
        read,
        sync_logs.c.outcome != "running",
        shown=("outcome", "error_kind", "finished_at"),
    )
    totals = (
        select(
            sync_days.c.connection_id,
            sync_days.c.stream,
            func.sum(sync_days.c.inserted - sync_days.c.deleted).label("rows"),
        )
        .group_by(sync_days.c.connection_id, sync_days.c.stream)
        .subquery()
    )
    rows = session.execute(
        select(
            connections.c.provider,
            sync_cursors.c.stream,
            sync_cursors.c.cursor_at,
            sync_cursors.c.full_pass_at,
            func.coalesce(totals.c.rows, 0).label("rows"),
            latest.c.outcome,
            latest.c.error_kind,
            latest.c.finished_at,
        )
        .join(connections, connections.c.connection_id == sync_cursors.c.connection_id)
        .outerjoin(
            totals,
            and_(
                totals.c.connection_id == sync_cursors.c.connection_id,
                totals.c.stream == sync_cursors.c.stream,
            ),
        )
        .outerjoin(
            latest,
            and_(
                latest.c.connection_id == sync_cursors.c.connection_id,
                latest.c.stream == sync_cursors.c.stream,
            ),
        )
        .where(*asked)
        .order_by(connections.c.provider, sync_cursors.c.stream)
    ).mappings()
    by_day = volumes(session, by_stream=True)
    return [
        {
            **row,
            "volumes": [
                by_day.get((row["provider"], row["stream"]), {}).get(day, 0) for day in shown
            ],
        }
        for row in rows
    ]


def volumes(session: Session, *, by_stream: bool = False) -> dict[Any, dict[date, int]]:
    """Rows that were new or changed by day, by provider, or by provider and stream."""
    keys: Sequence[Any] = [sync_days.c.provider, *([sync_days.c.stream] if by_stream else [])]
    rows = session.execute(
        select(
            *keys,
            sync_days.c.day,
            func.sum(sync_days.c.inserted + sync_days.c.updated).label("changed"),
        )
        .where(sync_days.c.day >= days()[0])
        .group_by(*keys, sync_days.c.day)
    )
    found: dict[Any, dict[date, int]] = {}
    for row in rows:
        key = (row.provider, row.stream) if by_stream else row.provider
        found.setdefault(key, {})[row.day] = int(row.changed)
    return found
