"""Stripe's census: every list once, newest first, of which only ids and times are read."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from integration_pipelines.core.errors import MalformedResponse
from integration_pipelines.core.provider import Census, Counted, StreamFailed, period_of
from integration_pipelines.core.reading import count_side_by_side
from integration_pipelines.providers.stripe.client import StripeReader
from integration_pipelines.providers.stripe.streams import StripeStream


def take_census(
    reader: StripeReader,
    streams: Sequence[StripeStream],
    since: datetime | None,
    *,
    concurrency: int,
) -> Iterator[Counted | StreamFailed]:
    """See Client.census."""
    return count_side_by_side(
        [(stream.name, partial(_count, reader, stream, since)) for stream in streams],
        concurrency=concurrency,
    )


def _count(reader: StripeReader, stream: StripeStream, since: datetime | None) -> Iterator[Census]:
    created = [] if since is None else [("created[gte]", str(int(since.timestamp())))]
    after: list[tuple[str, str]] = []
    read: set[str] = set()
    more = True
    while more:
        heads, more = reader.heads(stream, [*created, *after])
        if more and (not heads or heads[-1].id in read):
            raise MalformedResponse(f"the list of {stream.name} loops")
        ids = defaultdict(list)
        for head in heads:
            read.add(head.id)
            if not head.deleted:
                ids[period_of(head.created_at)].append(head.id)
        for month, created_then in ids.items():
            yield Census(stream.name, month, created_then)
        after = [("starting_after", heads[-1].id)] if heads else []
