"""The stand-in of Square's API: its accounts, their access tokens, and the control of both."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from threading import Lock
from typing import Any

from provider_sandbox.accounts import Accounts
from provider_sandbox.consent import Consent
from provider_sandbox.ledger import Clock, decode, encode, token
from provider_sandbox.messages import Request, Response
from provider_sandbox.outbox import Notice
from provider_sandbox.square import api, bulk, webhooks
from provider_sandbox.square.account import DAY, SquareAccount, iso
from provider_sandbox.square.economy import HOUR, MONTH, Economy
from provider_sandbox.square.endpoints import SCOPES, STREAMS
from provider_sandbox.square.money import COUNTRIES

__all__ = ["Square", "SquareAccount"]

APPLICATION = "sq0idp-SandboxOfVenues1234567"
MOST_LOCATIONS = 300
ACCESS_SECONDS = 30 * DAY
REVOKED = "oauth.authorization.revoked"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. ``scopes`` are what it may read, all of them by default; it opens nothing
    any more once ``revoked``, or from the second ``expires_at`` of the account's clock on."""

    account: str
    scopes: frozenset[str] = frozenset(SCOPES)
    expires_at: int | None = None
    revoked: bool = False


@dataclass(slots=True)
class Grant:
    """What one consent of the code flow gave. Its refresh token neither ends nor changes."""

    account: str
    scopes: tuple[str, ...]
    revoked: bool = False


