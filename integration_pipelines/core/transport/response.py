"""What a provider answered, and what each status means."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from integration_pipelines.core.errors import (
    AccessRevoked,
    NotFound,
    ProviderError,
    RateLimited,
    Refused,
    Transient,
)
from integration_pipelines.core.redaction import redact

LONGEST_MESSAGE = 300
REQUEST_IDS = ("Request-Id", "X-Request-Id", "intuit_tid", "X-Amzn-RequestId")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. ``headers`` are looked up whatever their case; ``started_at`` is when the
    request began, on the database's clock."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    started_at: datetime
    provider: str
    endpoint: str

    @property
    def request_id(self) -> str | None:
        """What the provider calls this request, for its support."""
        return next((self.headers[name] for name in REQUEST_IDS if name in self.headers), None)

    @property
    def retry_after(self) -> float | None:
        """Seconds that `Retry-After` asks to wait (given in seconds or as a date), from now."""
        value = self.headers.get("Retry-After", "").strip()
        if not value:
            return None
        try:
            seconds = float(value) if value[0].isdigit() else self._until(value)
        except (TypeError, ValueError, OverflowError):
            return None
        return seconds if math.isfinite(seconds) else None

    def _until(self, date: str) -> float:
        """Counted from the provider's own clock where it tells, so that skew does not matter."""
        now = self.started_at
        if "Date" in self.headers:
            now = parsedate_to_datetime(self.headers["Date"])
        return max((parsedate_to_datetime(date) - now).total_seconds(), 0.0)


def default_error(
    response: Response,
    *,
    message: str = "",
    code: str | None = None,
    retry: bool = False,
    revoked: bool = False,
) -> ProviderError | None:
    """The error that ``response`` stands for; None for a 2xx.

    ``message`` and ``code`` are the provider's words. ``retry``: it asks for another try whatever
    the status; ``revoked``: it says that the credential is no longer good.
    """
    status = response.status
    if 200 <= status < 300:
        return None
    words = _words(response, message, code)
    code = code or None
    if revoked or status == HTTPStatus.UNAUTHORIZED:
        return AccessRevoked(f"{words}; reconnect the account", status=status, code=code)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(words, retry_after=response.retry_after, status=status, code=code)
    if retry or status >= 500 or status in _WORTH_ANOTHER_TRY:
        return Transient(words, status=status, code=code)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NotFound(words, status=status, code=code)
    if status == HTTPStatus.FORBIDDEN:
        words += "; check what the credential is permitted to read"
    if 300 <= status < 400:
        words += "; redirects are not followed, so that no credential goes elsewhere"
    return Refused(words, status=status, code=code)


_WORTH_ANOTHER_TRY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY)


def _words(response: Response, message: str, code: str | None) -> str:
    """One line for people: who, what, the provider's words, cut and redacted."""
    status = response.status
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    said = " ".join(redact(message[: 10 * LONGEST_MESSAGE]).split())[:LONGEST_MESSAGE] or reason
    notes = (code, response.request_id and f"request {response.request_id}")
    detail = ", ".join(redact(note)[:100] for note in notes if note)
    return f"{response.provider} {response.endpoint}: {status} {said}".rstrip() + (
        f" ({detail})" if detail else ""
    )
