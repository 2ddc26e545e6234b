"""What every part of an account's life stands on: its time, its queue, and small tools."""

from collections.abc import Callable, Sequence

from provider_sandbox.ledger import Json
from provider_sandbox.life import Life
from provider_sandbox.stripe.account import StripeAccount


class Ground(Life[StripeAccount]):
    """Steps are methods; one due later waits in a queue until the account's time comes to it."""

    def __init__(self, account: StripeAccount, *, currencies: Sequence[str]) -> None:
        super().__init__(account)
        self.currencies = tuple(currencies)

    def soon(self, seconds: int) -> int:
        """So many seconds later, but never ahead of the account's time."""
        self.at = min(self.at + seconds, self.horizon)
        return self.at

    def _added(self, stream: str, event: str, found: Json) -> Json:
        self.account.save(stream, found)
        self.account.emit(event, found, at=self.at)
        return found

    def _existing(self, stream: str, id: str) -> Json:
        found = self.account.find(stream, id)
        if found is None:
            raise LookupError(f"there is no {id!r} in {stream} of account {self.account.slug!r}")
        return found

    def _first(self, stream: str, fits: Callable[[Json], bool] = bool) -> Json | None:
        """A random object that fits, or None."""
        return next((one for one in self.account.any_of(stream) if fits(one)), None)

    def _one_of(self, *steps: Callable[[], Json | None]) -> Json | None:
        for step in self.random.sample(steps, len(steps)):
            done = step()
            if done is not None:
                return done
        return None

    def _a_currency(self) -> str:
        if len(self.currencies) == 1 or self.random.random() < 0.7:
            return self.currencies[0]
        return self.random.choice(self.currencies[1:])
