"""What waits in the inbox, and how long it has been waiting."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection as Session
from sqlalchemy import func, select, true

from integration_pipelines.core.tables import connections, integration_webhooks

held = integration_webhooks.c


class Waiting(NamedTuple):
    """One provider's events that are neither done nor given up, of which ``claimed`` are in work;
    ``since``: since when the oldest could have been worked on; ``now``: the database's clock."""

    provider: str
    events: int
    claimed: int
    since: datetime
    now: datetime

    @property
    def seconds(self) -> int:
        """The oldest's age."""
        return int((self.now - self.since).total_seconds())


def waiting(session: Session) -> list[Waiting]:
    """By provider, over all venues. An event waits from when it came in, or was replayed, or its
    account was connected, whichever was last; one whose account nobody has connected does not."""
    account = (
        select(
            held.provider,
            held.account_id,
            func.count().label("events"),
            func.count().filter(held.status == "claimed").label("claimed"),
            func.min(func.greatest(held.received_at, held.replayed_at)).label("since"),
        )
        .where(held.status.in_(("pending", "claimed")))
        .group_by(held.provider, held.account_id)
        .subquery()
    )
    owner = (
        select(func.min(connections.c.connected_at).label("connected_at"))
        .where(
            connections.c.provider == account.c.provider,
            connections.c.account_id == account.c.account_id,
            connections.c.status != "disconnected",
        )
        .lateral()
    )
    rows: Any = session.execute(
        select(
            account.c.provider,
            func.sum(account.c.events),
            func.sum(account.c.claimed),
            func.min(func.greatest(account.c.since, owner.c.connected_at)),
            func.now(),
        )
        .join(owner, true())
        .where(owner.c.connected_at.is_not(None))
        .group_by(account.c.provider)
        .order_by(account.c.provider)
    )
    return [
        Waiting(provider, int(events), int(claimed), since, now)
        for provider, events, claimed, since, now in rows
    ]


class Ended(NamedTuple):
    """Events that came to their end in a while, by what became of them."""

    done: int = 0
    ignored: int = 0
    dead: int = 0


def ended(session: Session, *, since: datetime, until: datetime) -> Ended:
    """What ended from ``since`` until before ``until``. Payloads are kept for a day at least, and
    an index knows what has one."""
    rows = session.execute(
        select(held.status, func.count().label("events"))
        .where(
            held.payload.is_not(None),
            held.status.in_(Ended._fields),
            held.processed_at >= since,
            held.processed_at < until,
        )
        .group_by(held.status)
    )
    return Ended(**{row.status: row.events for row in rows})
