"""Reading Stripe: passes over whole lists, then the events feed.

A pass reads a list by windows of `created`, several at once where it is long; its cursor is the
set of windows left. Afterwards the events feed names what changed, and the objects are refetched
by id, so what lands is the present state and never a snapshot. The feed is kept for 30 days: an
older cursor, or a server without the feed, falls back to a pass.
"""

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec
import structlog
from msgspec import Raw

from integration_pipelines.core.errors import (
    AccessRevoked,
    BreakerOpen,
    MalformedResponse,
    ProviderError,
    Refused,
    Transient,
)
from integration_pipelines.core.provider import Page, Record, State, StreamFailed, StreamPlan
from integration_pipelines.providers.stripe.client import (
    EventHead,
    Listed,
    Params,
    StripeReader,
)
from integration_pipelines.providers.stripe.streams import BY_NAME, BY_OBJECT, DAY, StripeStream

log = structlog.get_logger(__name__)

LOOKBACK = 300
"""Seconds of the feed read again, for events that were not listed yet."""
FEED_KEPT = 29 * DAY
"""Stripe keeps events for 30 days; one is left for clocks and slow syncs."""
FEED_EVENTS = 20_000
"""More events than this and reading the lists again is cheaper than refetching by id."""
LIST_RATHER = 20
"""More changed objects of a stream than this and the ones created since are listed first."""
RETRIEVED_AHEAD = 200

Extracted = Iterator[Page | StreamFailed]


def extract(reader: StripeReader, plans: Sequence[StreamPlan], *, concurrency: int) -> Extracted:
    """Read ``plans``; see Client.extract. Raises AccessRevoked and BreakerOpen: both end all."""
    passes = [
        _Pass(BY_NAME[plan.stream], plan.state)
        for plan in plans
        if plan.full or _in_pass(plan.state)
    ]
    follows = [
        _Follow(BY_NAME[plan.stream], plan.state)
        for plan in plans
        if plan.state is not None and not plan.full and not _in_pass(plan.state)
    ]
    with reading_pool(concurrency) as pool:
        if follows:
            passes += yield from _follow_all(reader, follows, pool)
        if passes:
            yield from _pass_all(reader, passes, pool, concurrency)


def _in_pass(state: State | None) -> bool:
    return state is None or state["phase"] == "pass"


