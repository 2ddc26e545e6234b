"""Reading QuickBooks: every read is metered, so one asks for as much as it can.

A pass queries each entity page by page, what is large in windows side by side. Afterwards one call
of change data brings what changed of all that it knows, deletions too; it is cut in silence at
1,000 objects, so a full answer is asked for again by halves. Entities that change data do not know
are queried by the time of their last update. Of each report one read over all months tells which of
them have changed, however old, and those are read again. Change data reach 30 days back: what is
older is read whole.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

import structlog

from integration_pipelines.core.errors import (
    AccessRevoked,
    BreakerOpen,
    MalformedResponse,
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
from integration_pipelines.providers.quickbooks import client
from integration_pipelines.providers.quickbooks.client import (
    Company,
    Listed,
    QuickBooksReader,
    literal,
    next_month,
)
from integration_pipelines.providers.quickbooks.streams import (
    BASES,
    BY_NAME,
    REPORT_MONTHS,
    QuickBooksStream,
)

log = structlog.get_logger(__name__)

LOOKBACK = timedelta(minutes=5)
CAPTURED_FOR = timedelta(days=29)
"""Change data reach 30 days back; one is left for clocks and slow syncs."""
APART = timedelta(days=1)
"""Streams whose cursors lie further apart do not share a call of change data."""
SECOND = timedelta(seconds=1)
IDS_AT_ONCE = 100
WINDOWS = ((100, 1), (20, 3), (4, 12))
"""A stream of more than so many pages is passed in windows of so many months."""
TAIL = 50
"""Ids that a listing remembers, to tell whether a page goes on where the last one ended."""
RESTARTS = 3
"""So often a listing that lost its place is begun again."""

Extracted = Iterator[Page | StreamFailed]


@dataclass(slots=True)
class QuickBooksExtract:
    """Reads a company, ``concurrency`` requests at a time."""

    reader: QuickBooksReader
    scope: Scope
    concurrency: int

    def extract(self, plans: Sequence[StreamPlan]) -> Extracted:
        """See Client.extract."""
        followed = [
            plan
            for plan in plans
            if self.scope.is_primary and BY_NAME[plan.stream].captured and not is_full(plan)
        ]
        whole = yield from self._follow(followed)
        rest = [plan for plan in plans if plan not in followed]
        rest += [plan._replace(full=True) for plan in whole]
        readings = yield from self._readings(rest)
        yield from read_side_by_side(
            readings, concurrency=self.concurrency, now=self.reader.transport.clock.now
        )

    def _readings(
        self, plans: Sequence[StreamPlan]
    ) -> Generator[StreamFailed, None, list[Reading]]:
        """What ``plans`` ask for, divided into parts."""
        if not self.scope.is_primary:
            return [Reading(plan.stream, [], full=False, state=plan.state) for plan in plans]
        streams = [BY_NAME[plan.stream] for plan in plans]
        large = [
            stream
            for stream, plan in zip(streams, plans, strict=True)
            if stream.divided and is_full(plan)
        ]
        company, failed = None, None
        if large or any(stream.is_report for stream in streams):
            try:
                company = self.reader.company()
                if any(
                    stream.is_report and is_full(plan)
                    for stream, plan in zip(streams, plans, strict=True)
                ):
                    company = with_history(self.reader, company)
            except (AccessRevoked, BreakerOpen):
                raise
            except ProviderError as error:
                failed = error
        with ThreadPoolExecutor(self.concurrency) as pool:
            pages = dict(zip(large, pool.map(self._pages_of, large), strict=True))
        readings = []
        for plan, stream in zip(plans, streams, strict=True):
            if not stream.is_report:
                windows = _windows(company, pages.get(stream, 0))
                readings.append(self._listing(plan, stream, windows))
            elif company is not None:
                try:
                    readings.append(self._reporting(plan, stream, company))
                except (AccessRevoked, BreakerOpen):
                    raise
                except ProviderError as error:
                    yield StreamFailed(plan.stream, error, calls=1)
            elif failed is not None:
                yield StreamFailed(plan.stream, failed)
        return readings

    def _pages_of(self, stream: QuickBooksStream) -> float:
        """How long a listing is; 0 where that cannot be told, and it is not divided."""
        try:
            return self.reader.count(stream) / client.size()
        except (AccessRevoked, BreakerOpen):
            raise
        except ProviderError:
            return 0

    # Change data.

    def _follow(
        self, plans: Sequence[StreamPlan]
    ) -> Generator[Page | StreamFailed, None, list[StreamPlan]]:
        """What changed of all ``plans``, in as few calls as it takes. Returns those to be read
        whole instead: change data do not reach back so far, refuse them, or cannot be read on."""
        whole: list[StreamPlan] = []
        now = self.reader.transport.clock.now()
        asks = deque((group, min(_since(group[0]), now), now, True) for group in _together(plans))
        while asks:
            group, since, reached, is_first = asks.popleft()
            try:
                captured = self.reader.changes([BY_NAME[plan.stream] for plan in group], since)
            except (AccessRevoked, BreakerOpen):
                raise
            except Refused as error:
                if len(group) > 1:
                    asks.extend((half, since, reached, True) for half in _halves(group))
                    continue
                log.warning(
                    "change data refused, reading the whole list instead",
                    stream=group[0].stream,
                    reason=str(error),
                )
                whole += group
                continue
            except ProviderError as error:
                yield from (StreamFailed(plan.stream, error, calls=1) for plan in group)
                continue
            if captured.answered_at - since > CAPTURED_FOR:
                whole += group
                continue
            if captured.cut and len(group) > 1:
                asks.extend((half, since, reached, True) for half in _halves(group))
                continue
            if is_first:
                reached = captured.answered_at
            for plan in group:
                listed = captured.changes[BY_NAME[plan.stream].entity]
                calls = int(plan is group[0])
                if not captured.cut:
                    yield _followed(plan, listed, reached, calls)
                    continue
                yield Page(plan.stream, listed.records, listed.observed_at, calls=calls)
                following = _following(listed)
                if following is None or following <= since:
                    whole.append(plan)
                else:
                    asks.append(([plan], following, reached, False))
        return whole

    # Queries.

    def _listing(
        self, plan: StreamPlan, stream: QuickBooksStream, windows: Sequence["_Window"]
    ) -> Reading:
        full = is_full(plan)
        if full:
            parts = [
                Part(window.key, partial(self._query, stream, window.conditions))
                for window in windows
            ]
        else:
            since = through(plan, lookback=LOOKBACK)
            conditions = [f"MetaData.LastUpdatedTime >= {literal(since.isoformat())}"]
            parts = [Part("changed", partial(self._query, stream, conditions))]
        return Reading(stream.name, parts, full=full, state=plan.state)

    def _query(
        self, stream: QuickBooksStream, conditions: Sequence[str], progress: Progress
    ) -> Iterator[Chunk]:
        """The objects of a query in order of their ids, from where ``progress`` stands.

        New ones come last. Where objects have gone, the others move up: so a page begins with the
        last object of the one before, and where it does not, reading goes back until it finds one
        that it knows. Raises MalformedResponse where pages repeat without end.
        """
        start: int = progress["start"] if progress else 1
        tail: list[str] = progress["tail"] if progress else []
        restarts = 0
        while True:
            listed, at, calls = self._page(stream, conditions, start, tail)
            ids = [record.id for record in listed.records]
            known = next((n for n in range(len(ids), 0, -1) if ids[n - 1] in tail), 0)
            fresh = listed.records[known:]
            is_last = len(ids) < client.size()
            restarts += bool(tail) and not known
            if restarts > RESTARTS or not (fresh or is_last):
                raise MalformedResponse(f"the list of {stream.name} loops")
            start = at + len(ids)
            tail = [*tail, *(record.id for record in fresh)][-TAIL:]
            reached = {"start": start, "tail": tail}
            yield Chunk(fresh, listed.observed_at, listed.answered_at, reached, calls)
            if is_last:
                return

    def _page(
        self, stream: QuickBooksStream, conditions: Sequence[str], start: int, tail: Sequence[str]
    ) -> tuple[Listed, int, int]:
        """The page that goes on after ``tail``, the position that it begins with, and the calls
        made; the first page of all where none does."""
        tries = (start - 1, start - client.size() + 1, 1) if tail else (start,)
        calls = 0
        for at in (max(1, position) for position in tries):
            listed = self.reader.query(stream, *conditions, start=at)
            calls += 1
            if at == 1 or any(record.id in tail for record in listed.records):
                break
        return listed, at, calls

    # Reports.

    def _reporting(self, plan: StreamPlan, stream: QuickBooksStream, company: Company) -> Reading:
        """A pass reads every month. What each month was like before it was read is remembered, so
        that a change meanwhile is found by the next reading."""
        first = first_month(company, plan)
        full = is_full(plan)
        state = plan.state or {}
        held = state.get("division", {}).get("digests", {}) if full else {}
        digests = held or {
            basis: self.reader.digests(stream, basis, first, company.today) for basis in BASES
        }
        before = {} if full else state.get("digests", {})
        parts = [
            Part(f"{basis}/{month:%Y-%m}", partial(self._report, stream, basis, month))
            for month in months_between(first, company.today)
            for basis in BASES
            if basis not in before
            or before[basis].get(f"{month:%Y-%m}") != digests[basis].get(f"{month:%Y-%m}")
        ]
        return Reading(
            stream.name,
            parts,
            full=full,
            state=plan.state,
            kept={"since": first.isoformat(), "digests": digests},
            division={"digests": digests} if full else {},
        )

    def _report(
        self, stream: QuickBooksStream, basis: str, month: date, _progress: Progress
    ) -> Iterator[Chunk]:
        listed = self.reader.report(stream, basis, month)
        yield Chunk(listed.records, listed.observed_at, listed.answered_at)

    # By id.

    def fetch(self, name: str, ids: Sequence[str]) -> Iterator[Page]:
        """See Client.fetch: many objects a read. Those that a query leaves out are asked for one
        by one: that a list lacks an object does not tell that it is gone."""
        stream = BY_NAME[name]
        missing = list(dict.fromkeys(ids))
        if not stream.is_report and len(missing) > 1:
            for start in range(0, len(missing), IDS_AT_ONCE):
                names = ", ".join(map(literal, missing[start : start + IDS_AT_ONCE]))
                for chunk in self._query(stream, [f"Id IN ({names})"], None):
                    yield Page(
                        name, chunk.records, chunk.observed_at, touch=True, calls=chunk.calls
                    )
                    found = {record.id for record in chunk.records}
                    missing = [object_id for object_id in missing if object_id not in found]
        with ThreadPoolExecutor(self.concurrency) as pool:
            for listed in pool.map(partial(self._retrieve, stream), missing):
                yield Page(name, listed.records, listed.observed_at, touch=True, calls=1)

    def _retrieve(self, stream: QuickBooksStream, object_id: str) -> Listed:
        if not stream.is_report:
            return self.reader.retrieve(stream, object_id)
        basis, _, month = object_id.partition("/")
        try:
            first = date.fromisoformat(f"{month}-01")
        except ValueError:
            first = None
        if first is None or basis not in BASES:
            now = self.reader.transport.clock.now()
            return Listed([Record(object_id, b"", deleted=True)], [], now, now)
        return self.reader.report(stream, basis, first)


# Where change data stand.


def _since(plan: StreamPlan) -> datetime:
    return through(plan, lookback=LOOKBACK)


def _together(plans: Sequence[StreamPlan]) -> list[list[StreamPlan]]:
    """Plans in groups of about the same position, earliest first: one that fell behind must not
    make all others ask for what they have."""
    groups: list[list[StreamPlan]] = []
    for plan in sorted(plans, key=_since):
        if groups and _since(plan) - _since(groups[-1][0]) < APART:
            groups[-1].append(plan)
        else:
            groups.append([plan])
    return groups


def _halves(group: list[StreamPlan]) -> tuple[list[StreamPlan], list[StreamPlan]]:
    middle = len(group) // 2
    return group[:middle], group[middle:]


def _followed(plan: StreamPlan, listed: Listed, reached: datetime, calls: int) -> Page:
    state = {"phase": "follow", "through": reached.isoformat()}
    return Page(
        plan.stream, listed.records, listed.observed_at, state=state, cursor_at=reached, calls=calls
    )


def _following(listed: Listed) -> datetime | None:
    """From when on changes go on after these, if they came in the order of their times; the last
    second is asked for again, for it may hold more."""
    times = [head.updated_at for head in listed.heads if head.updated_at is not None]
    if len(times) < len(listed.heads) or times != sorted(times):
        return None
    return times[-1] - SECOND


# How a pass is divided.


@dataclass(frozen=True, slots=True)
class _Window:
    """Objects created between two instants; None: no end on that side."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def key(self) -> str:
        """What tells it from others, also of another division."""
        if self.since is None and self.until is None:
            return "all"
        return "-".join(f"{edge:%Y%m}" if edge else "" for edge in (self.since, self.until))

    @property
    def conditions(self) -> list[str]:
        """How a query asks for it."""
        edges = ((">=", self.since), ("<", self.until))
        return [
            f"MetaData.CreateTime {sign} {literal(edge.isoformat())}"
            for sign, edge in edges
            if edge
        ]


