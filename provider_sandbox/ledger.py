"""What exists: rows in the order in which a provider lists them, found by id, time or field."""

import time
from base64 import b64encode
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple, Self

import msgspec

Json = dict[str, Any]
Key = tuple[int, int]

encode = msgspec.json.encode
decode = msgspec.json.decode


class Row:
    """One object: its id, the second it was created in, and its encoded body.

    A body may be a recipe instead of bytes, so that a million rows need not be kept encoded.
    """

    __slots__ = ("_body", "id", "key")

    def __init__(self, id: str, key: Key, body: "bytes | Recipe") -> None:
        self.id = id
        self.key = key
        self._body = body

    @property
    def created(self) -> int:
        return self.key[0]

    @property
    def body(self) -> bytes:
        return self._body if isinstance(self._body, bytes) else self._body(self.id, self.key[0])

    @property
    def object(self) -> Json:
        found: Json = decode(self.body)
        return found


Recipe = Callable[[str, int], bytes]
"""``recipe(id, created)`` gives the same body each time."""

_key = attrgetter("key")


class Collection:
    """All objects of one stream, oldest first; objects of one second stand in order of arrival."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.deleted: dict[str, int] = {}
        self._by_id: dict[str, Row] = {}
        self._arrivals = 0
        self._indexes: dict[str, dict[Any, list[Row]]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def get(self, id: str) -> Row | None:
        return self._by_id.get(id)

    def add(self, id: str, created: int, body: bytes | Recipe) -> None:
        """Raises ValueError where the id is taken."""
        if id in self._by_id:
            raise ValueError(f"id {id!r} exists already: give the new object another")
        self._arrivals += 1
        row = Row(id, (created, self._arrivals), body)
        self._by_id[id] = row
        if self.rows and row.key < self.rows[-1].key:
            insort(self.rows, row, key=_key)
        else:
            self.rows.append(row)
        self._indexes.clear()

    def replace(self, id: str, body: bytes) -> None:
        self._by_id[id]._body = body
        self._indexes.clear()

    def remove(self, id: str, at: int) -> None:
        row = self._by_id.pop(id)
        del self.rows[bisect_left(self.rows, row.key, key=_key)]
        self.deleted[id] = at
        self._indexes.clear()

    def drop_before(self, created: int) -> None:
        """Forget the rows created earlier, as a provider's retention does."""
        end = bisect_left(self.rows, (created, 0), key=_key)
        for row in self.rows[:end]:
            del self._by_id[row.id]
        if end:
            del self.rows[:end]
            self._indexes.clear()

    def with_value(
        self, name: str, extract: Callable[[Json], Iterable[Any]], value: Any
    ) -> Sequence[Row]:
        """Rows, oldest first, of whose object ``extract`` yields ``value``.

        ``name`` names what is extracted: its index is kept until a row changes.
        """
        index = self._indexes.get(name)
        if index is None:
            index = {}
            for row in self.rows:
                for found in extract(row.object):
                    index.setdefault(found, []).append(row)
            self._indexes[name] = index
        return index.get(value, ())


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of rows, oldest first, that copies none of them."""

    rows: Sequence[Row]
    start: int
    end: int

    @classmethod
    def between(cls, rows: Sequence[Row], first: int | None, last: int | None) -> Self:
        """The rows created in seconds ``first`` to ``last``, both included; None is no bound."""
        start = 0 if first is None else bisect_left(rows, (first, 0), key=_key)
        end = len(rows) if last is None else bisect_left(rows, (last + 1, 0), key=_key)
        return cls(rows, start, max(start, end))

    def __iter__(self) -> Iterator[Row]:
        return islice(self.rows, self.start, self.end)

    def newest_first(
        self, limit: int, *, after: Key | None = None, before: Key | None = None
    ) -> tuple[list[Row], bool]:
        """A page, newest first, and whether there are more rows beyond it.

        ``after``: the page that follows this place; ``before``: the page that ends just before
        it. The place need not be among the rows.
        """
        if before is not None:
            start = bisect_right(self.rows, before, self.start, self.end, key=_key)
            end = min(start + limit, self.end)
            more = end < self.end
        else:
            end = self.end
            if after is not None:
                end = bisect_left(self.rows, after, self.start, self.end, key=_key)
            start = max(end - limit, self.start)
            more = start > self.start
        return list(reversed(self.rows[start:end])), more


class Clock:
    """An account's time, in whole seconds: this machine's, or one that is set by hand.

    ``told``: answers to the account carry it as `Date`, in place of this machine's.
    """

    def __init__(self, at: int | None = None) -> None:
        self._at = at
        self.told = False

    @property
    def is_set(self) -> bool:
        return self._at is not None

    def now(self) -> int:
        return int(time.time()) if self._at is None else self._at

    def set(self, at: int | None) -> None:
        """Stand still at ``at`` from now on; None follows this machine's clock again."""
        self._at = at


class PaidOut(NamedTuple):
    """A payout that the bank has: its day as YYYY-MM-DD, and its amount in the currency's units."""

    id: str
    arrived: str
    currency: str
    amount: Decimal


def token(random: Random, length: int = 24) -> str:
    """A random text of letters and digits, as the providers' ids have it."""
    return b64encode(random.randbytes(length), b"Kx")[:length].decode()
