"""The stand-in of QuickBooks Online: its companies, their tokens, and the control of both."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from threading import Lock
from typing import Any

from provider_sandbox.accounts import Accounts
from provider_sandbox.ledger import Clock, Json, PaidOut, token
from provider_sandbox.limits import Limit
from provider_sandbox.messages import Request, Response
from provider_sandbox.quickbooks import api, bulk, faults, oauth, webhooks, xml
from provider_sandbox.quickbooks.account import DAY, FIGURES, QuickBooksAccount
from provider_sandbox.quickbooks.economy import HOUR, MONTH, USD_VALUE, Economy
from provider_sandbox.quickbooks.endpoints import BY_PATH, STREAMS

__all__ = ["LIMIT", "QuickBooks", "QuickBooksAccount"]

LIMIT = Limit(rate=10, per_minute=500, concurrency=10)
"""What Intuit allows a company."""
PLACES = {
    "USD": ("US", "America/Los_Angeles"), "EUR": ("IE", "Europe/Dublin"),
    "GBP": ("GB", "Europe/London"), "JPY": ("JP", "Asia/Tokyo"), "KWD": ("KW", "Asia/Kuwait"),
    "CAD": ("CA", "America/Toronto"), "AUD": ("AU", "Australia/Sydney"),
    "CHF": ("CH", "Europe/Zurich"),
}  # fmt: skip
"""Country and time zone of a company by its currency, where nothing else is said."""
ADDED_BY = {
    "customers": "add_customer", "vendors": "add_vendor", "employees": "add_employee",
    "invoices": "invoice", "sales_receipts": "sell", "payments": "pay_any", "bills": "bill",
    "bill_payments": "pay_bill_any", "refund_receipts": "refund", "credit_memos": "credit",
    "estimates": "estimate", "purchases": "purchase", "vendor_credits": "vendor_credit",
    "deposits": "bank", "transfers": "move", "journal_entries": "pay_staff",
    "time_activities": "clock_in",
}  # fmt: skip
"""The step that adds to a stream."""


class QuickBooks(Accounts[QuickBooksAccount]):
    """All companies of the sandbox, by realm id.

    ``now``: the second at which their clocks stand still, None to follow this machine's.
    ``processors`` give the payouts of another provider's account by its slug. ``tokens`` opens
    them; ``reads`` counts what was read by month (YYYY-MM) over all companies, as
    Intuit meters it for an application.
    """

    name = "quickbooks"
    title = "QuickBooks"
    streams = STREAMS

    def __init__(self, *, seed: int = 0, now: int | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.now = now
        self.tokens = oauth.Tokens(Random(f"{seed}/quickbooks"))
        self.webhook = webhooks.Webhook(
            Random(f"{seed}/quickbooks/webhook"),
            lambda notice, **options: self.outbox.send(notice, **options),
        )
        self.processors: Mapping[str, Callable[[str], list[PaidOut]]] = {}
        self.reads: Counter[str] = Counter()
        self._requests = Random(f"{seed}/quickbooks/requests")
        self._lock = Lock()

    def create_account(
        self, slug: str, *, name: str | None = None, size: int = 200, months: float = 3,
        currency: str = "USD", currencies: Sequence[str] = (), country: str | None = None,
        timezone: str | None = None, only: Mapping[str, int] | None = None,
        processors: Sequence[str] = (), seed: int | None = None, now: int | None = None,
    ) -> QuickBooksAccount:  # fmt: skip
        """A new company with about ``size`` sales in so many ``months``, and all else that goes
        with them; the same seed and slug and times give the same company.

        ``currency`` is its home currency; with more ``currencies`` it is a company of several.
        Its deposits follow the payouts of the account of the same slug at each of ``processors``.
        ``only`` gives rows by stream in place of a history (see `bulk`). ``now`` sets its clock.
        Raises ValueError for a field that cannot be.
        """
        if any(account.slug == slug for account in self.accounts.values()):
            raise ValueError(f"an account {slug!r} exists already: give another slug")
        used = tuple(dict.fromkeys(one.upper() for one in (currency, *currencies)))
        for one in used:
            if one not in USD_VALUE:
                known = ", ".join(USD_VALUE)
                raise ValueError(f"currency {one!r} is unknown: give one of {known}")
        for name in processors:
            if name not in self.processors:
                known = ", ".join(self.processors)
                raise ValueError(f"processor {name!r} is unknown: give some of {known}")
        at_home = PLACES[used[0]]
        random = Random(f"{self.seed if seed is None else seed}/quickbooks/{slug}")
        clock = Clock(self.now if now is None else now)
        until = clock.now() if clock.is_set else int(time.time()) // HOUR * HOUR
        since = until - round(months * MONTH)
        account = QuickBooksAccount(
            id=f"9341{random.randrange(10**11, 10**12)}", slug=slug,
            name=name or slug.replace("-", " ").title(), country=country or at_home[0],
            currency=used[0], currencies=used, timezone=timezone or at_home[1], random=random,
            clock=clock, created=since - DAY,
        )  # fmt: skip
        account.payouts = {name: partial(self.processors[name], slug) for name in processors}
        account.economy = Economy(account)
        if only is None:
            account.economy.open(size=size, since=since, until=until)
        else:
            account.economy.found()
            account.refresh()
            bulk.fill(account, only, since=since, until=until)
        with self._lock:
            self.accounts[account.id] = account
        account.credentials = self.tokens.grant(account)
        account.heard = partial(self.webhook.tell, account.id)
        return account

    def account_of(self, request: Request) -> str | None:
        grant = self.tokens.of(_bearer(request) or "")
        return None if grant is None else grant.realm

    def answer(self, request: Request) -> Response:
        match request.path.split("/")[1:]:
            case ["connect", "oauth2"]:
                return self.tokens.consent.answer(request, self.accounts.values())
            case ["oauth2", "v1", "tokens", "bearer"]:
                return self.tokens.answer(request, self.accounts)
            case ["v2", "oauth2", "tokens", "revoke"]:
                return self.tokens.answer_revocation(request)
            case [".well-known", "openid_configuration"]:
                return oauth.discovery(f"http://{request.headers.get('host', '')}/{self.name}")
            case ["v3", "company", realm, *path]:
                return self._accounting(request, realm, path)
        return self._refused(faults.unsupported(request.path), None)

    def trouble(self, status: int, request: Request, *, limit: str | None = None) -> Response:
        match status:
            case 401:
                refused = faults.unauthenticated(f"Token revoked: {_bearer(request) or ''}"[:60])
            case 403:
                refused = faults.forbidden()
            case 429:
                refused = faults.throttled()
            case _:
                refused = faults.failed(status)
        return self._refused(refused, self.account_of(request))

    def grow(self, request: Request, count: int) -> None:
        account = self.accounts.get(self.account_of(request) or "")
        if account is None:
            return
        asked = f"{request.query} {request.body.decode(errors='replace')}".replace("+", " ")
        words = set(asked.lower().replace("%20", " ").split())
        for path, entity in BY_PATH.items():
            if path in words and entity.stream in ADDED_BY:
                step = ADDED_BY[entity.stream]
                with account.lock:
                    account.economy.now()
                    for _ in range(count):
                        getattr(account.economy, step)()
                    for _ in range(-count):
                        account.economy.remove(entity.stream)

    def control(self, method: str, path: Sequence[str], body: dict[str, Any]) -> Any:
        """Besides what Accounts.control does:

        POST   accounts/ACCOUNT/keys       a new grant: tokens that open the company
        GET    accounts/ACCOUNT/streams/REPORT    profit_and_loss, balance_sheet or cash_flow: what
                                           all months come to, by the ledger's balances
        GET    accounts/ACCOUNT/income     what the books say was earned, by month and account
        DELETE accounts/ACCOUNT/keys       revokes every grant of the company
        POST   accounts/ACCOUNT/expire     its access tokens are expired from now on
        GET    app                         client_id and client_secret, and their reads by month
        POST   app                         {"access_seconds": n, "rotate_after": n,
                                           "byte_order_mark": bool, "webhook_url": url or null,
                                           "webhook_format": cloudevents or eventNotifications}
        """
        match (method, *path):
            case ("GET", "app"):
                return self._told_app()
            case ("POST", "app"):
                return self._set_app(**body)
        return super().control(method, path, body)

    def control_account(
        self, account: QuickBooksAccount, method: str, path: Sequence[str], body: dict[str, Any]
    ) -> Any:
        """See Accounts."""
        match (method, *path):
            case ("POST", "keys"):
                return self.tokens.grant(account)
            case ("DELETE", "keys"):
                return {"revoked": self.tokens.revoke(account.id)}
            case ("POST", "expire"):
                return self.tokens.expire(account.id)
            case ("GET", "income"):
                return account.income()
            case ("GET", "streams", stream) if stream in FIGURES:
                return {"sums": {account.currency: account.figure(stream)}}
        return super().control_account(account, method, path, body)

    def told(self, account: QuickBooksAccount) -> Json:
        """See Accounts."""
        return {
            **super().told(account), **account.credentials, "currency": account.currency,
            "currencies": account.currencies,
        }  # fmt: skip

    def truth(self, account: QuickBooksAccount, stream: str) -> Json:
        """See Accounts."""
        return {
            "count": len(account.tables[stream]),
            "inactive": account.ids(stream, active=False),
            "sums": account.sums(stream),
            "deleted": account.deleted(stream),
        }

    def _accounting(self, request: Request, realm: str, path: Sequence[str]) -> Response:
        try:
            account = self._opened(request, realm)
            response = api.answer(account, request, path)
        except faults.Refused as refused:
            return self._refused(refused, self.account_of(request))
        with self._lock:
            self.reads[account.date(account.clock.now())[:7]] += 1
        if "application/json" not in request.headers.get("accept", "") and path[0] != "reports":
            xml.answer(response)
        return self._decorated(response)

    def _opened(self, request: Request, realm: str) -> QuickBooksAccount:
        given = _bearer(request)
        grant = self.tokens.of(given or "")
        if given is None or grant is None:
            raise faults.unauthenticated("Malformed bearer token: too short or too long")
        account = self.accounts[grant.realm]
        if grant.revoked:
            raise faults.unauthenticated(f"Token revoked: {given[:40]}")
        if account.clock.now() >= grant.access_tokens[given]:
            raise faults.unauthenticated(f"Token expired: {given[:40]}")
        if realm != grant.realm:
            raise faults.forbidden()
        return account

    def _refused(self, refused: faults.Refused, realm: str | None) -> Response:
        account = self.accounts.get(realm or "")
        now = time.time() if account is None else account.clock.now()
        written = time.strftime("%Y-%m-%dT%H:%M:%S.000-00:00", time.gmtime(now))
        if account is not None:
            written = api.now(account)
        response = refused.response(written, int(now * 1000))
        if refused.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="Intuit", error="invalid_token"'
        return self._decorated(response)

    def _decorated(self, response: Response) -> Response:
        with self._lock:
            response.headers["intuit_tid"] = f"1-{token(self._requests, 32).lower()}"
        return response

    def _set_app(self, **settings: Any) -> Json:
        self.webhook.url = settings.pop("webhook_url", self.webhook.url)
        self.webhook.format = settings.pop("webhook_format", self.webhook.format)
        if self.webhook.format not in webhooks.FORMATS:
            raise ValueError(f"webhook_format is one of {', '.join(webhooks.FORMATS)}")
        if unknown := settings.keys() - {"access_seconds", "rotate_after", "byte_order_mark"}:
            raise ValueError(f"the application has no {', '.join(unknown)}")
        for name, value in settings.items():
            setattr(self.tokens, name, value)
        return self._told_app()

    def _told_app(self) -> Json:
        return {
            "client_id": self.tokens.client_id, "client_secret": self.tokens.client_secret,
            "reads": dict(self.reads), "rotate_after": self.tokens.rotate_after,
            "byte_order_mark": self.tokens.byte_order_mark, "webhook_url": self.webhook.url,
            "webhook_format": self.webhook.format,
        }  # fmt: skip


def _bearer(request: Request) -> str | None:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None
