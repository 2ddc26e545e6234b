"""Stripe over the shared transport: pages of bytes, objects by id, whose account it is.

Lists keep the provider's bytes (the SDK's object layer reads 2,000 rows a second); the SDK does
what it knows best, here the account's identity.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from integration_pipelines.core.errors import MalformedResponse, NotFound, ProviderError
from integration_pipelines.core.provider import Record
from integration_pipelines.core.transport import Response, Transport, default_error
from integration_pipelines.providers.stripe.streams import StripeStream

API_VERSION = "2026-10-28.endive"
PAGE_SIZE = 100
API_BASE = "https://api.stripe.com"

MISSING = {"resource_missing", "invalid_request_error"}
"""How a 404 reads that is about the object and not about the path."""

Decoded = TypeVar("Decoded")
Params = list[tuple[str, str]]


class _List(Struct):
    data: list[Raw]
    has_more: bool


class _Embedded(Struct):
    data: list[Raw] = []
    has_more: bool = False


class Head(Struct):
    """What reading needs of an object; the rest of its bytes stay unread."""

    id: str
    created: int | None = None
    date: int | None = None
    deleted: bool = False

    @property
    def at(self) -> int | None:
        """The time that `created` filters go by, in epoch seconds; invoice items call it `date`."""
        return self.created if self.created is not None else self.date

    @property
    def created_at(self) -> datetime | None:
        """``at`` as an instant."""
        return None if self.at is None else datetime.fromtimestamp(self.at, UTC)


class _Error(Struct):
    message: str | None = None
    code: str | None = None
    type: str = ""
    param: str | None = None


class _ErrorBody(Struct):
    error: _Error


class Listed(Struct):
    """One page of a list: heads beside records, in the order of the list."""

    records: list[Record]
    heads: list[Head]
    has_more: bool
    observed_at: datetime
    server_time: int
    calls: int


class EventData(Struct):
    """The `data` of an event: the object as it was then."""

    object: dict[str, Raw]


class EventHead(Struct):
    """An event of the feed: which object of which type changed."""

    id: str
    type: str
    created: int
    data: EventData


class Events(Struct):
    """One page of the events feed, newest first."""

    events: list[EventHead]
    has_more: bool
    server_time: int


def compact(body: bytes) -> bytes:
    """``body`` without insignificant whitespace, so that one object has one spelling in a list
    and alone. Raises MalformedResponse on anything that is not UTF-8 JSON."""
    try:
        if not body.isascii():
            body.decode()
        return msgspec.json.format(body, indent=-1)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise MalformedResponse(
            f"Stripe answered with something that is not JSON ({len(body)} bytes)"
        ) from error


def classify(response: Response) -> ProviderError | None:
    """Stripe's own words for a refusal; None leaves the transport's default for the status."""
    try:
        error = msgspec.json.decode(response.body, type=_ErrorBody).error
    except (msgspec.DecodeError, RecursionError):
        return None
    return default_error(
        response,
        message=error.message or error.type,
        code=error.code or error.type,
        retry=error.code == "lock_timeout",
        revoked=error.code in {"account_invalid", "api_key_expired", "platform_api_key_expired"},
    )


class StripeReader:
    """Reads one account. Thread-safe: the transport is, and nothing else is kept."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def heads(self, stream: StripeStream, params: Params) -> tuple[list[Head], bool]:
        """One page of a list, of which only ids and times are read; and whether more follows."""
        page, heads, _ = self.transport.request(
            "GET",
            stream.path,
            params=[*stream.params, *params, ("limit", str(PAGE_SIZE))],
            endpoint="GET " + stream.path,
            parse=_parse_list,
        )
        return heads, page.has_more

    def list(self, stream: StripeStream, params: Params) -> Listed:
        """One page of at most 100, nested lists completed. Raises what the transport raises."""
        expand = [("expand[]", f"data.{name}") for name in stream.expand]
        query = [*stream.params, *expand, *params, ("limit", str(PAGE_SIZE))]
        return self._listed(stream, "GET " + stream.path, stream.path, query)

    def retrieve(self, stream: StripeStream, object_id: str) -> tuple[Record, datetime, int]:
        """One object by id, nested lists completed, with the start of the request and the calls
        made; one that Stripe no longer has is a record with ``deleted`` and no payload."""
        query = [("expand[]", name) for name in stream.expand]

        def parse(response: Response) -> tuple[bytes, Head, Response]:
            body = compact(response.body)
            return body, _decode(body, Head), response

        try:
            body, head, response = self.transport.request(
                "GET",
                f"{stream.path}/{quote(object_id, safe='')}",
                params=query,
                endpoint=f"GET {stream.path}/:id",
                parse=parse,
            )
        except NotFound as error:
            if error.code not in MISSING:
                raise
            return Record(object_id, b"", deleted=True), self.transport.clock.now(), 1
        if head.deleted:
            return Record(head.id, b"", deleted=True), response.started_at, 1
        payload, calls = self._complete(stream, body)
        return Record(head.id, payload), response.started_at, 1 + calls

    def events(self, params: Params) -> Events:
        """One page of the events feed, newest first."""

        def parse(response: Response) -> Events:
            page = _decode(compact(response.body), _List)
            events = [_decode(raw, EventHead) for raw in page.data]
            return Events(events, page.has_more, server_time(response))

        return self.transport.request(
            "GET",
            "/v1/events",
            params=[*params, ("limit", str(PAGE_SIZE))],
            endpoint="GET /v1/events",
            parse=parse,
        )

    def _listed(self, stream: StripeStream, endpoint: str, path: str, query: Params) -> Listed:
        page, heads, response = self.transport.request(
            "GET", path, params=query, endpoint=endpoint, parse=_parse_list
        )
        records, calls = [], 1
        for raw, head in zip(page.data, heads, strict=True):
            payload, more = self._complete(stream, bytes(raw))
            calls += more
            records.append(Record(head.id, payload))
        return Listed(
            records, heads, page.has_more, response.started_at, server_time(response), calls
        )

    def _complete(self, stream: StripeStream, payload: bytes) -> tuple[bytes, int]:
        """``payload`` with the nested list whole, and the calls that took."""
        if stream.nested is None:
            return payload, 0
        fields = _decode(payload, dict[str, Raw])
        embedded = fields.get(stream.nested)
        if embedded is None or bytes(embedded) == b"null":
            return payload, 0
        nested = _decode(embedded, dict[str, Raw])
        first = _decode(embedded, _Embedded)
        if not first.has_more or not first.data:
            return payload, 0
        members, calls, more = list(first.data), 0, True
        after = _decode(members[-1], Head).id
        read = {after}
        while more:
            page, heads, _ = self.transport.request(
                "GET",
                _decode(nested["url"], str),
                params=[("limit", str(PAGE_SIZE)), ("starting_after", after)],
                endpoint=f"GET {stream.path}/:id/{stream.nested}",
                parse=_parse_list,
            )
            calls, more = calls + 1, page.has_more
            members += page.data
            if more:
                if not heads or heads[-1].id in read:
                    raise MalformedResponse(f"the {stream.nested} of one of {stream.name} loop")
                after = heads[-1].id
                read.add(after)
        nested["data"] = Raw(msgspec.json.encode(members))
        nested["has_more"] = Raw(b"false")
        fields[stream.nested] = Raw(msgspec.json.encode(nested))
        return msgspec.json.encode(fields), calls


def server_time(response: Response) -> int:
    """Stripe's clock when it answered, in epoch seconds (ours where the header is missing)."""
    try:
        return int(parsedate_to_datetime(response.headers["Date"]).timestamp())
    except (KeyError, TypeError, ValueError):
        return int(response.started_at.astimezone(UTC).timestamp())


def _parse_list(response: Response) -> tuple[_List, list[Head], Response]:
    page = _decode(compact(response.body), _List)
    return page, [_decode(raw, Head) for raw in page.data], response


def _decode(body: bytes | Raw, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedResponse(f"Stripe's answer lacks what it documents: {error}") from error
