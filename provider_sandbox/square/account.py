"""One Square account: what exists in it, what happened to it, and how its time passes."""

import uuid
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from heapq import merge
from itertools import islice
from operator import attrgetter
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from provider_sandbox.ledger import Clock, Json, PaidOut, Recipe, decode, encode, token
from provider_sandbox.square.endpoints import FACTS, STREAMS, Stream
from provider_sandbox.square.money import COUNTRIES, Country

if TYPE_CHECKING:
    from provider_sandbox.square.economy import Economy

DAY = 86_400
EVENTS_KEPT = 28 * DAY
UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"

Place = tuple[Any, int]
"""Where a row stands in an order: what it is sorted by, and when it arrived."""


class Row:
    """One object: its id, its times in milliseconds, its location and its encoded body, or a recipe
    that makes it from id and creation."""

    __slots__ = ("_body", "arrival", "closed", "created", "id", "location", "name", "updated")

    def __init__(self, id: str, arrival: int, body: bytes | Recipe, created: int) -> None:
        self.id = id
        self.arrival = arrival
        self.created = created
        self.updated = created
        self.closed: int | None = None
        self.location = ""
        self.name = ""
        self._body = body

    @property
    def body(self) -> bytes:
        return self._body if isinstance(self._body, bytes) else self._body(self.id, self.created)

    @property
    def object(self) -> Json:
        found: Json = decode(self.body)
        return found


ORDERS: Mapping[str, Callable[[Row], Place]] = {
    name: attrgetter(name, "arrival") for name in ("created", "updated", "closed", "name")
}


