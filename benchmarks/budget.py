"""QuickBooks' metered reads: what a venue's month costs at 25, 250 and 1,000 venues.

What each kind of reading costs is measured on a company of the stand-in; then a month is played by
the planner that spaces them, a quarter of an hour at a time.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from benchmarks.stage import Stage
from integration_pipelines.core.budget import Account, Budget
from integration_pipelines.core.provider import Cadence
from integration_pipelines.providers import PROVIDERS

VENUES = (25, 250, 1_000)
BEGINS = datetime(2026, 6, 1, tzinfo=UTC)
TICK = timedelta(minutes=15)
CHANGES_A_DAY = 40
"""Objects of one company that events name, each read by its id, 30 by one query."""


def run(stage: Stage) -> list[dict[str, Any]]:
    """A row a number of venues, polled and with webhooks: reads a venue-month, the share of the
    month's allowance that all of them take, and how far apart readings are."""
    metering = PROVIDERS["quickbooks"].metering
    assert metering is not None
    account = stage.account("quickbooks", "metered", size=400)
    venue = stage.connect("quickbooks", "metered", account)
    first = stage.measure("sync_venue", venue_id=venue)["api_calls"]
    costs = {
        cadence: stage.measure(
            "sync_venue", venue_id=venue, streams=list(cadence.streams), full=cadence.full
        )["api_calls"]
        for cadence in metering.cadences
    }
    allowed = metering.monthly_reads(stage.settings)
    return [
        _month(venues, costs, first, allowed, has_events=has_events)
        for venues in VENUES
        for has_events in (False, True)
    ]


def _month(
    venues: int, costs: dict[Cadence, int], first: int, allowed: int, *, has_events: bool
) -> dict[str, Any]:
    metering = PROVIDERS["quickbooks"].metering
    assert metering is not None
    mine = Account(UUID(int=0), "venue-0", has_events=has_events)
    last = dict.fromkeys(costs, BEGINS - timedelta(days=365))
    used, fastest, now = float(first), next(iter(costs)), BEGINS
    readings = 0
    budget = Budget("quickbooks", metering, allowed, 0, 0, now)
    while now < budget.ends:
        others = {
            UUID(int=number): replace(mine, connection_id=UUID(int=number), used=int(used))
            for number in range(venues)
        }
        budget = replace(budget, used=int(used) * venues, now=now, accounts=others)
        for cadence, cost in costs.items():
            if now - last[cadence] >= budget.interval(cadence, mine.connection_id):
                used += cost
                readings += cadence is fastest
                last[cadence] = now
        used += CHANGES_A_DAY / 30 * (TICK / timedelta(days=1)) if has_events else 0
        now += TICK
    days = (budget.ends - BEGINS) / timedelta(days=1)
    return {
        "case": f"{venues:,} venues, {'webhooks' if has_events else 'polled'}",
        "reads a venue-month": round(used),
        "of all reads": used * venues / allowed,
        "change data a day": readings / days,
        "first load": first,
        "full pass": next(cost for cadence, cost in costs.items() if cadence.full),
    }
