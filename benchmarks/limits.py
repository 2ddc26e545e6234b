"""Each provider's limit, used in full by a first load, never exceeded; Square's, which nobody
documents, found.

Pages of 5 rows that take a while to come, so that the limit binds and not the machine.
"""

import re
from typing import Any

from sqlalchemy import text

from benchmarks.stage import Stage
from integration_pipelines.core.database import create_engine

PAGE_SIZE = 5
LATENCY = 0.1
LONG = 0.3
"""Seconds that an answer takes; longer where what is counted is requests under way."""
QUICKBOOKS: dict[str, Any] = {"rate": 10, "per_minute": 500, "concurrency": 10}
"""All that Intuit documents, of which the minute binds."""
SHARE = 0.9
FOUND_BY = 20
"""429s that finding a limit may take: the search meets a ceiling up to four times, and each time
what is under way is refused, 45 a second for a LATENCY."""


def run(stage: Stage) -> list[dict[str, Any]]:
    """Of each limit: its share used over the whole load, and the 429s that this caused; of one that
    is searched for, the share of it that the load's last pace was. ``target met``: at least 90% of
    it, and not one 429, or of one that is searched for a few."""
    stage.latency(LATENCY)
    minute = 500 / 60
    found = [
        _a_second(stage, "Stripe, sandbox: 25 a second", "stripe", "charges", 25, rate=25),
        _a_second(
            stage, "Stripe, live: 100 a second", "stripe", "charges", 100, live=True, rate=100
        ),
        _a_second(
            stage, "Stripe, sandbox, two processes", "stripe", "charges", 25, processes=2, rate=25
        ),
        _a_second(
            stage, "QuickBooks: 500 a minute, 10 a second, 10 at once", "quickbooks", "invoices",
            minute, **QUICKBOOKS,
        ),
        _a_second(
            stage, "QuickBooks, two processes", "quickbooks", "invoices", minute, processes=2,
            **QUICKBOOKS,
        ),
        _a_second(stage, "Square: 45 a second, unknown", "square", "payments", 45, rate=45),
    ]  # fmt: skip
    stage.latency(LONG)
    return [
        *found,
        _at_once(stage, "Mailchimp: 10 at once", requests=600),
        _at_once(stage, "Mailchimp, two processes", requests=600, processes=2),
    ]


SECONDS = {"stripe": 20, "quickbooks": 100, "square": 120}


def _a_second(
    stage: Stage,
    case: str,
    provider: str,
    stream: str,
    pace: float,
    *,
    live: bool = False,
    processes: int = 1,
    **limit: float,
) -> dict[str, Any]:
    """A first load that takes a while at the ``pace`` that ``limit`` allows."""
    rows = round(pace * SECONDS[provider] * PAGE_SIZE / processes)
    account, figures = _load(
        stage, case, provider, stream, rows, processes=processes, live=live, **limit
    )
    last = _pace(stage, account["account_id"]) / pace
    share = figures["api_calls"] / figures["seconds"] / pace
    limited = stage.limited(account["account_id"])
    searched = provider == "square"
    met = last >= SHARE and limited <= FOUND_BY if searched else share >= SHARE and not limited
    return {
        "case": case,
        "requests": figures["api_calls"],
        "seconds": figures["seconds"],
        "share of the limit": share,
        "429s": limited,
        "last pace": last,
        "target met": "yes" if met else "no",
    }


def _at_once(stage: Stage, case: str, *, requests: int, processes: int = 1) -> dict[str, Any]:
    """A first load of members where all that is limited is requests under way."""
    rows = requests * PAGE_SIZE // processes
    account, figures = _load(
        stage, case, "mailchimp", "members", rows, processes=processes, concurrency=10
    )
    share = figures["api_calls"] * LONG / figures["seconds"] / 10
    limited = stage.limited(account["account_id"])
    return {
        "case": case,
        "requests": figures["api_calls"],
        "seconds": figures["seconds"],
        "share of the limit": share,
        "429s": limited,
        "last pace": "",
        "target met": "yes" if share >= SHARE and not limited else "no",
    }


def _load(
    stage: Stage,
    case: str,
    provider: str,
    stream: str,
    rows: int,
    *,
    processes: int,
    live: bool = False,
    **limit: float,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One sync, or several readers of the same account at once."""
    slug = "-".join(re.findall("[a-z0-9]+", case.lower()))
    account = stage.account(provider, slug, only={stream: rows})
    if live:
        account |= stage.live_key(account["account_id"])
    venue = stage.connect(provider, slug, account)
    stage.limit(provider, account["account_id"], **limit)
    if processes == 1:
        figures = stage.measure(
            "sync_venue", venue_id=venue, streams=[stream], limits={}, page_size=PAGE_SIZE
        )
    else:
        figures = stage.measure_together(
            "read_streams",
            processes=processes,
            venue_id=venue,
            streams=[stream],
            page_size=PAGE_SIZE,
        )
    return account, figures


def _pace(stage: Stage, account_id: str) -> float:
    engine = create_engine(stage.settings)
    with engine.connect() as session:
        query = text("SELECT rate FROM control.rate_limits WHERE account_id = :account_id")
        pace = session.scalar(query, {"account_id": account_id})
    engine.dispose()
    return float(pace or 0)
