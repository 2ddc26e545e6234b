"""Budgets: providers that meter what all accounts together read in a month.

What was read stands in `control.integration_costs`. What may be read is shared over the connected
accounts alike; an account's readings are spaced so that its share lasts until the month ends, and
no further apart than that takes. Where webhooks tell of an account's changes, polling is but the
net below them, and takes its time from the start.
"""

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import func, select

from integration_pipelines.core.provider import Cadence, Metering, Provider
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import (
    connections,
    integration_costs,
    integration_webhooks,
)

KEPT_BACK = 0.05
"""Of a month's reads: for what people ask for themselves, and for counting late."""
LONGEST_PAUSE = timedelta(days=7)
LONGEST_STRETCH = 4
"""However little is left, an account is looked at once a week, and read whole at a quarter of the
pace that is of use."""
HELD = timedelta(days=62)
"""What does not fit into the rest of an account's share waits for the next month."""
LIVE_WITHIN = timedelta(days=7)
"""An account whose webhooks came in this time has them."""
RECENT_DAYS = 7
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Account:
    """One connected account's part: what it has read this month, and whether events tell of it."""

    connection_id: UUID
    venue_id: str
    used: int = 0
    has_events: bool = False


@dataclass(frozen=True)
class Budget:
    """One provider's month.

    ``allowed`` and ``used`` are reads, ``recent`` those of the last 7 days; ``now`` the database's
    clock; months are calendar months, UTC.
    """

    provider: str
    metering: Metering
    allowed: int
    used: int
    recent: int
    now: datetime
    accounts: Mapping[UUID, Account] = field(default_factory=dict)

    @property
    def begins(self) -> datetime:
        """The month's first instant."""
        return self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    @property
    def ends(self) -> datetime:
        """The next month's first instant."""
        days = calendar.monthrange(self.now.year, self.now.month)[1]
        return self.begins + days * DAY

    @property
    def days_left(self) -> float:
        """Of the month; never quite none."""
        return max((self.ends - self.now) / DAY, 1 / 24)

    @property
    def forecast(self) -> int:
        """Reads at the month's end, if the coming days are like the last seven."""
        return round(self.used + self.recent / RECENT_DAYS * self.days_left)

    @property
    def slowdown(self) -> float:
        """How many times further apart than is of use the readings of the slowest account are."""
        return max((self.stretch(account) for account in self.accounts), default=1.0)

    @property
    def words(self) -> str:
        """Where the month stands, for people."""
        pace = self.slowdown
        if pace == float("inf"):
            paced = "nothing is left for some accounts: their changes are read once a week"
        elif pace > 1:
            paced = f"scheduled reading is slowed {pace:.1f} times to last until {self.ends:%d %B}"
        else:
            paced = "at full pace"
        return (
            f"{self.provider} reads this month: {self.used:,} of {self.allowed:,}, "
            f"forecast {self.forecast:,}; {paced}"
        )

    def stretch(self, connection_id: UUID) -> float:
        """The factor on this account's intervals by which its share lasts for the month."""
        account = self.accounts[connection_id]
        a_day = max(self._share - account.used, 0.0) / self.days_left
        wanted = self._a_day(self.metering.cadences, account)
        return max(1.0, wanted / a_day) if a_day else float("inf")

    @cached_property
    def _share(self) -> float:
        """What each account may read in the month; what is gone of it by others goes off all."""
        gone = self.used - sum(account.used for account in self.accounts.values())
        return (self.allowed * (1 - KEPT_BACK) - gone) / len(self.accounts)

    def interval(self, cadence: Cadence, connection_id: UUID) -> timedelta:
        """How long after a reading the next one of these streams is due."""
        useful = self._useful(cadence, self.accounts[connection_id])
        if 1 < cadence.reads > self._share - self.accounts[connection_id].used:
            return HELD
        longest = max(LONGEST_PAUSE, LONGEST_STRETCH * useful)
        stretch = self.stretch(connection_id)
        return useful * stretch if stretch < longest / useful else longest

    def passes(self, connection_id: UUID, passed_at: Mapping[str, datetime]) -> list[str]:
        """Streams to read whole again now: those whose turn has come, the one that waited longest
        first, until the passes' part of what is left is spent; the others wait for another night.
        ``passed_at`` is when each was last read whole."""
        account = self.accounts[connection_id]
        passes = [cadence for cadence in self.metering.cadences if cadence.reading == "pass"]
        part = self._a_day(passes, account) / self._a_day(self.metering.cadences, account)
        left = max(self._share - account.used, 0.0) * part
        waiting = [
            (min(passed), cadence)
            for cadence in passes
            if (passed := [passed_at[name] for name in cadence.streams if name in passed_at])
        ]
        turn: list[str] = []
        for at, cadence in sorted(waiting, key=lambda one: one[0]):
            due = at <= self.now - self.interval(cadence, connection_id)
            if due and cadence.reads <= left:
                left -= cadence.reads
                turn += cadence.streams
        return turn

    def census_interval(self, connection_id: UUID) -> timedelta:
        """How long after a census the next one is due."""
        (census,) = (one for one in self.metering.cadences if one.reading == "census")
        return self.interval(census, connection_id)

    def _a_day(self, cadences: Iterable[Cadence], account: Account) -> float:
        """What these take of an account each day, read as often as is of use."""
        return sum(cadence.reads * (DAY / self._useful(cadence, account)) for cadence in cadences)

    def _useful(self, cadence: Cadence, account: Account) -> timedelta:
        return cadence.with_events if account.has_events and cadence.with_events else cadence.every


