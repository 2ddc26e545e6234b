"""Mailchimp's census: the key of every row and nothing else, held against the total it tells.

What a campaign brought is counted in the month in which it was sent.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from integration_pipelines.core.errors import AccessRevoked, BreakerOpen, ProviderError
from integration_pipelines.core.provider import Census, Counted, StreamFailed, period_of
from integration_pipelines.core.reading import count_side_by_side
from integration_pipelines.providers.mailchimp.extract import MailchimpExtract
from integration_pipelines.providers.mailchimp.streams import BY_NAME, MailchimpStream

MADE = ("create_time", "created_at", "timestamp_opt", "send_time")
SECOND = timedelta(seconds=1)
"""What is of the very time asked for is left out of the answer."""


def take_census(
    reading: MailchimpExtract, streams: Sequence[str], since: datetime | None
) -> Iterator[Counted | StreamFailed]:
    """See Client.census. Where the API has no filter by creation, everything is counted."""
    counts = []
    for name in streams if reading.scope.is_primary else ():
        stream = BY_NAME[name]
        asked = {}
        if since and stream.made_since:
            asked = {stream.made_since: (since - SECOND).isoformat()}
        try:
            parents = _parents(reading, stream, since)
        except (AccessRevoked, BreakerOpen):
            raise
        except ProviderError as error:
            yield StreamFailed(name, error, calls=1)
            continue
        counts += [
            (name, partial(_count, reading, stream, above, {**sweep, **asked}, sent_at))
            for above, sent_at in parents
            for sweep in stream.sweeps
        ]
    yield from count_side_by_side(counts, concurrency=reading.concurrency)


def _parents(
    reading: MailchimpExtract, stream: MailchimpStream, since: datetime | None
) -> list[tuple[list[str], datetime | None]]:
    """The ids that lead to each list of the stream, with the time at which a campaign was sent."""
    if stream.parent != "campaigns":
        return [(above, None) for above in reading.parents(stream)]
    sent = [([name], report.made_at) for name, report in reading.reports().items()]
    return [(above, at) for above, at in sent if since is None or at is None or at >= since]


def _count(
    reading: MailchimpExtract,
    stream: MailchimpStream,
    parents: Sequence[str],
    asked: Mapping[str, str],
    sent_at: datetime | None,
) -> Iterator[Census]:
    for listed in reading.reader.keys(stream, parents, asked, *MADE):
        ids = defaultdict(list)
        for record, head in zip(listed.records, listed.heads, strict=True):
            ids[period_of(sent_at or head.made_at)].append(record.id)
        for period, made_then in ids.items():
            yield Census(stream.name, period, made_then)