def _windows(company: Company | None, pages: float) -> list[_Window]:
    """The windows that so many pages are divided into."""
    months = next((months for more, months in WINDOWS if pages > more), None)
    if company is None or months is None:
        return [_Window()]
    edges = [
        datetime(month.year, month.month, 1, tzinfo=UTC)
        for month in months_between(next_month(company.since), company.today)
        if (month.month - 1) % months == 0
    ]
    return [
        _Window(since, until) for since, until in zip([None, *edges], [*edges, None], strict=True)
    ]


# Months of reports.


def with_history(reader: QuickBooksReader, company: Company) -> Company:
    """The company, since the month in which its books begin."""
    earliest = months_before(company.today, REPORT_MONTHS - 1)
    return company._replace(since=min(company.since, reader.opened(earliest, company.today)))


def first_month(company: Company, plan: StreamPlan | None = None) -> date:
    """The first month that reports are kept of. It is never later than where the first load began:
    what a pass leaves out would count as vanished."""
    state = (plan.state if plan else None) or {}
    begun = [date.fromisoformat(f"{key.partition('/')[2]}-01") for key in state.get("done", ())]
    begun += [date.fromisoformat(state["since"])] if "since" in state else []
    opened = max(company.since, months_before(company.today, REPORT_MONTHS - 1))
    return min([opened.replace(day=1), *begun])


def months_before(day: date, count: int) -> date:
    """The first day of the month so many before that of ``day``."""
    months = day.year * 12 + day.month - 1 - count
    return date(months // 12, months % 12 + 1, 1)


def months_between(first: date, last: date) -> Iterator[date]:
    """First days of the months from that of ``first`` to that of ``last``."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = next_month(month)
