"""Reading Mailchimp: lists of lists, all small but three, and hardly one with a time of change.

What is small is read whole each time. Members are asked for by `last_changed`, archived ones apart;
a pass over many of them is divided by it into stretches of about the same length.
The activity of a campaign is read again when the numbers of its report have moved, however old the
campaign. Every list of every audience and campaign is a part of its own, read side by side: that is
how ten connections stay busy.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from integration_pipelines.core.errors import AccessRevoked, BreakerOpen, ProviderError
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
from integration_pipelines.providers.mailchimp import client
from integration_pipelines.providers.mailchimp.client import Head, MailchimpReader
from integration_pipelines.providers.mailchimp.streams import BY_NAME, SOON, MailchimpStream

DIVIDED_FROM = 4
"""A list of members of more pages than that is divided, and into so many stretches at most:"""
STRETCHES = 10
SECOND = timedelta(seconds=1)
COUNTS = ("member_count", "unsubscribe_count", "cleaned_count")
"""Numbers of an audience that together are about how many members there are."""

Extracted = Iterator[Page | StreamFailed]


@dataclass(slots=True)
class MailchimpExtract:
    """Reads an account, ``concurrency`` requests at a time."""

    reader: MailchimpReader
    scope: Scope
    concurrency: int
    _parents: dict[str, list[list[str]]] = field(default_factory=dict, init=False)
    _reports: dict[str, Head] | None = field(default=None, init=False)
    _sizes: dict[str, int] = field(default_factory=dict, init=False)

    def extract(self, plans: Sequence[StreamPlan]) -> Extracted:
        """See Client.extract."""
        self._parents.clear()
        self._reports = None
        readings = []
        for plan in plans:
            try:
                readings.append(self._reading(plan))
            except (AccessRevoked, BreakerOpen):
                raise
            except ProviderError as error:
                yield StreamFailed(plan.stream, error, calls=1)
        yield from read_side_by_side(
            readings, concurrency=self.concurrency, now=self.reader.transport.clock.now
        )

    def parents(self, stream: MailchimpStream) -> list[list[str]]:
        """The ids that lead to each list of the stream."""
        if stream.parent is None:
            return [[]]
        if stream.parent not in self._parents:
            self._parents[stream.parent] = self._read_parents(stream.parent)
        return self._parents[stream.parent]

    def _read_parents(self, parent: str) -> list[list[str]]:
        if parent == "campaigns":
            return [[name] for name in self.reports()]
        if parent == "interest_categories":
            categories = BY_NAME[parent]
            return [
                [*above, str(head.id)]
                for above in self.parents(categories)
                for head in self._heads(categories, above)
            ]
        heads = self._heads(BY_NAME[parent], [], *(("stats",) if parent == "lists" else ()))
        if parent == "lists":
            self._sizes = {str(head.id): _size(head) for head in heads}
        return [[str(head.id)] for head in heads]

    def _heads(self, stream: MailchimpStream, above: Sequence[str], *fields: str) -> list[Head]:
        pages = self.reader.keys(stream, above, {}, *fields)
        return [head for listed in pages for head in listed.heads]

    def reports(self) -> dict[str, Head]:
        """The time and the numbers of every campaign that has been sent, wholly or in part."""
        if self._reports is None:
            told = ("send_time", "emails_sent", "unsubscribed", "opens", "clicks", "bounces")
            heads = self._heads(BY_NAME["reports"], [], *told)
            self._reports = {str(head.id): head for head in heads}
        return self._reports

    def _reading(self, plan: StreamPlan) -> Reading:
        stream = BY_NAME[plan.stream]
        if not self.scope.is_primary:
            return Reading(plan.stream, [], full=False, state=plan.state)
        full = is_full(plan)
        asked: dict[str, str] = {}
        if stream.since and not full:
            now = self.reader.transport.clock.now()
            asked[stream.since] = min(through(plan, lookback=SOON), now).isoformat()
        parents = self.parents(stream)
        kept: dict[str, Any] = {}
        if stream.counted_by:
            counts = {name: _count(stream, head) for name, head in self.reports().items()}
            kept = {"counts": counts}
            if not full:
                assert plan.state is not None
                known = plan.state.get("counts", {})
                parents = [above for above in parents if counts[above[0]] != known.get(above[0])]
        division = self._division(plan, stream, parents) if full and stream.before else {}
        return Reading(
            plan.stream,
            [
                Part(
                    "/".join([*above, *sweep.values(), *stretch.values()]) or "all",
                    partial(self._read, stream, above, {**sweep, **asked, **stretch}),
                )
                for above in parents
                for sweep in stream.sweeps
                for stretch in _stretches(stream, division.get(above[0] if above else "", ()))
            ],
            full=full,
            state=plan.state,
            kept=kept,
            division=division,
        )

    def _division(
        self, plan: StreamPlan, stream: MailchimpStream, parents: Sequence[Sequence[str]]
    ) -> dict[str, list[str]]:
        """The times that divide each long list, by its id; those of the pass under way."""
        if plan.state is not None and plan.state["phase"] == "pass":
            division: dict[str, list[str]] = plan.state.get("division", {})
            return division
        long = [
            above for above in parents if self._sizes[above[0]] > DIVIDED_FROM * client.PAGE_SIZE
        ]
        asks = [
            (above, self._sizes[above[0]] * number // STRETCHES)
            for above in long
            for number in range(1, STRETCHES)
        ]
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="mailchimp") as pool:
            times = pool.map(lambda ask: self.reader.changed_at(stream, *ask), asks)
            edges: dict[str, set[datetime]] = {above[0]: set() for above in long}
            for (above, _), at in zip(asks, times, strict=True):
                edges[above[0]] |= {at} if at else set()
        return {name: [at.isoformat() for at in sorted(found)] for name, found in edges.items()}

    def _read(
        self,
        stream: MailchimpStream,
        parents: Sequence[str],
        asked: Mapping[str, str],
        progress: Progress,
    ) -> Iterator[Chunk]:
        offset = (progress or {}).get("offset", 0)
        for listed, reached in self.reader.pages(stream, parents, asked, offset=offset):
            yield Chunk(listed.records, listed.observed_at, listed.answered_at, {"offset": reached})

    # By id.

    def fetch(self, name: str, ids: Sequence[str]) -> Iterator[Page]:
        """See Client.fetch."""
        stream = BY_NAME[name]
        if not stream.one:
            yield from self._relisted(stream, ids)
            return
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="mailchimp") as pool:
            for record, started_at in pool.map(partial(self.reader.retrieve, stream), ids):
                yield Page(name, [record], started_at, touch=True, calls=1)

    def _relisted(self, stream: MailchimpStream, ids: Sequence[str]) -> Iterator[Page]:
        """Objects that can only be listed."""
        missing = dict.fromkeys(ids)
        for above in sorted({object_id.rpartition("/")[0] for object_id in ids}):
            try:
                for listed, _ in self.reader.pages(stream, above.split("/"), {}):
                    found = [record for record in listed.records if record.id in missing]
                    for record in found:
                        missing.pop(record.id, None)
                    yield Page(stream.name, found, listed.observed_at, touch=True, calls=1)
            except ProviderError as error:
                if error.status != 404:
                    raise
        gone = [Record(object_id, b"", deleted=True) for object_id in missing]
        yield Page(stream.name, gone, self.reader.transport.clock.now(), touch=True)


def _size(head: Head) -> int:
    """About how many members an audience has."""
    stats = head.stats if isinstance(head.stats, dict) else {}
    return sum(count for name in COUNTS if isinstance(count := stats.get(name), int))


def _stretches(stream: MailchimpStream, edges: Sequence[str]) -> list[dict[str, str]]:
    """The filters that divide a list at ``edges``. They overlap by a second on each side, for it
    is not said whether the edge itself belongs to what changed after it."""
    times = [datetime.fromisoformat(edge) for edge in edges]
    return [
        {
            **({str(stream.since): (start - SECOND).isoformat()} if start else {}),
            **({str(stream.before): (end + SECOND).isoformat()} if end else {}),
        }
        for start, end in zip([None, *times], [*times, None], strict=True)
    ]


def _count(stream: MailchimpStream, head: Head) -> str:
    """What of a report's numbers is about the stream, in few letters."""
    numbers = msgspec.json.encode([getattr(head, name) for name in stream.counted_by])
    return blake2b(numbers, digest_size=6).hexdigest()
