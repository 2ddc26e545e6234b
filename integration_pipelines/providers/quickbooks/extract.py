"""Reading QuickBooks: every read is metered, so one asks for as much as it can.

A pass queries each entity page by page. Afterwards one call of change data brings what changed of
all that it knows, deletions too; it is cut in silence at 1,000 objects, so a full answer is asked
for again by halves. Entities that change data do not know are queried by the time of their last
update, reports read again by year. Change data reach 30 days back: what is older is read whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from integration_pipelines.core.errors import AccessRevoked, BreakerOpen, ProviderError, Refused
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
    Captured,
    Listed,
    QuickBooksReader,
    literal,
)
from integration_pipelines.providers.quickbooks.streams import BASES, BY_NAME, QuickBooksStream

LOOKBACK = timedelta(minutes=5)
CAPTURED_FOR = timedelta(days=29)
"""Change data reach 30 days back; one is left for clocks and slow syncs."""
IDS_AT_ONCE = 100
YEARS = 3
"""Years of reports that a pass reads, the present one included."""
BOOKS_OPEN_UNTIL = 4
"""The month until which last year's reports are read again each time."""
REWINDS = 50

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
        readings: list[Reading] = []
        if followed:
            try:
                readings += self._follow(followed)
            except (AccessRevoked, BreakerOpen):
                raise
            except ProviderError as error:
                for plan in followed:
                    yield StreamFailed(plan.stream, error, calls=1)
        readings += [self._reading(plan) for plan in plans if plan not in followed]
        yield from read_side_by_side(
            readings, concurrency=self.concurrency, now=self.reader.transport.clock.now
        )

    def _reading(self, plan: StreamPlan) -> Reading:
        stream = BY_NAME[plan.stream]
        if not self.scope.is_primary:
            return Reading(plan.stream, [], full=False, state=plan.state)
        full = is_full(plan)
        if stream.is_report:
            parts = [
                Part(f"{basis}/{year}", partial(self._report, stream, basis, year))
                for year in self.years(full=full)
                for basis in BASES
            ]
            return Reading(plan.stream, parts, full=full, state=plan.state)
        since = None if full else through(plan, lookback=LOOKBACK)
        return self._queried(plan, since, full=full)

    def _queried(self, plan: StreamPlan, since: datetime | None, *, full: bool) -> Reading:
        stream = BY_NAME[plan.stream]
        return Reading(
            plan.stream,
            [Part("all", partial(self._query, stream, since))],
            full=full,
            state=plan.state,
        )

    def years(self, *, full: bool) -> list[int]:
        """The years whose reports are of interest."""
        now = self.reader.transport.clock.now()
        back = YEARS if full else 2 if now.month <= BOOKS_OPEN_UNTIL else 1
        return [now.year - number for number in range(back)]

    # Change data.

    def _follow(self, plans: Sequence[StreamPlan]) -> list[Reading]:
        """What changed of all ``plans``, in as few calls as it takes; a pass where that is too
        long ago."""
        since = min(through(plan, lookback=LOOKBACK) for plan in plans)
        streams = [BY_NAME[plan.stream] for plan in plans]
        try:
            captured = self._capture(streams, min(since, self.reader.transport.clock.now()))
        except Refused:
            return [self._queried(plan, None, full=True) for plan in plans]
        if captured[0].answered_at - since > CAPTURED_FOR:
            return [self._queried(plan, None, full=True) for plan in plans]
        readings = []
        for plan, stream in zip(plans, streams, strict=True):
            entity = stream.entity
            listed = [part.changes[entity] for part in captured if entity in part.changes]
            chunks = [_chunk(one, None, calls=0) for one in listed]
            if plan is plans[0]:
                chunks[0] = chunks[0]._replace(calls=len(captured))
            parts = [Part("changes", partial(_given, chunks))]
            readings.append(Reading(plan.stream, parts, full=False, state=plan.state))
        return readings

    def _capture(self, streams: Sequence[QuickBooksStream], since: datetime) -> list[Captured]:
        """Every change of ``streams``: an answer as long as can be is asked for again by halves,
        that of a single entity from its last change on."""
        captured = self.reader.changes(streams, since)
        if captured.size < client.MOST_CAPTURED:
            return [captured]
        if len(streams) > 1:
            half = len(streams) // 2
            return [*self._capture(streams[:half], since), *self._capture(streams[half:], since)]
        last = captured.changes[streams[0].entity].heads[-1].updated_at
        if last is None or last <= since:
            raise Refused(f"{streams[0].entity} changed too often at one instant for change data")
        return [captured, *self._capture(streams, last)]

    # Queries.

    def _query(
        self, stream: QuickBooksStream, since: datetime | None, progress: Progress
    ) -> Iterator[Chunk]:
        conditions = []
        if since is not None:
            conditions.append(f"MetaData.LastUpdatedTime >= {literal(since.isoformat())}")
        start = (progress or {}).get("start", 1)
        for listed, reached in self.pages(stream, *conditions, start=start):
            yield _chunk(listed, {"start": reached})

    def pages(
        self, stream: QuickBooksStream, *conditions: str, order: str = "Id", start: int = 1
    ) -> Iterator[tuple[Listed, int]]:
        """The pages of a query, each with the position after it.

        A page begins with the last object of the one before: where that is another by now, objects
        have gone, and reading goes back.
        """
        last: str | None = None
        rewinds = 0
        while True:
            overlap = 1 if start > 1 else 0
            listed = self.reader.query(stream, *conditions, order=order, start=start - overlap)
            if last is not None and (not listed.records or listed.records[0].id != last):
                rewinds += 1
                if rewinds > REWINDS:
                    raise Refused(f"{stream.entity} moves without end while it is read")
                last, start = None, max(1, start - client.size())
                continue
            reached = start - overlap + len(listed.records)
            yield listed, reached
            if len(listed.records) < client.size():
                return
            last, start = listed.records[-1].id, reached

    def _report(
        self, stream: QuickBooksStream, basis: str, year: int, _progress: Progress
    ) -> Iterator[Chunk]:
        yield _chunk(self.reader.report(stream, basis, year), None)

    # By id.

    def fetch(self, name: str, ids: Sequence[str]) -> Iterator[Page]:
        """See Client.fetch: many objects a read."""
        stream = BY_NAME[name]
        if stream.is_report:
            for record_id in ids:
                basis, _, year = record_id.partition("/")
                report = self.reader.report(stream, basis, int(year))
                yield Page(name, report.records, report.observed_at, touch=True, calls=1)
            return
        for start in range(0, len(ids), IDS_AT_ONCE):
            wanted = dict.fromkeys(ids[start : start + IDS_AT_ONCE])
            names = ", ".join(literal(object_id) for object_id in wanted)
            for listed, _ in self.pages(stream, f"Id IN ({names})"):
                for record in listed.records:
                    wanted.pop(record.id, None)
                yield Page(name, listed.records, listed.observed_at, touch=True, calls=1)
            gone = [Record(object_id, b"", deleted=True) for object_id in wanted]
            yield Page(name, gone, self.reader.transport.clock.now(), touch=True)


def _chunk(listed: Listed, progress: Progress, *, calls: int = 1) -> Chunk:
    return Chunk(listed.records, listed.observed_at, listed.answered_at, progress, calls)


def _given(chunks: Sequence[Chunk], _progress: Progress) -> Iterator[Chunk]:
    return iter(chunks)
