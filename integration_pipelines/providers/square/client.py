"""Square over the shared transport: pages of bytes, objects by id, and its words for a refusal.

Lists keep the provider's bytes (the SDK's object layer reads 400 rows a second); the SDK does what
it knows best, here the account's identity.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from integration_pipelines.core.errors import MalformedResponse, NotFound, ProviderError
from integration_pipelines.core.provider import Record
from integration_pipelines.core.transport import Response, Transport, default_error
from integration_pipelines.providers.square.streams import BY_NAME, Json, SquareStream

API_VERSION = "2026-09-16"
PAGE_SIZE = 1000
"""Rows that any page may have at most; a stream's own maximum holds besides."""
API_BASE = "https://connect.squareup.com"
SANDBOX_BASE = "https://connect.squareupsandbox.com"

NO_SUCH_OBJECT = "NOT_FOUND"
REVOKED = {"ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_REVOKED", "CLIENT_DISABLED"}
PASSING = {"API_ERROR", "RATE_LIMIT_ERROR"}
"""Categories of errors that are not about the request."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Decoded = TypeVar("Decoded")


class Head(Struct):
    """What reading needs of an object; the rest of its bytes stay unread."""

    id: str | None = None
    location_id: str | None = None
    catalog_object_id: str | None = None
    payout_id: str | None = None
    event_id: str | None = None
    order_id: str | None = None
    state: str | None = None
    status: str | None = None
    type: str | None = None
    version: int | None = None
    created_at: str | None = None
    updated_at: str | None = None
    calculated_at: str | None = None
    is_deleted: bool | None = None

    def time(self, name: str) -> datetime | None:
        """The time in the field of this name. Raises MalformedResponse where it holds none."""
        text = getattr(self, name)
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text)
            return found.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise MalformedResponse(f"Square's {name} is not a time: {text[:40]!r}") from error


class Place(Struct):
    """A location: where, since when."""

    id: str
    created_at: datetime | None = None


class _Error(Struct):
    code: str = ""
    detail: str = ""
    category: str = ""


class _ErrorBody(Struct):
    errors: list[_Error]


class Listed(Struct):
    """One page of a list: heads beside records, in the order of the list; ``cursor`` leads to the
    next, None at the end. ``answered_at`` is Square's clock."""

    records: list[Record]
    heads: list[Head]
    cursor: str | None
    observed_at: datetime
    answered_at: datetime


def compact(body: bytes) -> bytes:
    """``body`` without insignificant whitespace, so that one object has one spelling in a list
    and alone. Raises MalformedResponse on anything that is not UTF-8 JSON."""
    try:
        if not body.isascii():
            body.decode()
        return msgspec.json.format(body, indent=-1)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise MalformedResponse(
            f"Square answered with something that is not JSON ({len(body)} bytes)"
        ) from error


def classify(response: Response) -> ProviderError | None:
    """Square's own words for a refusal; None leaves the transport's default for the status."""
    try:
        errors = msgspec.json.decode(response.body, type=_ErrorBody).errors
    except (msgspec.DecodeError, RecursionError):
        return None
    if not errors:
        return None
    first = errors[0]
    return default_error(
        response,
        message=first.detail or first.category,
        code=first.code,
        retry=first.category in PASSING,
        revoked=first.code in REVOKED,
    )


def fields_of(response: Response) -> dict[str, Raw]:
    """The body's fields. Raises MalformedResponse for what is no object, or tells of errors."""
    fields = decode(compact(response.body), dict[str, Raw])
    if "errors" in fields and bytes(fields["errors"]) not in (b"[]", b"null"):
        told = decode(fields["errors"], list[_Error])
        raise MalformedResponse(
            f"Square answered {response.status} with an error: {told[0].detail[:200]}",
            status=response.status,
            code=told[0].code or None,
        )
    return fields


