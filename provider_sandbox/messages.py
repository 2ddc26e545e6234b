"""What comes in and what goes out, as values shared by server, providers and faults."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``path`` is what follows the provider's mount (`/v1/charges`), still
    percent-encoded; ``query`` is raw; header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Page:
    """A page of a list before it is encoded, so that a fault can change what is on it.

    ``rows`` are JSON objects; ``encode(rows, has_more)`` gives the body; ``following()`` the next
    page of the same list; ``items`` names the rows in the body.
    """

    rows: Sequence[bytes]
    has_more: bool
    encode: Callable[[Sequence[bytes], bool], bytes]
    following: Callable[[], "Page"]
    items: str = "data"


@dataclass(slots=True)
class Response:
    """One answer, and how it is sent.

    ``page`` stands for the body until `render()`. ``send_only``: bytes of the body that leave
    before the connection is closed, while Content-Length promises all. ``pause``: seconds between
    the two halves of the body. ``reset``: no answer at all, the connection is reset.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": JSON})
    page: Page | None = None
    send_only: int | None = None
    pause: float = 0.0
    reset: bool = False

    def render(self) -> bytes:
        """The body as bytes; a page is encoded once."""
        if self.page is not None:
            self.body = self.page.encode(self.page.rows, self.page.has_more)
            self.page = None
        return self.body


class Provider(Protocol):
    """What the server and the faults ask of a provider's stand-in."""

    name: str

    def account_of(self, request: Request) -> str | None:
        """Id of the account that the request's credential opens; None where it opens none."""
        ...

    def time_told(self, account: str | None) -> int | None:
        """The second that answers to this account carry as `Date`; None: this machine's."""
        ...

    def answer(self, request: Request) -> Response:
        """The provider's answer, its error bodies included."""
        ...

    def trouble(self, status: int, request: Request, *, limit: str | None = None) -> Response:
        """The body and headers with which this provider says 401, 429, 500, 502 or 503. ``limit``
        names what a 429 is for: "global-rate" or "global-concurrency"."""
        ...

    def grow(self, request: Request, count: int) -> None:
        """Add ``count`` objects to the list that the request reads."""
        ...

    def resolve(self, account: str) -> str:
        """The id of an account given by id or slug. Raises LookupError."""
        ...

    def control(self, method: str, path: Sequence[str], body: dict[str, Any]) -> Any:
        """Answer the control API below `/_sandbox/<provider>/`. Raises LookupError for an unknown
        path or account, ValueError for a field that cannot be."""
        ...
