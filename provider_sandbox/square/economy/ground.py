"""What every part of an account's life stands on: its time, its queue, and small tools."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from heapq import heappop, heappush
from typing import Any
from zoneinfo import ZoneInfo

from provider_sandbox.ledger import Json
from provider_sandbox.square.account import DAY, Ref, SquareAccount, row_id
from provider_sandbox.square.money import minor, money

HOUR = 3600
MONTH = 30 * DAY


class Ground:
    """Steps are methods; one due later waits in a queue until the account's time comes to it.

    ``at`` is the second that is being played; what happens is stamped with ``stamp()``.
    """

    def __init__(self, account: SquareAccount) -> None:
        self.account = account
        self.random = account.random
        self.at = account.created
        self.horizon = account.created
        self._queue: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self._queued = 0
        self._stamped = (0, 0)

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

    def stamp(self) -> int:
        """The millisecond of what happens next: within ``at``, never before the last one there;
        now and then the same one."""
        second, part = self._stamped
        if second != self.at:
            part = self.random.choice((0, 0, self.random.randrange(400)))
        elif self.random.random() < 0.6:
            part = min(part + self.random.randrange(1, 40), 999)
        self._stamped = (self.at, part)
        return self.at * 1000 + part

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def cash(self, amount: int) -> Json:
        return money(amount, self.account.currency)

    def price(self, low: float, high: float) -> int:
        """A likely price between two amounts in US dollars, in minor units."""
        return minor(self.random.uniform(low, high), self.account.place)

    def local_date(self, at: int) -> date:
        return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(self.account.timezone)).date()

    def one_of(self, stream: str, fits: Callable[[Json], bool] = bool) -> Json | None:
        """A random object that fits, or None."""
        return next(self.account.any_of(stream, fits), None)

    def chosen(self, stream: str, id: str, fits: Callable[[Json], bool] = bool) -> Json | None:
        """The object with this id, or a random one that fits where none is named; None where it
        does not fit. Raises LookupError."""
        if not id:
            return self.one_of(stream, fits)
        found = self.account.existing(stream, id)
        return found if fits(found) else None

    def later(self, first_day: float, last_day: float) -> int:
        return self.at + round(self.random.uniform(first_day, last_day) * DAY)

    def added(self, stream: str, found: Json, at: int, verb: str = "created") -> Ref:
        self.account.save(stream, found)
        self.account.emit(stream, verb, found, at=at)
        return Ref(stream, row_id(stream, found))

    def changed(
        self, stream: str, id: str, changes: Json, *, silent: bool = False, verb: str = ""
    ) -> Ref:
        self.account.change(stream, id, changes, at=self.stamp(), silent=silent, verb=verb)
        return Ref(stream, id)
