"""What goes on in an account: sales, refunds, disputes, payouts, invoices and all that follows.

Every step keeps the books to the cent and tells it by the events that Square sends, and only those.
Steps due later wait in a queue, so that a clock that moves on plays them. The parts build on each
other: ground, catalogue, people, balance, sales, billing.
"""

from typing import Any

from provider_sandbox.ledger import Json
from provider_sandbox.life import DAY, HOUR, MONTH
from provider_sandbox.square.account import EVENTS_KEPT, Ref
from provider_sandbox.square.economy.billing import Billing

__all__ = ["HOUR", "MONTH", "Economy"]


KINDS: dict[str, tuple[float, tuple[str, ...]]] = {
    "sale": (40, ("sell", "sell", "sell", "sell_online", "sell_gift_card", "sell_offline")),
    "refund": (10, ("refund",)),
    "settle": (14, ("assess", "settle_authorization", "settle_refund", "answer_dispute",
                    "close_dispute", "settle_payout", "publish_invoice", "pay_invoice")),
    "dispute": (2, ("dispute",)),
    "payout": (2, ("pay_out", "cash_up")),
    "customer": (12, ("add_customer", "edit_customer", "edit_customer", "enroll")),
    "edit": (8, ("edit_order", "edit_team_member", "edit_location", "edit_program")),
    "catalog": (6, ("edit_price", "edit_item", "add_item")),
    "stock": (6, ("recount",)),
    "merge": (2, ("merge_customers",)),
    "delete": (4, ("delete_customer", "delete_item", "delete_invoice")),
    "invoice": (4, ("add_invoice", "cancel_invoice")),
    "subscription": (4, ("subscribe", "renew", "pause_subscription", "resume_subscription",
                         "cancel_subscription")),
    "loyalty": (3, ("adjust_points", "enroll")),
    "gift_card": (1, ("block_gift_card",)),
    "offline": (2, ("sell_offline",)),
}  # fmt: skip
"""Kinds of mutation: how often they are drawn, and the steps they may be."""
STEPS = frozenset(step for _, steps in KINDS.values() for step in steps) | {
    "add_team_member", "authorize", "close_location", "end_subscription"
}  # fmt: skip
"""What `do` plays: see the method of that name for its arguments."""
DELETED_BY = {
    "customers": "delete_customer", "catalog": "delete_item", "invoices": "delete_invoice"
}  # fmt: skip
ADDED_BY = {
    "customers": "add_customer", "catalog": "add_item", "refunds": "refund", "disputes": "dispute",
    "payouts": "cash_up", "payout_entries": "cash_up", "invoices": "add_invoice",
    "subscriptions": "subscribe", "loyalty_accounts": "enroll", "loyalty_events": "adjust_points",
    "gift_cards": "sell_gift_card", "team_members": "add_team_member",
    "inventory_counts": "recount",
}  # fmt: skip
"""The step that adds to a stream; the others grow by sales."""


class Economy(Billing):
    """Plays one account's life."""

    KINDS = KINDS
    STEPS = STEPS

    def do(self, step: str, *arguments: Any) -> dict[str, str] | None:
        """See Life; tells the stream and the id."""
        touched: Ref | None = super().do(step, *arguments)
        return None if touched is None else touched._asdict()

    def open(self, *, size: int, locations: int, closed: int, since: int, until: int) -> None:
        """The history: about ``size`` orders between two seconds, at so many ``locations``, of
        which the last ones are closed on the way, and what goes with them."""
        self.account.events_since = until - EVENTS_KEPT
        self.at, self.horizon = since, until
        self.stock_up(locations)
        self.open_program()
        for _ in range(max(size // 6, 12)):
            self.add_customer()
        for _ in range(max(size // 25, 4)):
            self.enroll()
        for step, percent in (
            ("sell", 72), ("sell_online", 12), ("sell_offline", 2), ("sell_gift_card", 4),
            ("add_customer", 8), ("edit_customer", 6), ("enroll", 3), ("refund", 6),
            ("add_invoice", 3), ("subscribe", 2), ("edit_order", 2), ("edit_price", 1),
            ("edit_item", 1), ("recount", 3), ("adjust_points", 1),
        ):  # fmt: skip
            for at in self.times(max(round(size * percent / 100), 3), since, until):
                self.schedule(at, step)
        for step in (
            "delete_customer", "delete_item", "delete_invoice", "cancel_invoice", "dispute",
            "dispute", "pause_subscription", "cancel_subscription", "edit_team_member", "add_item",
            "block_gift_card",
        ):  # fmt: skip
            for at in self.times(max(size // 300, 1), since + 2 * DAY, until):
                self.schedule(at, step)
        self.schedule(since + (until - since) // 3, "close_old_locations", closed)
        self.schedule(since - since % DAY + DAY + 2 * HOUR, "end_day")
        self.play(until)

    def update(self, stream: str, id: str, changes: Json, *, silent: bool = False) -> Json:
        """Change fields of one object now; its update time and version move and an event tells of
        it, unless the change is to be silent. Raises LookupError."""
        with self.account.lock:
            self.now(1)
            return self.account.change(stream, id, changes, at=self.stamp(), silent=silent)

    def delete(self, stream: str, id: str) -> None:
        """Delete one object now; what hangs on it goes with it. Raises LookupError, and ValueError
        where Square does not delete such an object."""
        if stream not in DELETED_BY:
            raise ValueError(f"Square deletes no {stream}: give one of {', '.join(DELETED_BY)}")
        with self.account.lock:
            self.now(1)
            self.account.existing(stream, id)
            if getattr(self, DELETED_BY[stream])(id) is None:
                raise ValueError(f"{id!r} cannot be deleted: a draft invoice or an item can")

    def grow(self, stream: str, count: int) -> None:
        """Add ``count`` objects to a stream now."""
        with self.account.lock:
            self.now()
            table = self.account.table(stream)
            enough = len(table) + count
            step = getattr(self, ADDED_BY.get(stream, "sell"))
            # Not every step adds a row to every stream.
            for _ in range(count * 20):
                if len(table) >= enough:
                    break
                step()
