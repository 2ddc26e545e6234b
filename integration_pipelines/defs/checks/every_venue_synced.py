"""`every_venue_synced`, one check a raw asset: which venues are not up to date, and why.

Read from `control.sync_logs` and `sync_cursors`, so it speaks of all connected venues whichever of
them a run was about: one venue's success never hides another's failure, and the red goes when the
last of them has recovered. It costs one query a provider and one event a stream.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg
from sqlalchemy import Connection as Session
from sqlalchemy import text

from integration_pipelines.defs.records import table

NAME = "every_venue_synced"
LATE_AFTER = timedelta(hours=2)
"""Several incremental syncs in a row missed."""


class Trouble(NamedTuple):
    """A stream of a connected venue that is not up to date. ``outcome`` and ``error`` are of its
    last finished sync, None before the first; ``complete_up_to`` is None until the first load."""

    venue_id: str
    stream: str
    status: str
    status_reason: str | None
    outcome: str | None
    error: str | None
    complete_up_to: datetime | None

    @property
    def is_failure(self) -> bool:
        """Someone must act, rather than wait for the next sync."""
        return self.status != "active" or self.outcome == "failed"

    @property
    def why(self) -> str:
        """Cause and cure."""
        if self.status != "active":
            return f"{self.status}: {self.status_reason or 'connect the account again'}"
        if self.outcome == "failed":
            return self.error or "failed without a word: see the run's log"
        if self.complete_up_to is None:
            return "never synced since it was connected: is the schedule on?"
        return "late: is the schedule on, and do its runs end?"


_CONNECTED = """
FROM control.connections c
JOIN control.integrations i ON i.provider = c.provider AND i.enabled AND i.paused_at IS NULL
LEFT JOIN control.integration_configs f ON f.venue_id = c.venue_id AND f.provider = c.provider
WHERE c.provider = :provider AND c.status IN ('active', 'revoked')
    AND coalesce(f.enabled, true) AND f.paused_at IS NULL
"""

_TROUBLES = f"""
WITH connected AS (SELECT c.* {_CONNECTED})
SELECT c.venue_id, s.stream, c.status, c.status_reason, last.outcome, last.error, u.cursor_at
FROM connected c
CROSS JOIN unnest(CAST(:streams AS text[])) AS s (stream)
LEFT JOIN control.sync_cursors u ON u.venue_id = c.venue_id
    AND u.connection_id = c.connection_id AND u.stream = s.stream
LEFT JOIN LATERAL (
    SELECT l.outcome, l.error
    FROM control.sync_logs l
    WHERE l.venue_id = c.venue_id AND l.provider = c.provider AND l.stream = s.stream
        AND l.outcome IN ('succeeded', 'failed')
    ORDER BY l.started_at DESC
    LIMIT 1
) last ON true
WHERE c.status <> 'active' OR last.outcome = 'failed'
    OR coalesce(u.cursor_at, c.connected_at) < now() - CAST(:late_after AS interval)
ORDER BY s.stream, c.venue_id
"""


def check_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check of one raw asset."""
    return dg.AssetCheckSpec(
        NAME,
        asset=asset,
        description=(
            "The last sync of every connected venue succeeded, and none is more than "
            f"{LATE_AFTER.seconds // 3600} hours behind. Red names the venues, the cause, the cure."
        ),
    )


def evaluate(
    session: Session, *, provider: str, streams: Collection[str]
) -> Iterator[dg.AssetCheckResult]:
    """The check of each stream, over all venues that have the provider connected."""
    connected = session.scalars(text(f"SELECT count(*) {_CONNECTED}"), {"provider": provider}).one()
    of_stream: dict[str, list[Trouble]] = defaultdict(list)
    asked = {"provider": provider, "streams": list(streams), "late_after": LATE_AFTER}
    for row in session.execute(text(_TROUBLES), asked):
        of_stream[row.stream].append(Trouble._make(row))
    for stream in streams:
        yield verdict(provider, stream, connected=connected, troubles=of_stream[stream])


def verdict(
    provider: str, stream: str, *, connected: int, troubles: Sequence[Trouble]
) -> dg.AssetCheckResult:
    """What the check says: failed where someone must act, a warning where venues are late."""
    ordered = sorted(troubles, key=lambda trouble: not trouble.is_failure)
    severe = any(trouble.is_failure for trouble in ordered)
    rows: list[dict[str, str | int]] = [
        {
            "venue": trouble.venue_id,
            "why": trouble.why,
            "complete up to": f"{trouble.complete_up_to or 'nothing'}",
        }
        for trouble in ordered
    ]
    metadata: dict[str, int | dg.TableMetadataValue] = {
        "connected_venues": connected,
        "venues_in_trouble": len(rows),
    }
    if rows:
        metadata["venues"] = table(rows)
    return dg.AssetCheckResult(
        asset_key=[f"raw_{provider}", stream],
        check_name=NAME,
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        description=(
            f"{len(rows)} of {connected} venues: {rows[0]['venue']}: {rows[0]['why']}"
            if rows
            else f"all {connected} connected venues are up to date"
        ),
        metadata=metadata,
    )
