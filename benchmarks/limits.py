"""Each provider's limit, used in full by a first load, never exceeded; Square's, which nobody
documents, found.

Pages of 5 rows that take a while to come, so that the limit binds and not the machine.
"""

from typing import Any

from sqlalchemy import text

from benchmarks.stage import Stage
from integration_pipelines.core.database import create_engine

PAGE_SIZE = 5
LATENCY = 0.1
LONG = 0.3
"""Seconds that an answer takes; longer where what is counted is requests under way."""


def run(stage: Stage) -> list[dict[str, Any]]:
    """Of each limit: its share used over the whole load, and the 429s that this caused; of one that
    is searched for, the share of it that the load's last pace was."""
    stage.latency(LATENCY)
    found = [
        _a_second(stage, "Stripe, sandbox: 25 a second", "stripe", "charges", 25, rate=25),
        _a_second(
            stage, "QuickBooks: 500 a minute", "quickbooks", "invoices", 500 / 60, per_minute=500
        ),
        _a_second(stage, "Square: 45 a second, unknown", "square", "payments", 45, rate=45),
    ]
    stage.latency(LONG)
    return [*found, _at_once(stage, "Mailchimp: 10 at once", requests=600)]


SECONDS = {"stripe": 20, "quickbooks": 100, "square": 120}


def _a_second(
    stage: Stage, case: str, provider: str, stream: str, pace: float, **limit: float
) -> dict[str, Any]:
    """A first load that takes a while at the ``pace`` that ``limit`` allows."""
    rows = round(pace * SECONDS[provider] * PAGE_SIZE)
    account, figures = _load(stage, provider, stream, rows, **limit)
    last = _pace(stage, account["account_id"]) / pace
    return {
        "case": case,
        "requests": figures["api_calls"],
        "seconds": figures["seconds"],
        "share of the limit": figures["api_calls"] / figures["seconds"] / pace,
        "429s": stage.limited(account["account_id"]),
        "last pace": last,
    }


def _at_once(stage: Stage, case: str, *, requests: int) -> dict[str, Any]:
    """A first load of members where all that is limited is requests under way."""
    rows = requests * PAGE_SIZE
    account, figures = _load(stage, "mailchimp", "members", rows, concurrency=10)
    return {
        "case": case,
        "requests": figures["api_calls"],
        "seconds": figures["seconds"],
        "share of the limit": figures["api_calls"] * LONG / figures["seconds"] / 10,
        "429s": stage.limited(account["account_id"]),
        "last pace": "",
    }


def _load(
    stage: Stage, provider: str, stream: str, rows: int, **limit: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    account = stage.account(provider, f"limit-{provider}", only={stream: rows})
    venue = stage.connect(provider, f"limit-{provider}", account)
    stage.limit(provider, account["account_id"], **limit)
    figures = stage.measure(
        "sync_venue", venue_id=venue, streams=[stream], limits={}, page_size=PAGE_SIZE
    )
    return account, figures


def _pace(stage: Stage, account_id: str) -> float:
    engine = create_engine(stage.settings)
    with engine.connect() as session:
        query = text("SELECT rate FROM control.rate_limits WHERE account_id = :account_id")
        pace = session.scalar(query, {"account_id": account_id})
    engine.dispose()
    return float(pace or 0)
