"""One Mailchimp account: what exists in it, what was sent from it, and how its time passes."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from provider_sandbox.ledger import Clock, Collection, Json, Recipe, Row, Span, decode, encode
from provider_sandbox.mailchimp import webhooks
from provider_sandbox.mailchimp.endpoints import FACTS, STREAMS, value_at

if TYPE_CHECKING:
    from provider_sandbox.mailchimp.economy import Economy

DAY = 86_400
VIEWS_KEPT = 16
FILLED: Mapping[str, tuple[Json, tuple[str, ...]]] = {
    "members": ({"status": "subscribed"}, ("last_changed", "timestamp_opt", "timestamp_signup")),
    "campaigns": ({"status": "save"}, ("create_time",)),
}
"""What is known of a row that is a recipe without making its body, by stream: its values, and the
times that are the second it was created in."""
TOP = ""
"""The parent of what is in no list and no campaign."""


class SilentChange(NamedTuple):
    """A change that moves no update time of the object. ``id`` as `MailchimpAccount.ids` has it."""

    at: int
    stream: str
    id: str
    field: str


class Ref(NamedTuple):
    """What a step of the economy has touched: ``id`` as `MailchimpAccount.ids` has it."""

    stream: str
    id: str


def iso(at: int) -> str:
    """A second as Mailchimp writes it: 2026-06-12T13:12:38+00:00."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def subscriber_hash(email: str) -> str:
    """The id of a member: the MD5 of the lower-case address."""
    return hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()


class Table(Collection):
    """The objects of one stream below one parent, in order of creation.

    Bodies leave `_links` out, which the API adds. ``statuses`` counts by `status`, where the stream
    has one.
    """

    def __init__(self, stream: str, parent: str) -> None:
        super().__init__()
        self.parent = parent
        self.facts_type = FACTS.get(stream, Json)
        self.statuses: Counter[str] = Counter()
        self._known, self._times = FILLED.get(stream, ({}, ()))
        self._facts: dict[str, Json] = {}
        self._recipes = 0
        self._views: dict[Any, Sequence[Row]] = {}

    def add(self, id: str, created: int, body: bytes | Recipe) -> None:
        super().add(id, created, body)
        self._count(self._by_id[id], 1)

    def replace(self, id: str, body: bytes) -> None:
        row = self._by_id[id]
        self._count(row, -1)
        super().replace(id, body)
        self._count(row, 1)

    def remove(self, id: str, at: int) -> None:
        self._count(self._by_id[id], -1)
        super().remove(id, at)

    def facts(self, row: Row) -> Json:
        """The fields of a row that filters compare."""
        found = self._facts.get(row.id)
        if found is None:
            found = decode(row.body, type=self.facts_type)
            if isinstance(row._body, bytes):
                self._facts[row.id] = found
        return found

    def value(self, row: Row, path: str) -> Any:
        """The value at a dotted path of `facts`."""
        if not isinstance(row._body, bytes):
            if path in self._times:
                return iso(row.created)
            if path in self._known:
                return self._known[path]
        return value_at(self.facts(row), path)

    def view(self, name: Any, make: Callable[[], Sequence[Row]]) -> Sequence[Row]:
        """The rows that ``make`` gives; kept under ``name`` until a row changes."""
        found = self._views.get(name)
        if found is None:
            if len(self._views) >= VIEWS_KEPT:
                self._views.clear()
            found = self._views[name] = make()
        return found

    @property
    def has_recipes(self) -> bool:
        """Whether some rows are recipes: then there may be too many to look at each."""
        return self._recipes > 0

    @property
    def is_filled(self) -> bool:
        """Whether every row is a recipe, so that all its times are the one it was created in."""
        return self._recipes == len(self.rows) > 0

    def created_between(self, first: int | None, last: int | None) -> Sequence[Row]:
        """Rows created in seconds ``first`` to ``last``, both included; None is no bound."""
        if first is None and last is None:
            return self.rows
        return list(Span.between(self.rows, first, last))

    def _count(self, row: Row, number: int) -> None:
        self._views.clear()
        self._recipes += 0 if isinstance(row._body, bytes) else number
        status = self.value(row, "status") if self._known else None
        if status is not None:
            self.statuses[status] += number
        if number < 0:
            self._facts.pop(row.id, None)


@dataclass(slots=True)
class Mailing:
    """One send of a campaign: what became of it by recipient, the forgotten ones included.

    ``events`` by subscriber hash, as the API shows them; ``unsubscribed`` are hashes.
    """

    campaign: str
    list_id: str
    at: int
    events: dict[str, list[Json]] = field(default_factory=dict)
    unsubscribed: set[str] = field(default_factory=set)
    abuse: int = 0
    forwards: int = 0


