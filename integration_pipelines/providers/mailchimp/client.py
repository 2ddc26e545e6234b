"""Mailchimp over the shared transport: pages of bytes, and objects by id."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import (
    AccessRevoked,
    MalformedResponse,
    NotFound,
    ProviderError,
    RateLimited,
)
from integration_pipelines.core.provider import Record
from integration_pipelines.core.transport import Response, Transport, default_error
from integration_pipelines.providers.mailchimp.streams import MailchimpStream

API_BASE = "https://{dc}.api.mailchimp.com"
OAUTH_BASE = "https://login.mailchimp.com"
PAGE_SIZE = 1_000
REWINDS = 50
"""Times that a list may move while it is read."""

NAME = "Mailchimp"
REVOKED = {
    "APIKeyInvalid": "",
    "UserDisabled": "once Mailchimp has enabled it again",
    "WrongUser": "",
    "WrongDatacenter": "with a new key or consent: it has moved to another data centre",
}
"""Titles, without their blanks, of what nothing but a new connection cures, and what it takes."""
DATA_CENTRE = re.compile(r"[a-z]{2,4}[0-9]{1,4}")
"""What may become part of a host name."""


class Head(Struct):
    """What reading needs of an object; the rest of its bytes stay unread."""

    id: str | int | None = None
    merge_id: int | None = None
    email_id: str | None = None
    list_id: str | None = None
    last_changed: str | None = None
    updated_at: str | None = None
    create_time: str | None = None
    created_at: str | None = None
    send_time: str | None = None
    timestamp_opt: str | None = None
    status: str | None = None
    emails_sent: int | None = None
    unsubscribed: int | None = None
    opens: Any = None
    clicks: Any = None
    bounces: Any = None
    stats: Any = None

    @property
    def made_at(self) -> datetime | None:
        """When it came to be, where it tells."""
        return instant(self.create_time or self.created_at or self.timestamp_opt or self.send_time)


class _Problem(Struct):
    title: str = ""
    detail: str = ""
    status: int = 0


class Listed(NamedTuple):
    """One page: heads beside records; ``ends``: nothing follows."""

    records: list[Record]
    heads: list[Head]
    ends: bool
    observed_at: datetime
    answered_at: datetime


def classify(response: Response) -> ProviderError | None:
    """Mailchimp's own words for a refusal. A guard in front of it throttles by a bare 403 without
    a problem document; with one, a 403 is about the account or the key."""
    try:
        problem = msgspec.json.decode(response.body, type=_Problem)
    except (msgspec.DecodeError, RecursionError):
        problem = _Problem()
    if response.status == 403 and not problem.title:
        words = f"{response.provider} {response.endpoint}: 403 without a reason, a throttle"
        return RateLimited(words, retry_after=response.retry_after, status=403)
    title = problem.title.replace(" ", "")
    error = default_error(response, message=problem.detail, code=title, revoked=title in REVOKED)
    if isinstance(error, AccessRevoked) and (then := REVOKED.get(title)):
        return AccessRevoked(f"{error} {then}", status=403, code=title)
    return error


class MailchimpReader:
    """Reads one account. Thread-safe: the transport is, and nothing else is kept."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def pages(
        self,
        stream: MailchimpStream,
        parents: Sequence[str],
        asked: Mapping[str, str],
        *,
        offset: int = 0,
    ) -> Iterator[tuple[Listed, int]]:
        """The pages of a list from ``offset`` on, each with the offset after it.

        A page begins with the last row of the one before: where that is another by now, rows have
        come or gone, and reading goes back. Raises MalformedResponse where a list never rests.
        """
        last: str | None = None
        rewinds = 0
        while True:
            overlap = 1 if offset else 0
            listed = self.page(stream, parents, asked, offset=offset - overlap)
            if last is not None and (not listed.records or listed.records[0].id != last):
                rewinds += 1
                if rewinds > REWINDS:
                    raise MalformedResponse(f"the list of {stream.name} moves without end")
                last, offset = None, max(0, offset - PAGE_SIZE)
                continue
            reached = offset - overlap + len(listed.records)
            yield listed, reached
            if listed.ends or reached <= offset:
                return
            last, offset = listed.records[-1].id, reached

    def page(
        self,
        stream: MailchimpStream,
        parents: Sequence[str],
        asked: Mapping[str, str],
        *,
        offset: int = 0,
    ) -> Listed:
        """One page. Raises what the transport raises."""
        size = max(PAGE_SIZE, 2)
        params: dict[str, Any] = {**stream.hidden, **asked}
        if stream.paged:
            params |= {"count": size, "offset": offset}
        if stream.projected:
            params["exclude_fields"] = f"_links,{stream.answer}._links"
        return self.transport.request(
            "GET",
            "/3.0" + stream.path.format(*(quote(parent, safe="") for parent in parents)),
            params=params,
            endpoint="GET /3.0" + stream.path.replace("{}", ":id"),
            parse=lambda response: _page(response, stream, parents, offset, size),
        )

    def keys(
        self,
        stream: MailchimpStream,
        parents: Sequence[str],
        sweep: Mapping[str, str],
        *fields: str,
    ) -> Iterator[Listed]:
        """The pages of a list, of each row the key and ``fields`` alone."""
        asked = dict(sweep)
        if stream.projected:
            wanted = ",".join(f"{stream.answer}.{name}" for name in (stream.key, *fields))
            asked["fields"] = f"{wanted},total_items"
        for listed, _ in self.pages(replace(stream, projected=False), parents, asked):
            yield listed

    def changed_at(
        self, stream: MailchimpStream, parents: Sequence[str], offset: int
    ) -> datetime | None:
        """When the row changed that so many others changed before; None where there is none."""
        wanted = [f"{stream.answer}.{name}" for name in (stream.key, stream.version)]
        listed = self.transport.request(
            "GET",
            "/3.0" + stream.path.format(*(quote(parent, safe="") for parent in parents)),
            params={
                "fields": ",".join([*wanted, "total_items"]),
                "sort_field": stream.version,
                "sort_dir": "ASC",
                "count": 1,
                "offset": offset,
            },
            endpoint="GET /3.0" + stream.path.replace("{}", ":id"),
            parse=lambda response: _page(response, stream, parents, offset, 1),
        )
        return instant(listed.heads[0].last_changed) if listed.heads else None

    def retrieve(self, stream: MailchimpStream, object_id: str) -> tuple[Record, datetime]:
        """One object by id and the start of the request; one that Mailchimp no longer has is a
        record with ``deleted`` and no payload."""
        *parents, key = object_id.split("/")
        path = stream.path.format(*(quote(parent, safe="") for parent in parents))

        def parse(response: Response) -> tuple[Record, datetime]:
            body = Raw(bodies.compact(response.body, NAME))
            record, _ = record_of(stream, parents, body)
            return record, response.started_at

        params = {**stream.hidden, **({"exclude_fields": "_links"} if stream.projected else {})}
        try:
            return self.transport.request(
                "GET",
                f"/3.0{path}/{quote(key, safe='')}",
                params=params,
                endpoint=f"GET /3.0{stream.path.replace('{}', ':id')}/:id",
                parse=parse,
            )
        except NotFound:
            return Record(object_id, b"", deleted=True), self.transport.clock.now()


