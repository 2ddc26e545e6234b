"""QuickBooks' census: every entity in the order of its creation, which no sync reads it in, held
against the number that QuickBooks gives.

Its query language gives whole objects or a number, and each costs a read a page or a read: ids come
with the objects.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from integration_pipelines.core.errors import MalformedResponse
from integration_pipelines.core.provider import Census, StreamFailed, period_of
from integration_pipelines.core.reading import count_side_by_side
from integration_pipelines.providers.quickbooks import client
from integration_pipelines.providers.quickbooks.client import QuickBooksReader, literal
from integration_pipelines.providers.quickbooks.extract import (
    QuickBooksExtract,
    first_month,
    months_between,
    with_history,
)
from integration_pipelines.providers.quickbooks.streams import BASES, BY_NAME, QuickBooksStream

ATTEMPTS = 3
"""So often a list that falls short of its count is read: objects come and go meanwhile."""
CREATED = "MetaData.CreateTime"


def take_census(
    reading: QuickBooksExtract, streams: Sequence[str], since: datetime | None
) -> Iterator[Census | StreamFailed]:
    """See Client.census."""
    counts = []
    for name in streams if reading.scope.is_primary else ():
        stream = BY_NAME[name]
        count = _months if stream.is_report else _count
        counts.append((name, partial(count, reading.reader, stream, since)))
    yield from count_side_by_side(counts, concurrency=reading.concurrency)


def _count(
    reader: QuickBooksReader, stream: QuickBooksStream, since: datetime | None
) -> Iterator[Census]:
    conditions = [f"{CREATED} >= {literal(since.isoformat())}"] if since else []
    for _ in range(ATTEMPTS):
        found = _listed(reader, stream, conditions)
        count = reader.count(stream, *conditions)
        if len(found) >= count:
            break
    else:
        raise MalformedResponse(
            f"{client.NAME} counts {count} {stream.name} and lists {len(found)}"
        )
    by_period = defaultdict(list)
    for object_id, period in found.items():
        by_period[period].append(object_id)
    for period, ids in by_period.items():
        yield Census(stream.name, period, ids)


def _listed(
    reader: QuickBooksReader, stream: QuickBooksStream, conditions: Sequence[str]
) -> dict[str, str]:
    """Periods by id."""
    found: dict[str, str] = {}
    start = 1
    while True:
        listed = reader.query(stream, *conditions, order=CREATED, start=start)
        before = len(found)
        found |= {head.id: period_of(head.created_at) for head in listed.heads}
        if len(listed.heads) < client.size():
            return found
        if len(found) == before:
            raise MalformedResponse(f"the list of {stream.name} loops")
        start += len(listed.heads)


def _months(
    reader: QuickBooksReader, stream: QuickBooksStream, since: datetime | None
) -> Iterator[Census]:
    """There is a report of every month."""
    company = with_history(reader, reader.company())
    first = max(first_month(company), since.date() if since else company.since)
    for month in months_between(first, company.today):
        period = f"{month:%Y-%m}"
        yield Census(stream.name, period, [f"{basis}/{period}" for basis in BASES])
