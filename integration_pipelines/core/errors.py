"""Errors, named by what the caller does about them.

Every failure of a provider reaches the sync as one of these; ``kind`` is what `sync_logs` and
alerts store. Messages are for people: they name the cause and the cure and hold no secret.
"""

from typing import ClassVar


class IntegrationError(Exception):
    """Base of everything this project raises on purpose."""

    kind: ClassVar[str] = "error"


class ConfigurationError(IntegrationError):
    """A setting or an argument is wrong; the message names it and the cure. Never retried."""

    kind = "configuration"


class ProviderError(IntegrationError):
    """A provider's answer (or silence). ``status`` is the HTTP status where there was one."""

    kind = "provider"

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Transient(ProviderError):
    """5xx, a timeout, a reset: retry with backoff."""

    kind = "transient"


class RateLimited(ProviderError):
    """429 or its like: wait ``retry_after`` seconds (None: back off by yourself), then retry."""

    kind = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.retry_after = retry_after


class MalformedResponse(ProviderError):
    """A body that is not what the provider documents (HTML with 200, cut JSON, a missing key).

    Retried a few times like Transient, then an error: never an empty page.
    """

    kind = "malformed"


class AccessRevoked(ProviderError):
    """The credential is refused: pause this connection and ask the venue to reconnect."""

    kind = "access_revoked"


class Refused(ProviderError):
    """A permanent 4xx about this request (unknown path, missing permission): fail by name."""

    kind = "refused"


class NotFound(Refused):
    """404 for one object asked for by id, or a path this server does not have."""

    kind = "not_found"


class BreakerOpen(ProviderError):
    """Too many failures of late: no call was made. ``until`` seconds remain in the message."""

    kind = "breaker_open"


class ConfirmationNeeded(IntegrationError):
    """A full pass would delete more than the allowed share of rows: a person must say yes."""

    kind = "confirmation_needed"


class VaultError(IntegrationError):
    """A credential could not be sealed or opened (key unavailable, wrong context, corrupted)."""

    kind = "vault"