class MailchimpAccount:
    """The truth of one account.

    Objects are JSON as the API answers them, less `_links`. All times are Unix seconds of the
    account's ``clock``, and ISO 8601 in objects. ``economy`` is what happens in it, now or when its
    clock is advanced. ``disabled`` accounts are answered 403.
    """

    economy: "Economy"
    api_key: str
    access_token: str
    heard: "Callable[[str, Json], None] | None" = None
    """Told of what a webhook tells: the list's id and the fields of the form."""

    def __init__(
        self, *, id: str, slug: str, name: str, country: str, timezone: str, dc: str,
        random: Random, clock: Clock, created: int,
    ) -> None:  # fmt: skip
        self.id = id
        self.slug = slug
        self.name = name
        self.country = country
        self.timezone = timezone
        self.user_id = random.randrange(10**7, 10**8)
        self.login_id = str(self.user_id)
        self.dc = dc
        self.random = random
        self.clock = clock
        self.created = created
        self.disabled = False
        self.lock = RLock()
        self.silent_changes: list[SilentChange] = []
        self.mailings: dict[str, Mailing] = {}
        self.tagged: dict[int, dict[str, int]] = {}
        self.stale_lists: set[str] = set()
        self.stale_campaigns: set[str] = set()
        self.stale_members: set[tuple[str, str]] = set()
        self.unsubscribed_at: dict[tuple[str, str], int] = {}
        self._tables: dict[str, dict[str, Table]] = {stream: {} for stream in STREAMS}
        self._tables["webhooks"] = {}
        self._web_id = 300_000_000 + random.randrange(10**8)

    # What is true

    def objects(self, stream: str, parent: str | None = None) -> list[Json]:
        """Every object of the stream that exists now, archived members included: parent by parent,
        in order of creation; only those below ``parent`` (a list's, category's or campaign's id)
        where it is given."""
        with self.lock:
            self.refresh()
            return [row.object for _, row in self._rows(stream, parent)]

    def ids(self, stream: str, parent: str | None = None) -> list[str]:
        """Their ids in the same order: "PARENT/ID" in a stream that has parents, as `members`."""
        with self.lock:
            self.refresh()
            return [joined(parent, row.id) for parent, row in self._rows(stream, parent)]

    def deleted(self, stream: str) -> list[str]:
        """Ids of the objects that were deleted: also the old id of a member whose address was
        changed; not the archived ones."""
        with self.lock:
            return [
                joined(parent, id)
                for parent, table in self._tables[stream].items()
                for id in table.deleted
                if id not in table
            ]

    def find(self, stream: str, id: str) -> Json | None:
        """The object with this id, as `ids` has it, or None."""
        with self.lock:
            self.refresh()
            parent, key = split(id)
            row = self.table(stream, parent).get(key)
            return None if row is None else row.object

    def sums(self, stream: str) -> dict[str, int]:
        """Totals: members by status, email_activity by action, reports by what they count, and
        the number of objects ("count") of every stream."""
        totals: Counter[str] = Counter()
        for found in self.objects(stream):
            totals["count"] += 1
            match stream:
                case "members" | "campaigns" | "automations":
                    totals[found["status"]] += 1
                case "email_activity":
                    totals.update(event["action"] for event in found["activity"])
                case "reports":
                    totals["emails_sent"] += found["emails_sent"]
                    totals["unsubscribed"] += found["unsubscribed"]
                    totals["opens"] += found["opens"]["opens_total"]
                    totals["clicks"] += found["clicks"]["clicks_total"]
                    totals["hard_bounces"] += found["bounces"]["hard_bounces"]
                    totals["soft_bounces"] += found["bounces"]["soft_bounces"]
        return dict(totals)

    def emails_of(self, automation: str) -> list[Json]:
        """The emails of an automation, in their order, as `/automations/{id}/emails` has them."""
        with self.lock:
            self.refresh()
            return [row.object for row in self.table("automation_emails", automation)]

    # What happens

    def table(self, stream: str, parent: str = TOP) -> Table:
        tables = self._tables[stream]
        found = tables.get(parent)
        if found is None:
            found = tables[parent] = Table(stream, parent)
        return found

    def known_table(self, stream: str, parent: str = TOP) -> Table | None:
        """The table, or None where nothing was ever in it."""
        return self._tables[stream].get(parent)

    def hex(self, length: int) -> str:
        """A random text of hexadecimal digits, as most of Mailchimp's ids are."""
        return self.random.randbytes(length // 2 + 1).hex()[:length]

    def web_id(self) -> int:
        self._web_id += self.random.randrange(1, 9)
        return self._web_id

    def save(self, stream: str, parent: str, id: str, found: Json, *, created: int) -> Ref:
        """Add the object, or put it in the place of the one with its id."""
        table = self.table(stream, parent)
        before = table.get(id)
        known = None if before is None or self.heard is None else before.object
        if before is not None:
            table.replace(id, encode(found))
        else:
            table.add(id, created, encode(found))
        self._tell(stream, parent, known, found)
        return Ref(stream, joined(parent, id))

    def rename_member(self, list_id: str, old: str, found: Json, *, created: int, at: int) -> Ref:
        """Put a member in the place of the one with its ``old`` id, which is deleted."""
        table = self.table("members", list_id)
        row = table.get(old)
        before = row.object["email_address"] if row else ""
        table.remove(old, at)
        table.add(found["id"], created, encode(found))
        told = webhooks.of_address(before, found["email_address"], found["unique_email_id"])
        self._hear(list_id, told)
        return Ref("members", joined(list_id, found["id"]))

    def change(
        self, stream: str, parent: str, id: str, changes: Json, *, at: int, silent: bool = False
    ) -> Ref:
        """Set fields (a dotted name reaches into a nested object); a silent change is noted as
        such. Raises LookupError."""
        table = self.table(stream, parent)
        row = table.get(id)
        if row is None:
            raise LookupError(
                f"there is no {joined(parent, id)!r} in {stream} of account {self.slug!r}"
            )
        before, found = row.object, row.object
        for name, value in changes.items():
            *path, last = name.split(".")
            holder = found
            for step in path:
                holder = holder[step]
            holder[last] = value
            if silent:
                self.silent_changes.append(SilentChange(at, stream, joined(parent, id), name))
        table.replace(id, encode(found))
        self._tell(stream, parent, before, found)
        return Ref(stream, joined(parent, id))

    def remove(self, stream: str, parent: str, id: str, *, at: int) -> Ref:
        """Remove an object for good. Raises LookupError."""
        table = self.table(stream, parent)
        row = table.get(id)
        if row is None:
            raise LookupError(
                f"there is no {joined(parent, id)!r} in {stream} of account {self.slug!r}"
            )
        before = row.object if self.heard is not None else {}
        table.remove(id, at)
        self._tell(stream, parent, before, None)
        return Ref(stream, joined(parent, id))

    def _tell(self, stream: str, list_id: str, before: Json | None, after: Json | None) -> None:
        """Have webhooks told of it, if any would be."""
        if self.heard is None or stream not in ("members", "campaigns"):
            return
        if stream == "campaigns":
            fields = webhooks.of_campaign(before, after)
            list_id = after["recipients"]["list_id"] if after else ""
        else:
            fields = webhooks.of_member(before, after)
        if fields is not None:
            self._hear(list_id, fields)

    def _hear(self, list_id: str, fields: Json) -> None:
        if self.heard is not None:
            fired_at = f"{datetime.fromtimestamp(self.clock.now(), UTC):%F %T}"
            self.heard(list_id, {"fired_at": fired_at, **fields, "data[list_id]": list_id})

    def refresh(self) -> None:
        """Bring what is counted up to date: it moves no update time."""
        if self.stale_lists or self.stale_campaigns or self.stale_members:
            self.economy.count()

    def any_of(self, stream: str, fits: Callable[[Json], bool] = bool) -> Iterator[Ref]:
        """Up to forty objects of the stream drawn at random that fit."""
        tables = [(parent, table) for parent, table in self._tables[stream].items() if len(table)]
        for _ in range(40 if tables else 0):
            parent, table = self.random.choices(tables, [len(held) for _, held in tables])[0]
            row = table.rows[self.random.randrange(len(table))]
            if fits(row.object):
                yield Ref(stream, joined(parent, row.id))

    def _rows(self, stream: str, parent: str | None) -> Iterable[tuple[str, Row]]:
        for held, table in self._tables[stream].items():
            if parent is None or held == parent:
                for row in table:
                    yield held, row


def joined(parent: str, id: str) -> str:
    return f"{parent}/{id}" if parent else id


def split(id: str) -> tuple[str, str]:
    """Parent and id of an id as `MailchimpAccount.ids` has it."""
    parent, _, own = id.rpartition("/")
    return parent, own