@contextmanager
def reading_pool(size: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(size, thread_name_prefix="stripe")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


# Passes.


@dataclass(slots=True, eq=False)
class _Window:
    """What is left of [gte, lt) of `created`, newest first, after the object ``after``."""

    gte: int | None = None
    lt: int | None = None
    after: str | None = None
    last: int | None = None
    read: set[str] = field(default_factory=set)

    def params(self) -> Params:
        params = []
        if self.gte is not None:
            params.append(("created[gte]", str(self.gte)))
        if self.lt is not None:
            params.append(("created[lt]", str(self.lt)))
        if self.after is not None:
            params.append(("starting_after", self.after))
        return params

    def holds(self, created: int | None) -> bool:
        return created is None or (
            (self.gte is None or created >= self.gte) and (self.lt is None or created < self.lt)
        )


class _Pass:
    """One stream's pass: its windows and where its feed will be taken up.

    It goes on from the ``state`` of a pass, or begins. ``filters``: whether the server is known,
    or hoped, to keep to `created`.
    """

    def __init__(self, stream: StripeStream, state: State | None) -> None:
        held: Mapping[str, Any] = state or {}
        under_way = held if _in_pass(state) else {}
        self.stream = stream
        self.windows = [_Window(**window) for window in under_way.get("windows", [{}])]
        self.through: int | None = under_way.get("through")
        self.open_since: int | None = under_way.get("open_since")
        self.filters: bool = under_way.get("filters", True)
        self.restarts = 0
        self.failed = False

    def restart(self, *, filters: bool) -> list[_Window]:
        """Begin again as one window; without filters if the server does not keep to them."""
        self._count_restart()
        self.filters = filters
        self.windows = [_Window()]
        return self.windows

    def _count_restart(self) -> None:
        self.restarts += 1
        if self.restarts > 3:
            raise MalformedResponse(f"the list of {self.stream.name} cannot be read to its end")

    def recover(self, window: _Window, error: Refused) -> list[_Window]:
        """The windows to read instead, where a refused page can be asked for in another way."""
        if error.code == "resource_missing" and window.after is not None:
            if window.last is None or not self.filters:
                return self.restart(filters=self.filters)
            if window.lt == window.last + 1:
                self._count_restart()
            window.after, window.lt = None, window.last + 1
            window.read.clear()
            return [window]
        if error.status == 400 and (window.gte is not None or window.lt is not None):
            return self.restart(filters=False)
        raise error

    def take(self, window: _Window, listed: Listed, *, split: int) -> tuple[Page, list[_Window]]:
        """Account for a page; returns it with the windows to read next. The window gives up what
        is older than its next ``split`` pages to be read beside it; 0: it keeps all."""
        if self.through is None:
            self.through = listed.server_time
        self.open_since = _open_since(self.stream, listed, self.open_since)
        heads = listed.heads
        following: list[_Window] = []
        if self.filters and not all(window.holds(head.at) for head in heads):
            following = list(self.restart(filters=False))
        elif not listed.has_more:
            self.windows.remove(window)
        else:
            if not heads or heads[-1].id in window.read:
                raise MalformedResponse(
                    f"the list of {self.stream.name} loops: page after "
                    f"{window.after} brings nothing new and says there is more"
                )
            window.read.add(heads[-1].id)
            window.after, window.last = heads[-1].id, heads[-1].at
            following = [window]
            if split and (rest := self._split(window, listed, split)):
                self.windows.append(rest)
                following.append(rest)
        done = not self.windows
        page = Page(
            self.stream.name,
            listed.records,
            listed.observed_at,
            state=self._end() if done else self._state(),
            in_pass=True,
            last=done,
            cursor_at=_instant(self.through) if done else None,
            calls=listed.calls,
        )
        return page, following

    def _split(self, window: _Window, listed: Listed, pages: int) -> _Window | None:
        """Leave ``window`` its next ``pages`` and return its older rest, to be read beside it.

        Only where the list is in order, newest first, so that time says where a page lies.
        """
        times = [head.at or 0 for head in listed.heads]
        if not self.filters or window.last is None or times != sorted(times, reverse=True):
            return None
        border = window.last - pages * max(1, times[0] - times[-1])
        if border <= (window.gte or 0):
            return None
        rest = _Window(gte=window.gte, lt=border)
        window.gte = border
        return rest

    def _end(self) -> State:
        assert self.through is not None
        return _followed(self.through, self.open_since, [], self.filters)

    def _state(self) -> State:
        return {
            "phase": "pass",
            "windows": [
                {"gte": w.gte, "lt": w.lt, "after": w.after, "last": w.last} for w in self.windows
            ],
            "through": self.through,
            "open_since": self.open_since,
            "filters": self.filters,
        }


def _pass_all(
    reader: StripeReader, passes: Sequence[_Pass], pool: ThreadPoolExecutor, concurrency: int
) -> Extracted:
    """Read all windows of all passes, ``concurrency`` pages at a time; the next page is asked for
    before the last one is handed over."""
    ready = deque((work, window) for work in passes for window in work.windows)
    asked: dict[Future[Listed], tuple[_Pass, _Window]] = {}

    def ask() -> None:
        while ready and len(asked) < concurrency:
            work, window = ready.popleft()
            asked[pool.submit(reader.list, work.stream, window.params())] = (work, window)

    ask()
    while asked:
        for future in wait(asked, return_when=FIRST_COMPLETED).done:
            work, window = asked.pop(future)
            if work.failed or window not in work.windows:
                ask()
                continue
            idle = concurrency - len(asked) - len(ready) - 1
            # A window splits once a page: only if it lives for that many pages are so many read.
            split = concurrency if idle > 0 else 0
            page: Page | StreamFailed
            try:
                try:
                    page, following = work.take(window, future.result(), split=split)
                except Refused as error:
                    ready.extend((work, again) for again in work.recover(window, error))
                    ask()
                    continue
            except (AccessRevoked, BreakerOpen):
                raise
            except ProviderError as error:
                work.failed = True
                page, following = StreamFailed(work.stream.name, error, calls=1), []
            ready.extend((work, window) for window in following)
            ask()
            yield page


# The events feed.


@dataclass(slots=True)
class _Change:
    """An object that the feed names; ``last_words`` is its snapshot if it was deleted."""

    last_words: bytes | None = None


@dataclass(slots=True)
class _Follow:
    """One stream's way along the feed."""

    stream: StripeStream
    state: State
    changes: dict[str, _Change] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)

    @property
    def since(self) -> int:
        """The instant, in epoch seconds, from which the feed matters to this stream."""
        return int(self.state["through"]) - LOOKBACK

    @property
    def lists(self) -> bool:
        """Whether the list of what was created since is read, rather than objects alone."""
        return (
            self.stream.reread is not None
            or self.stream.recent_pages is not None
            or len(self.changes) > LIST_RATHER
        )

    @property
    def filters(self) -> bool:
        """Whether the server is hoped to keep to `created`."""
        return bool(self.state["filters"])

    def whole(self, *, filters: bool = True) -> "_Pass":
        """The pass that reads the stream whole instead."""
        return _Pass(self.stream, {"phase": "pass", "filters": filters and self.filters})

    def note(self, event: EventHead, object_id: str, snapshot: bytes | None, now: int) -> None:
        """Take in an event about ``object_id``, unless an earlier sync has."""
        if event.created < self.since:
            return
        if event.created >= now - LOOKBACK:
            self.recent.append(event.id)
        if event.id not in self.state["recent"]:
            change = self.changes.setdefault(object_id, _Change())
            change.last_words = change.last_words or snapshot


