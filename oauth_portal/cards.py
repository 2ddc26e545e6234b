"""What the pages show of a venue: how each provider stands, in words of whoever manages it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection as Session
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from integration_pipelines.core.provider import Provider
from integration_pipelines.core.status import latest_syncs, open_streams, read_status
from integration_pipelines.core.tables import (
    connections,
    integration_configs,
    integrations,
    sync_days,
    sync_logs,
    sync_queue,
)
from oauth_portal.history import days, volumes
from oauth_portal.portal import Portal

CAUSES = {
    "access_revoked": "{title} no longer accepts our access.",
    "rate_limited": "{title} asked us to slow down. We go on by ourselves.",
    "transient": "{title} is not answering properly. We try again by ourselves.",
    "breaker_open": "{title} is not answering properly. We try again by ourselves.",
    "malformed": "{title} sent something unreadable. We try again by ourselves.",
    "refused": (
        "{title} refused a part of what we read. Usually a permission is missing: connect again "
        "and allow everything that is asked for."
    ),
    "not_found": "{title} no longer has what we asked for. We try again by ourselves.",
    "confirmation_needed": (
        "Many entries vanished at {title} at once. We keep them here until somebody confirms that "
        "this is right."
    ),
}
OURS = "Something is wrong on our side. We have been told, and nothing of yours is lost."
"""What a manager reads of each kind of error."""
CURES = {
    "access_revoked": "reconnect",
    "refused": "reconnect",
    "confirmation_needed": "confirm",
}
"""The button that helps against it; against any other, to sync again."""


@dataclass(frozen=True, slots=True)
class Card:
    """One provider at one venue. ``state``: available, unavailable, waiting, syncing, well,
    attention or paused. ``cure``: the one button that helps: connect, reconnect, confirm, sync or
    none."""

    provider: Provider
    state: str
    headline: str
    cure: str | None
    account: dict[str, Any] | None = None
    rows: int = 0
    last_sync: datetime | None = None
    fresh_at: datetime | None = None
    streams_done: int = 0
    streams: int = 0
    fetched: int = 0
    kept_out: int = 0
    reason: str | None = None
    volumes: Sequence[int] = ()

    @property
    def is_moving(self) -> bool:
        """Whether the card changes by itself while it is looked at."""
        return self.state in ("waiting", "syncing")


def cause(kind: str | None, title: str) -> str:
    """An error's kind in words of whoever manages the venue."""
    return CAUSES.get(kind or "", OURS).format(title=title)


def cards(portal: Portal, session: Session, venue_id: str) -> list[Card]:
    """A card of each provider, of the venue in scope."""
    status = {row["provider"]: row for row in read_status(session, portal.providers.values())}
    off = _switched_off(session, venue_id)
    work = _work(session, portal.providers.values())
    changed = volumes(session)
    return [
        _card(portal, provider, status.get(name), off.get(name), work.get(name), changed.get(name))
        for name, provider in portal.providers.items()
    ]


def card(portal: Portal, session: Session, venue_id: str, provider: str) -> Card:
    """The card of one provider."""
    return next(each for each in cards(portal, session, venue_id) if each.provider.name == provider)


