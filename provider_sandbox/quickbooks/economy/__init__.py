"""What goes on in a company: sales, invoices, bills, deposits, wages and all that follows.

Every step keeps the books to the cent. Steps due later wait in a queue, so that a clock that moves
on plays them. The parts build on each other: ground, setup, sales, spending, edits.
"""

from provider_sandbox.ledger import Json
from provider_sandbox.life import DAY, HOUR, MONTH
from provider_sandbox.quickbooks.economy.edits import Edits
from provider_sandbox.quickbooks.economy.ground import USD_VALUE

__all__ = ["HOUR", "MONTH", "USD_VALUE", "Economy"]

KINDS: dict[str, tuple[float, tuple[str, ...]]] = {
    "create": (40, (
        "sell", "sell", "sell", "sell_bundle", "invoice", "bill", "purchase", "estimate",
        "add_customer", "clock_in", "move",
    )),
    "update": (25, ("edit",)),
    "pay": (12, ("pay_any", "pay_bill_any")),
    "refund": (6, ("refund",)),
    "credit": (3, ("credit", "vendor_credit")),
    "deposit": (3, ("bank", "pay_out")),
    "void": (3, ("void",)),
    "delete": (5, ("remove",)),
    "merge": (2, ("merge",)),
    "inactivate": (3, ("inactivate",)),
    "reactivate": (1, ("reactivate",)),
    "backdate": (2, ("backdate",)),
    "together": (1, ("edit_together",)),
}  # fmt: skip
"""Kinds of mutation: how often they are drawn, and the steps they may be."""
STEPS = frozenset(
    (
        "sell", "sell_bundle", "invoice", "estimate", "accept", "pay", "pay_any", "refund",
        "credit", "bank", "pay_out", "bill", "pay_bill", "pay_bill_any", "purchase",
        "vendor_credit", "pay_staff",
        "move", "clock_in", "edit", "edit_together", "backdate", "inactivate", "reactivate",
        "misbook", "void", "remove", "merge", "add_customer", "add_vendor", "add_employee",
    )
)  # fmt: skip
"""What `do` plays: see the method of that name for its arguments."""


class Economy(Edits):
    """Plays one company's life."""

    KINDS = KINDS
    STEPS = STEPS

    def told(self, step: str, touched: Json) -> dict[str, str]:
        """See Life."""
        return {"step": step, "id": touched["Id"]}

    def refresh(self) -> None:
        """See Life."""
        self.account.refresh()

    def open(self, *, size: int, since: int, until: int) -> None:
        """The history: about ``size`` sales between two seconds, and what goes with them."""
        self.stock()
        self.at = self.horizon = since
        steps = (
            ("sell", 75), ("sell_bundle", 5), ("invoice", 22), ("estimate", 6), ("bill", 12),
            ("purchase", 15), ("clock_in", 20), ("add_customer", 8), ("add_vendor", 2),
            ("refund", 4), ("credit", 3), ("vendor_credit", 3), ("edit", 6), ("void", 1),
            ("remove", 1.5), ("backdate", 1),
        )  # fmt: skip
        for step, percent in steps:
            for at in self.spread(max(round(size * percent / 100), 2), since + HOUR, until):
                self.schedule(at, step)
        self.schedule(since + 2 * HOUR, "pay_staff")
        self.schedule(since + 3 * HOUR, "end_month")
        self.schedule(since + DAY, "end_day")
        self.play(until)
        self.account.refresh()
        self.account.silent_changes.clear()

    def end_day(self) -> None:
        """The safe goes to the bank every second day, processors pay out each day."""
        if self.at // DAY % 2:
            self.bank()
        for processor in ("stripe", "square"):
            self.pay_out(processor)
        self.schedule(self.at + DAY, "end_day")

    def now(self, step: int = 0) -> int:
        """Bring the economy to the company's time, moved ``step`` seconds on where it is set."""
        clock = self.account.clock
        if clock.is_set:
            clock.set(clock.now() + step)
        self.at = self.horizon = clock.now()
        return self.at

    def update(self, stream: str, id: str, changes: Json) -> Json:
        """Change fields of one object now, which moves its LastUpdatedTime."""
        with self.account.lock:
            changed = self.account.change(stream, id, changes, at=self.now(1))
            self.account.refresh()
            return changed

    def delete(self, stream: str, id: str) -> None:
        """Delete one transaction now. Raises ValueError where it cannot be."""
        self.do("remove", stream, id)

    def pay_any(self) -> Json | None:
        found = self.first("invoices", lambda one: one["Balance"])
        return found and self.pay(found["Id"])

    def pay_bill_any(self) -> Json | None:
        found = self.first("bills", lambda one: one["Balance"])
        return found and self.pay_bill(found["Id"])
