"""Square read in parts: locations, spans of time and types side by side, changes by update time."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain

from msgspec import Raw

from integration_pipelines.core.errors import (
    AccessRevoked,
    BreakerOpen,
    MalformedResponse,
    NotFound,
    ProviderError,
    Refused,
)
from integration_pipelines.core.provider import Page, Record, Scope, StreamFailed, StreamPlan
from integration_pipelines.core.reading import (
    Chunk,
    Part,
    Progress,
    Reading,
    is_full,
    read_side_by_side,
    through,
)
from integration_pipelines.providers.square.client import (
    NO_SUCH_OBJECT,
    Head,
    Listed,
    Place,
    SquareReader,
    decode,
    gone,
)
from integration_pipelines.providers.square.streams import (
    BY_NAME,
    FIRST,
    Json,
    Order,
    Span,
    SquareStream,
    Way,
)

SECOND = timedelta(seconds=1)
ANSWERS_ALIKE = 3
"""So often one page may come again in a listing before it counts as a loop."""
EMPTY_PAGES = 100
"""So many pages without rows may follow each other in a listing."""
REENTRIES = 3
"""So often a listing whose cursor is refused is begun again without having come further."""
QUARTERLY, YEARLY = 4, 16
"""Up to so many locations a pass is divided by quarters, or by years; beyond, by location alone."""
SLACK = timedelta(minutes=5)
"""How far Square's answers may lag behind what has happened."""
CURSOR_REFUSED = 400
PAYOUTS = BY_NAME["payouts"]
FINAL = {"PAID", "FAILED"}
"""States of a payout whose entries change no more."""

Extracted = Iterator[Page | StreamFailed]


def extract(
    reader: SquareReader, plans: Sequence[StreamPlan], scope: Scope, *, concurrency: int
) -> Extracted:
    """See Client.extract."""
    readings = []
    streams = [BY_NAME[plan.stream] for plan in plans]
    for plan, extent in zip(plans, open_extents(reader, streams, scope), strict=True):
        if isinstance(extent, StreamFailed):
            yield extent
        else:
            readings.append(_Work(reader, extent).reading(plan))
    yield from read_side_by_side(readings, concurrency=concurrency, now=reader.transport.clock.now)


def open_extents(
    reader: SquareReader, streams: Sequence[SquareStream], scope: Scope
) -> Iterator["Extent | StreamFailed"]:
    """What there is to read of each stream, as far as the account's locations tell; without them
    there is no way to streams that belong to one."""
    places: list[Place] = []
    failed: ProviderError | None = None
    try:
        places = reader.locations()
    except (AccessRevoked, BreakerOpen):
        raise
    except ProviderError as error:
        failed = error
    for stream in streams:
        if failed is not None and stream.bound:
            yield StreamFailed(stream.name, failed, calls=1)
        else:
            yield Extent(stream, scope, places, reader.transport.clock.now())


@dataclass(frozen=True, slots=True)
class Extent:
    """One stream of one connection, and the listings that bring it."""

    stream: SquareStream
    scope: Scope
    places: Sequence[Place]
    now: datetime

    @property
    def is_ours(self) -> bool:
        """Whether the connection has any of the stream."""
        return self.stream.bound or self.scope.is_primary

    @property
    def opened(self) -> datetime:
        """When the first location was, now where none tells."""
        return min(
            (place.created_at for place in self.places if place.created_at), default=self.now
        )

    @property
    def ids(self) -> list[str]:
        """The connection's locations."""
        wanted = self.scope.location_ids
        return [place.id for place in self.places if wanted is None or place.id in wanted]

    @property
    def names_locations(self) -> bool:
        """Whether requests name locations."""
        shown = self.stream.all_shown and self.scope.location_ids is None
        return self.stream.named > 0 and not shown

    def since(self, since: datetime, places: Sequence[str]) -> list[Span]:
        """The listings that together show what these locations have from ``since`` on."""
        stream = self.stream
        field = stream.windows if since == FIRST else stream.changes
        return [
            Span(group, field or stream.changes or stream.windows, since)
            for group in self._groups(places, stream.named)
        ]

    def spans(self) -> list[Span]:
        """The listings that together show all rows, as many as can well be read side by side."""
        stream, groups = self.stream, self._groups(self.ids, 1)
        return [
            Span(group, stream.windows, start, end, types)
            for group in groups
            for start, end in self._windows(len(groups))
            for types in stream.sets
        ]

    def _groups(self, places: Sequence[str], size: int) -> list[tuple[str, ...]]:
        return _groups(places, size) if self.names_locations else [()]

    def _windows(self, groups: int) -> list[tuple[datetime, datetime | None]]:
        """The calendar's quarters or years since the account began; where there are many groups of
        locations, all time at once. What lies before the first one is part of it."""
        if not self.stream.windows or groups > YEARLY:
            return [(FIRST, None)]
        months = range(1, 13, 3 if groups <= QUARTERLY else 12)
        edges = [
            edge
            for year in range(self.opened.year, self.now.year + 1)
            for month in months
            if self.opened < (edge := datetime(year, month, 1, tzinfo=UTC)) <= self.now
        ]
        return list(zip([FIRST, *edges], [*edges, None], strict=True))


