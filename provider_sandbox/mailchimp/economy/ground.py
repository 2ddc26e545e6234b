"""What every part of an account's life stands on: its time, its queue, and small tools."""

from collections.abc import Callable

from provider_sandbox.ledger import Json
from provider_sandbox.life import Life
from provider_sandbox.mailchimp.account import MailchimpAccount, Ref, split


class Ground(Life[MailchimpAccount]):
    """Steps are methods; one due later waits in a queue until the account's time comes to it."""

    def one_of(self, stream: str, fits: Callable[[Json], bool] = bool) -> Ref | None:
        """A random object that fits, or None."""
        return next(self.account.any_of(stream, fits), None)

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
