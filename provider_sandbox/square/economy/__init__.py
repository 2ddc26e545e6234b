"""What goes on in an account: sales, refunds, disputes, payouts, invoices and all that follows.

Every step keeps the books to the cent and tells it by the events that Square sends, and only those.
Steps due later wait in a queue, so that a clock that moves on plays them. The parts build on each
other: ground, catalogue, people, balance, sales, billing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from provider_sandbox.ledger import Json
from provider_sandbox.square.account import DAY, EVENTS_KEPT, Ref
from provider_sandbox.square.economy.billing import Billing
from provider_sandbox.square.economy.ground import HOUR, MONTH

__all__ = ["HOUR", "MONTH", "Economy"]

HOURS = (9, 6, 4, 4, 3, 1, 0, 0, 0, 1, 2, 3, 5, 5, 3, 3, 4, 6, 9, 12, 12, 10, 10, 10)
"""How much is sold in each local hour: evenings, and the small hours about midnight and four."""
WEEKDAYS = (2, 2, 3, 4, 7, 8, 4)

KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
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
            for at in self._times(max(round(size * percent / 100), 3), since, until):
                self.schedule(at, step)
        for step in (
            "delete_customer", "delete_item", "delete_invoice", "cancel_invoice", "dispute",
            "dispute", "pause_subscription", "cancel_subscription", "edit_team_member", "add_item",
            "block_gift_card",
        ):  # fmt: skip
            for at in self._times(max(size // 300, 1), since + 2 * DAY, until):
                self.schedule(at, step)
        self.schedule(since + (until - since) // 3, "close_old_locations", closed)
        self.schedule(since - since % DAY + DAY + 2 * HOUR, "end_day")
        self.play(until)

    def _times(self, count: int, since: int, until: int) -> list[int]:
        zone = ZoneInfo(self.account.timezone)
        first = datetime.fromtimestamp(since, zone).replace(hour=0, minute=0, second=0)
        days = [first + timedelta(days=n) for n in range(max(until - since, 0) // DAY + 1)]
        chosen = self.random.choices(days, [WEEKDAYS[day.weekday()] for day in days], k=count)
        hours = self.random.choices(range(24), HOURS, k=count)
        times = []
        for day, hour in zip(chosen, hours, strict=True):
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
        touched, its id as `SquareAccount.ids` has it. A clock that is set moves ``step`` seconds
        for each."""
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"kind {kind!r} is unknown: give some of {', '.join(KINDS)}")
        done: list[dict[str, str]] = []
        weights = [KINDS[kind][0] for kind in kinds or KINDS]
        with self.account.lock:
            for _ in range(count * 20):
                if len(done) == count:
                    break
                kind = self.random.choices(list(kinds or KINDS), weights)[0]
                self.now(step)
                left = getattr(self, self.random.choice(KINDS[kind][1]))()
                if left is not None:
                    done.append({"kind": kind, "stream": left.stream, "id": left.id})
        return done

    def now(self, step: int = 0) -> int:
        """Bring the economy to the account's time, moved ``step`` seconds on where it is set, and
        play what falls due."""
        clock = self.account.clock
        if clock.is_set:
            clock.set(clock.now() + step)
        self.play(clock.now())
        return self.at

    def advance(self, seconds: int = 0, *, mutations: int = 0) -> None:
        """Let a set clock move on and play what falls due, with random steps strewn in. A clock
        that follows this machine's cannot be moved: only what is due by now is played."""
        account = self.account
        with account.lock:
            start = account.clock.now()
            if seconds and not account.clock.is_set:
                raise ValueError("the clock follows this machine's: set it before it is advanced")
            for _ in range(mutations):
                self.schedule(start + self.random.randrange(seconds + 1), "mutate_one")
            self.play(start + seconds)
            if account.clock.is_set:
                account.clock.set(start + seconds)

    def mutate_one(self) -> None:
        """One random step at the time that is being played."""
        kind = self.random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        getattr(self, self.random.choice(KINDS[kind][1]))()

    def do(self, step: str, *arguments: Any) -> dict[str, str] | None:
        """Play one step by its name now: `do("refund", payment_id, 500)`; tells the stream and the
        id that it touched, None where it does not apply. Raises ValueError for an unknown step,
        LookupError for an unknown object."""
        if step not in STEPS:
            raise ValueError(f"step {step!r} is unknown: give one of {', '.join(sorted(STEPS))}")
        with self.account.lock:
            self.now(1)
            done: Ref | None = getattr(self, step)(*arguments)
            return None if done is None else done._asdict()

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
