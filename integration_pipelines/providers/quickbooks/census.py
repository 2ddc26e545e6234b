"""QuickBooks' census: the number of each entity, and where it is not the number held here, every
one in the order of its creation, which no sync reads it in.

Its query language gives a number, which is one read, or whole objects, which are one a page. Where
one object is missing and another too many a number does not tell; a full pass finds both.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from integration_pipelines.core.errors import (
    AccessRevoked,
    BreakerOpen,
    MalformedResponse,
    ProviderError,
)
from integration_pipelines.core.provider import Census, Counted, StreamFailed, Tally, period_of
from integration_pipelines.core.reading import count_side_by_side
from integration_pipelines.providers.quickbooks import client
from integration_pipelines.providers.quickbooks.client import QuickBooksReader
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
    reading: QuickBooksExtract,
    streams: Sequence[str],
    held: Mapping[str, int],
) -> Iterator[Counted | StreamFailed]:
    """See Client.census. All is counted, whenever it was entered."""
    asked = [BY_NAME[name] for name in streams] if reading.scope.is_primary else []
    yield from _reports(reading.reader, [one.name for one in asked if one.is_report])
    yield from count_side_by_side(
        [
            (one.name, partial(_count, reading.reader, one, held.get(one.name)))
            for one in asked
            if not one.is_report
        ],
        concurrency=reading.concurrency,
    )


def _count(
    reader: QuickBooksReader, stream: QuickBooksStream, held: int | None
) -> Iterator[Counted]:
    for _ in range(ATTEMPTS):
        count = reader.count(stream)
        if count == held:
            yield Tally(stream.name, count)
            return
        found = _listed(reader, stream)
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


def _listed(reader: QuickBooksReader, stream: QuickBooksStream) -> dict[str, str]:
    """Periods by id."""
    found: dict[str, str] = {}
    start = 1
    while True:
        listed = reader.query(stream, order=CREATED, start=start)
        before = len(found)
        found |= {head.id: period_of(head.created_at) for head in listed.heads}
        if len(listed.heads) < client.size():
            return found
        if len(found) == before:
            raise MalformedResponse(f"the list of {stream.name} loops")
        start += len(listed.heads)


def _reports(reader: QuickBooksReader, names: Sequence[str]) -> Iterator[Counted | StreamFailed]:
    """There is a report of every month."""
    if not names:
        return
    try:
        company = with_history(reader, reader.company())
    except (AccessRevoked, BreakerOpen):
        raise
    except ProviderError as error:
        yield from (StreamFailed(name, error) for name in names)
        return
    for month in months_between(first_month(company), company.today):
        period = f"{month:%Y-%m}"
        ids = [f"{basis}/{period}" for basis in BASES]
        yield from (Census(name, period, ids) for name in names)
