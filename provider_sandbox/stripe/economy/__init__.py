"""What goes on in an account: sales, refunds, disputes, payouts, invoices and all that follows.

Every step keeps the books to the cent and tells it by the events that Stripe sends, and only
those. Steps due later wait in a queue, so that a clock that moves on plays them. The parts build on
each other: ground, catalogue, balance, payments, billing, checkout, edits.
"""

from provider_sandbox.ledger import Json
from provider_sandbox.life import DAY, HOUR, MONTH
from provider_sandbox.stripe.account import EVENTS_KEPT
from provider_sandbox.stripe.economy.edits import Edits
from provider_sandbox.stripe.money import USD_VALUE

__all__ = ["HOUR", "MONTH", "Economy", "default_currencies"]

ADDED_CURRENCIES = {"usd": ("eur",), "eur": ("usd", "gbp"), "jpy": ("usd",), "kwd": ("usd", "eur")}

KINDS: dict[str, tuple[float, tuple[str, ...]]] = {
    "create": (40, ("sell", "sell", "sell", "add_customer", "check_out", "bill", "subscribe")),
    "update": (25, ("edit",)),
    "refund": (10, ("refund_any",)),
    "dispute": (3, ("dispute_any",)),
    "settle": (10, ("settle_any",)),
    "cancel": (3, ("cancel_any",)),
    "credit": (3, ("credit",)),
    "delete": (4, ("remove",)),
    "payout": (2, ("pay_out",)),
    "offer": (2, ("add_coupon", "add_promotion_code")),
}
"""Kinds of mutation: how often they are drawn, and the steps they may be."""
UNDER_WAY = (
    ("settle_authorization", "payment_intents", "requires_capture"),
    ("settle_refund", "refunds", "pending"),
    ("answer_dispute", "disputes", "needs_response"),
    ("close_dispute", "disputes", "under_review"),
    ("complete_session", "checkout_sessions", "open"),
    ("finish_invoice", "invoices", "draft"),
    ("pay_invoice", "invoices", "open"),
    ("settle_payout", "payouts", "in_transit"),
)
STEPS = frozenset(
    (
        "sell", "capture", "settle_authorization", "refund", "refund_any", "settle_refund",
        "dispute", "answer_dispute", "close_dispute", "pay_out", "settle_payout", "add_customer",
        "add_product", "add_coupon", "add_promotion_code", "bill", "finish_invoice", "pay_invoice",
        "give_up", "credit", "subscribe", "renew", "resize", "unsubscribe", "check_out",
        "complete_session", "expire_session", "edit", "remove",
    )
)  # fmt: skip
"""What `do` plays: see the method of that name for its arguments."""
UPDATED = {
    "charges": "charge.updated",
    "checkout_sessions": None,
    "coupons": "coupon.updated",
    "credit_notes": "credit_note.updated",
    "customers": "customer.updated",
    "disputes": "charge.dispute.updated",
    "invoices": "invoice.updated",
    "payouts": "payout.updated",
    "prices": "price.updated",
    "products": "product.updated",
    "promotion_codes": "promotion_code.updated",
    "refunds": "refund.updated",
    "subscriptions": "customer.subscription.updated",
}
"""The event that tells of an edit; payment intents, invoice items and balance transactions have
none."""
DELETED = {
    "coupons": "coupon.deleted",
    "customers": "customer.deleted",
    "invoices": "invoice.deleted",
    "invoiceitems": "invoiceitem.deleted",
    "prices": "price.deleted",
    "products": "product.deleted",
}


class Economy(Edits):
    """Plays one account's life. ``currencies`` are those it sells in; it settles in its own."""

    KINDS = KINDS
    STEPS = STEPS

    def told(self, step: str, touched: Json) -> dict[str, str]:
        """See Life."""
        return {"object": touched["object"], "id": touched["id"]}

    def refresh(self) -> None:
        """See Life."""
        self.account.refresh()

    def open(self, *, size: int, since: int, until: int) -> None:
        """The history: about ``size`` charges between two seconds, and what goes with them."""
        self.account.events_since = until - EVENTS_KEPT
        self.at, self.horizon = since, until
        self.stock()
        steps = (
            ("sell", 78),
            ("check_out", 9),
            ("bill", 5),
            ("subscribe", 2),
            ("add_customer", 12),
            ("edit", 5),
            ("remove", 0.4),
            ("add_coupon", 0.3),
            ("credit", 0.6),
        )
        for step, percent in steps:
            for at in self.times(max(round(size * percent / 100), 3), since, until):
                self.schedule(at, step)
        self.schedule(since - since % DAY + DAY + 2 * HOUR, "end_day")
        self.schedule((since + until) // 2, "open_long_papers")
        self.play(until)

    def now(self, step: int = 0) -> int:
        """Bring the economy to the account's time, moved ``step`` seconds on where it is set."""
        clock = self.account.clock
        if clock.is_set:
            clock.set(clock.now() + step)
        self.at = self.horizon = clock.now()
        return self.at

    def update(self, stream: str, id: str, changes: Json) -> Json:
        """Change fields of one object now, with the event that Stripe sends for it, if any."""
        with self.account.lock:
            return self.account.change(
                stream, id, changes, at=self.now(1), event=UPDATED.get(stream)
            )

    def delete(self, stream: str, id: str) -> None:
        """Delete one object now."""
        if stream not in DELETED:
            raise ValueError(f"Stripe deletes no {stream}: give one of {', '.join(DELETED)}")
        with self.account.lock:
            self.account.delete(stream, id, at=self.now(1), event=DELETED[stream])

    def refund_any(self) -> Json | None:
        found = self._first("charges", lambda one: one["captured"] and not one["refunded"])
        return found and self.refund(found["id"])

    def dispute_any(self) -> Json | None:
        found = self._first("charges", lambda one: one["captured"])
        return found and self.dispute(found["id"])

    def settle_any(self) -> Json | None:
        """Something that was under way ends: an authorization, a refund, a dispute, a session, a
        draft or open invoice, a payout."""
        step, stream, status = self.random.choice(UNDER_WAY)
        found = self._first(stream, lambda one: one["status"] == status)
        done: Json | None = getattr(self, step)(found["id"]) if found else None
        return done

    def cancel_any(self) -> Json | None:
        found = self._first("subscriptions", lambda one: one["status"] != "canceled")
        return found and self.unsubscribe(found["id"])


def default_currencies(currency: str) -> tuple[str, ...]:
    """What an account sells in besides its own currency, where nothing else is said."""
    if currency not in USD_VALUE:
        raise ValueError(f"currency {currency!r} is unknown: give one of {', '.join(USD_VALUE)}")
    return (currency, *ADDED_CURRENCIES.get(currency, ()))
