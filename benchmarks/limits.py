"""Each documented limit, used in full by a first load and never exceeded.

Pages of 5 rows that take 100 ms to come, so that the limit binds and not the machine.
"""

from typing import Any

from benchmarks.landing import connect
from benchmarks.stage import Stage

PAGE_SIZE = 5
LATENCY = 0.1
SECONDS = 20
"""How long a load takes that uses its limit in full."""


def run(stage: Stage) -> list[dict[str, Any]]:
    """Of each limit: requests a second in all of the load, their share of it, and the 429s."""
    stage.latency(LATENCY)
    return [_stripe_sandbox(stage)]


def _stripe_sandbox(stage: Stage) -> dict[str, Any]:
    rate = 25
    account = stage.stripe_account("paced", only={"charges": rate * SECONDS * PAGE_SIZE})
    venue = connect(stage, "paced", account["api_key"])
    stage.limit(account["account_id"], rate=rate)
    figures = stage.measure(
        "sync_venue", venue_id=venue, streams=["charges"], paced=True, page_size=PAGE_SIZE
    )
    return {
        "case": "Stripe, sandbox",
        "limit a second": rate,
        "requests": figures["api_calls"],
        "a second": figures["api_calls"] / figures["seconds"],
        "share of the limit": figures["api_calls"] / figures["seconds"] / rate,
        "429s": stage.limited(account["account_id"]),
    }
