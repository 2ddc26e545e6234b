"""One QuickBooks company: what exists in it, its books, and how its time passes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from provider_sandbox.ledger import Clock, Json, PaidOut
from provider_sandbox.quickbooks.books import Books, Chart
from provider_sandbox.quickbooks.endpoints import BY_STREAM, STREAMS, Entity

if TYPE_CHECKING:
    from provider_sandbox.quickbooks.economy import Economy

DAY = 86_400

encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(float_hook=Decimal).decode
"""Amounts are JSON numbers outside and Decimals inside."""

Recipe = Callable[[str, int, int], bytes]
"""``recipe(id, created, updated)`` gives the same body each time."""


class Record:
    """One object: its id, its place among all of its stream, when it was created and last updated
    (seconds), whether it is active, and its encoded body, which may be a recipe instead."""

    __slots__ = ("_body", "active", "created", "id", "number", "updated")

    def __init__(
        self, id: str, number: int, created: int, updated: int, active: bool, body: bytes | Recipe
    ) -> None:
        self.id = id
        self.number = number
        self.created = created
        self.updated = updated
        self.active = active
        self._body = body

    @property
    def body(self) -> bytes:
        body = self._body
        return body if isinstance(body, bytes) else body(self.id, self.created, self.updated)

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body

    @property
    def object(self) -> Json:
        found: Json = decode(self.body)
        return found


class Table:
    """All objects of one stream by id, oldest first. ``version`` grows with each change;
    ``deleted`` is when each vanished; ``kept`` holds what was selected from this version."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.deleted: dict[str, int] = {}
        self.version = 0
        self.kept: dict[Any, list[Record]] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self.records)

    def add(self, id: str, created: int, active: bool, body: bytes | Recipe) -> None:
        self._arrivals += 1
        self.records[id] = Record(id, self._arrivals, created, created, active, body)
        self.changed()

    def remove(self, id: str, at: int) -> None:
        del self.records[id]
        self.deleted[id] = at
        self.changed()

    def changed(self) -> None:
        self.version += 1
        self.kept.clear()

    def by_update(self) -> list[Record]:
        """All of them, the last updated last."""
        if "by_update" not in self.kept:
            self.kept["by_update"] = sorted(self.records.values(), key=_updated)
        return self.kept["by_update"]


def _updated(record: Record) -> tuple[int, int]:
    return record.updated, record.number


class SilentChange(NamedTuple):
    """A change of an object that moves no LastUpdatedTime."""

    at: int
    stream: str
    id: str
    field: str


