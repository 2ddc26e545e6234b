"""One Stripe account: what exists in it, what happened to it, and how its time passes."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from heapq import heappop, heappush
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from provider_sandbox.ledger import Clock, Collection, Json, PaidOut, decode, encode, token
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.endpoints import STREAMS
from provider_sandbox.stripe.money import EXPONENTS

if TYPE_CHECKING:
    from provider_sandbox.stripe.economy import Economy

DAY = 86_400
EVENTS_KEPT = 30 * DAY
EMBEDDED = 10


class SilentChange(NamedTuple):
    """A change of an object that Stripe sends no event for."""

    at: int
    stream: str
    id: str
    field: str


class StripeAccount:
    """The truth of one account.

    Objects are JSON as the API answers them, amounts in the currency's minor unit. All times are
    Unix seconds of the account's ``clock``. ``economy`` is what happens in it, now or when its
    clock is advanced.
    """

    economy: "Economy"
    api_key: str
    heard: "Callable[[str, bytes], None] | None" = None
    """Told of each event: its type and body."""

    def __init__(
        self, *, id: str, slug: str, name: str, country: str, currency: str, timezone: str,
        random: Random, clock: Clock, created: int,
    ) -> None:  # fmt: skip
        self.id = id
        self.slug = slug
        self.name = name
        self.country = country
        self.currency = currency
        self.timezone = timezone
        self.random = random
        self.clock = clock
        self.created = created
        self.lock = RLock()
        self.streams: Mapping[str, Collection] = {stream: Collection() for stream in STREAMS}
        self.nested: dict[tuple[str, str], list[bytes]] = {}
        self.silent_changes: list[SilentChange] = []
        self.swept: dict[str, str] = {}
        self.events_since = 0
        self._pending: list[tuple[int, str]] = []

    # What is true

    def objects(self, stream: str) -> list[Json]:
        """Every object of the stream that exists now, oldest first."""
        with self.lock:
            self.refresh()
            return [row.object for row in self.streams[stream]]

    def ids(self, stream: str) -> list[str]:
        """Their ids, oldest first."""
        with self.lock:
            self.refresh()
            return [row.id for row in self.streams[stream]]

    def deleted(self, stream: str) -> list[str]:
        """Ids of the objects that were deleted."""
        return list(self.streams[stream].deleted)

    def find(self, stream: str, id: str) -> Json | None:
        """The object with this id, or None."""
        with self.lock:
            row = self.streams[stream].get(id)
            return None if row is None else row.object

    def lines(self, stream: str, id: str) -> list[Json]:
        """All lines of an invoice or credit note, or the line items of a checkout session."""
        return [decode(line) for line in self.nested.get((stream, id), ())]

    def payments(self, invoice_id: str) -> list[Json]:
        """The payments of an invoice, which name the payment intent that paid it."""
        return [decode(one) for one in self.nested.get(("payments", invoice_id), ())]

    def paid_out(self) -> list[PaidOut]:
        """The payouts that arrived."""
        exponent = EXPONENTS.get(self.currency, 2)
        return [
            PaidOut(
                one["id"],
                datetime.fromtimestamp(one["arrival_date"], UTC).strftime("%Y-%m-%d"),
                one["currency"].upper(),
                Decimal(one["amount"]).scaleb(-exponent),
            )
            for one in self.objects("payouts")
            if one["status"] == "paid"
        ]

    def sums(self, stream: str, amount: str = "amount") -> dict[str, int]:
        """Sum of an amount by currency, in minor units."""
        sums: Counter[str] = Counter()
        for found in self.objects(stream):
            if found.get(amount) is not None and found.get("currency"):
                sums[found["currency"]] += found[amount]
        return dict(sums)

    def as_api_object(self) -> Json:
        """The account as `/v1/account` shows it."""
        return shapes.account(self)

    # What happens

    def id_for(self, prefix: str, length: int = 24) -> str:
        return f"{prefix}_{token(self.random, length)}"

    def save(self, stream: str, found: Json) -> Json:
        """Add the object, or put it in the place of the one with its id."""
        rows = self.streams[stream]
        if found["id"] in rows:
            rows.replace(found["id"], encode(found))
        else:
            created = found["created"] if "created" in found else found["date"]
            rows.add(found["id"], created, encode(found))
            if stream == "balance_transactions" and found["status"] == "pending":
                heappush(self._pending, (found["available_on"], found["id"]))
        return found

    def change(
        self, stream: str, id: str, changes: Json, *, at: int, event: str | None = None
    ) -> Json:
        """Set fields (a dotted name reaches into a nested object) and tell it by ``event``; without
        one the change is silent. Raises LookupError."""
        row = self.streams[stream].get(id)
        if row is None:
            raise LookupError(f"there is no {id!r} in {stream} of account {self.slug!r}")
        found = row.object
        for name, value in changes.items():
            *path, last = name.split(".")
            holder = found
            for step in path:
                holder = holder[step]
            holder[last] = value
        before = row.object if event else {}
        self.streams[stream].replace(id, encode(found))
        if event is not None:
            self.emit(event, found, at=at, previous=_previous(before, found))
        else:
            self.silent_changes += [SilentChange(at, stream, id, name) for name in changes]
        return found

    def delete(self, stream: str, id: str, *, at: int, event: str) -> None:
        """Remove an object for good."""
        row = self.streams[stream].get(id)
        if row is None:
            raise LookupError(f"there is no {id!r} in {stream} of account {self.slug!r}")
        self.streams[stream].remove(id, at)
        self.emit(event, row.object, at=at)

    def emit(self, type: str, found: Json, *, at: int, previous: Json | None = None) -> None:
        """Record an event with the object as it is now, unless it is older than Stripe keeps."""
        if at < self.events_since:
            return
        data: Json = {"object": msgspec.Raw(encode(found))}
        if previous is not None:
            data["previous_attributes"] = previous
        id = self.id_for("evt")
        automatic = self.random.random() < 0.5
        event = shapes.event(
            id, type, data, at, request=None if automatic else self.id_for("req", 14)
        )
        body = encode(event)
        self.streams["events"].add(id, at, body)
        if self.heard is not None:
            self.heard(type, body)

    def keep_lines(self, stream: str, id: str, lines: list[Json], url: str) -> Json:
        """Keep all lines of an object; gives the list that is embedded: the first ten."""
        encoded = self.nested[stream, id] = [encode(line) for line in lines]
        return shapes.listing(lines[:EMBEDDED], url, has_more=len(encoded) > EMBEDDED)

    def refresh(self) -> None:
        """Let time do its silent work: balances become available, old events go."""
        now = self.clock.now()
        while self._pending and self._pending[0][0] <= now:
            at, id = heappop(self._pending)
            self.change("balance_transactions", id, {"status": "available"}, at=at)
        self.streams["events"].drop_before(now - EVENTS_KEPT)

    def any_of(self, stream: str, *, since: int = 0) -> Iterator[Json]:
        """Objects of the stream drawn at random, up to forty of them."""
        rows = self.streams[stream].rows
        first = bisect_left(rows, (since, 0), key=lambda row: row.key)
        for _ in range(40 if first < len(rows) else 0):
            yield rows[self.random.randrange(first, len(rows))].object


def _previous(before: Json, after: Json) -> Json:
    """The earlier values of what changed; of a nested object only the keys that changed."""
    previous: dict[str, Any] = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and old.get("object") != "list":
            previous[name] = _previous(old, new)
        else:
            previous[name] = old
    return dict(sorted(previous.items()))
