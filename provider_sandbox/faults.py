"""Trouble on demand: each fault says which requests it strikes and what it does to them."""

import fnmatch
import re
import threading
import time
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from provider_sandbox.ledger import decode, encode
from provider_sandbox.messages import Page, Provider, Request, Response


@dataclass(slots=True)
class Fault:
    """Strikes requests of ``provider`` whose path matches the shell pattern ``path``.

    ``account`` limits it to one account (id or slug); ``skip`` lets the first matching requests
    pass; ``times`` is how many are struck (None: all); ``probability`` strikes that share of them,
    drawn from ``seed``. Faults strike in the order in which they were added.
    """

    kind: ClassVar[str] = ""

    provider: str = "stripe"
    path: str = "*"
    account: str | None = None
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    struck: int = field(default=0, init=False)
    _random: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}: give a share from 0 to 1")

    def strikes(self, provider: str, account: str | None, path: str) -> bool:
        """Whether this request is struck; counts it if so."""
        if provider != self.provider or not fnmatch.fnmatchcase(path, self.path):
            return False
        if self.account not in (None, account):
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.probability < 1 and self._random.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def before(self, provider: Provider, request: Request) -> Response | None:
        """An answer in the provider's place, or None to let it answer."""
        return None

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        """Spoil the provider's answer."""

    def describe(self) -> dict[str, Any]:
        """Its settings, and how often it has struck, as JSON."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}
        return {"kind": self.kind, **told}


@dataclass(slots=True)
class RateLimited(Fault):
    """429, with ``Retry-After: <retry_after>`` unless that is None."""

    kind = "rate_limited"
    retry_after: float | None = None

    def before(self, provider: Provider, request: Request) -> Response:
        response = provider.trouble(429, request)
        if self.retry_after is not None:
            response.headers["Retry-After"] = f"{self.retry_after:g}"
        return response


@dataclass(slots=True)
class Throttled403(Fault):
    """A bare 403 with a web page for a body, as a guard in front of the provider answers."""

    kind = "throttled_403"

    def before(self, provider: Provider, request: Request) -> Response:
        return Response(403, _DENIED, {"Content-Type": "text/html", "Server": "AkamaiGHost"})


@dataclass(slots=True)
class ServerError(Fault):
    """A 5xx (``status``), with an HTML body where ``html`` says so, as a proxy would send."""

    kind = "server_error"
    status: int = 500
    html: bool = False

    def before(self, provider: Provider, request: Request) -> Response:
        if self.html:
            return Response(self.status, _HTML, {"Content-Type": "text/html"})
        return provider.trouble(self.status, request)


@dataclass(slots=True)
class ErrorIn200(Fault):
    """The provider's own error body for ``error`` (a status), under status 200."""

    kind = "error_in_200"
    error: int = 500

    def before(self, provider: Provider, request: Request) -> Response:
        response = provider.trouble(self.error, request)
        response.status = 200
        return response


@dataclass(slots=True)
class Unauthorized(Fault):
    """401, as after a revocation; with ``skip`` in the midst of a list."""

    kind = "unauthorized"

    def before(self, provider: Provider, request: Request) -> Response:
        return provider.trouble(401, request)


@dataclass(slots=True)
class Slow(Fault):
    """The answer starts ``seconds`` late, or stalls that long halfway (``midway``)."""

    kind = "slow"
    seconds: float = 1.0
    midway: bool = False

    def before(self, provider: Provider, request: Request) -> Response | None:
        if not self.midway:
            time.sleep(self.seconds)
        return None

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        if self.midway:
            response.pause = self.seconds


@dataclass(slots=True)
class Reset(Fault):
    """The connection is reset before any answer."""

    kind = "reset"

    def before(self, provider: Provider, request: Request) -> Response:
        return Response(reset=True)


@dataclass(slots=True)
class Truncated(Fault):
    """Half of the body, then the connection closes, while Content-Length promised all of it."""

    kind = "truncated"

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        response.send_only = len(response.render()) // 2


