"""Budgets: a month's reads last for the month, shared alike, and no slower than that takes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert

from integration_pipelines.core.budget import (
    HELD,
    KEPT_BACK,
    LONGEST_PAUSE,
    Account,
    Budget,
    read_budgets,
)
from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.ingest import due_for_census
from integration_pipelines.core.ingest.batch import BatchItem, Candidate, choose_due, due
from integration_pipelines.core.provider import Cadence, Metering
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import (
    completeness,
    integration_costs,
    integration_webhooks,
    sync_cursors,
)
from integration_pipelines.providers import PROVIDERS

NOW = datetime(2026, 11, 16, tzinfo=UTC)
"""Half of a month of thirty days."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

NAMES = ("customers", "charges", "coupons")
FEED = Cadence(("customers", "charges"), reads=1, every=15 * MINUTE, with_events=6 * HOUR)
LISTS = Cadence(("coupons",), reads=4, every=6 * HOUR)
PASSES = [Cadence((name,), reads=10, every=10 * DAY, reading="pass") for name in NAMES]
COUNT = Cadence(NAMES, reads=3, every=6 * DAY, reading="census")
CADENCES = (FEED, LISTS, *PASSES, COUNT)
A_DAY = 96 + 16 + 3 + 0.5


def budget(
    *used: int, allowed: int = 1_000_000, of_others: int = 0, events: bool = False
) -> Budget:
    accounts = [Account(uuid4(), f"venue-{n}", u, events) for n, u in enumerate(used)]
    return Budget(
        "stripe",
        Metering(lambda _: allowed, CADENCES),
        allowed=allowed,
        used=sum(used) + of_others,
        recent=700,
        now=NOW,
        accounts={account.connection_id: account for account in accounts},
    )


def intervals(month: Budget, number: int = 0) -> list[timedelta]:
    account = list(month.accounts)[number]
    return [month.interval(cadence, account) for cadence in month.metering.cadences]


def test_where_there_is_enough_everything_is_read_as_often_as_is_of_use() -> None:
    assert intervals(budget(0, 100)) == [15 * MINUTE, 6 * HOUR, *[10 * DAY] * 3, 6 * DAY]
    assert budget(0).slowdown == 1


def test_where_webhooks_tell_of_changes_polling_is_rare_from_the_start() -> None:
    assert intervals(budget(0, events=True)) == [6 * HOUR, 6 * HOUR, *[10 * DAY] * 3, 6 * DAY]


@pytest.mark.parametrize("times", [1.5, 4.0])
def test_what_is_left_is_spread_over_what_is_left_of_the_month(times: float) -> None:
    left = A_DAY * 15 / times
    tight = budget(1_000, allowed=round((left + 1_000) / (1 - KEPT_BACK)))
    assert tight.slowdown == pytest.approx(times, rel=1e-3)
    assert intervals(tight)[0] / (15 * MINUTE) == pytest.approx(times, rel=1e-3)
    reads = sum(
        cadence.reads * (tight.ends - NOW) / interval
        for cadence, interval in zip(tight.metering.cadences, intervals(tight), strict=True)
    )
    assert 1_000 + reads == pytest.approx(tight.allowed * (1 - KEPT_BACK), rel=1e-3)
    assert f"slowed {times} times" in tight.words


def test_each_account_has_the_same_share_and_one_that_used_it_up_slows_alone() -> None:
    share = round(3 * A_DAY * 30 / (1 - KEPT_BACK))
    shared = budget(100, 100, A_DAY * 29, allowed=share)
    assert intervals(shared, 0)[0] == 15 * MINUTE
    assert intervals(shared, 2)[0] > 10 * 15 * MINUTE
    spent = budget(100, A_DAY * 40, allowed=2 * A_DAY * 30)
    assert intervals(spent, 1) == [LONGEST_PAUSE, *[HELD] * 5]
    assert "nothing is left for some accounts" in spent.words
    assert spent.slowdown == float("inf")


def test_what_accounts_now_gone_have_read_goes_off_everybodys_share() -> None:
    allowed = ceil(2 * A_DAY * 15 / (1 - KEPT_BACK))
    assert budget(0, 0, allowed=allowed).slowdown == 1
    assert budget(0, 0, allowed=allowed, of_others=A_DAY * 15).slowdown == pytest.approx(2, rel=0.1)


def test_the_forecast_goes_on_as_the_last_week_went() -> None:
    assert budget(4_000).forecast == 4_000 + 100 * 15
    assert "4,000 of 1,000,000, forecast 5,500; at full pace" in budget(4_000).words


def test_streams_whose_turn_has_come_are_due_and_the_first_load_is_due_whole() -> None:
    month = budget(0, 0, 0, 0)
    loaded, feed, lists, new = month.accounts

    def at(account: UUID, **read: timedelta) -> Candidate:
        return Candidate(
            connection_of(month, account),
            in_batch=False,
            breaker_open_until=None,
            synced_at=NOW - HOUR if read else None,
            full_pass_at=NOW - 2 * DAY if read else None,
            read_at={stream: NOW - ago for stream, ago in read.items()},
        )

    candidates = [
        at(loaded, customers=MINUTE, charges=MINUTE, coupons=HOUR),
        at(feed, customers=14 * MINUTE, charges=MINUTE, coupons=HOUR),
        at(lists, customers=MINUTE, charges=MINUTE, coupons=6 * HOUR),
        at(new),
    ]
    chosen = choose_due(candidates, budgets={"stripe": month}, full=False, now=NOW)
    assert {item.connection.connection_id: item.streams for item in chosen} == {
        feed: ("customers", "charges"),
        lists: ("coupons",),
        new: None,
    }
    assert choose_due(candidates, budgets={"stripe": month}, full=True, now=NOW) == []
    ago = {"customers": NOW - 11 * DAY, "charges": NOW - 9 * DAY, "coupons": NOW - 12 * DAY}
    old = [candidate._replace(passed_at=ago) for candidate in candidates[:1]]
    (passed,) = choose_due(old, budgets={"stripe": month}, full=True, now=NOW)
    assert (passed.connection.connection_id, passed.full) == (loaded, True)
    assert passed.streams == ("coupons", "customers"), "the one that waited longest first"