@dataclass(frozen=True, slots=True)
class _Work:
    """One stream to be read."""

    reader: SquareReader
    extent: Extent

    @property
    def stream(self) -> SquareStream:
        return self.extent.stream

    def reading(self, plan: StreamPlan) -> Reading:
        """What the plan asks for, divided into parts.

        ``covers`` in the state says what the stream is complete for: its locations, or the account.
        A location that came later is read from its beginning.
        """
        stream, extent = self.stream, self.extent
        if not extent.is_ours:
            return Reading(stream.name, (), full=False, state=plan.state, kept={"covers": []})
        covers = extent.ids if stream.bound else ["account"]
        covered = set((plan.state or {}).get("covers", ()))
        full = is_full(plan) or not covered & set(covers)
        if full or stream.way is Way.WHOLE:
            parts = self._parts(extent.spans(), changed_since=None)
            return Reading(stream.name, parts, full=full, state=plan.state, kept={"covers": covers})
        since = min(through(plan, lookback=stream.lookback), extent.now)
        known = [place for place in extent.ids if place in covered]
        listed_since = since - PAYOUTS.lookback if stream.way is Way.ENTRIES else since
        parts = self._parts(extent.since(listed_since, known), changed_since=since)
        if extent.names_locations:
            new = [place for place in extent.ids if place not in covered]
            parts += self._parts(extent.since(FIRST, new), changed_since=None)
        return Reading(stream.name, parts, full=False, state=plan.state, kept={"covers": covers})

    def _parts(self, spans: Sequence[Span], *, changed_since: datetime | None) -> list[Part]:
        def read(span: Span) -> Callable[[Progress], Iterator[Chunk]]:
            if self.stream.way is Way.ENTRIES:
                return partial(self._entries, span, changed_since)
            return partial(self._rows, span, changed_since)

        return [Part(_key(span), read(span)) for span in spans]

    # Reading.

    def _rows(
        self, span: Span, changed_since: datetime | None, progress: Progress
    ) -> Iterator[Chunk]:
        """The rows of a span, and those that must be read again because of them."""
        stream, pages, begun = self.stream, 0, None
        holders: dict[str, None] = {}
        for listed, reached in read_pages(self.reader, stream, span, progress):
            pages, begun = pages + 1, begun or listed.answered_at
            if changed_since is not None:
                holders |= dict.fromkeys(_holders(stream, listed))
            yield self._chunk(listed, reached)
        if stream.to_the_head and pages > 1 and begun:
            moved = replace(span, field=stream.changes, since=begun - SLACK)
            for listed, _ in read_pages(self.reader, stream, moved):
                yield self._chunk(listed, reached)
        most = stream.batch.most if stream.batch else 1
        for group in _groups(list(holders), most):
            for listed in _retrieve_batch(self.reader, stream, group):
                yield self._chunk(listed, None)

    def _entries(
        self, span: Span, changed_since: datetime | None, progress: Progress
    ) -> Iterator[Chunk]:
        """The entries of payouts created in a span: of all, or (``changed_since``) of those that
        changed since or are not final. Progress is the creation of the last payout read whole."""
        if progress is not None:
            span = replace(span, since=max(span.since, datetime.fromisoformat(progress) - SECOND))
        for payouts, _ in read_pages(self.reader, PAYOUTS, span):
            yield Chunk([], payouts.observed_at, payouts.answered_at, progress)
            for payout, record in zip(payouts.heads, payouts.records, strict=True):
                updated_at = payout.time("updated_at")
                is_final = payout.status in FINAL
                if changed_since and is_final and updated_at and updated_at < changed_since:
                    continue
                for listed, _ in read_pages(self.reader, self.stream, Span(), of=record.id):
                    yield Chunk(listed.records, listed.observed_at, listed.answered_at, progress)
                created_at = payout.time("created_at")
                progress = created_at.isoformat() if created_at else progress

    def _chunk(self, listed: Listed, progress: Progress) -> Chunk:
        records = within(self.extent.scope, self.stream, listed)
        return Chunk(records, listed.observed_at, listed.answered_at, progress)