class Square(Accounts[SquareAccount]):
    """All Square accounts of the sandbox, by merchant id.

    ``now``: the second at which their clocks stand still, None to follow this machine's.
    """

    name = "square"
    title = "Square"
    streams = (*STREAMS, "events")

    def __init__(self, *, seed: int = 0, now: int | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.now = now
        self.tokens: dict[str, Token] = {}
        self.grants: dict[str, Grant] = {}
        self.access_seconds = ACCESS_SECONDS
        self.subscriptions = webhooks.Subscriptions(seed)
        self._lock = Lock()
        random = Random(f"{seed}/square/application")
        self.consent = Consent(
            self.title, random, client_id=APPLICATION,
            client_secret=f"sq0csp-{token(random, 43)}", scopes=SCOPES,
            told=lambda account: {"response_type": "code"},
            denied={"error": "access_denied", "error_description": "user_denied"},
        )  # fmt: skip

    def create_account(
        self, slug: str, *, name: str | None = None, size: int = 200, months: float = 3,
        country: str = "US", timezone: str | None = None, locations: int = 4,
        inactive: int | None = None, only: Mapping[str, int] | None = None,
        seed: int | None = None, now: int | None = None,
    ) -> SquareAccount:  # fmt: skip
        """A new account with about ``size`` orders in so many ``months``, and all else that goes
        with them; the same seed and slug and times give the same account.

        ``country`` decides the currency. Of its ``locations`` so many are ``inactive`` by now (one
        in four, where nothing is said), with their history. ``only`` gives rows by stream in place
        of a history (see `bulk`). ``now`` sets its clock. Raises ValueError for a field that cannot
        be.
        """
        if any(account.slug == slug for account in self.accounts.values()):
            raise ValueError(f"an account {slug!r} exists already: give another slug")
        if country not in COUNTRIES:
            raise ValueError(f"country is {country!r}: give one of {', '.join(COUNTRIES)}")
        if not 1 <= locations <= MOST_LOCATIONS:
            raise ValueError(f"locations is {locations}: give 1 to {MOST_LOCATIONS}")
        closed = locations // 4 if inactive is None else inactive
        if not 0 <= closed < locations:
            raise ValueError(f"inactive is {closed}: the main one of {locations} stays active")
        random = Random(f"{self.seed if seed is None else seed}/square/{slug}")
        clock = Clock(self.now if now is None else now)
        until = clock.now() if clock.is_set else int(time.time()) // HOUR * HOUR
        since = until - round(months * MONTH)
        account = SquareAccount(
            id="ML" + token(random, 11).upper(), slug=slug,
            name=name or slug.replace("-", " ").title(), country=country,
            timezone=timezone or COUNTRIES[country].timezone, random=random, clock=clock,
            created=since - DAY,
        )  # fmt: skip
        account.economy = Economy(account)
        if only is None:
            account.economy.open(
                size=size, locations=locations, closed=closed, since=since, until=until
            )
        else:
            bulk.fill(account, only, locations=locations, since=since, until=until)
        with self._lock:
            self.accounts[account.id] = account
        account.access_token = self.create_token(account.id)
        account.heard = partial(self._tell, account.id)
        return account

    def create_token(
        self, account: str, *, scopes: Sequence[str] | None = None, expires_in: int | None = None
    ) -> str:
        """A new access token to an account (id or slug), good for so many seconds of its clock
        (None: for ever) and for ``scopes`` (None: all)."""
        for scope in scopes or ():
            if scope not in SCOPES:
                raise ValueError(f"scope {scope!r} is unknown: give some of {', '.join(SCOPES)}")
        owner = self.account(account)
        until = None if expires_in is None else owner.clock.now() + expires_in
        access_token = f"EAAA{token(owner.random, 60)}"
        allowed = frozenset(SCOPES if scopes is None else scopes)
        self.tokens[access_token] = Token(owner.id, allowed, until)
        return access_token

    def revoke_token(self, access_token: str) -> None:
        """Requests with this token are answered 401 `ACCESS_TOKEN_REVOKED` from now on."""
        if access_token not in self.tokens:
            raise LookupError(f"there is no token that begins with {access_token[:6]!r}")
        self.tokens[access_token] = replace(self.tokens[access_token], revoked=True)

    def account_of(self, request: Request) -> str | None:
        held = self.tokens.get(api.credential(request) or "")
        return None if held is None else held.account

    def answer(self, request: Request) -> Response:
        try:
            match request.path:
                case "/oauth2/authorize":
                    return self.consent.answer(request, self.accounts.values())
                case "/oauth2/token":
                    return self._obtained(request)
                case "/oauth2/revoke":
                    return self._revoked(request)
            if api.credential(request) == self.subscriptions.access_token:
                if not request.path.startswith((webhooks.BASE, webhooks.ENABLE)):
                    raise _unauthorized("UNAUTHORIZED", "This request could not be authorized.")
                return self.subscriptions.answer(request)
            if request.path.startswith(webhooks.PATH):
                raise _unauthorized("UNAUTHORIZED", "This request could not be authorized.")
            held = self._held(request)
            operation, id = api.route(request)
            if operation.name == "RetrieveTokenStatus":
                return self._token_status(held)
            if operation.scope and operation.scope not in held.scopes:
                raise api.Refused(
                    403,
                    "INSUFFICIENT_SCOPES",
                    "The merchant has not given your application sufficient permissions to do "
                    "that. The merchant must authorize your application for the following "
                    f"scopes: {operation.scope}",
                    category="AUTHENTICATION_ERROR",
                )
            return api.answer(self.accounts[held.account], request, operation, id)
        except api.Refused as refused:
            return refused.response()

    def trouble(self, status: int, request: Request, *, limit: str | None = None) -> Response:
        code, detail, category = TROUBLE.get(status, TROUBLE[500])
        return api.Refused(status, code, detail, category=category).response()

    def grow(self, request: Request, count: int) -> None:
        """A negative ``count`` takes so many of the oldest off the list, where Square can."""
        account = self.accounts.get(self.account_of(request) or "")
        try:
            operation, _ = api.route(request)
        except api.Refused:
            return
        if account is None or not operation.stream:
            return
        if count >= 0:
            account.economy.grow(operation.stream, count)
        elif operation.stream == "customers":
            for id in account.ids("customers")[:-count]:
                account.economy.delete("customers", id)

    def control(self, method: str, path: Sequence[str], body: dict[str, Any]) -> Any:
        """Besides what Accounts.control does:

        POST   accounts/ACCOUNT/keys       {"scopes": [...] or null, "expires_in": seconds or null}
        DELETE accounts/ACCOUNT/keys       revokes every token of the account
        DELETE keys/TOKEN                  revokes one
        """
        match (method, *path):
            case ("DELETE", "keys", access_token):
                return self.revoke_token(access_token)
        return super().control(method, path, body)

    def control_account(
        self, account: SquareAccount, method: str, path: Sequence[str], body: dict[str, Any]
    ) -> Any:
        """See Accounts."""
        match (method, *path):
            case ("POST", "keys"):
                return {"access_token": self.create_token(account.id, **body)}
            case ("DELETE", "keys"):
                mine = [one for one, held in self.tokens.items() if held.account == account.id]
                for access_token in mine:
                    self.revoke_token(access_token)
                return {"revoked": len(mine)}
        return super().control_account(account, method, path, body)

    def told(self, account: SquareAccount) -> dict[str, Any]:
        """See Accounts."""
        return {
            **super().told(account),
            "access_token": account.access_token,
            "currency": account.currency,
            "main_location": account.main_location,
        }

    def _obtained(self, request: Request) -> Response:
        """A token for a code, or a new one for a refresh token, which stays as it is."""
        given = decode(request.body)
        if not self.consent.knows(given.get("client_id"), given.get("client_secret")):
            raise _unauthorized("UNAUTHORIZED", "Not Authorized: client_id or client_secret")
        match given.get("grant_type"):
            case "authorization_code":
                code = self.consent.redeem(given.get("code") or "", given.get("redirect_uri"))
                if code is None:
                    raise _unauthorized("UNAUTHORIZED", "Authorization code not found")
                with self._lock:
                    refresh_token = f"EQAA{token(self.accounts[code.account].random, 60)}"
                    self.grants[refresh_token] = Grant(code.account, code.scopes)
            case "refresh_token":
                refresh_token = given.get("refresh_token") or ""
            case other:
                raise api.Refused(400, "BAD_REQUEST", f"grant_type is {other!r}")
        grant = self.grants.get(refresh_token)
        if grant is None or grant.revoked:
            raise _unauthorized("ACCESS_TOKEN_REVOKED", "The refresh token has been revoked.")
        access_token = self.create_token(
            grant.account, scopes=grant.scopes, expires_in=self.access_seconds
        )
        until = self.tokens[access_token].expires_at
        assert until is not None
        return Response(200, encode({
            "access_token": access_token, "token_type": "bearer",
            "expires_at": api.seconds_shown(until), "merchant_id": grant.account,
            "refresh_token": refresh_token, "short_lived": False,
        }))  # fmt: skip

    def _revoked(self, request: Request) -> Response:
        """Every token that the merchant's consent gave opens nothing any more."""
        given = decode(request.body)
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme != "Client" or not self.consent.knows(given.get("client_id"), secret):
            raise _unauthorized("UNAUTHORIZED", "Not Authorized: the application secret")
        held = self.tokens.get(given.get("access_token") or "")
        account = held.account if held is not None else given.get("merchant_id")
        if self.revoke_grants(account or "") == 0:
            raise api.Refused(404, "NOT_FOUND", "access token not found")
        return Response(200, encode({"success": True}))

    def revoke_grants(self, account: str) -> int:
        """The merchant (id or slug) takes the application's access away; how many consents."""
        owner = self.resolve(account)
        ended = [one for one in self.grants.values() if one.account == owner and not one.revoked]
        for grant in ended:
            grant.revoked = True
        for access_token, held in list(self.tokens.items()):
            if held.account == owner and held.expires_at is not None:
                self.revoke_token(access_token)
        if ended:
            self._tell_revoked(self.accounts[owner])
        return len(ended)

    def _tell_revoked(self, account: SquareAccount) -> None:
        now = iso(account.clock.now() * 1000)
        told = {"revocation": {"revoked_at": now, "revoker_type": "MERCHANT"}}
        event = {
            "created_at": now, "event_id": account.uuid(), "merchant_id": account.id,
            "type": REVOKED,
            "data": {"type": "revocation", "id": account.uuid(), "object": told},
        }  # fmt: skip
        self._tell(account.id, REVOKED, encode(event))

    def _tell(self, account: str, event_type: str, body: bytes) -> None:
        """Send an event to every subscription that asked for its kind."""
        for one in list(self.subscriptions.all.values()):
            if one.hears(event_type):
                self.outbox.send(Notice(self.name, account, one.url, body, sign=one.sign))

    def _held(self, request: Request) -> Token:
        given = api.credential(request)
        if given is None:
            raise _unauthorized(
                "UNAUTHORIZED",
                "The `Authorization` http header of your request was malformed. The header value "
                'is expected to be of the format "Bearer TOKEN" (without quotation marks), where '
                "TOKEN is to be replaced with your access token.",
            )
        held = self.tokens.get(given)
        if held is None:
            raise _unauthorized("UNAUTHORIZED", "This request could not be authorized.")
        if held.revoked:
            raise _unauthorized("ACCESS_TOKEN_REVOKED", "The access token has been revoked.")
        if held.expires_at is not None:
            now = self.accounts[held.account].clock.now()
            if now >= held.expires_at:
                raise _unauthorized("ACCESS_TOKEN_EXPIRED", "The access token has expired.")
        return held

    def _token_status(self, held: Token) -> Response:
        told: dict[str, Any] = {
            "scopes": sorted(held.scopes), "client_id": APPLICATION, "merchant_id": held.account
        }  # fmt: skip
        if held.expires_at is not None:
            told["expires_at"] = api.seconds_shown(held.expires_at)
        return Response(200, encode(told))


TROUBLE = {
    401: ("UNAUTHORIZED", "This request could not be authorized.", "AUTHENTICATION_ERROR"),
    429: (
        "RATE_LIMITED",
        "The number of requests you have made exceeds the limit. Please try again later.",
        "RATE_LIMIT_ERROR",
    ),
    500: ("INTERNAL_SERVER_ERROR", "An internal error has occurred.", "API_ERROR"),
    502: ("BAD_GATEWAY", "The server received an invalid response.", "API_ERROR"),
    503: ("SERVICE_UNAVAILABLE", "The service is temporarily unavailable.", "API_ERROR"),
    504: ("GATEWAY_TIMEOUT", "The request timed out.", "API_ERROR"),
}


def _unauthorized(code: str, detail: str) -> api.Refused:
    return api.Refused(401, code, detail, category="AUTHENTICATION_ERROR")
