"""What every part of an account's life stands on: its time, its queue, and small tools."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from provider_sandbox.ledger import Json
from provider_sandbox.mailchimp.account import DAY, MailchimpAccount, Ref, split

HOUR = 3600
MONTH = 30 * DAY


class Ground:
    """Steps are methods; one due later waits in a queue until the account's time comes to it."""

    def __init__(self, account: MailchimpAccount) -> None:
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

    def one_of(self, stream: str, fits: Callable[[Json], bool] = bool) -> Ref | None:
        """A random object that fits, or None."""
        return next(self.account.any_of(stream, fits), None)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def _change(self, ref: Ref, changes: Json, *, silent: bool = False) -> Ref:
        parent, id = split(ref.id)
        return self.account.change(ref.stream, parent, id, changes, at=self.at, silent=silent)

    def _object(self, ref: Ref) -> Json:
        parent, id = split(ref.id)
        row = self.account.table(ref.stream, parent).get(id)
        if row is None:
            raise LookupError(
                f"there is no {ref.id!r} in {ref.stream} of account {self.account.slug!r}"
            )
        return row.object