class QuickBooksAccount:
    """The truth of one company.

    Objects are JSON as the API answers them; amounts are Decimals, or ints where they are whole.
    All times are Unix seconds of its ``clock``; it writes them with its time zone's offset.
    ``economy`` is what happens in it, now or when its clock is advanced.
    ``books`` are the postings of its transactions, ``credentials`` its first tokens.
    """

    economy: "Economy"
    credentials: Json
    heard: "Callable[[str, str, str, int, str], None] | None" = None
    """Told of each change that Intuit tells of: stream, id, what was done, when, and of a merge the
    id that is lost."""
    payouts: Mapping[str, Callable[[], list[PaidOut]]] = {}
    """Of processors whose payouts its deposits follow."""

    def __init__(
        self, *, id: str, slug: str, name: str, country: str, currency: str,
        currencies: tuple[str, ...], timezone: str, random: Random, clock: Clock, created: int,
    ) -> None:  # fmt: skip
        self.id = id
        self.slug = slug
        self.name = name
        self.country = country
        self.currency = currency
        self.currencies = currencies
        self.timezone = timezone
        self.zone = ZoneInfo(timezone)
        self.random = random
        self.clock = clock
        self.created = created
        self.lock = RLock()
        self.places = Decimal(1) if currency == "JPY" else Decimal("0.01")
        self.tables: Mapping[str, Table] = {stream: Table() for stream in STREAMS}
        self.books = Books(Chart({}, {}, {}, "", "", self.places), self.find)
        self.silent_changes: list[SilentChange] = []
        self._ids: Counter[str] = Counter()
        self._owed: dict[tuple[str, str], tuple[str, str, Decimal]] = {}
        self._balances: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._stale: set[tuple[str, str]] = set()

    @property
    def multicurrency(self) -> bool:
        return len(self.currencies) > 1

    # What is true

    def objects(self, stream: str) -> list[Json]:
        """Every object of the stream that exists now, inactive ones too, oldest first."""
        with self.lock:
            self.refresh()
            return [record.object for record in self.tables[stream].records.values()]

    def ids(self, stream: str, *, active: bool | None = None) -> list[str]:
        """Their ids, oldest first; ``active`` limits them to the active or the inactive."""
        with self.lock:
            records = self.tables[stream].records.values()
            return [one.id for one in records if active is None or one.active == active]

    def deleted(self, stream: str) -> list[str]:
        """Ids of the objects that were deleted."""
        return list(self.tables[stream].deleted)

    def find(self, stream: str, id: str) -> Json | None:
        """The object with this id, or None."""
        with self.lock:
            record = self.tables[stream].records.get(id)
            return None if record is None else record.object

    def sums(self, stream: str, amount: str = "TotalAmt") -> dict[str, Decimal]:
        """Sum of an amount by currency."""
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for found in self.objects(stream):
            if found.get(amount) is not None:
                currency = found.get("CurrencyRef", {}).get("value", self.currency)
                sums[currency] += found[amount]
        return dict(sums)

    def balance(self, account_id: str) -> Decimal:
        """What was posted to an account over all time, debits less credits, in home currency."""
        return self.books.balances[account_id]

    def figure(self, statement: str) -> Decimal:
        """What all reports of one kind come to, from the accounts' balances: all profit ever, all
        assets now, all cash that came in. Raises KeyError for another statement."""
        counted, sign = FIGURES[statement]
        return self.amount(
            sum(sign * self.balance(one["Id"]) for one in self.objects("accounts") if counted(one))
        )

    def income(self) -> dict[str, dict[str, Decimal]]:
        """What was posted to accounts of type Income, by month (YYYY-MM) and their name."""
        names = {
            one["Id"]: one["Name"]
            for one in self.objects("accounts")
            if one["AccountType"] == "Income"
        }
        earned: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(
            lambda: defaultdict(Decimal)
        )
        for entry in self.books.basis("Accrual"):
            for id, amount in entry.postings:
                if id in names:
                    earned[entry.date[:7]][names[id]] -= amount
        return {month: dict(amounts) for month, amounts in earned.items()}

    def time(self, at: int) -> str:
        """A second as this company's API writes it."""
        return datetime.fromtimestamp(at, self.zone).isoformat()

    def date(self, at: int) -> str:
        return datetime.fromtimestamp(at, self.zone).strftime("%Y-%m-%d")

    def later(self, at: int, days: int) -> str:
        return (datetime.fromtimestamp(at, self.zone) + timedelta(days=days)).strftime("%Y-%m-%d")

    def amount(self, value: Decimal | float, currency: str | None = None) -> Decimal:
        """A value rounded to what the currency (None: the company's own) has."""
        places = self.places if currency in (None, self.currency) else _places(currency)
        return Decimal(value).quantize(places, ROUND_HALF_UP)

    # What happens

    def next_id(self, entity: Entity) -> str:
        """Ids are small numbers that transactions share, people and companies share, and each
        other list has its own of."""
        self._ids[entity.ids] += 1
        return str(self._ids[entity.ids])

    def add(self, stream: str, fields: Json, *, at: int, id: str | None = None) -> Json:
        """A new object with the next id of its kind (or the one given)."""
        entity = BY_STREAM[stream]
        if id is None:
            id = self.next_id(entity)
        time = self.time(at)
        found = fields | {
            "domain": "QBO", "sparse": False, "Id": id, "SyncToken": "0",
            "MetaData": {"CreateTime": time, "LastUpdatedTime": time},
        }  # fmt: skip
        self.tables[stream].add(id, at, found.get("Active", True), encode(found))
        self._follow(stream, found)
        self._tell(stream, id, "created", at)
        return found

    def change(self, stream: str, id: str, changes: Json, *, at: int) -> Json:
        """Set fields of an object, which moves its SyncToken and LastUpdatedTime; None takes a
        field away. Raises LookupError."""
        record = self._record(stream, id)
        found = {k: v for k, v in (record.object | changes).items() if v is not None}
        found["SyncToken"] = str(int(found["SyncToken"]) + 1)
        found["MetaData"]["LastUpdatedTime"] = self.time(at)
        record.updated, record.active = at, found.get("Active", True)
        self._keep(stream, record, found)
        self._follow(stream, found)
        voided = changes.get("PrivateNote") == "Voided"
        self._tell(stream, id, "voided" if voided else "updated", at)
        return found

    def change_silently(self, stream: str, id: str, changes: Json, *, at: int) -> Json:
        """Set fields of an object without a trace in its SyncToken or times. Raises LookupError."""
        record = self._record(stream, id)
        found = record.object | changes
        self._keep(stream, record, found)
        self.silent_changes += [SilentChange(at, stream, id, name) for name in changes]
        return found

    def delete(self, stream: str, id: str, *, at: int) -> None:
        """Remove a transaction for good. Raises LookupError."""
        self._record(stream, id)
        self.tables[stream].remove(id, at)
        self._stale |= {("accounts", one) for one in self.books.remove(stream, id)}
        self._owe(stream, id, None)
        self._tell(stream, id, "deleted", at)

    def merge(self, stream: str, id: str, lost: str, *, at: int) -> None:
        """Let one of a list go, in whose place another stands from now on. Raises LookupError."""
        survivor = self._record(stream, id)
        self.tables[stream].remove(lost, at)
        found = survivor.object
        found["SyncToken"] = str(int(found["SyncToken"]) + 1)
        found["MetaData"]["LastUpdatedTime"] = self.time(at)
        survivor.updated = at
        self._keep(stream, survivor, found)
        self._tell(stream, id, "merged", at, lost)

    def refresh(self) -> None:
        """Bring the balances that accounts, customers and vendors show up to date, which moves no
        LastUpdatedTime."""
        now = self.clock.now()
        for stream, id in sorted(self._stale):
            record = self.tables[stream].records.get(id)
            if record is None:
                continue
            found = record.object
            changes = self._shown(stream, found)
            if any(found.get(name) != value for name, value in changes.items()):
                self.change_silently(stream, id, changes, at=now)
        self._stale.clear()

    def any_of(self, stream: str) -> Iterator[Json]:
        """Active objects of the stream drawn at random, up to forty of them."""
        table = self.tables[stream]
        if "drawn_from" not in table.kept:
            table.kept["drawn_from"] = [one for one in table.records.values() if one.active]
        records = table.kept["drawn_from"]
        for _ in range(40 if records else 0):
            yield self.random.choice(records).object

    def _tell(self, stream: str, id: str, verb: str, at: int, lost: str = "") -> None:
        if self.heard is not None:
            self.heard(stream, id, verb, at, lost)

    def _record(self, stream: str, id: str) -> Record:
        record = self.tables[stream].records.get(id)
        if record is None:
            raise LookupError(f"there is no {id!r} in {stream} of company {self.slug!r}")
        return record

    def _keep(self, stream: str, record: Record, found: Json) -> None:
        record.body = encode(found)
        self.tables[stream].changed()

    def _follow(self, stream: str, found: Json) -> None:
        """Post what was added or changed, and note whose balances it moves."""
        if BY_STREAM[stream].ids == "transactions":
            self._stale |= {("accounts", one) for one in self.books.post(stream, found)}
            self._owe(stream, found["Id"], found)

    def _owe(self, stream: str, id: str, found: Json | None) -> None:
        before = self._owed.pop((stream, id), None)
        if before is not None:
            party, party_id, amount = before
            self._balances[party, party_id] -= amount
            self._stale.add((party, party_id))
        if found is None or stream not in OPEN_AMOUNTS:
            return
        party, reference, name, sign = OPEN_AMOUNTS[stream]
        amount = sign * Decimal(found[name])
        party_id = found[reference]["value"]
        self._owed[stream, id] = (party, party_id, amount)
        self._balances[party, party_id] += amount
        self._stale.add((party, party_id))

    def _shown(self, stream: str, found: Json) -> Json:
        """The balances that an account, customer or vendor shows."""
        id = found["Id"]
        if stream == "accounts":
            sign = {"Asset": 1, "Liability": -1, "Equity": -1}.get(found["Classification"], 0)
            shown = self.amount(sign * self.books.balances[id])
            return {"CurrentBalance": shown, "CurrentBalanceWithSubAccounts": shown}
        shown = self.amount(self._balances[stream, id], found["CurrencyRef"]["value"])
        if stream == "customers":
            return {"Balance": shown, "BalanceWithJobs": shown}
        return {"Balance": shown}