def _card(
    portal: Portal,
    provider: Provider,
    held: dict[str, Any] | None,
    off: str | None,
    work: Any,
    changed: dict[date, int] | None,
) -> Card:
    title = provider.title
    if held is None:
        usable = provider.access.key is not None or (
            provider.oauth is not None and provider.oauth.is_configured(portal.settings)
        )
        if off is not None or not usable:
            why = off or f"{title} is not set up here yet."
            return Card(provider, "unavailable", why, None)
        return Card(provider, "available", f"Connect {title} to see its data here.", "connect")
    facts: dict[str, Any] = {
        "account": held,
        "rows": work.rows if work else 0,
        "last_sync": held["last_success_at"],
        "fresh_at": held["oldest_cursor_at"],
        "streams_done": work.done if work else 0,
        "streams": work.streams if work else 0,
        "fetched": work.fetched if work else 0,
        "kept_out": held["kept_out"],
        "volumes": [(changed or {}).get(day, 0) for day in days()],
    }
    if off is not None:
        return Card(provider, "paused", off, None, **facts)
    if held["status"] == "revoked":
        return Card(
            provider,
            "attention",
            f"{cause('access_revoked', title)} Reconnect to go on.",
            "reconnect",
            reason=held["status_reason"],
            **facts,
        )
    if work and work.running:
        return Card(provider, "syncing", f"Reading from {title} …", None, **facts)
    if work and work.waiting:
        return Card(provider, "waiting", "A sync is about to begin.", None, **facts)
    if ends := held["consent_ends_soon"]:
        over = ends < datetime.now(UTC)
        return Card(
            provider,
            "attention",
            f"What you allowed at {title} {'ended' if over else 'ends'} on {ends:%-d %B %Y}. "
            f"Reconnect {'to go on' if over else 'before that'}.",
            "reconnect",
            **facts,
        )
    if held["breaker"] != "closed":
        return Card(provider, "attention", cause("breaker_open", title), None, **facts)
    if held["failing_streams"]:
        kind = held["error_kind"]
        cure = CURES.get(kind, "sync")
        return Card(
            provider, "attention", cause(kind, title), cure, reason=held["last_error"], **facts
        )
    if held["oldest_cursor_at"] is None:
        return Card(provider, "waiting", "The first sync has not begun yet.", None, **facts)
    headline = "Everything is here."
    if held["kept_out"]:
        headline = "Everything came, but some rows lack what your mappings require."
    return Card(provider, "well", headline, "sync", **facts)


def _switched_off(session: Session, venue_id: str) -> dict[str, str]:
    """Why a provider is off at this venue, by name."""
    catalog = session.execute(
        select(
            integrations.c.provider, integrations.c.enabled, integrations.c.pause_reason
        ).add_columns(integrations.c.paused_at)
    ).all()
    here = session.execute(
        select(integration_configs).where(integration_configs.c.venue_id == venue_id)
    ).all()
    found = {}
    for row in (*catalog, *here):
        if not row.enabled:
            found[row.provider] = "An administrator has switched this off."
        elif row.paused_at is not None:
            why = f": {row.pause_reason}" if row.pause_reason else "."
            found[row.provider] = f"Paused by an administrator{why}"
    return found


def _work(session: Session, providers: Iterable[Provider]) -> dict[str, Any]:
    """By provider: rows landed, and what is under way."""
    of_open = connections.c.status != "disconnected"
    totals = (
        select(
            sync_days.c.provider,
            func.sum(sync_days.c.inserted - sync_days.c.deleted).label("rows"),
        )
        .join(connections, sync_days.c.connection_id == connections.c.connection_id)
        .where(of_open)
        .group_by(sync_days.c.provider)
        .subquery()
    )
    syncs = latest_syncs(open_streams(providers), shown=("sync_id", "started_at"))
    newest = (
        select(syncs.c.provider, syncs.c.sync_id)
        .ext(distinct_on(syncs.c.provider))
        .order_by(syncs.c.provider, syncs.c.started_at.desc())
        .subquery()
    )
    latest = (
        select(
            sync_logs.c.provider,
            func.count().label("streams"),
            func.count(sync_logs.c.finished_at).label("done"),
            func.sum(sync_logs.c.fetched).label("fetched"),
            func.bool_or(sync_logs.c.outcome == "running").label("running"),
        )
        .join(newest, sync_logs.c.sync_id == newest.c.sync_id)
        .group_by(sync_logs.c.provider)
        .subquery()
    )
    waiting = (
        select(sync_queue.c.provider, func.count().label("waiting"))
        .where(sync_queue.c.done_at.is_(None))
        .group_by(sync_queue.c.provider)
        .subquery()
    )
    name = integrations.c.provider
    rows = session.execute(
        select(
            name,
            func.coalesce(totals.c.rows, 0).label("rows"),
            latest.c.streams,
            latest.c.done,
            func.coalesce(latest.c.fetched, 0).label("fetched"),
            func.coalesce(latest.c.running, False).label("running"),
            func.coalesce(waiting.c.waiting, 0).label("waiting"),
        )
        .select_from(integrations)
        .outerjoin(totals, totals.c.provider == name)
        .outerjoin(latest, latest.c.provider == name)
        .outerjoin(waiting, waiting.c.provider == name)
    )
    return {row.provider: row for row in rows}