def _page(
    response: Response, stream: MailchimpStream, parents: Sequence[str], offset: int, size: int
) -> Listed:
    """An answer with a list. One that falls short of the total it tells is none."""
    fields = bodies.decode(bodies.compact(response.body, NAME), dict[str, Raw], NAME)
    found = bodies.rows(fields, stream.answer, NAME)
    if "total_items" not in fields:
        raise MalformedResponse(f"{NAME}'s list of {stream.name} tells no total_items")
    total = bodies.decode(fields["total_items"], int, NAME)
    if stream.paged and len(found) < min(size, total - offset):
        raise MalformedResponse(
            f"{NAME} has {total} {stream.name} and gave {len(found)} from the {offset}th on"
        )
    records, heads = [], []
    for raw in found:
        record, head = record_of(stream, parents, raw)
        records.append(record)
        heads.append(head)
    return Listed(
        records,
        heads,
        not stream.paged or offset + len(found) >= total,
        response.started_at,
        bodies.answered_at(response),
    )


def record_of(stream: MailchimpStream, parents: Sequence[str], raw: Raw) -> tuple[Record, Head]:
    """The object as it is landed, and its head. A tag does not say whose it is: its list is added
    as `list_id`."""
    head = bodies.decode(raw, Head, NAME)
    key = getattr(head, stream.key)
    if key in (None, ""):
        raise MalformedResponse(f"one of {NAME}'s {stream.name} has no {stream.key}")
    payload = bytes(raw)
    if stream.name == "tags":
        fields = bodies.decode(raw, dict[str, Raw], NAME)
        payload = msgspec.json.encode({**fields, "list_id": parents[0]})
    changed = getattr(head, stream.version) if stream.version else None
    return (
        Record("/".join([*parents, str(key)]), payload, bodies.microseconds(instant(changed))),
        head,
    )


def instant(text: str | None) -> datetime | None:
    """A time as Mailchimp writes it; "" is none."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