OPEN_AMOUNTS = {
    "invoices": ("customers", "CustomerRef", "Balance", 1),
    "credit_memos": ("customers", "CustomerRef", "RemainingCredit", -1),
    "payments": ("customers", "CustomerRef", "UnappliedAmt", -1),
    "bills": ("vendors", "VendorRef", "Balance", 1),
    "vendor_credits": ("vendors", "VendorRef", "Balance", -1),
}
"""What of a transaction is open: whose balance it is part of, by which reference, the amount's
field, and its sign."""


def entity_of(stream: str) -> Entity:
    """Raises ValueError for an unknown stream."""
    if stream not in BY_STREAM:
        raise ValueError(f"stream {stream!r} is unknown: give one of {', '.join(STREAMS)}")
    return BY_STREAM[stream]


def _places(currency: str | None) -> Decimal:
    return Decimal(1) if currency == "JPY" else Decimal("0.01")


FIGURES: Mapping[str, tuple[Callable[[Json], bool], int]] = {
    "profit_and_loss": (lambda one: one["Classification"] in ("Revenue", "Expense"), -1),
    "balance_sheet": (lambda one: one["Classification"] == "Asset", 1),
    "cash_flow": (
        lambda one: one["AccountType"] == "Bank" or one["AccountSubType"] == "UndepositedFunds",
        1,
    ),
}
"""Accounts that a statement's figure counts, and the sign of their balances, which are debits less
credits."""