def _key(span: Span) -> str:
    """What tells a part from the others of its stream, the same whenever it is made."""
    types = span.types[0] if span.types else ""
    return f"{','.join(span.locations)}@{span.since:%Y-%m}/{types}"


# One listing.


def read_pages(
    reader: SquareReader,
    stream: SquareStream,
    span: Span,
    progress: Progress = None,
    *,
    of: str = "",
) -> Iterator[tuple[Listed, Progress]]:
    """The pages of one listing, each with where it can be taken up after it.

    A cursor lives for minutes: where it is refused, the listing is entered again by the time
    that it had reached, or from its beginning where it is not sorted. Raises MalformedResponse
    where pages repeat without end.
    """
    cursor, reached = None, None
    if progress is not None:
        span, cursor, reached = _taken_up(span, progress)
        if cursor is None:
            span = _entered(stream, span, reached)
    loop, refused = _Loop(stream.name), 0
    while True:
        try:
            listed = reader.list(stream, stream.ask(span), cursor, of=of)
        except Refused as error:
            if cursor is None or error.status != CURSOR_REFUSED or refused == REENTRIES:
                raise
            further = _entered(stream, span, reached)
            refused = refused + 1 if further == span else 0
            span, cursor, loop = further, None, _Loop(stream.name)
            continue
        reached = _furthest(stream, span, listed.heads) or reached
        yield listed, _progress(span, listed.cursor, reached)
        if listed.cursor is None:
            return
        loop.check(listed)
        cursor = listed.cursor


def _progress(span: Span, cursor: str | None, reached: datetime | None) -> Progress:
    return {
        "since": span.since.isoformat(),
        "until": span.until and span.until.isoformat(),
        "cursor": cursor,
        "reached": reached and reached.isoformat(),
    }


def _taken_up(span: Span, progress: Json) -> tuple[Span, str | None, datetime | None]:
    times = {
        name: datetime.fromisoformat(progress[name]) if progress[name] else None
        for name in ("since", "until", "reached")
    }
    span = replace(span, since=times["since"] or span.since, until=times["until"])
    return span, progress["cursor"], times["reached"]


def _entered(stream: SquareStream, span: Span, reached: datetime | None) -> Span:
    """The rest of a span of which the rows up to a time have been read; those of that second are
    read again."""
    if reached is None:
        return span
    if stream.order is Order.OLDEST:
        return replace(span, since=max(span.since, reached - SECOND))
    if stream.order is Order.NEWEST:
        until = reached + SECOND
        return replace(span, until=min(span.until, until) if span.until else until)
    return span


def _furthest(stream: SquareStream, span: Span, heads: Sequence[Head]) -> datetime | None:
    """The time up to which a page of a sorted listing has brought everything."""
    if stream.order is Order.NONE or span.field != stream.windows or not heads:
        return None
    return heads[-1].time(span.field)