def test_passes_take_turns_where_their_part_of_what_is_left_is_less_than_one_over_all() -> None:
    left = 15 * A_DAY / 3
    tight = budget(0, allowed=ceil((left - 29) / (1 - KEPT_BACK)))
    ((account, _),) = tight.accounts.items()
    part = 3 / A_DAY * (left - 29)
    assert 10 < part < 20, "one stream's pass and not two"
    ago = {name: NOW - days * DAY for name, days in zip(NAMES, (45, 60, 50), strict=True)}
    assert tight.passes(account, ago) == ["charges"]
    assert tight.passes(account, ago | {"charges": NOW}) == ["coupons"]
    assert tight.passes(account, dict.fromkeys(ago, NOW)) == []


def test_a_count_of_what_exists_waits_for_its_turn_where_reads_are_metered(
    pipeline_engine: Engine,
    settings: Settings,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
) -> None:
    metered = replace(PROVIDERS["stripe"], metering=Metering(lambda _: 500_000, CADENCES))
    ago = {"blue": timedelta(days=7), "red": timedelta(days=5), "white": None}
    for name, at in ago.items():
        connection_id = connect(venue(name), "stripe", f"acct_{name}")
        connect(name, "square", f"merchant_{name}")
        with pipeline_engine.begin() as session:
            venue_scope(session, name)
            for stream, later in (("charges", DAY), ("coupons", 0 * DAY)) if at else ():
                session.execute(
                    insert(completeness).values(
                        venue_id=name,
                        connection_id=connection_id,
                        provider="stripe",
                        stream=stream,
                        period="all",
                        expected=1,
                        missing_ids=[],
                        counted_at=datetime.now(UTC) - at - later,
                    )
                )
    with pipeline_engine.connect() as session:
        budgets = read_budgets(session, settings, [metered])
        asked = due_for_census(session, open_connections(session), budgets)
    assert sorted((one.venue_id, one.provider) for one in asked) == [
        ("blue", "square"),
        ("blue", "stripe"),
        ("red", "square"),
        ("white", "square"),
        ("white", "stripe"),
    ]


def connection_of(month: Budget, account: UUID) -> Any:
    from tests.core.ingest.test_batch import candidate

    venue_id = month.accounts[account].venue_id
    return replace(candidate(venue_id).connection, connection_id=account)


def test_a_months_reads_are_those_metered_of_the_connected_accounts(
    pipeline_engine: Engine,
    settings: Settings,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
) -> None:
    metering = Metering(lambda _: 5_000, CADENCES)
    metered = replace(PROVIDERS["stripe"], metering=metering)
    blue, red = (connect(venue(name), "stripe", f"acct_{name}") for name in ("blue", "red"))
    today = datetime.now(UTC).date()

    def spend(venue_id: str, day: date, cost: int, endpoint: str = "GET /v1/charges") -> None:
        with pipeline_engine.begin() as session:
            venue_scope(session, venue_id)
            session.execute(
                insert(integration_costs).values(
                    venue_id=venue_id,
                    provider="stripe",
                    endpoint=endpoint,
                    day=day,
                    calls=cost * 2,
                    cost=cost,
                )
            )

    spend("blue", today, 70)
    spend("blue", today.replace(day=1) - DAY, 1_000)
    spend("red", today, 30, "GET /v1/coupons")
    with pipeline_engine.begin() as session:
        venue_scope(session, "red")
        session.execute(
            insert(integration_webhooks).values(
                provider="stripe",
                venue_id="red",
                connection_id=red,
                event_id="evt_1",
                event_type="charge.refunded",
                status="done",
            )
        )
    with pipeline_engine.connect() as session:
        budgets = read_budgets(session, settings, [metered])
        assert read_budgets(session, settings, PROVIDERS.values()).get("stripe") is None
    month = budgets["stripe"]
    assert (month.allowed, month.used) == (5_000, 100)
    assert month.accounts[blue] == Account(blue, "blue", 70, has_events=False)
    assert month.accounts[red] == Account(red, "red", 30, has_events=True)
    assert month.begins <= month.now < month.ends

    with pipeline_engine.begin() as session:
        venue_scope(session, "blue")
        session.execute(
            insert(sync_cursors).values(
                venue_id="blue",
                connection_id=blue,
                state={},
                sync_id=uuid4(),
                full_pass_at=month.now,
                updated_at=month.now - 20 * MINUTE,
            ),
            [{"stream": name} for name in ("customers", "charges", "coupons")],
        )
    with pipeline_engine.connect() as session:
        items = due(session, budgets=budgets)
    assert [(item.connection.venue_id, item.streams) for item in items] == [
        ("red", None),
        ("blue", ("customers", "charges")),
    ]
    assert all(isinstance(item, BatchItem) for item in items)