class Table:
    """All objects of one stream, in each order that is asked for, whole and by location."""

    def __init__(self) -> None:
        self.deleted: dict[str, int] = {}
        self._by_id: dict[str, Row] = {}
        self._arrivals = 0
        self._sorted: dict[tuple[str, str | None], list[Row]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def __iter__(self) -> Iterator[Row]:
        return iter(self.sorted("created"))

    def get(self, id: str) -> Row | None:
        return self._by_id.get(id)

    def add(
        self, id: str, created: int, body: bytes | Recipe, *, updated: int | None = None,
        closed: int | None = None, location: str = "", name: str = "",
    ) -> None:  # fmt: skip
        """Raises ValueError where the id is taken."""
        if id in self._by_id:
            raise ValueError(f"id {id!r} exists already: give the new object another")
        self._arrivals += 1
        row = self._by_id[id] = Row(id, self._arrivals, body, created)
        self._place(row, created if updated is None else updated, closed, location, name)

    def replace(
        self, id: str, body: bytes, *, updated: int, closed: int | None = None,
        location: str = "", name: str = "",
    ) -> None:  # fmt: skip
        row = self._by_id[id]
        row._body = body
        if (row.updated, row.closed, row.location, row.name) != (updated, closed, location, name):
            self._take_out(row)
            self._place(row, updated, closed, location, name)

    def remove(self, id: str, at: int) -> None:
        self._take_out(self._by_id.pop(id))
        self.deleted[id] = at

    def drop_before(self, created: int) -> None:
        """Forget the rows created earlier, as a provider's retention does."""
        rows = self.sorted("created")
        end = bisect_left(rows, (created, 0), key=ORDERS["created"])
        for row in rows[:end]:
            self._take_out(self._by_id.pop(row.id))

    def sorted(self, order: str, location: str | None = None) -> list[Row]:
        """The rows in one order, oldest first; in the order "closed" only those that are."""
        rows = self._sorted.get((order, location))
        if rows is not None:
            return rows
        if location is None:
            chosen = (
                row for row in self._by_id.values() if order != "closed" or row.closed is not None
            )
            rows = self._sorted[order, None] = sorted(chosen, key=ORDERS[order])
            return rows
        groups: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.sorted(order):
            groups[row.location].append(row)
        self._sorted |= {(order, held): rows for held, rows in groups.items()}
        return self._sorted.setdefault((order, location), [])

    def read(
        self, order: str, *, descending: bool = False, locations: Sequence[str] | None = None,
        first: Any = None, last: Any = None, after: Place | None = None,
    ) -> Iterator[Row]:  # fmt: skip
        """Rows between ``first`` and ``last``, both included, that follow the place ``after``; it
        need not be taken by any row. Of several ``locations`` each row comes once."""
        wanted: list[str | None] = [None]
        if locations is not None:
            wanted = list(dict.fromkeys(locations))
        spans = [
            self._span(self.sorted(order, one), order, descending, first, last, after)
            for one in wanted
        ]
        if len(spans) == 1:
            return spans[0]
        return merge(*spans, key=ORDERS[order], reverse=descending)

    def _span(
        self, rows: list[Row], order: str, descending: bool, first: Any, last: Any,
        after: Place | None,
    ) -> Iterator[Row]:  # fmt: skip
        key = ORDERS[order]
        start = 0 if first is None else bisect_left(rows, (first, 0), key=key)
        end = len(rows)
        if last is not None:
            end = bisect_left(rows, (last, self._arrivals + 1), key=key)
        if after is not None and descending:
            end = min(end, bisect_left(rows, after, key=key))
        elif after is not None:
            start = max(start, bisect_right(rows, after, key=key))
        if descending:
            return map(rows.__getitem__, range(end - 1, start - 1, -1))
        return islice(rows, start, end)

    def _place(self, row: Row, updated: int, closed: int | None, location: str, name: str) -> None:
        row.updated, row.closed, row.location, row.name = updated, closed, location, name
        for (order, held), rows in self._sorted.items():
            if held in (None, location) and (order != "closed" or closed is not None):
                key = ORDERS[order]
                if rows and key(row) < key(rows[-1]):
                    insort(rows, row, key=key)
                else:
                    rows.append(row)

    def _take_out(self, row: Row) -> None:
        for (order, held), rows in self._sorted.items():
            if held in (None, row.location) and (order != "closed" or row.closed is not None):
                del rows[bisect_left(rows, ORDERS[order](row), key=ORDERS[order])]


class Ref(NamedTuple):
    """An object: its stream, and its id as `SquareAccount.ids` has it."""

    stream: str
    id: str


class SilentChange(NamedTuple):
    """A change that moves no update time of its object, ``at`` a second."""

    at: int
    stream: str
    id: str
    field: str


class SquareAccount:
    """The truth of one account, which Square calls a merchant.

    Objects are JSON as the API answers them, amounts in minor units of the account's one currency.
    Times are Unix seconds of the account's ``clock``, but milliseconds where it is said.
    ``economy`` is what happens in it, now or when its clock is advanced. ``unlisted`` are the
    customers without name, address or number: no list shows them, only their own path does.
    ``merged`` leads from the id of a customer who was merged to the one in their place.
    """

    economy: "Economy"
    access_token: str
    main_location: str
    heard: "Callable[[str, bytes], None] | None" = None
    """Told of each event: its type and body."""

    def __init__(
        self, *, id: str, slug: str, name: str, country: str, timezone: str, random: Random,
        clock: Clock, created: int,
    ) -> None:  # fmt: skip
        self.id = id
        self.slug = slug
        self.name = name
        self.country = country
        self.timezone = timezone
        self.random = random
        self.clock = clock
        self.created = created
        self.lock = RLock()
        self.secret = random.randbytes(16)
        self.tables: Mapping[str, Table] = {stream: Table() for stream in STREAMS}
        self.unlisted = Table()
        self.merged: dict[str, str] = {}
        self.events = Table()
        self.events_since = 0
        self.silent_changes: list[SilentChange] = []

    @property
    def place(self) -> Country:
        """What its country says of money, tax and time."""
        return COUNTRIES[self.country]

    @property
    def currency(self) -> str:
        return self.place.currency

    # What is true

    def objects(self, stream: str) -> list[Json]:
        """Every object of the stream that exists now, oldest first; deleted ones of the catalog are
        left out, though Square still shows them to who asks for them."""
        with self.lock:
            found = (row.object for row in self._rows(stream))
            return [one for one in found if not one.get("is_deleted")]

    def ids(self, stream: str) -> list[str]:
        """Their ids, oldest first. A count's is `OBJECT:LOCATION:STATE`."""
        with self.lock:
            return [
                row.id for row in self._rows(stream) if row.id not in self.table(stream).deleted
            ]

    def deleted(self, stream: str) -> list[str]:
        """Ids of the objects that were deleted."""
        return list(self.table(stream).deleted)

    def find(self, stream: str, id: str) -> Json | None:
        """The object with this id, a deleted one of the catalog too, or None."""
        with self.lock:
            row = self.table(stream).get(id)
            return None if row is None else row.object

    def paid_out(self) -> list[PaidOut]:
        """The payouts that arrived, what was withdrawn from the bank left out."""
        return [
            PaidOut(
                one["id"],
                one["arrival_date"],
                one["amount_money"]["currency"],
                Decimal(one["amount_money"]["amount"]).scaleb(-self.place.exponent),
            )
            for one in self.objects("payouts")
            if one["status"] == "PAID" and one["amount_money"]["amount"] > 0
        ]

    def sums(self, stream: str, amount: str = "") -> dict[str, int]:
        """Sum by currency of a money field, in minor units; without a name of the one that says
        what the object is worth."""
        name = amount or WORTH.get(stream, "amount_money")
        sums: Counter[str] = Counter()
        for found in self.objects(stream):
            if name in found:
                sums[found[name]["currency"]] += found[name]["amount"]
        return dict(sums)

    def table(self, stream: str) -> Table:
        """Raises LookupError for an unknown stream."""
        if stream == "events":
            return self.events
        if stream not in self.tables:
            raise LookupError(f"there is no stream {stream!r}: there are {', '.join(STREAMS)}")
        return self.tables[stream]

    def _rows(self, stream: str) -> Table:
        if stream == "events":
            self.forget_events()
        return self.table(stream)

    # What happens

    def id_for(self, length: int, prefix: str = "", end: str = "") -> str:
        return f"{prefix}{token(self.random, length)}{end}"

    def upper_id(self, length: int, prefix: str = "") -> str:
        return prefix + "".join(self.random.choices(UPPER, k=length))

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=self.random.randbytes(16), version=4))

    def save(self, stream: str, found: Json) -> Json:
        """Add the object, or put it in the place of the one with its id."""
        facts, table = FACTS[stream], self.table(stream)
        id = row_id(stream, found)
        updated = milliseconds(found.get(facts.updated) or found.get(facts.created))
        closed = milliseconds(found[facts.closed]) if found.get(facts.closed) else None
        location = found.get(facts.location, "") if facts.location else ""
        name = sort_name(found) if stream == "customers" else str(found.get("name", ""))
        if stream == "subscriptions":
            name = f"{location} {found[facts.created]}"
        if stream == "customers" and not name:
            table = self.unlisted
        elif stream == "customers" and id in self.unlisted:
            self.unlisted.remove(id, 0)
        if id in table:
            table.replace(
                id, encode(found), updated=updated, closed=closed, location=location, name=name
            )
        else:
            created = milliseconds(found[facts.created]) if facts.created else updated
            table.add(
                id, created, encode(found), updated=updated, closed=closed, location=location,
                name=name,
            )  # fmt: skip
        return found

    def change(
        self, stream: str, id: str, changes: Json, *, at: int, silent: bool = False,
        verb: str = "", told: int | None = None,
    ) -> Json:  # fmt: skip
        """Set fields (a dotted name reaches into a nested object, None takes the field away) at a
        millisecond. Its update time moves, if it has one and the change is not ``silent``, its
        version counts up, and the event with ``verb`` tells of it, at the millisecond ``told``
        where that is later. Raises LookupError."""
        facts = FACTS[stream]
        found = self.existing(stream, id)
        for name, value in changes.items():
            *path, last = name.split(".")
            holder = found
            for step in path:
                holder = holder[step]
            if value is None:
                holder.pop(last, None)
            else:
                holder[last] = value
        if facts.updated and not silent:
            found[facts.updated] = shown(at, facts)
        else:
            self.silent_changes += [SilentChange(at // 1000, stream, id, name) for name in changes]
        if facts.version in found and not silent:
            found[facts.version] = self._next_version(found[facts.version], at)
        self.save(stream, found)
        if not silent:
            self.emit(stream, verb or "updated", found, at=at if told is None else told)
        return found

    def existing(self, stream: str, id: str) -> Json:
        """A copy of the object. Raises LookupError."""
        row = self.table(stream).get(id)
        if row is None and stream == "customers":
            row = self.unlisted.get(id)
        if row is None:
            raise LookupError(f"there is no {id!r} in {stream} of account {self.slug!r}")
        return row.object

    def delete(self, stream: str, id: str, *, at: int, context: Json | None = None) -> Json:
        """Delete an object: of the catalog, it stays behind marked as such; else for good.
        ``context`` as in `emit`."""
        found = self.existing(stream, id)
        if stream == "catalog":
            changes = {"is_deleted": True}
            self.table(stream).deleted[id] = at // 1000
            return self.change(stream, id, changes, at=at)
        table = self.unlisted if id in self.unlisted else self.table(stream)
        table.remove(id, at // 1000)
        self.emit(stream, "deleted", found, at=at, context=context)
        return found

    def emit(
        self, stream: str, verb: str, found: Json, *, at: int, context: Json | None = None
    ) -> None:
        """Record an event about the object as it is now, unless it is older than Square keeps;
        ``context``: what of, where Square tells that of a customer."""
        facts = FACTS[stream]
        if at // 1000 < self.events_since or not facts.event:
            return
        kind = f"{facts.event}.{verb}"
        data: Json = {
            "type": facts.event_object or facts.event, "id": row_id(stream, found),
            "object": {facts.event_object: msgspec.Raw(encode(found))},
        }  # fmt: skip
        if context is not None:
            data["object"]["event_context"] = context
        if verb == "deleted" and stream != "loyalty_accounts":
            data["deleted"] = True
        match stream:
            case "locations":
                data = {"type": "Location", "id": found["id"]}
            case "catalog":
                kind = "catalog.version.updated"
                told: Json = {"catalog_version": {"updated_at": found["updated_at"]}}
                data = {"type": "catalog_version", "id": self.uuid(), "object": told}
            case "inventory_counts":
                data["id"] = self.uuid()
                data["object"] = {facts.event_object: [found]}
            case "orders":
                names = ("created_at", "location_id", "state", "updated_at", "version")
                told = {"order_id": found["id"]} | {n: found[n] for n in names if n in found}
                data["type"] = f"order_{verb}"
                data["object"] = {f"order_{verb}": dict(sorted(told.items()))}
            case "disputes" if verb == "updated":
                kind = "dispute.state.updated"
            case "invoices" if verb == "deleted":
                del data["object"]
        event: Json = {
            "created_at": iso(at), "data": data, "event_id": self.uuid(), "merchant_id": self.id,
            "type": kind,
        }  # fmt: skip
        if facts.location == "location_id" and found.get("location_id"):
            event["location_id"] = found[facts.location]
        elif stream == "locations":
            event["location_id"] = found["id"]
        body = encode(event)
        self.events.add(event["event_id"], at, body, location=event.get("location_id", ""))
        if self.heard is not None:
            self.heard(kind, body)

    def forget_events(self) -> None:
        """Let events go that are older than Square keeps."""
        self.events.drop_before((self.clock.now() - EVENTS_KEPT) * 1000)

    def any_of(self, stream: str, fits: Callable[[Json], bool] = bool) -> Iterator[Json]:
        """Objects drawn at random that fit; gives up after sixty draws. Deleted ones never fit."""
        rows = self.table(stream).sorted("created")
        for _ in range(60 if rows else 0):
            found = rows[self.random.randrange(len(rows))].object
            if not found.get("is_deleted") and fits(found):
                yield found

    def _next_version(self, version: Any, at: int) -> Any:
        if isinstance(version, str):
            return self.id_for(45)
        return at if version > 10**12 else version + 1


WORTH = {
    "orders": "total_money", "payments": "total_money", "gift_cards": "balance_money",
    "payout_entries": "net_amount_money", "invoices": "next_payment_amount_money",
}  # fmt: skip


def row_id(stream: str, found: Json) -> str:
    """The id under which an object stands: a count has none of its own."""
    if stream == "inventory_counts":
        return f"{found['catalog_object_id']}:{found['location_id']}:{found['state']}"
    id: str = found["id"]
    return id


def sort_name(customer: Json) -> str:
    """By what customers are listed: the full name, else company, address or number."""
    name = f"{customer.get('given_name', '')}{customer.get('family_name', '')}"
    for other in ("company_name", "email_address", "phone_number"):
        name = name or customer.get(other, "")
    return name.casefold()


def iso(at: int) -> str:
    """A millisecond as Square writes it."""
    second, part = divmod(at, 1000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{part:03d}Z"


def iso_seconds(at: int) -> str:
    """A millisecond as Square writes it where it has whole seconds only."""
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def shown(at: int, facts: Stream) -> str:
    return iso_seconds(at) if facts.whole_seconds else iso(at)


def milliseconds(text: str | None) -> int:
    """What `iso` wrote. Raises ValueError for a text that is no time with its zone."""
    found = datetime.fromisoformat(text or "")
    if found.tzinfo is None:
        raise ValueError(f"{text!r} says no time zone")
    return round(found.timestamp() * 1000)