@dataclass(slots=True)
class Cut(Fault):
    """Half of the JSON with the Content-Length of that half: nothing in HTTP tells."""

    kind = "cut"

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        body = response.render()
        response.body = body[: len(body) // 2]


@dataclass(slots=True)
class Html(Fault):
    """A web page with status 200."""

    kind = "html"

    def before(self, provider: Provider, request: Request) -> Response:
        return Response(200, _HTML, {"Content-Type": "text/html; charset=utf-8"})


@dataclass(slots=True)
class WrongType(Fault):
    """Valid JSON with status 200 that is not what is documented; ``variant`` says how:
    null_data, object_data, no_data, no_has_more, list, null, text or row (a row that is not an
    object)."""

    kind = "wrong_type"
    variant: str = "null_data"

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if self.variant not in _VARIANTS:
            raise ValueError(f"variant {self.variant!r} is unknown: give one of {_VARIANTS}")

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        items = response.page.items if response.page else "data"
        body = decode(response.render())
        match self.variant:
            case "null_data":
                body[items] = None
            case "object_data":
                body[items] = {"object": "list"}
            case "row":
                body[items] = [*body.get(items, ()), "row"]
            case "no_data":
                body.pop(items, None)
            case "no_has_more":
                for name in ("has_more", "total_items"):
                    body.pop(name, None)
            case "list":
                body = []
            case "null":
                body = None
            case "text":
                body = "ok"
        response.body = encode(body)


_VARIANTS = (
    "null_data", "object_data", "no_data", "no_has_more", "list", "null", "text", "row"
)  # fmt: skip


@dataclass(slots=True)
class Shift(Fault):
    """``count`` new objects appear at the head of the list just before this page is read."""

    kind = "shift"
    count: int = 3

    def before(self, provider: Provider, request: Request) -> None:
        provider.grow(request, self.count)


@dataclass(slots=True)
class Loop(Fault):
    """The first struck page is answered again and again, with more said to follow."""

    kind = "loop"
    times: int | None = None
    _page: Any = field(default=None, init=False, repr=False)

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        if self._page is None:
            self._page = response.page
        if self._page is not None:
            response.page = Page(self._page.rows, True, self._page.encode, lambda: self._page)


def _list_of(request: Request) -> str:
    """The list that a request is about: its path, and where a query says more, what it is from."""
    asked = re.search(r"\bfrom\s+(\w+)", unquote_plus(request.query), re.IGNORECASE)
    return f"{request.path} {asked[1] if asked else ''}"


@dataclass(slots=True)
class Duplicates(Fault):
    """The page begins with the last row of the one struck before, as if the list had moved."""

    kind = "duplicates"
    times: int | None = None
    _last: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        if response.page is not None and response.page.rows:
            rows, which = response.page.rows, _list_of(request)
            if which in self._last:
                response.page.rows = [self._last[which], *rows]
            self._last[which] = rows[-1]


@dataclass(slots=True)
class DropRow(Fault):
    """One row in the middle of the page is left out silently; an empty page is let pass."""

    kind = "drop_row"

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        if response.page is not None and response.page.rows:
            rows = list(response.page.rows)
            del rows[len(rows) // 2]
            response.page.rows = rows
        else:
            self.struck -= 1


@dataclass(slots=True)
class DropPage(Fault):
    """The page that follows is answered in place of the one asked for; a last one is let pass."""

    kind = "drop_page"

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        if response.page is not None and response.page.has_more:
            response.page = response.page.following()
        else:
            self.struck -= 1


@dataclass(slots=True)
class Empty(Fault):
    """A page without rows that says nothing follows, where there are rows."""

    kind = "empty"

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        if response.page is not None:
            response.page.rows, response.page.has_more = (), False


FAULTS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        RateLimited, ServerError, Unauthorized, Slow, Reset, Truncated, Cut, Html, WrongType,
        Shift, Loop, Duplicates, DropRow, DropPage, Empty, Throttled403,
        ErrorIn200,
    )
}  # fmt: skip


def make_fault(kind: str, **settings: Any) -> Fault:
    """A fault by its kind. Raises ValueError for an unknown kind or setting."""
    if kind not in FAULTS:
        raise ValueError(f"fault {kind!r} is unknown: give one of {', '.join(FAULTS)}")
    known = {f.name for f in fields(FAULTS[kind]) if f.init}
    if unknown := settings.keys() - known:
        raise ValueError(f"{kind} has no {', '.join(unknown)}: it has {', '.join(sorted(known))}")
    return FAULTS[kind](**settings)


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def all(self) -> list[Fault]:
        return list(self._faults)

    def striking(self, provider: str, account: str | None, path: str) -> list[Fault]:
        """The faults that strike this request, each counted."""
        if not self._faults:
            return []
        with self._lock:
            return [fault for fault in self._faults if fault.strikes(provider, account, path)]


_HTML = (
    b"<!DOCTYPE html><html><head><title>Scheduled maintenance</title></head><body></body></html>"
)
_DENIED = (
    b"<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n"
    b"You don't have permission to access this resource on this server.\n</BODY>\n</HTML>\n"
)
