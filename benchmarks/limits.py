"""Each limit, used in full by a first load, never exceeded; and an undocumented one, found.

Pages of 5 rows that take 100 ms to come, so that the limit binds and not the machine.
"""

from typing import Any

from sqlalchemy import text

from benchmarks.landing import connect
from benchmarks.stage import Stage
from integration_pipelines.core.database import create_engine

PAGE_SIZE = 5
LATENCY = 0.1


def run(stage: Stage) -> list[dict[str, Any]]:
    """Of each limit: requests a second over the whole load, their share of it, the 429s, and the
    share of it that the load's last pace was."""
    stage.latency(LATENCY)
    search = {"rate": 10, "concurrency": 16, "search": True}
    return [
        _measure(stage, "Stripe, sandbox", rate=25, seconds=20, limits={}),
        _measure(stage, "undocumented, from 10", rate=60, seconds=120, limits=search),
    ]


def _measure(
    stage: Stage, case: str, *, rate: int, seconds: int, limits: dict[str, Any]
) -> dict[str, Any]:
    """A first load of charges that takes ``seconds`` at the account's ``rate``."""
    slug = f"limit-{rate}"
    account = stage.stripe_account(slug, only={"charges": rate * seconds * PAGE_SIZE})
    venue = connect(stage, slug, account["api_key"])
    stage.limit(account["account_id"], rate=rate)
    figures = stage.measure(
        "sync_venue", venue_id=venue, streams=["charges"], limits=limits, page_size=PAGE_SIZE
    )
    sent = figures["api_calls"] / figures["seconds"]
    return {
        "case": case,
        "limit a second": rate,
        "requests": figures["api_calls"],
        "share of the limit": sent / rate,
        "429s": stage.limited(account["account_id"]),
        "last pace": _pace(stage, account["account_id"]) / rate,
    }


def _pace(stage: Stage, account_id: str) -> float:
    engine = create_engine(stage.settings)
    with engine.connect() as session:
        query = text("SELECT rate FROM control.rate_limits WHERE account_id = :account_id")
        pace = session.scalar(query, {"account_id": account_id})
    engine.dispose()
    return float(pace or 0)
