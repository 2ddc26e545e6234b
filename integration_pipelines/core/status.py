"""How the connections stand: what is told of them by command, portal and alerts alike."""

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Subquery,
    Text,
    and_,
    case,
    column,
    func,
    select,
    true,
    values,
)
from sqlalchemy import Connection as Session
from sqlalchemy.dialects.postgresql import aggregate_order_by

from integration_pipelines.core.credentials import TELL_BEFORE, consent_ends
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.tables import (
    completeness,
    connections,
    integration_health,
    integration_webhooks,
    oauth_tokens,
    publications,
    quarantine,
    sync_cursors,
    sync_logs,
)

NOT_SUCCEEDED = ("failed", "abandoned")
SEVERITY = (
    "access_revoked",
    "refused",
    "confirmation_needed",
    "ours",
    "not_found",
    "malformed",
    "breaker_open",
    "rate_limited",
    "transient",
)
"""Kinds of error, the worst first: what its venue has to see to, what we have ("ours": all kinds
not named here), and what passes by itself."""


def worst(logs: Any, column: str) -> ColumnElement[Any]:
    """``column`` of the row, in a group of rows of `sync_logs`, whose error is the worst."""
    rank = case(
        {kind: place for place, kind in enumerate(SEVERITY)},
        value=logs.c.error_kind,
        else_=SEVERITY.index("ours"),
    )
    succeeded = logs.c.outcome.not_in(NOT_SUCCEEDED)
    ordered = aggregate_order_by(logs.c[column], succeeded, rank, logs.c.stream)
    return func.array_agg(ordered, type_=ARRAY(Text))[1]


def open_streams(providers: Iterable[Provider]) -> Subquery:
    """Every stream of the connections not disconnected, of the venues in scope: `venue_id`,
    `provider`, `connection_id`, `stream`."""
    known = values(column("provider", Text), column("stream", Text), name="known").data(
        [(provider.name, stream) for provider in providers for stream in provider.stream_names]
    )
    return (
        select(
            connections.c.venue_id,
            connections.c.provider,
            connections.c.connection_id,
            known.c.stream,
        )
        .join(known, known.c.provider == connections.c.provider)
        .where(connections.c.status != "disconnected")
        .subquery()
    )


def latest_syncs(
    streams: Subquery, *where: ColumnElement[bool], shown: Collection[str]
) -> Subquery:
    """The columns of ``streams``, which have `venue_id`, `connection_id` and `stream`, and those
    ``shown`` of the latest row that `sync_logs` has of each: looked up, for the log is long."""
    log = sync_logs.c
    newest = (
        select(*(log[name] for name in shown))
        .where(
            log.venue_id == streams.c.venue_id,
            log.connection_id == streams.c.connection_id,
            log.stream == streams.c.stream,
            *where,
        )
        .order_by(log.started_at.desc())
        .limit(1)
        .lateral()
    )
    return select(*streams.c, *newest.c).join(newest, true()).subquery()


def stray_dead_letters(session: Session) -> int:
    """Events in scope that were given up and that no row of `read_status` counts: of accounts that
    nobody has connected, or whose venue has disconnected them since."""
    held = integration_webhooks.c
    counted = select(connections.c.connection_id).where(
        connections.c.connection_id == held.connection_id, connections.c.status != "disconnected"
    )
    found = select(func.count()).where(held.status == "dead", ~counted.exists())
    return session.scalars(found).one()