def decode(body: bytes | Raw, kind: type[Decoded]) -> Decoded:
    """``body`` as ``kind``. Raises MalformedResponse where it is not that."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedResponse(f"Square's answer lacks what it documents: {error}") from error


class SquareReader:
    """Reads one account. Thread-safe: the transport is, and nothing else is kept."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def locations(self) -> list[Place]:
        """Every location, inactive ones too."""

        def parse(response: Response) -> list[Place]:
            return decode(fields_of(response).get("locations", Raw(b"[]")), list[Place])

        path = BY_NAME["locations"].path
        return self.transport.request("GET", path, endpoint=f"GET {path}", parse=parse)

    def list(
        self, stream: SquareStream, asked: Json, cursor: str | None = None, *, of: str = ""
    ) -> Listed:
        """One page of a list, as large as a page may be; ``of`` is the id that stands in its path.
        Raises what the transport raises."""
        limit = {"limit": min(PAGE_SIZE, stream.page)} if stream.page else {}
        path = stream.path.replace(":id", quote(of, safe=""))
        return self._read(stream, stream.method, path, stream.path, asked | limit, cursor)

    def retrieve(self, stream: SquareStream, object_id: str) -> Listed:
        """One object by id, in a list; an empty one where Square no longer has it."""

        def parse(response: Response) -> Listed:
            body = fields_of(response).get(stream.key)
            if body is None:
                raise MalformedResponse(f"Square's answer lacks `{stream.key}`")
            return _listed(stream, [body], None, response)

        asked_at = self.transport.clock.now()
        try:
            return self.transport.request(
                "GET",
                f"{stream.one}/{quote(object_id, safe='')}",
                params=stream.one_with,
                endpoint=f"GET {stream.one}/:id",
                parse=parse,
            )
        except NotFound as error:
            if error.code != NO_SUCH_OBJECT:
                raise
            return Listed([], [], None, asked_at, asked_at)

    def retrieve_batch(
        self, stream: SquareStream, ids: Sequence[str], cursor: str | None = None
    ) -> Listed:
        """A page of those of these objects, of one batch, that exist."""
        batch = stream.batch
        assert batch is not None
        return self._read(stream, "POST", batch.path, batch.path, {batch.ids: list(ids)}, cursor)

    def _read(
        self,
        stream: SquareStream,
        method: str,
        path: str,
        endpoint: str,
        asked: Json,
        cursor: str | None,
    ) -> Listed:
        query = asked | ({"cursor": cursor} if cursor else {})
        as_body = method == "POST"
        return self.transport.request(
            method,
            path,
            json=query if as_body else None,
            params=None if as_body else query,
            endpoint=f"{method} {endpoint}",
            idempotent=True,
            parse=lambda response: _parse_page(stream, response),
        )


def record_of(stream: SquareStream, body: Raw, head: Head) -> Record:
    """The record of an object; one that the catalog says is deleted has its last body."""
    named = [getattr(head, name) for name in stream.id]
    if None in named:
        raise MalformedResponse(f"Square's object of {stream.name} lacks {', '.join(stream.id)}")
    return Record(
        stream.joint.join(named),
        bytes(body),
        version=_version(stream.version, head),
        deleted=head.is_deleted is True,
    )


def gone(object_id: str) -> Record:
    """An object that Square no longer has."""
    return Record(object_id, b"", deleted=True)


def answered_at(response: Response) -> datetime:
    """Square's clock when it answered (ours where the header is missing)."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return response.started_at


def _version(name: str, head: Head) -> int | None:
    """Microseconds of an update time, or a count."""
    if name == "version" or not name:
        return head.version if name else None
    changed_at = head.time(name)
    return None if changed_at is None else (changed_at - EPOCH) // timedelta(microseconds=1)


def _parse_page(stream: SquareStream, response: Response) -> Listed:
    fields = fields_of(response)
    cursor = decode(fields.get("cursor", Raw(b'""')), str)
    if cursor and stream.items not in fields:
        raise MalformedResponse(
            f"Square's page of {stream.name} lacks `{stream.items}`, and more is said to follow"
        )
    # Documented: what is empty is left out, a list without rows is an empty object.
    rows = decode(fields.get(stream.items, Raw(b"[]")), list[Raw])
    return _listed(stream, rows, cursor or None, response)


def _listed(
    stream: SquareStream, rows: Sequence[Raw], cursor: str | None, response: Response
) -> Listed:
    heads = [decode(row, Head) for row in rows]
    records = [record_of(stream, row, head) for row, head in zip(rows, heads, strict=True)]
    return Listed(records, heads, cursor, response.started_at, answered_at(response))
