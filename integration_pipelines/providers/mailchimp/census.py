"""Mailchimp's census: the key of every row and nothing else, held against the total it tells."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from integration_pipelines.core.errors import AccessRevoked, BreakerOpen, ProviderError
from integration_pipelines.core.provider import Census, StreamFailed, period_of
from integration_pipelines.core.reading import count_side_by_side
from integration_pipelines.providers.mailchimp.extract import MailchimpExtract
from integration_pipelines.providers.mailchimp.streams import BY_NAME, MailchimpStream

MADE = ("create_time", "created_at", "timestamp_opt", "send_time")


def take_census(
    reading: MailchimpExtract, streams: Sequence[str]
) -> Iterator[Census | StreamFailed]:
    """See Client.census."""
    counts = []
    for name in streams if reading.scope.is_primary else ():
        stream = BY_NAME[name]
        try:
            parents = reading.parents(stream)
        except (AccessRevoked, BreakerOpen):
            raise
        except ProviderError as error:
            yield StreamFailed(name, error, calls=1)
            continue
        counts += [
            (name, partial(_count, reading, stream, above, sweep))
            for above in parents
            for sweep in stream.sweeps
        ]
    yield from count_side_by_side(counts, concurrency=reading.concurrency)


def _count(
    reading: MailchimpExtract,
    stream: MailchimpStream,
    parents: Sequence[str],
    sweep: Mapping[str, str],
) -> Iterator[Census]:
    for listed in reading.reader.keys(stream, parents, sweep, *MADE):
        ids = defaultdict(list)
        for record, head in zip(listed.records, listed.heads, strict=True):
            ids[period_of(head.made_at)].append(record.id)
        for period, made_then in ids.items():
            yield Census(stream.name, period, made_then)