def read_status(session: Session, providers: Iterable[Provider]) -> list[dict[str, Any]]:
    """A row for each connection not disconnected, of the venues in scope.

    ``oldest_cursor_at`` and ``newest_cursor_at``: up to when the least and the most fresh of its
    streams is complete; the oldest is None while a stream has not been read once.
    ``failing_streams``: those whose latest sync did not succeed, ``error_kind`` and ``last_error``
    of the worst of them. ``consent_ends_soon``: when what the venue allowed ends, if that is near.
    ``kept_out``: rows in quarantine because they lack what the venue requires. ``repaired`` and
    ``missing`` are rows and objects, None before the first full pass and the first
    census.
    """
    cursors = (
        select(
            sync_cursors.c.connection_id,
            func.min(sync_cursors.c.cursor_at).label("oldest"),
            func.max(sync_cursors.c.cursor_at).label("newest"),
            func.bool_and(sync_cursors.c.cursor_at.is_not(None)).label("whole"),
        )
        .group_by(sync_cursors.c.connection_id)
        .subquery()
    )
    providers = tuple(providers)
    streams = open_streams(providers)
    latest = latest_syncs(
        streams, sync_logs.c.outcome != "running", shown=("outcome", "error_kind", "error")
    )
    failing = (
        select(
            latest.c.connection_id,
            func.array_agg(latest.c.stream).label("streams"),
            worst(latest, "error_kind").label("error_kind"),
            worst(latest, "error").label("error"),
        )
        .where(latest.c.outcome.in_(NOT_SUCCEEDED))
        .group_by(latest.c.connection_id)
        .subquery()
    )
    dead = (
        select(integration_webhooks.c.connection_id, func.count().label("letters"))
        .where(integration_webhooks.c.status == "dead")
        .group_by(integration_webhooks.c.connection_id)
        .subquery()
    )
    kept_out = (
        select(quarantine.c.venue_id, quarantine.c.provider, func.count().label("rows"))
        .where(quarantine.c.kept_out)
        .group_by(quarantine.c.venue_id, quarantine.c.provider)
        .subquery()
    )
    pass_result = latest_syncs(streams, sync_logs.c.repaired.is_not(None), shown=("repaired",))
    repaired = (
        select(pass_result.c.connection_id, func.sum(pass_result.c.repaired).label("rows"))
        .group_by(pass_result.c.connection_id)
        .subquery()
    )
    missing = (
        select(
            completeness.c.connection_id,
            func.sum(func.cardinality(completeness.c.missing_ids)).label("objects"),
        )
        .group_by(completeness.c.connection_id)
        .subquery()
    )
    health = integration_health.c
    rows = session.execute(
        select(
            *(
                connections.c[name]
                for name in (
                    "venue_id",
                    "provider",
                    "account_id",
                    "account_name",
                    "currency",
                    "country",
                    "livemode",
                    "status",
                    "status_reason",
                    "connected_at",
                )
            ),
            func.coalesce(health.breaker, "closed").label("breaker"),
            health.open_until.label("breaker_open_until"),
            health.last_success_at,
            health.last_failure_at,
            func.coalesce(failing.c.error, health.last_error).label("last_error"),
            cursors.c.oldest.label("oldest_cursor_at"),
            cursors.c.newest.label("newest_cursor_at"),
            cursors.c.whole,
            func.coalesce(failing.c.streams, []).label("failing_streams"),
            failing.c.error_kind,
            repaired.c.rows.label("repaired"),
            missing.c.objects.label("missing"),
            func.coalesce(dead.c.letters, 0).label("dead_letters"),
            func.coalesce(kept_out.c.rows, 0).label("kept_out"),
            oauth_tokens.c.expires_at,
            oauth_tokens.c.refresh_expires_at,
            oauth_tokens.c.refresh_token.is_not(None).label("renews"),
            func.now().label("now"),
        )
        .select_from(connections)
        .outerjoin(
            integration_health,
            and_(
                health.venue_id == connections.c.venue_id,
                health.provider == connections.c.provider,
            ),
        )
        .outerjoin(cursors, cursors.c.connection_id == connections.c.connection_id)
        .outerjoin(failing, failing.c.connection_id == connections.c.connection_id)
        .outerjoin(repaired, repaired.c.connection_id == connections.c.connection_id)
        .outerjoin(missing, missing.c.connection_id == connections.c.connection_id)
        .outerjoin(dead, dead.c.connection_id == connections.c.connection_id)
        .outerjoin(
            kept_out,
            and_(
                kept_out.c.venue_id == connections.c.venue_id,
                kept_out.c.provider == connections.c.provider,
            ),
        )
        .outerjoin(oauth_tokens, oauth_tokens.c.connection_id == connections.c.connection_id)
        .where(connections.c.status != "disconnected")
        .order_by(connections.c.venue_id, connections.c.provider)
    )
    found = []
    consents = {provider.name: provider.oauth for provider in providers}
    for row in rows.mappings():
        entry = dict(row)
        now = entry.pop("now")
        ends = consent_ends(
            consents.get(entry["provider"]),
            connected_at=entry["connected_at"],
            now=now,
            **{name: entry.pop(name) for name in ("expires_at", "refresh_expires_at", "renews")},
        )
        soon = ends is not None and ends < now + TELL_BEFORE
        entry["consent_ends_soon"] = ends if soon else None
        if not entry.pop("whole"):
            entry["oldest_cursor_at"] = None
        found.append(entry)
    return found


class Stale(NamedTuple):
    """A venue of which analysts see earlier rows than its latest build made: of ``tables`` tables,
    from ``published_at`` (None: none yet), since ``since`` and for ``reasons``."""

    venue_id: str
    tables: int
    since: datetime
    published_at: datetime | None
    reasons: list[str]

    @property
    def words(self) -> str:
        """What is seen, and why."""
        seen = f"rows of {self.published_at:%Y-%m-%d %H:%M} UTC" if self.published_at else "no rows"
        return f"{self.venue_id} shows {seen} in {self.tables} tables: {'; '.join(self.reasons)}"


def read_stale(session: Session, venue_ids: Collection[str] | None = None) -> list[Stale]:
    """Venues in scope (of ``venue_ids``, if given) whose latest build was not published; the
    longest so first."""
    held = publications.c
    since = func.min(held.stale_since).label("since")
    asked = (
        select(
            held.venue_id,
            func.count().label("tables"),
            since,
            func.min(held.published_at).label("published_at"),
            func.array_agg(held.reasons).label("reasons"),
        )
        .where(held.stale_since.is_not(None))
        .group_by(held.venue_id)
        .order_by(since, held.venue_id)
    )
    if venue_ids is not None:
        asked = asked.where(held.venue_id.in_(venue_ids))
    return [
        Stale(
            venue_id=row.venue_id,
            tables=row.tables,
            since=row.since,
            published_at=row.published_at,
            reasons=list(dict.fromkeys(chain(*row.reasons))),
        )
        for row in session.execute(asked)
    ]