def read_budgets(
    session: Session, settings: Settings, providers: Iterable[Provider]
) -> dict[str, Budget]:
    """The present month of every metered provider, by its name."""
    metered = {
        provider.name: provider.metering for provider in providers if provider.metering is not None
    }
    if not metered:
        return {}
    now = session.scalars(select(func.now())).one()
    month = now.replace(day=1).date()
    cost = integration_costs.c
    used: dict[tuple[str, str], int] = {}
    recent: dict[str, int] = {}
    for row in session.execute(
        select(
            cost.provider,
            cost.venue_id,
            func.sum(cost.cost).filter(cost.day >= month).label("used"),
            func.sum(cost.cost).filter(cost.day > (now - RECENT_DAYS * DAY).date()).label("recent"),
        )
        .where(
            cost.provider.in_(metered),
            cost.day >= min(month, (now - RECENT_DAYS * DAY).date()),
        )
        .group_by(cost.provider, cost.venue_id)
    ):
        used[row.provider, row.venue_id] = int(row.used or 0)
        recent[row.provider] = recent.get(row.provider, 0) + int(row.recent or 0)
    live: set[UUID | None] = set(
        session.scalars(
            select(integration_webhooks.c.connection_id)
            .where(
                integration_webhooks.c.provider.in_(metered),
                integration_webhooks.c.status == "done",
                integration_webhooks.c.received_at > now - LIVE_WITHIN,
            )
            .distinct()
        )
    )
    accounts: dict[str, dict[UUID, Account]] = {name: {} for name in metered}
    for row in session.execute(
        select(connections.c.provider, connections.c.connection_id, connections.c.venue_id).where(
            connections.c.provider.in_(metered), connections.c.status == "active"
        )
    ):
        accounts[row.provider][row.connection_id] = Account(
            row.connection_id,
            row.venue_id,
            used.get((row.provider, row.venue_id), 0),
            row.connection_id in live,
        )
    return {
        name: Budget(
            name,
            metering,
            allowed=metering.monthly_reads(settings),
            used=sum(reads for (provider, _), reads in used.items() if provider == name),
            recent=recent.get(name, 0),
            now=now,
            accounts=accounts[name],
        )
        for name, metering in metered.items()
    }
