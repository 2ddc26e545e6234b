"""The screen on which the owner of an account lets an application in, and the codes it gives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from random import Random
from threading import Lock
from typing import Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from provider_sandbox.ledger import token
from provider_sandbox.messages import Request, Response

HTML = "text/html; charset=utf-8"


class Owned(Protocol):
    """What the screen shows of an account."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Code:
    """What was consented to: whose account, the redirect URI and the scopes asked for."""

    account: str
    redirect_uri: str
    scopes: tuple[str, ...]


class Consent:
    """Consent to one application: ``client_id``, ``client_secret`` and, where any are set, the only
    ``redirect_uris``, compared to the letter; else any of this machine's.

    ``joint`` parts the scopes, ``scopes`` are those that exist (None: what is asked is not read);
    ``told(account)`` adds to what the redirect carries; ``denied`` is what it carries after a no.
    A code is good once.
    """

    def __init__(
        self, title: str, random: Random, *, client_id: str, client_secret: str, joint: str = " ",
        scopes: Iterable[str] | None = None, told: Callable[[str], Mapping[str, str]] | None = None,
        denied: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.title = title
        self.client_id = client_id
        self.client_secret = client_secret
        self.redirect_uris: tuple[str, ...] = ()
        self._random = random
        self._joint = joint
        self._scopes = None if scopes is None else frozenset(scopes)
        self._told = told or (lambda account: {})
        self._denied = denied or {"error": "access_denied"}
        self._codes: dict[str, Code] = {}
        self._lock = Lock()

    def answer(self, request: Request, accounts: Iterable[Owned]) -> Response:
        """The screen, or after its form the redirect."""
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        redirect_uri = asked.get("redirect_uri", "")
        wrong = self._wrong(asked)
        if wrong is not None:
            return page(400, self.title, f'<p role="alert">{escape(wrong)}</p>')
        if request.method != "POST":
            return page(200, self.title, self._choices(asked, accounts))
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        state = {"state": asked["state"]} if "state" in asked else {}
        chosen = {account.id for account in accounts} & {form.get("account", "")}
        if not chosen:
            return redirect(redirect_uri, {**self._denied, **state})
        account = chosen.pop()
        code = self.issue(account, redirect_uri, self._asked_scopes(asked))
        return redirect(redirect_uri, {"code": code, **state, **self._told(account)})

    def issue(self, account: str, redirect_uri: str, scopes: Iterable[str] = ()) -> str:
        """A code for an account, as the screen gives it."""
        with self._lock:
            code = token(self._random, 40)
            self._codes[code] = Code(account, redirect_uri, tuple(scopes))
        return code

    def redeem(self, code: str, redirect_uri: str | None = None) -> Code | None:
        """What the code stands for, once; None for one that is unknown, used, or was given for
        another redirect URI."""
        with self._lock:
            found = self._codes.pop(code, None)
        if found is None or redirect_uri not in (None, found.redirect_uri):
            return None
        return found

    def knows(self, client_id: str | None, client_secret: str | None) -> bool:
        """Whether these are the application's."""
        return (client_id, client_secret) == (self.client_id, self.client_secret)

    def _wrong(self, asked: Mapping[str, str]) -> str | None:
        if asked.get("client_id") != self.client_id:
            return "The application is unknown: client_id is wrong."
        if asked.get("response_type", "code") != "code":
            return "response_type must be code."
        redirect_uri = asked.get("redirect_uri", "")
        if self.redirect_uris:
            known = redirect_uri in self.redirect_uris
        else:
            known = urlsplit(redirect_uri).hostname in ("127.0.0.1", "localhost")
        if not known:
            return "The redirect_uri is not one that the application has registered."
        unknown = set(self._asked_scopes(asked)) - (self._scopes or set())
        if self._scopes is not None and unknown:
            return f"There is no scope {', '.join(sorted(unknown))}."
        return None

    def _asked_scopes(self, asked: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(filter(None, asked.get("scope", "").split(self._joint)))

    def _choices(self, asked: Mapping[str, str], accounts: Iterable[Owned]) -> str:
        scopes = self._asked_scopes(asked)
        wanted = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes)
        offered = "".join(
            f'<button name="account" value="{escape(account.id)}">Allow for '
            f"{escape(account.name)}</button> "
            for account in accounts
        )
        return (
            f"<p>Venue Integrations asks for access to your {escape(self.title)} account.</p>"
            + (f"<ul>{wanted}</ul>" if wanted else "")
            + f'<form method="post">{offered or "<p>There is no account yet.</p>"}'
            '<button name="account" value="">Cancel</button></form>'
        )


def page(status: int, title: str, content: str) -> Response:
    """A page of its own; ``content`` is HTML."""
    body = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        '</title><meta name="viewport" content="width=device-width"></head>'
        f"<body><main><h1>{escape(title)}</h1>{content}</main></body></html>"
    )
    return Response(status, body.encode(), {"Content-Type": HTML})


def redirect(uri: str, fields: Mapping[str, str]) -> Response:
    """Back to the application, with ``fields`` in the query."""
    joint = "&" if "?" in uri else "?"
    return Response(302, b"", {"Location": f"{uri}{joint}{urlencode(fields)}"})
