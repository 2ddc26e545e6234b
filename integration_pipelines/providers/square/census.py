"""Square's census: lists of what exists, by other requests than a sync makes where it can, and
where it cannot, beside the same list the events of the last four weeks."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from msgspec import Raw, Struct

from integration_pipelines.core.errors import Refused
from integration_pipelines.core.provider import Census, Counted, Scope, StreamFailed, period_of
from integration_pipelines.core.reading import count_side_by_side
from integration_pipelines.providers.square.client import Head, Listed, SquareReader, decode
from integration_pipelines.providers.square.extract import (
    PAYOUTS,
    Extent,
    open_extents,
    read_pages,
    within,
)
from integration_pipelines.providers.square.streams import (
    BY_NAME,
    CATALOG_TYPES,
    FIRST,
    Json,
    Order,
    Span,
    SquareStream,
    Way,
    at,
)

log = structlog.get_logger(__name__)


def _types(span: Span) -> Json:
    return {"types": ",".join(span.types or CATALOG_TYPES)}


def _newest_first(span: Span) -> Json:
    return {"sort_field": "CREATED_AT", "sort_order": "DESC"}


def _ids_alone(span: Span) -> Json:
    return BY_NAME["orders"].ask(span) | {"return_entries": True}


LISTS: Mapping[str, SquareStream] = {
    "catalog": replace(
        BY_NAME["catalog"], method="GET", path="/v2/catalog/list", page=0, ask=_types
    ),
    "customers": replace(
        BY_NAME["customers"], method="GET", path="/v2/customers", ask=_newest_first, windows="",
        order=Order.NONE,
    ),
    "orders": replace(
        BY_NAME["orders"], items="order_entries", id=("order_id",), version="",
        windows="created_at", ask=_ids_alone,
    ),
    "payments": replace(BY_NAME["payments"], windows="created_at"),
    "refunds": replace(BY_NAME["refunds"], windows="created_at"),
}  # fmt: skip
"""What counts a stream in place of the list that a sync reads."""

TOLD = {
    "disputes": "dispute", "gift_cards": "gift_card", "invoices": "invoice",
    "loyalty_events": "loyalty.event", "subscriptions": "subscription",
    "team_members": "team_member",
}  # fmt: skip
"""Streams that have one list only, and what the events about their objects begin with."""
EVENTS = SquareStream(
    "events", "POST", "/v2/events", "events", "What Square has told of.",
    page=100, id=("event_id",), version="",
    ask=lambda span: {
        "query": {
            "filter": {"event_types": list(span.types), "created_at": {"start_at": at(span.since)}},
            "sort": {"field": "DEFAULT", "order": "ASC"},
        }
    },
)  # fmt: skip
EVENTS_KEPT = timedelta(days=28)


class _Subject(Struct):
    id: str
    object: dict[str, Raw] = {}


class _Event(Struct):
    type: str
    data: _Subject
    location_id: str | None = None


def take_census(
    reader: SquareReader,
    streams: Sequence[SquareStream],
    since: datetime | None,
    scope: Scope,
    *,
    concurrency: int,
) -> Iterator[Counted | StreamFailed]:
    """See Client.census."""
    listings = [LISTS.get(stream.name, stream) for stream in streams]
    counts = []
    for extent in open_extents(reader, listings, scope):
        if isinstance(extent, StreamFailed):
            yield extent
            continue
        name = extent.stream.name
        for span in extent.spans() if extent.is_ours else ():
            count = partial(_count, reader, extent, span, since)
            if since is None or span.until is None or span.until > since:
                counts.append((name, count))
        if name in TOLD and extent.is_ours:
            counts.append((name, partial(_told, reader, extent, since)))
    yield from count_side_by_side(counts, concurrency=concurrency)


def _count(
    reader: SquareReader, extent: Extent, span: Span, since: datetime | None
) -> Iterator[Census]:
    stream = extent.stream
    if since is not None and stream.windows:
        span = replace(span, since=max(span.since, since))
    if stream.way is Way.ENTRIES:
        for payouts, _ in read_pages(reader, PAYOUTS, span):
            for payout, record in zip(payouts.heads, payouts.records, strict=True):
                period = period_of(payout.time("created_at"))
                for listed, _ in read_pages(reader, stream, Span(), of=record.id):
                    yield Census(stream.name, period, [entry.id for entry in listed.records])
        return
    for month in _months(span, extent) if _tells_no_time(stream) else (span,):
        for listed, _ in read_pages(reader, stream, month):
            yield from _counted(stream, extent.scope, listed, month, since)


def _counted(
    stream: SquareStream, scope: Scope, listed: Listed, span: Span, since: datetime | None
) -> Iterator[Census]:
    ids = defaultdict(list)
    ours = {record.id for record in within(scope, stream, listed)}
    for record, head in zip(listed.records, listed.heads, strict=True):
        created_at = span.since if _tells_no_time(stream) else head.time("created_at")
        early = since is not None and created_at is not None and created_at < since
        if record.id in ours and not early:
            ids[period_of(created_at)].append(record.id)
    for period, created_then in ids.items():
        yield Census(stream.name, period, created_then)


def _told(reader: SquareReader, extent: Extent, since: datetime | None) -> Iterator[Census]:
    """What events say was created of late and not deleted. Where an application may not read its
    events, the list alone counts."""
    stream, locations = extent.stream, extent.scope.location_ids
    kinds = tuple(f"{TOLD[stream.name]}.{verb}" for verb in ("created", "deleted"))
    span = Span(since=max(since or FIRST, extent.now - EVENTS_KEPT), types=kinds)
    alive: dict[str, str] = {}
    try:
        for listed, _ in read_pages(reader, EVENTS, span):
            for record in listed.records:
                event = decode(record.payload, _Event)
                if stream.bound and locations is not None and event.location_id not in locations:
                    continue
                if event.type == kinds[0]:
                    (body,) = event.data.object.values() or (Raw(b"{}"),)
                    alive[event.data.id] = period_of(decode(body, Head).time("created_at"))
                else:
                    alive.pop(event.data.id, None)
    except Refused as error:
        log.warning("events cannot be read", stream=stream.name, reason=str(error))
        return
    for period in set(alive.values()):
        yield Census(stream.name, period, [id for id, of in alive.items() if of == period])


def _tells_no_time(stream: SquareStream) -> bool:
    return stream.id == ("order_id",)


def _months(span: Span, extent: Extent) -> list[Span]:
    """A span of creation by the calendar's months, for rows that do not tell when they were
    created. Nothing is older than the account: the first month is its own."""
    end = span.until or extent.now
    first = max(span.since, extent.opened.replace(day=1, hour=0, minute=0, second=0))
    edges = [
        month
        for year in range(first.year, end.year + 1)
        for number in range(1, 13)
        if first < (month := datetime(year, number, 1, tzinfo=UTC)) < end
    ]
    starts = [first, *edges]
    return [
        replace(span, since=since, until=until)
        for since, until in zip(starts, [*edges, span.until], strict=True)
    ]
