"""`every_object_landed`, one check a raw asset: what a provider says exists and is not here.

Read from `control.completeness`, which a census fills by asking the providers apart from any sync,
and which the sync that finds a missing object settles. It names venue, period and objects.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg
from sqlalchemy import Connection as Session
from sqlalchemy import text

from integration_pipelines.defs.records import table

NAME = "every_object_landed"
COUNTED_WITHIN = timedelta(days=9)
"""Every week, and one that failed."""
NAMED_AT_MOST = 5


class Gap(NamedTuple):
    """A period of a venue's stream of which something is missing; or, without ``period``, a stream
    that has not been counted of late (``counted_at`` None: never)."""

    venue_id: str
    stream: str
    period: str | None
    expected: int
    missing_ids: list[str]
    counted_at: datetime | None

    @property
    def what(self) -> str:
        """What is missing, in words."""
        if self.period is None:
            return f"not counted since {self.counted_at or 'it was connected'}"
        when = "" if self.period == "all" else f" of {self.period}"
        return f"{len(self.missing_ids)} of {self.expected}{when} are missing"


_CONNECTED = """
FROM control.connections c
JOIN control.integrations i ON i.provider = c.provider AND i.enabled AND i.paused_at IS NULL
LEFT JOIN control.integration_configs f ON f.venue_id = c.venue_id AND f.provider = c.provider
WHERE c.provider = :provider AND c.status = 'active'
    AND coalesce(f.enabled, true) AND f.paused_at IS NULL
"""

_GAPS = f"""
WITH connected AS (SELECT c.* {_CONNECTED})
SELECT c.venue_id, k.stream, k.period, k.expected, k.missing_ids, k.counted_at
FROM connected c
JOIN control.completeness k ON k.venue_id = c.venue_id AND k.connection_id = c.connection_id
WHERE k.stream = ANY(:streams) AND cardinality(k.missing_ids) > 0
UNION ALL
SELECT c.venue_id, u.stream, NULL, 0, '{{}}', k.counted_at
FROM connected c
JOIN control.sync_cursors u ON u.venue_id = c.venue_id AND u.connection_id = c.connection_id
    AND u.cursor_at IS NOT NULL
LEFT JOIN LATERAL (
    SELECT max(counted_at) AS counted_at FROM control.completeness k
    WHERE k.venue_id = c.venue_id AND k.connection_id = c.connection_id AND k.stream = u.stream
) k ON true
WHERE u.stream = ANY(:streams)
    AND coalesce(k.counted_at, c.connected_at) < now() - CAST(:within AS interval)
ORDER BY 2, 1, 3
"""


def check_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check of one raw asset."""
    return dg.AssetCheckSpec(
        NAME,
        asset=asset,
        description=(
            "Every object that the provider says exists is here. Asked of the provider apart from "
            "any sync, by the job `take_census`; what is missing is named, and asked for by id."
        ),
    )


def evaluate(
    session: Session, *, provider: str, streams: Collection[str]
) -> Iterator[dg.AssetCheckResult]:
    """The check of each stream, over all venues that have the provider connected."""
    asked = {"provider": provider, "streams": list(streams), "within": COUNTED_WITHIN}
    of_stream: dict[str, list[Gap]] = defaultdict(list)
    for row in session.execute(text(_GAPS), asked):
        of_stream[row.stream].append(Gap._make(row))
    for stream in streams:
        yield verdict(provider, stream, of_stream[stream])


def verdict(provider: str, stream: str, gaps: Sequence[Gap]) -> dg.AssetCheckResult:
    """What the check says: failed where objects are missing, a warning where nobody has asked."""
    ordered = sorted(gaps, key=lambda gap: -len(gap.missing_ids))
    missing = sum(len(gap.missing_ids) for gap in ordered)
    metadata: dict[str, int | dg.TableMetadataValue] = {"missing": missing}
    if ordered:
        metadata["gaps"] = table(
            [
                {
                    "venue": gap.venue_id,
                    "period": gap.period or "",
                    "what": gap.what,
                    "missing": len(gap.missing_ids),
                    "objects": ", ".join(gap.missing_ids[:NAMED_AT_MOST]),
                    "counted": f"{gap.counted_at or 'never'}",
                }
                for gap in ordered
            ]
        )
    return dg.AssetCheckResult(
        asset_key=[f"raw_{provider}", stream],
        check_name=NAME,
        passed=not ordered,
        severity=dg.AssetCheckSeverity.ERROR if missing else dg.AssetCheckSeverity.WARN,
        description=(
            "; ".join(f"{gap.venue_id}: {stream}: {gap.what}" for gap in ordered[:NAMED_AT_MOST])
            + (" (and more)" if len(ordered) > NAMED_AT_MOST else "")
            if ordered
            else "all that the provider says exists is here"
        ),
        metadata=metadata,
    )
