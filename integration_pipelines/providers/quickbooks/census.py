"""QuickBooks' census: every entity in the order of its creation, which no sync reads it in.

Its query language gives whole objects or a number, and each costs a read a page or a read: ids come
with the objects.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from integration_pipelines.core.provider import Census, StreamFailed, period_of
from integration_pipelines.core.reading import count_side_by_side
from integration_pipelines.providers.quickbooks.client import literal
from integration_pipelines.providers.quickbooks.extract import QuickBooksExtract
from integration_pipelines.providers.quickbooks.streams import BASES, BY_NAME, QuickBooksStream


def take_census(
    reading: QuickBooksExtract, streams: Sequence[str], since: datetime | None
) -> Iterator[Census | StreamFailed]:
    """See Client.census."""
    counts = []
    for name in streams if reading.scope.is_primary else ():
        stream = BY_NAME[name]
        if stream.is_report:
            years = reading.years(full=True)
            yield Census(name, period_of(None), [f"{basis}/{y}" for y in years for basis in BASES])
        else:
            counts.append((name, partial(_count, reading, stream, since)))
    yield from count_side_by_side(counts, concurrency=reading.concurrency)


def _count(
    reading: QuickBooksExtract, stream: QuickBooksStream, since: datetime | None
) -> Iterator[Census]:
    created = "MetaData.CreateTime"
    conditions = [f"{created} >= {literal(since.isoformat())}"] if since else []
    for listed, _ in reading.pages(stream, *conditions, order=created):
        ids = defaultdict(list)
        for head in listed.heads:
            ids[period_of(head.created_at)].append(head.id)
        for period, created_then in ids.items():
            yield Census(stream.name, period, created_then)
