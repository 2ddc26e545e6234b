"""Bodies of answers: JSON whose bytes are kept, decoded no further than reading needs."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from integration_pipelines.core.errors import MalformedResponse
from integration_pipelines.core.transport import Response

Decoded = TypeVar("Decoded")


def compact(body: bytes, provider: str) -> bytes:
    """``body`` without insignificant whitespace, so that one object has one spelling in a list
    and alone. Raises MalformedResponse on anything that is not UTF-8 JSON."""
    try:
        if not body.isascii():
            body.decode()
        return msgspec.json.format(body, indent=-1)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise MalformedResponse(
            f"{provider} answered with something that is not JSON ({len(body)} bytes)"
        ) from error


def decode(body: bytes | Raw, kind: type[Decoded], provider: str) -> Decoded:
    """``body`` as ``kind``. Raises MalformedResponse, without quoting it, where it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedResponse(f"{provider}'s answer lacks what it documents: {error}") from error


def rows(fields: dict[str, Raw], name: str, provider: str) -> list[Raw]:
    """The list ``name`` of an answer; raises MalformedResponse where it is absent or no list."""
    found = fields.get(name)
    if found is None:
        raise MalformedResponse(f"{provider}'s answer has no list {name!r}")
    return decode(found, list[Raw], provider)


def answered_at(response: Response) -> datetime:
    """The provider's clock when it answered (the start by ours, where it does not tell)."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return response.started_at.astimezone(UTC)


def microseconds(at: datetime | None) -> int | None:
    """An update time as a version: microseconds since the epoch."""
    return None if at is None else int(at.timestamp()) * 1_000_000 + at.microsecond


def as_json(value: Any) -> Raw:
    """``value`` as a field of a body that is put together again."""
    return Raw(msgspec.json.encode(value))
