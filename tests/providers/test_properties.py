"""Whatever happens at the providers, whenever we sync and whatever goes wrong on the way: what
landed in the end is what was true.

Found by hypothesis: lives of two venues of simulated days, with their creations, updates, refunds,
voids, deletes, archivals and merges as the sandbox plays them, and syncs in their midst through
refusals and silence (fault 6 of those that must be survived), bodies that lie (7) and lists that
move (8). A longer search: HYPOTHESIS_PROFILE=thorough.
"""

from collections.abc import Callable, Collection
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as search
from sqlalchemy import Engine, text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Bounds, RetryPolicy
from integration_pipelines.providers import PROVIDERS, quickbooks
from provider_sandbox import Sandbox
from provider_sandbox.faults import make_fault
from tests import stripe_ledger
from tests.connected import ConnectedVenue
from tests.providers.accounts import KINDS, Kind
from tests.providers.square import conftest as square

PERSISTENT = RetryPolicy(attempts=8, base=0.001, cap=0.01)
HASTY = Bounds(read=1.0)
"""What is slower than that has timed out."""
NUMBERS = count(1)

SHARES = strategies.sampled_from((0.02, 0.1, 0.25))
STRIKES = strategies.one_of(
    # Refusals and silence.
    strategies.fixed_dictionaries({"kind": strategies.just("server_error"), "probability": SHARES}),
    strategies.fixed_dictionaries({"kind": strategies.just("reset"), "probability": SHARES}),
    strategies.fixed_dictionaries(
        {"kind": strategies.just("rate_limited"), "times": strategies.integers(1, 3)}
    ),
    strategies.fixed_dictionaries(
        {"kind": strategies.just("throttled_403"), "times": strategies.integers(1, 2)}
    ),
    strategies.fixed_dictionaries(
        {
            "kind": strategies.just("slow"),
            "seconds": strategies.sampled_from((0.1, 1.5)),
            "midway": strategies.booleans(),
            "times": strategies.integers(1, 2),
            "skip": strategies.integers(0, 12),
        }
    ),
    # Bodies that lie.
    strategies.fixed_dictionaries(
        {
            "kind": strategies.sampled_from(
                ("truncated", "cut", "html", "wrong_type", "error_in_200")
            ),
            "probability": SHARES,
        }
    ),
    # Lists that move.
    strategies.fixed_dictionaries(
        {"kind": strategies.sampled_from(("duplicates", "loop")), "probability": SHARES}
    ),
    strategies.fixed_dictionaries(
        {
            "kind": strategies.just("shift"),
            "times": strategies.integers(1, 4),
            "skip": strategies.integers(0, 12),
        }
    ),
)
SEEDS = strategies.integers(0, 9)
LIVES = strategies.tuples(
    strategies.just("live"), strategies.integers(0, 2 * 86_400), strategies.integers(0, 25)
)
SYNCS = strategies.tuples(
    strategies.sampled_from(("sync", "full")), strategies.lists(STRIKES, max_size=2), SEEDS
)
STORIES = strategies.lists(
    strategies.tuples(strategies.integers(0, 1), strategies.one_of(LIVES, SYNCS)),
    min_size=4,
    max_size=10,
)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", list(PROVIDERS))
@search(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=STORIES, page_size=strategies.sampled_from((3, 10, 100)), seed=SEEDS)
def test_raw_equals_the_ledger_after_any_life(
    patience: pytest.MonkeyPatch,
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    sandbox: Sandbox,
    name: str,
    story: list[Any],
    page_size: int,
    seed: int,
) -> None:
    kind = KINDS[name]
    patience.setattr(kind.client, "PAGE_SIZE", page_size)
    number = next(NUMBERS)
    halls = []
    for letter in "ab":
        slug = f"hall-{number}-{letter}"
        account = kind.open_account(sandbox, slug, size=12, seed=seed)
        hall = kind.connect(settings, pipeline_engine, sandbox, account, venue(slug))
        hall.retry, hall.bounds = PERSISTENT, HASTY
        halls.append((hall, account))
    try:
        for which, step in story:
            play(kind, sandbox, *halls[which], *step)
        for hall, account in halls:
            close_breaker(hall)
            results = hall.sync()
            assert {n: r.error for n, r in results.items() if r.error} == {}
            # Whatever is told of is here before the full pass, which may not hide what was missed.
            differences = kind.differences(hall, account)
            assert [each for each in differences if not is_untold(name, account, each)] == []
            results = hall.sync(full=True, allow_deletes=True)
            assert {n: r.error for n, r in results.items() if r.error} == {}
            assert kind.all_differences(hall, account) == []
    finally:
        sandbox.faults.clear()


VANISHING: dict[str, Collection[str]] = {
    "stripe": (),
    "square": square.VANISHING,
    "mailchimp": PROVIDERS["mailchimp"].stream_names,
    "quickbooks": ("time_activities",),
}
"""Streams whose deleted objects vanish without a word."""


def is_untold(provider: str, account: Any, difference: str) -> bool:
    """Whether it is of what the provider tells nobody: only reading everything finds that."""
    stream, id = difference.replace(":", " ").split()[:2]
    of_ledger = stripe_ledger.LEDGER[stream] if provider == "stripe" else stream
    if difference.endswith("is too many"):
        return stream in VANISHING[provider]
    return any(change[1:3] == (of_ledger, id) for change in account.silent_changes)


def play(
    kind: Kind, sandbox: Sandbox, hall: ConnectedVenue, account: Any, step: str, *details: Any
) -> None:
    """One step of a story."""
    if step == "live":
        seconds, mutations = details
        account.economy.advance(seconds, mutations=mutations)
        return
    strikes, seed = details
    for strike in strikes:
        fault = {"times": None, "seed": seed} | strike
        sandbox.faults.add(make_fault(**fault, provider=kind.name, account=account.id))
    hall.sync(full=step == "full", allow_deletes=True)
    sandbox.faults.clear()


def close_breaker(hall: ConnectedVenue) -> None:
    """As if its cool-down were over."""
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        session.execute(text("DELETE FROM control.integration_health"))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No one waits a minute for QuickBooks here."""
    monkeypatch.setattr(quickbooks.client, "THROTTLED_FOR", 0.05)
    return monkeypatch
