"""QuickBooks' metered reads: what a venue's month costs at 25, 250 and 1,000 venues.

What each kind of reading costs is measured on a company of the stand-in; then a month is played by
the planner that spaces them, a quarter of an hour at a time.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from benchmarks.stage import Stage
from integration_pipelines.core.budget import Account, Budget
from integration_pipelines.core.database import create_engine
from integration_pipelines.core.provider import Cadence, Metering
from integration_pipelines.providers import PROVIDERS

VENUES = (25, 250, 1_000)
BEGINS = datetime(2026, 6, 1, tzinfo=UTC)
TICK = timedelta(minutes=15)
NIGHT, MORNING = 3, 8
"""Hours at which it is asked what to read whole, and what to count."""
CHANGES_A_DAY = 40
"""Objects of one company that events name, each read by its id, 30 by one query."""


def run(stage: Stage) -> list[dict[str, Any]]:
    """A row a number of venues, polled and with webhooks: reads a venue-month, the share of the
    month's allowance that all of them take, and how far apart readings are."""
    metering = PROVIDERS["quickbooks"].metering
    assert metering is not None
    account = stage.account("quickbooks", "metered", size=400)
    venue = stage.connect("quickbooks", "metered", account)
    first = _reads(stage, "sync_venue", venue_id=venue)
    costs = _costs(stage, metering, venue)
    allowed = metering.monthly_reads(stage.settings)
    return [
        _month(venues, costs, first, allowed, has_events=has_events)
        for venues in VENUES
        for has_events in (False, True)
    ]


def _costs(stage: Stage, metering: Metering, venue: str) -> dict[Cadence, float]:
    """Reads of each cadence. The passes are measured together: of each its part of that."""
    passes = [cadence for cadence in metering.cadences if cadence.reading == "pass"]
    whole = _reads(stage, "sync_venue", venue_id=venue, full=True)
    declared = sum(cadence.reads for cadence in passes)
    costs = {cadence: cadence.reads * whole / declared for cadence in passes}
    for cadence in metering.cadences:
        if cadence.reading == "changes":
            costs[cadence] = _reads(
                stage, "sync_venue", venue_id=venue, streams=list(cadence.streams)
            )
        elif cadence.reading == "census":
            costs[cadence] = _reads(stage, "take_census", venue_id=venue)
    return costs


def _reads(stage: Stage, case: str, **arguments: Any) -> float:
    """The metered reads that a case takes."""
    engine = create_engine(stage.settings)
    total = text("SELECT coalesce(sum(cost), 0) FROM control.integration_costs")
    with engine.connect() as session:
        before = session.scalars(total).one()
    stage.measure(case, **arguments)
    with engine.connect() as session:
        after = session.scalars(total).one()
    engine.dispose()
    return float(after - before)


def _month(
    venues: int, costs: dict[Cadence, float], first: float, allowed: int, *, has_events: bool
) -> dict[str, Any]:
    metering = PROVIDERS["quickbooks"].metering
    assert metering is not None
    mine = Account(UUID(int=0), "venue-0", has_events=has_events)
    ago = BEGINS - timedelta(days=365)
    last = {cadence: ago for cadence in costs if cadence.reading == "changes"}
    passed = {name: BEGINS for cadence in costs for name in cadence.streams}
    counted = ago
    used, now = first, BEGINS
    by_kind = dict.fromkeys(("changes", "pass", "census"), 0.0)
    readings = 0

    def spend(cadence: Cadence) -> None:
        nonlocal used
        used += costs[cadence]
        by_kind[cadence.reading] += costs[cadence]

    budget = Budget("quickbooks", metering, allowed, 0, 0, now)
    while now < budget.ends:
        others = {
            UUID(int=number): replace(mine, connection_id=UUID(int=number), used=int(used))
            for number in range(venues)
        }
        budget = replace(budget, used=int(used) * venues, now=now, accounts=others)
        for cadence in last:
            if now - last[cadence] >= budget.interval(cadence, mine.connection_id):
                readings += cadence is next(iter(last))
                spend(cadence)
                last[cadence] = now
        if (now.hour, now.minute) == (NIGHT, 0):
            whole = budget.passes(mine.connection_id, passed)
            passed |= dict.fromkeys(whole, now)
            for cadence in costs:
                if cadence.reading == "pass" and cadence.streams[0] in whole:
                    spend(cadence)
        if (now.hour, now.minute) == (MORNING, 0) and now - counted >= budget.census_interval(
            mine.connection_id
        ):
            spend(next(cadence for cadence in costs if cadence.reading == "census"))
            counted = now
        used += CHANGES_A_DAY / 30 * (TICK / timedelta(days=1)) if has_events else 0
        now += TICK
    days = (budget.ends - BEGINS) / timedelta(days=1)
    return {
        "case": f"{venues:,} venues, {'webhooks' if has_events else 'polled'}",
        "reads a venue-month": round(used),
        "of all reads": used * venues / allowed,
        "change data a day": readings / days,
        "first load": round(first),
        "full passes": round(by_kind["pass"]),
        "oldest pass, days": max((budget.ends - at) / timedelta(days=1) for at in passed.values()),
        "census": round(by_kind["census"]),
    }