def _follow_all(
    reader: StripeReader, follows: Sequence[_Follow], pool: ThreadPoolExecutor
) -> Generator[Page | StreamFailed, None, list[_Pass]]:
    """Read the feed once for all streams, then each stream's changes. Returns the passes of the
    streams that must be read whole instead."""
    try:
        feed = _read_feed(reader, follows)
    except (AccessRevoked, BreakerOpen):
        raise
    except Refused as error:
        log.warning("events feed refused, reading whole lists instead", reason=str(error))
        return [follow.whole() for follow in follows]
    except ProviderError as error:
        for follow in follows:
            yield StreamFailed(follow.stream.name, error)
        return []
    if feed.overflown:
        return [follow.whole() for follow in follows]
    passes: list[_Pass] = []
    calls = feed.calls
    for follow in follows:
        try:
            if feed.server_time - follow.since > FEED_KEPT:
                passes.append(follow.whole())
            elif follow.lists and not follow.filters:
                passes.append(follow.whole(filters=False))
            else:
                yield from _follow_one(reader, follow, pool, now=feed.server_time, calls=calls)
                calls = 0
        except (AccessRevoked, BreakerOpen):
            raise
        except (Refused, Transient) as error:
            if not follow.lists:
                yield StreamFailed(follow.stream.name, error)
                continue
            log.warning(
                "listing by time failed, reading the whole list instead",
                stream=follow.stream.name,
                reason=str(error),
            )
            # An object that vanished under the cursor says nothing about the filters.
            passes.append(follow.whole(filters=error.code == "resource_missing"))
        except ProviderError as error:
            yield StreamFailed(follow.stream.name, error)
    return passes


@dataclass(slots=True)
class _Feed:
    server_time: int
    calls: int
    overflown: bool


def _read_feed(reader: StripeReader, follows: Sequence[_Follow]) -> _Feed:
    """Note in ``follows`` every event since the earliest of their positions."""
    by_name = {follow.stream.name: follow for follow in follows}
    since = min(follow.since for follow in follows)
    server_time, calls, read = 0, 0, 0
    after: list[tuple[str, str]] = []
    seen: set[str] = set()
    while True:
        page = reader.events([("created[gte]", str(since)), *after])
        calls += 1
        server_time = server_time or page.server_time
        for event in page.events:
            _note(by_name, event, server_time)
        read += len(page.events)
        if not page.has_more:
            return _Feed(server_time, calls, overflown=False)
        if read > FEED_EVENTS:
            return _Feed(server_time, calls, overflown=True)
        if not page.events or page.events[-1].id in seen:
            raise MalformedResponse("the events feed loops: it says there is more and has nothing")
        seen.add(page.events[-1].id)
        after = [("starting_after", page.events[-1].id)]


