"""The stand-in of Stripe's API: its accounts, their keys, and the control of both."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from threading import Lock
from typing import Any
from urllib.parse import parse_qs

from provider_sandbox.accounts import Accounts
from provider_sandbox.consent import Consent
from provider_sandbox.ledger import Clock, decode, encode, token
from provider_sandbox.messages import Request, Response
from provider_sandbox.outbox import Notice
from provider_sandbox.stripe import api, bulk
from provider_sandbox.stripe.account import DAY, StripeAccount
from provider_sandbox.stripe.economy import HOUR, MONTH, Economy, default_currencies
from provider_sandbox.stripe.endpoints import BY_PATH, STREAMS
from provider_sandbox.stripe.webhooks import HEADER, PATH, Endpoints, signature_header

__all__ = ["HEADER", "Stripe", "StripeAccount", "signature_header"]

PLACES = {
    "usd": ("US", "America/New_York"), "eur": ("DE", "Europe/Berlin"),
    "gbp": ("GB", "Europe/London"), "jpy": ("JP", "Asia/Tokyo"), "kwd": ("KW", "Asia/Kuwait"),
    "cad": ("CA", "America/Montreal"), "aud": ("AU", "Australia/Sydney"),
    "chf": ("CH", "Europe/Zurich"),
}  # fmt: skip
"""Country and time zone of an account by its currency, where nothing else is said."""


DEAUTHORIZED = "account.application.deauthorized"
ADDED_BY = {
    "customers": "add_customer", "coupons": "add_coupon", "invoices": "bill",
    "invoiceitems": "bill", "subscriptions": "subscribe", "checkout_sessions": "check_out",
    "promotion_codes": "add_promotion_code", "refunds": "refund_any", "disputes": "dispute_any",
    "credit_notes": "credit",
}  # fmt: skip
"""The step that adds to a stream; the others grow by sales."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. ``account`` is None for a platform's key, which opens the account that the
    request names as Stripe-Account; ``streams`` are what a restricted key may read, None for all;
    ``expired`` keys are known but open nothing."""

    account: str | None
    streams: frozenset[str] | None = None
    expired: bool = False


class Stripe(Accounts[StripeAccount]):
    """All Stripe accounts of the sandbox, by id.

    ``now``: the second at which their clocks stand still, None to follow this machine's.
    """

    name = "stripe"
    title = "Stripe"
    streams = STREAMS

    def __init__(self, *, seed: int = 0, now: int | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.now = now
        self.keys: dict[str, Key] = {}
        self._random = Random(f"{seed}/stripe")
        self._requests = Random(f"{seed}/stripe/requests")
        self._lock = Lock()
        random = Random(f"{seed}/stripe/application")
        self.consent = Consent(
            self.title, random, client_id=f"ca_{token(random, 32)}",
            client_secret=f"sk_test_{token(random, 48)}", scopes=("read_only", "read_write"),
            denied={
                "error": "access_denied", "error_description": "The user denied your request"
            },
        )  # fmt: skip
        self.keys[self.consent.client_secret] = Key(None)
        self.webhook_secret = f"whsec_{token(random, 32)}"
        self.endpoints = Endpoints(seed, connect_secret=self.webhook_secret)
        self.connected: set[str] = set()

    def create_account(
        self, slug: str, *, name: str | None = None, size: int = 200, months: float = 3,
        currency: str = "usd", currencies: Sequence[str] = (), country: str | None = None,
        timezone: str | None = None, only: Mapping[str, int] | None = None,
        seed: int | None = None, now: int | None = None,
    ) -> StripeAccount:  # fmt: skip
        """A new account with about ``size`` charges in so many ``months``, and all else that goes
        with them; the same seed and slug and times give the same account.

        ``currencies`` are those it sells in besides its own ``currency``, in which it settles.
        ``only`` gives rows by stream in place of a history (see `bulk`). ``now`` sets its clock.
        Raises ValueError for a field that cannot be.
        """
        if any(account.slug == slug for account in self.accounts.values()):
            raise ValueError(f"an account {slug!r} exists already: give another slug")
        sold_in = (currency, *currencies) if currencies else default_currencies(currency)
        for one in sold_in:
            default_currencies(one)
        at_home = PLACES[currency]
        random = Random(f"{self.seed if seed is None else seed}/stripe/{slug}")
        clock = Clock(self.now if now is None else now)
        until = clock.now() if clock.is_set else int(time.time()) // HOUR * HOUR
        since = until - round(months * MONTH)
        account = StripeAccount(
            id=f"acct_{token(random, 16)}", slug=slug,
            name=name or slug.replace("-", " ").title(), country=country or at_home[0],
            currency=currency, timezone=timezone or at_home[1], random=random, clock=clock,
            created=since - DAY,
        )  # fmt: skip
        account.economy = Economy(account, currencies=tuple(dict.fromkeys(sold_in)))
        if only is None:
            account.economy.open(size=size, since=since, until=until)
        else:
            bulk.fill(account, only, since=since, until=until)
        account.refresh()
        with self._lock:
            self.accounts[account.id] = account
        account.api_key = self.create_key(account.id)
        account.heard = partial(self._tell, account.id)
        return account

    def create_key(
        self, account: str | None, *, streams: Sequence[str] | None = None, live: bool = False
    ) -> str:
        """A new key to an account (id or slug); None makes it a platform's, ``streams`` a
        restricted one. A ``live`` one has the name of one, and opens the same."""
        for stream in streams or ():
            if stream not in (*STREAMS, "webhook_endpoints"):
                raise ValueError(f"stream {stream!r} is unknown: give some of {', '.join(STREAMS)}")
        owner = None if account is None else self.resolve(account)
        random = self._random if owner is None else self.accounts[owner].random
        kind = "sk" if streams is None else "rk"
        key = f"{kind}_{'live' if live else 'test'}_{token(random, 48)}"
        self.keys[key] = Key(owner, None if streams is None else frozenset(streams))
        return key

    def revoke_key(self, key: str) -> None:
        """Requests with this key are answered 401 `api_key_expired` from now on."""
        if key not in self.keys:
            raise LookupError(f"there is no key {api.masked(key)!r}")
        self.keys[key] = Key(self.keys[key].account, self.keys[key].streams, expired=True)

    def account_of(self, request: Request) -> str | None:
        key = self.keys.get(api.api_key(request) or "")
        if key is None:
            return None
        return key.account or request.headers.get("stripe-account")

    def answer(self, request: Request) -> Response:
        match request.path:
            case "/oauth/authorize":
                return self.consent.answer(request, self.accounts.values())
            case "/oauth/token":
                return self._decorated(self._granted(request), request)
            case "/oauth/deauthorize":
                return self._decorated(self._deauthorized(request), request)
        try:
            key = self._key(request)
            if request.path.startswith(PATH):
                return self._decorated(self._webhook_endpoints(key, request), request)
            response = api.answer(self._opened(key, request), request, key.streams)
        except api.Refused as refused:
            response = refused.response()
        return self._decorated(response, request)

    def trouble(self, status: int, request: Request, *, limit: str | None = None) -> Response:
        match status:
            case 401:
                refused = _expired(api.api_key(request) or "")
            case 429:
                refused = api.Refused(
                    429,
                    "Request rate limit exceeded. Learn more about rate limits here "
                    "https://stripe.com/docs/rate-limits.",
                    code="rate_limit",
                )
            case _:
                refused = api.Refused(
                    status,
                    "Sorry! There was an error while talking to one of our backends. Our staff "
                    "has been notified.",
                    type="api_error",
                )
        response = self._decorated(refused.response(), request)
        if limit is not None:
            response.headers["Stripe-Rate-Limited-Reason"] = limit
        return response

    def grow(self, request: Request, count: int) -> None:
        account = self.account_of(request)
        endpoint = BY_PATH.get(request.path)
        if account in self.accounts and endpoint is not None:
            economy = self.accounts[account].economy
            rows = self.accounts[account].streams[endpoint.stream]
            step = getattr(economy, ADDED_BY.get(endpoint.stream, "sell"))
            with self.accounts[account].lock:
                economy.now()
                enough = len(rows) + count
                # Not every sale adds a row to every stream: some are abandoned.
                for _ in range(count * 20):
                    if len(rows) >= enough:
                        break
                    step()

    def control(self, method: str, path: Sequence[str], body: dict[str, Any]) -> Any:
        """Besides what Accounts.control does:

        POST   accounts/ACCOUNT/keys       {"streams": [...] or null}
        DELETE accounts/ACCOUNT/keys       revokes every key of the account
        POST   accounts/ACCOUNT/deauthorize    the account leaves the platform
        POST   keys                        a platform's key
        DELETE keys/KEY                    revokes one
        """
        match (method, *path):
            case ("POST", "keys"):
                return {"api_key": self.create_key(None)}
            case ("DELETE", "keys", key):
                return self.revoke_key(key)
        return super().control(method, path, body)

    def control_account(
        self, account: StripeAccount, method: str, path: Sequence[str], body: dict[str, Any]
    ) -> Any:
        """See Accounts."""
        match (method, *path):
            case ("POST", "keys"):
                streams, live = body.get("streams"), body.get("live", False)
                return {"api_key": self.create_key(account.id, streams=streams, live=live)}
            case ("DELETE", "keys"):
                mine = [key for key, held in self.keys.items() if held.account == account.id]
                for key in mine:
                    self.revoke_key(key)
                return {"revoked": len(mine)}
            case ("POST", "deauthorize"):
                return self.deauthorize(account.id)
        return super().control_account(account, method, path, body)

    def told(self, account: StripeAccount) -> dict[str, Any]:
        """See Accounts."""
        return {
            **super().told(account),
            "api_key": account.api_key,
            "currency": account.currency,
        }

    def truth(self, account: StripeAccount, stream: str) -> dict[str, Any]:
        """See Accounts."""
        return {
            "count": len(account.streams[stream]),
            "sums": account.sums(stream) if stream != "events" else {},
            "deleted": account.deleted(stream),
        }

    def _granted(self, request: Request) -> Response:
        """A token for a code: it opens the account as a key does."""
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        secret = api.api_key(request) or form.get("client_secret", "")
        if secret != self.consent.client_secret:
            return _oauth_refusal(401, "invalid_client", f"Invalid API Key: {api.masked(secret)}")
        if form.get("grant_type") != "authorization_code":
            return _oauth_refusal(400, "unsupported_grant_type", "Give authorization_code")
        code = self.consent.redeem(form.get("code", ""))
        if code is None:
            given = form.get("code", "")[:8]
            return _oauth_refusal(
                400, "invalid_grant", f"Authorization code does not exist: {given}"
            )
        access_token = self.create_key(code.account)
        self.connected.add(code.account)
        return Response(200, encode({
            "access_token": access_token, "livemode": False, "token_type": "bearer",
            "refresh_token": f"rt_{token(self._random, 48)}",
            "stripe_publishable_key": f"pk_test_{token(self._random, 24)}",
            "stripe_user_id": code.account, "scope": " ".join(code.scopes) or "read_only",
        }))  # fmt: skip

    def _deauthorized(self, request: Request) -> Response:
        """The account's tokens that consent gave open nothing any more."""
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if api.api_key(request) != self.consent.client_secret:
            return _oauth_refusal(401, "invalid_client", "No application has this key")
        account = form.get("stripe_user_id", "")
        granted = [key for key, held in self.keys.items() if held.account == account]
        if form.get("client_id") != self.consent.client_id or not granted:
            return _oauth_refusal(
                401, "invalid_client", "This application is not connected to stripe account"
            )
        for key in granted:
            if key != self.accounts[account].api_key:
                self.revoke_key(key)
        self.deauthorize(account)
        return Response(200, encode({"stripe_user_id": account}))

    def deauthorize(self, account: str) -> None:
        """The account (id or slug) leaves the platform, which is told of it."""
        owner = self.account(account)
        if owner.id not in self.connected:
            return
        body = encode({
            "id": owner.id_for("evt"), "object": "event", "created": owner.clock.now(),
            "type": DEAUTHORIZED, "livemode": False, "pending_webhooks": 0,
            "data": {"object": {"id": self.consent.client_id, "object": "application"}},
        })  # fmt: skip
        self._tell(owner.id, DEAUTHORIZED, body)
        self.connected.discard(owner.id)

    def _tell(self, account: str, event_type: str, body: bytes) -> None:
        """Send an event to whom it may concern; a platform's endpoint is told whose it is."""
        connected = account in self.connected
        for endpoint in self.endpoints.told(account, event_type, connected=connected):
            told = body
            if endpoint.owner is None:
                told = encode({**decode(body), "account": account})
            self.outbox.send(
                Notice(self.name, account, endpoint.shown["url"], told, sign=endpoint.sign)
            )

    def _webhook_endpoints(self, key: Key, request: Request) -> Response:
        if key.streams is not None and "webhook_endpoints" not in key.streams:
            raise api.Refused(
                403,
                "The provided key does not have the required permissions for this endpoint. Having "
                "the 'rak_webhook_write' permission would allow this request to continue.",
            )
        owner = None if key.account is None else self._opened(key, request)
        created = int(time.time()) if owner is None else owner.clock.now()
        return self.endpoints.answer(request, None if owner is None else owner.id, created)

    def _key(self, request: Request) -> Key:
        given = api.api_key(request)
        if given is None:
            raise api.Refused(
                401,
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, "
                "or we can help at https://support.stripe.com/.",
            )
        key = self.keys.get(given)
        if key is None:
            raise api.Refused(401, f"Invalid API Key provided: {api.masked(given)}")
        if key.expired:
            raise _expired(given)
        return key

    def _opened(self, key: Key, request: Request) -> StripeAccount:
        named = request.headers.get("stripe-account")
        id = key.account or named
        if id is None or id not in self.accounts or named not in (None, id):
            raise api.Refused(
                403,
                f"The provided key '{api.masked(api.api_key(request) or '')}' does not have access "
                f"to account '{named}' (or that account does not exist). Application access may "
                "have been revoked.",
                code="account_invalid",
            )
        return self.accounts[id]

    def _decorated(self, response: Response, request: Request) -> Response:
        with self._lock:
            request_id = f"req_{token(self._requests, 14)}"
        return api.decorate(response, request, request_id)


def _oauth_refusal(status: int, error: str, description: str) -> Response:
    return Response(status, encode({"error": error, "error_description": description}))


def _expired(key: str) -> api.Refused:
    return api.Refused(401, f"Expired API Key provided: {api.masked(key)}", code="api_key_expired")