@dataclass(slots=True)
class _Loop:
    """What one listing has shown, so that it ends."""

    stream: str
    _cursors: set[str | None] = field(default_factory=set)
    _pages: Counter[int] = field(default_factory=Counter)
    _empty: int = 0

    def check(self, listed: Listed) -> None:
        """Raises MalformedResponse where the listing goes round in circles."""
        rows = hash(tuple((record.id, record.version) for record in listed.records))
        self._empty = 0 if listed.records else self._empty + 1
        self._pages[rows] += bool(listed.records)
        if (
            listed.cursor in self._cursors
            or self._pages[rows] == ANSWERS_ALIKE
            or self._empty == EMPTY_PAGES
        ):
            raise MalformedResponse(f"the list of {self.stream} loops")
        self._cursors.add(listed.cursor)


def within(scope: Scope, stream: SquareStream, listed: Listed) -> list[Record]:
    """The records of a page that are the connection's."""
    if scope.location_ids is None or not stream.bound or not stream.place:
        return listed.records
    return [
        record
        for record, head in zip(listed.records, listed.heads, strict=True)
        if getattr(head, stream.place) in scope.location_ids
    ]


def _holders(stream: SquareStream, listed: Listed) -> Iterator[str]:
    """Ids of the objects that the rows of a page are written out in."""
    for record, head in zip(listed.records, listed.heads, strict=True):
        if held := stream.holders.get(head.type or ""):
            data, name = held
            inner = decode(record.payload, dict[str, Raw]).get(data, Raw(b"{}"))
            holder = decode(inner, dict[str, Raw]).get(name)
            if holder is not None:
                yield decode(holder, str)


# By id.


def fetch(
    reader: SquareReader,
    stream: SquareStream,
    ids: Sequence[str],
    scope: Scope,
    *,
    concurrency: int,
) -> Iterator[Page]:
    """See Client.fetch. What lies outside of the scope is left out."""
    wanted = set(ids)
    found: set[str] = set()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="square") as pool:
        for listed in _look_up(reader, stream, ids, pool):
            found.update(record.id for record in listed.records)
            ours = within(scope, stream, listed)
            # Asked by its own path, an id may lead to the object that it was merged into.
            records = ours if stream.one else [one for one in ours if one.id in wanted]
            yield Page(stream.name, records, listed.observed_at, touch=True, calls=1)
    if missing := [gone(object_id) for object_id in ids if object_id not in found]:
        yield Page(stream.name, missing, reader.transport.clock.now(), touch=True)


def _look_up(
    reader: SquareReader, stream: SquareStream, ids: Sequence[str], pool: ThreadPoolExecutor
) -> Iterator[Listed]:
    """Answers that together hold those of the objects that exist, and maybe others."""
    if not ids:
        return
    if stream.batch:
        keys = [object_id.split(stream.joint)[0] for object_id in ids]
        groups = _groups(list(dict.fromkeys(keys)), stream.batch.most)
        lists = pool.map(lambda group: list(_retrieve_batch(reader, stream, group)), groups)
        yield from chain.from_iterable(lists)
    elif stream.one:
        yield from pool.map(lambda object_id: reader.retrieve(stream, object_id), ids)
    elif stream.way is Way.ENTRIES:
        payouts = dict.fromkeys(object_id.split(stream.joint)[0] for object_id in ids)
        lists = pool.map(lambda payout: list(_entries_of(reader, stream, payout)), payouts)
        yield from chain.from_iterable(lists)
    else:
        yield from (listed for listed, _ in read_pages(reader, stream, Span()))


def _retrieve_batch(
    reader: SquareReader, stream: SquareStream, ids: Sequence[str]
) -> Iterator[Listed]:
    """The pages of one batch of objects."""
    cursor, loop = None, _Loop(stream.name)
    while True:
        listed = reader.retrieve_batch(stream, ids, cursor)
        yield listed
        if listed.cursor is None:
            return
        loop.check(listed)
        cursor = listed.cursor


def _entries_of(reader: SquareReader, stream: SquareStream, payout: str) -> Iterator[Listed]:
    """The pages of a payout's entries; none where there is no such payout."""
    try:
        for listed, _ in read_pages(reader, stream, Span(), of=payout):
            yield listed
    except NotFound as error:
        if error.code != NO_SUCH_OBJECT:
            raise


def _groups(items: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(items[n : n + size]) for n in range(0, len(items), size)]