def _note(follows: Mapping[str, _Follow], event: EventHead, now: int) -> None:
    """Tell the streams that an event concerns: its object's, and those that it links to."""
    fields = event.data.object
    stream = BY_OBJECT.get(_text(fields.get("object")) or "")
    object_id = _text(fields.get("id"))
    if stream is None or object_id is None:
        return
    if stream.name in follows:
        last_words = msgspec.json.encode(fields) if event.type.endswith(".deleted") else None
        follows[stream.name].note(event, object_id, last_words, now)
    for field_name, linked in stream.links:
        linked_id = _text(fields.get(field_name))
        if linked_id and linked in follows:
            follows[linked].note(event, linked_id, None, now)


def _follow_one(
    reader: StripeReader, follow: _Follow, pool: ThreadPoolExecutor, *, now: int, calls: int
) -> Extracted:
    """Read what changed of one stream: lists where that is cheaper or there are no events, then
    single objects."""
    stream = follow.stream
    open_since: int | None = None
    observed_at = reader.transport.clock.now()
    listed_since: int | None = None
    if stream.reread is not None:
        earliest = follow.state["open_since"] or follow.since
        listed_since = min(follow.since, max(earliest, now - stream.reread.days * DAY))
    elif stream.recent_pages is not None:
        listed_since = 0
    elif follow.lists:
        listed_since = follow.since
    if listed_since is not None:
        for listed in islice(_list_since(reader, stream, listed_since), stream.recent_pages):
            open_since = _open_since(stream, listed, open_since)
            for record in listed.records:
                follow.changes.pop(record.id, None)
            yield Page(stream.name, listed.records, listed.observed_at, calls=listed.calls)
    for record, read_at, spent in retrieve_all(reader, pool, stream, list(follow.changes)):
        records = [record]
        if record.deleted:
            last_words = follow.changes[record.id].last_words
            records = [msgspec.structs.replace(record, payload=last_words)] if last_words else []
        yield Page(stream.name, records, read_at, touch=True, calls=spent)
    yield Page(
        stream.name,
        [],
        observed_at,
        state=_followed(now, open_since, follow.recent, follow.filters),
        cursor_at=_instant(now),
        calls=calls,
    )


def retrieve_all(
    reader: StripeReader, pool: ThreadPoolExecutor, stream: StripeStream, ids: Sequence[str]
) -> Iterator[tuple[Record, datetime, int]]:
    """Objects by id, as StripeReader.retrieve gives them, several at a time, in order."""
    for start in range(0, len(ids), RETRIEVED_AHEAD):
        some = ids[start : start + RETRIEVED_AHEAD]
        yield from pool.map(lambda object_id: reader.retrieve(stream, object_id), some)


def _list_since(reader: StripeReader, stream: StripeStream, since: int) -> Iterator[Listed]:
    """Pages of the objects created since, newest first."""
    window = _Window(gte=since)
    while True:
        listed = reader.list(stream, window.params())
        yield listed
        if not listed.has_more:
            return
        if not listed.heads or listed.heads[-1].id in window.read:
            raise MalformedResponse(f"the list of {stream.name} loops")
        window.read.add(listed.heads[-1].id)
        window.after = listed.heads[-1].id


# What both share.


def _followed(through: int, open_since: int | None, recent: list[str], filters: bool) -> State:
    return {
        "phase": "follow",
        "through": through,
        "open_since": open_since,
        "recent": recent,
        "filters": filters,
    }


def _open_since(stream: StripeStream, listed: Listed, earliest: int | None) -> int | None:
    """The earliest `created` of an object that is not final, up to this page."""
    if stream.reread is None:
        return earliest
    for head, record in zip(listed.heads, listed.records, strict=True):
        fields = msgspec.json.decode(record.payload, type=dict[str, Raw])
        is_open = _text(fields.get(stream.reread.field)) in stream.reread.values
        if is_open and head.at is not None:
            earliest = head.at if earliest is None else min(earliest, head.at)
    return earliest


def _text(raw: Raw | None) -> str | None:
    value = None if raw is None else msgspec.json.decode(raw)
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else None


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
