"""The life of an account: steps played as its time comes to them, drawn at random or named."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from threading import RLock
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from provider_sandbox.ledger import Clock

HOUR = 3600
DAY = 24 * HOUR
MONTH = 30 * DAY
HOURS = (9, 6, 4, 4, 3, 1, 0, 0, 0, 1, 2, 3, 5, 5, 3, 3, 4, 6, 9, 12, 12, 10, 10, 10)
"""How much is sold in each local hour: evenings, and the small hours about midnight and four."""
WEEKDAYS = (2, 2, 3, 4, 7, 8, 4)


class Living(Protocol):
    """What a life needs of its account."""

    random: Random
    clock: Clock
    created: int
    timezone: str
    lock: RLock


AnAccount = TypeVar("AnAccount", bound=Living)


class Life(Generic[AnAccount]):
    """Steps are methods; one due later waits in a queue until the account's time comes to it.

    ``at`` is the second that is being played, ``horizon`` the account's time. ``KINDS`` are the
    kinds of mutation: how often they are drawn, and the steps they may be; ``STEPS`` is what `do`
    plays. A step gives what it touched, None where it does not apply.
    """

    KINDS: ClassVar[Mapping[str, tuple[float, tuple[str, ...]]]]
    STEPS: ClassVar[frozenset[str]]

    def __init__(self, account: AnAccount) -> None:
        self.account = account
        self.random = account.random
        self.at = account.created
        self.horizon = account.created
        self._queue: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self._queued = 0

    def schedule(self, at: int, step: str, *arguments: Any) -> None:
        """Have ``step`` played when the account's time comes to ``at``."""
        self._queued += 1
        heappush(self._queue, (at, self._queued, step, arguments))

    def play(self, until: int) -> None:
        """Play what is due."""
        self.horizon = max(self.horizon, until)
        while self._queue and self._queue[0][0] <= until:
            self.at, _, step, arguments = heappop(self._queue)
            getattr(self, step)(*arguments)
        self.at = until

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def later(self, first_day: float, last_day: float) -> int:
        """A second some days from now."""
        return self.at + round(self.random.uniform(first_day, last_day) * DAY)

    def times(self, count: int, since: int, until: int) -> list[int]:
        """So many seconds between two, spread over local days and hours as sales are."""
        zone = ZoneInfo(self.account.timezone)
        first = datetime.fromtimestamp(since, zone).replace(hour=0, minute=0, second=0)
        days = [first + timedelta(days=n) for n in range(max(until - since, 0) // DAY + 1)]
        chosen = self.random.choices(days, [WEEKDAYS[day.weekday()] for day in days], k=count)
        times = []
        for day, hour in zip(chosen, self.random.choices(range(24), HOURS, k=count), strict=True):
            # Every tenth falls upon a full minute, so that many share their second.
            second = 0 if self.chance(0.1) else self.random.randrange(60)
            local = day.replace(hour=hour, minute=self.random.randrange(60), second=second)
            at = int(local.astimezone(UTC).timestamp())
            at += DAY if at < since + HOUR else -DAY if at > until else 0
            times.append(min(max(at, since), until))
        return times

    def mutate(
        self, count: int = 1, *, kinds: Sequence[str] = (), step: int = 1
    ) -> list[dict[str, str]]:
        """Play ``count`` random steps of the given kinds (none: of all) now, and tell what each
        touched. A clock that is set moves ``step`` seconds for each."""
        for kind in kinds:
            if kind not in self.KINDS:
                raise ValueError(f"kind {kind!r} is unknown: give some of {', '.join(self.KINDS)}")
        done: list[dict[str, str]] = []
        weights = [self.KINDS[kind][0] for kind in kinds or self.KINDS]
        with self.account.lock:
            for _ in range(count * 20):
                if len(done) == count:
                    break
                kind = self.random.choices(list(kinds or self.KINDS), weights)[0]
                self.now(step)
                played = self.random.choice(self.KINDS[kind][1])
                touched = getattr(self, played)()
                if touched is not None:
                    done.append({"kind": kind, **self.told(played, touched)})
            self.refresh()
        return done

    def mutate_one(self) -> None:
        """One random step at the time that is being played."""
        kind = self.random.choices(list(self.KINDS), [kind[0] for kind in self.KINDS.values()])[0]
        getattr(self, self.random.choice(self.KINDS[kind][1]))()

    def advance(self, seconds: int = 0, *, mutations: int = 0) -> None:
        """Let a set clock move on and play what falls due, with random steps strewn in. A clock
        that follows this machine's cannot be moved: only what is due by now is played."""
        clock = self.account.clock
        with self.account.lock:
            start = clock.now()
            if seconds and not clock.is_set:
                raise ValueError("the clock follows this machine's: set it before it is advanced")
            for _ in range(mutations):
                self.schedule(start + self.random.randrange(seconds + 1), "mutate_one")
            self.play(start + seconds)
            if clock.is_set:
                clock.set(start + seconds)
            self.refresh()

    def do(self, step: str, *arguments: Any) -> Any:
        """Play one step by its name now, and give what it touched; None where it does not apply.
        Raises ValueError for an unknown step, LookupError for an unknown object."""
        if step not in self.STEPS:
            known = ", ".join(sorted(self.STEPS))
            raise ValueError(f"step {step!r} is unknown: give one of {known}")
        with self.account.lock:
            self.now(1)
            touched = getattr(self, step)(*arguments)
            self.refresh()
            return touched

    def now(self, step: int = 0) -> int:
        """Bring the economy to the account's time, moved ``step`` seconds on where it is set, and
        play what falls due."""
        clock = self.account.clock
        if clock.is_set:
            clock.set(clock.now() + step)
        self.play(clock.now())
        return self.at

    def told(self, step: str, touched: Any) -> dict[str, str]:
        """How `mutate` tells of a step that touched an object."""
        return {"stream": touched.stream, "id": touched.id}

    def refresh(self) -> None:
        """Bring what is computed up to date, after steps were played."""
