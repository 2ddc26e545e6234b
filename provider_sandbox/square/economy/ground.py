"""What every part of an account's life stands on: its time, its queue, and small tools."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from provider_sandbox.ledger import Json
from provider_sandbox.life import Life
from provider_sandbox.square.account import Ref, SquareAccount, row_id
from provider_sandbox.square.money import minor, money


class Ground(Life[SquareAccount]):
    """Steps are methods; one due later waits in a queue until the account's time comes to it.

    ``at`` is the second that is being played; what happens is stamped with ``stamp()``.
    """

    def __init__(self, account: SquareAccount) -> None:
        super().__init__(account)
        self._stamped = (0, 0)

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

    def added(self, stream: str, found: Json, at: int, verb: str = "created") -> Ref:
        self.account.save(stream, found)
        self.account.emit(stream, verb, found, at=at)
        return Ref(stream, row_id(stream, found))

    def changed(
        self, stream: str, id: str, changes: Json, *, silent: bool = False, verb: str = ""
    ) -> Ref:
        self.account.change(stream, id, changes, at=self.stamp(), silent=silent, verb=verb)
        return Ref(stream, id)
