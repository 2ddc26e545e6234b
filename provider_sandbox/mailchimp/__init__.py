"""The stand-in of Mailchimp's Marketing API: its accounts, their keys, and the control of both."""

import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from random import Random
from threading import Lock
from typing import Any
from urllib.parse import parse_qs

from provider_sandbox.accounts import Accounts
from provider_sandbox.consent import Consent
from provider_sandbox.ledger import Clock, Json, encode
from provider_sandbox.mailchimp import api, bulk, shapes, webhooks
from provider_sandbox.mailchimp.account import DAY, TOP, MailchimpAccount, subscriber_hash
from provider_sandbox.mailchimp.economy import DELETED_BY, HOUR, MONTH, Economy
from provider_sandbox.mailchimp.endpoints import STREAMS
from provider_sandbox.messages import Request, Response
from provider_sandbox.outbox import Notice

__all__ = ["Mailchimp", "MailchimpAccount", "subscriber_hash"]

DC = "us21"
AUTHORIZE, TOKEN, METADATA = "/oauth2/authorize", "/oauth2/token", "/oauth2/metadata"
ADDED_BY = {
    "lists": "add_list", "members": "subscribe", "merge_fields": "add_merge_field",
    "segments": "add_segment", "tags": "add_tag", "interest_categories": "add_interest_category",
    "interests": "add_interest", "campaigns": "add_campaign", "reports": "send_now",
    "unsubscribes": "opt_out", "automations": "add_automation",
}  # fmt: skip
"""The step that adds to a stream, given the parent; the others grow by none."""
TAKEN_BY = DELETED_BY | {"members": "archive", "reports": "remove_campaign"}
"""The step that takes an object off a list."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key or an OAuth token (``is_token``) of an account; revoked ones open nothing."""

    account: str
    is_token: bool = False
    revoked: bool = False


class Mailchimp(Accounts[MailchimpAccount]):
    """All Mailchimp accounts of the sandbox, by id, whatever their data centre.

    ``now``: the second at which their clocks stand still, None to follow this machine's.
    """

    name = "mailchimp"
    title = "Mailchimp"
    streams = STREAMS

    def __init__(self, *, seed: int = 0, now: int | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.now = now
        self.keys: dict[str, Key] = {}
        self._random = Random(f"{seed}/mailchimp/requests")
        self._lock = Lock()
        random = Random(f"{seed}/mailchimp/application")
        self.consent = Consent(
            self.title, random, client_id=str(random.randrange(10**11, 10**12)),
            client_secret=random.randbytes(25).hex(),
        )  # fmt: skip

    def create_account(
        self, slug: str, *, name: str | None = None, size: int = 200, months: float = 3,
        lists: int = 2, country: str = "PL", timezone: str = "Europe/Warsaw", dc: str = DC,
        only: Mapping[str, int] | None = None, seed: int | None = None, now: int | None = None,
    ) -> MailchimpAccount:  # fmt: skip
        """A new account with about ``size`` members in so many ``lists``, and what was sent to them
        in so many ``months``; the same seed and slug and times give the same account.

        ``dc`` is its data centre. ``only`` gives rows by stream in place of a history (see `bulk`).
        ``now`` sets its clock. Raises ValueError for a field that cannot be.
        """
        if any(account.slug == slug for account in self.accounts.values()):
            raise ValueError(f"an account {slug!r} exists already: give another slug")
        if lists < 1:
            raise ValueError(f"lists is {lists}: give at least 1")
        random = Random(f"{self.seed if seed is None else seed}/mailchimp/{slug}")
        clock = Clock(self.now if now is None else now)
        until = clock.now() if clock.is_set else int(time.time()) // HOUR * HOUR
        since = until - round(months * MONTH)
        account = MailchimpAccount(
            id=random.randbytes(13).hex()[:25], slug=slug,
            name=name or slug.replace("-", " ").title(), country=country, timezone=timezone, dc=dc,
            random=random, clock=clock, created=since - DAY,
        )  # fmt: skip
        account.economy = Economy(account)
        if only is None:
            account.economy.open(size=size, lists=lists, since=since, until=until)
        else:
            bulk.fill(account, only, since=since, until=until)
        account.refresh()
        # What is counted after the fact is no change that anybody could have missed.
        account.silent_changes.clear()
        with self._lock:
            self.accounts[account.id] = account
        account.api_key = self.create_key(account.id)
        account.access_token = self.create_token(account.id)
        account.heard = partial(self._tell, account)
        return account

    def _tell(self, account: MailchimpAccount, list_id: str, fields: Json) -> None:
        """Send a form to every webhook of the audience that asked for its kind."""
        for row in list(account.table("webhooks", list_id)):
            hook = row.object
            if hook["events"].get(fields["type"]) and any(hook["sources"].values()):
                body = webhooks.body(fields)
                notice = Notice(self.name, account.id, hook["url"], body, webhooks.FORM)
                self.outbox.send(notice)

    def create_key(self, account: str) -> str:
        """A new API key to an account (id or slug); it ends in the data centre."""
        owner = self.account(account)
        key = f"{owner.random.randbytes(16).hex()}-{owner.dc}"
        self.keys[key] = Key(owner.id)
        return key

    def create_token(self, account: str) -> str:
        """A new OAuth access token to an account (id or slug): it never expires."""
        owner = self.account(account)
        token = owner.random.randbytes(16).hex()
        self.keys[token] = Key(owner.id, is_token=True)
        return token

    def revoke_key(self, key: str) -> None:
        """Requests with this key or token are answered 401 from now on."""
        if key not in self.keys:
            raise LookupError(f"there is no key that begins with {key[:4]!r}")
        self.keys[key] = replace(self.keys[key], revoked=True)

    def account_of(self, request: Request) -> str | None:
        key = self.keys.get(api.credential(request) or "")
        return None if key is None else key.account

    def answer(self, request: Request) -> Response:
        try:
            if request.path == METADATA:
                return self._metadata(request)
            if request.path == AUTHORIZE:
                return self.consent.answer(request, self.accounts.values())
            if request.path == TOKEN:
                return self._granted(request)
            return self._identified(api.answer(self._opened(request), request))
        except api.Refused as refused:
            return self._refusal(refused)

    def trouble(self, status: int, request: Request, *, limit: str | None = None) -> Response:
        match status:
            case 401:
                refused = _invalid_key()
            case 429:
                refused = api.Refused(
                    429,
                    "Too Many Requests",
                    "You have exceeded the limit of 10 simultaneous connections.",
                )
            case 500:
                refused = api.Refused(
                    500,
                    "Internal Server Error",
                    "An unexpected internal error has occurred. Please contact Support for more "
                    "information.",
                )
            case _:
                refused = api.Refused(
                    status, "Service Unavailable", "The service is temporarily unavailable."
                )
        return self._refusal(refused)

    def grow(self, request: Request, count: int) -> None:
        """A negative ``count`` takes so many of the oldest off the list instead."""
        account = self.accounts.get(self.account_of(request) or "")
        named = api.list_at(request.path)
        if account is None or named is None:
            return
        stream, ids = named[0].stream, named[1]
        steps, wanted = (ADDED_BY, count) if count > 0 else (TAKEN_BY, -count)
        with account.lock:
            account.economy.now()
            if stream in steps:
                step = getattr(account.economy, steps[stream])
                parent = ids[-1] if ids else TOP
                given: list[list[str]] = [["/".join(ids)] if ids else []] * (wanted * 5)
                if count < 0:
                    given = [[id] for id in account.ids(stream, parent)]
                done = (step(*one) for one in given)
                # A step that does not apply, as to a member that is archived already, adds none.
                deque(islice((one for one in done if one is not None), wanted), maxlen=0)
            account.refresh()

    def control(self, method: str, path: Sequence[str], body: dict[str, Any]) -> Any:
        """Besides what Accounts.control does:

        POST   accounts/ACCOUNT/state      {"disabled": true}
        POST   accounts/ACCOUNT/keys       {"token": true} for an OAuth token
        DELETE accounts/ACCOUNT/keys       revokes every key and token of the account
        DELETE keys/KEY                    revokes one
        """
        match (method, *path):
            case ("DELETE", "keys", key):
                return self.revoke_key(key)
        return super().control(method, path, body)

    def control_account(
        self, account: MailchimpAccount, method: str, path: Sequence[str], body: dict[str, Any]
    ) -> Any:
        """See Accounts."""
        match (method, *path):
            case ("POST", "state"):
                account.disabled = bool(body["disabled"])
                return {"disabled": account.disabled}
            case ("POST", "keys"):
                if body.get("token"):
                    return {"access_token": self.create_token(account.id)}
                return {"api_key": self.create_key(account.id)}
            case ("DELETE", "keys"):
                mine = [key for key, held in self.keys.items() if held.account == account.id]
                for key in mine:
                    self.revoke_key(key)
                return {"revoked": len(mine)}
        return super().control_account(account, method, path, body)

    def told(self, account: MailchimpAccount) -> dict[str, Any]:
        """See Accounts."""
        return {
            **super().told(account),
            "api_key": account.api_key,
            "access_token": account.access_token,
            "dc": account.dc,
        }

    def truth(self, account: MailchimpAccount, stream: str) -> dict[str, Any]:
        """See Accounts."""
        sums = account.sums(stream)
        return {"count": sums.get("count", 0), "sums": sums, "deleted": account.deleted(stream)}

    def _opened(self, request: Request) -> MailchimpAccount:
        given = api.credential(request)
        if given is None:
            raise api.Refused(401, "API Key Missing", "Your request did not include an API key.")
        key = self.keys.get(given)
        if key is None:
            start, _, _ = given.rpartition("-")
            if start and any(known.startswith(f"{start}-") for known in self.keys):
                raise api.Refused(
                    403,
                    "Wrong Datacenter",
                    "The API key provided is linked to a different data center.",
                )
            raise _invalid_key()
        if key.revoked:
            raise _invalid_key()
        account = self.accounts[key.account]
        if account.disabled:
            raise api.Refused(403, "User Disabled", "This account has been disabled.")
        return account

    def _granted(self, request: Request) -> Response:
        """A token for a code; it has no end."""
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if not self.consent.knows(form.get("client_id"), form.get("client_secret")):
            return Response(400, encode({"error": "invalid_client"}))
        if form.get("grant_type") != "authorization_code":
            return Response(400, encode({"error": "unsupported_grant_type"}))
        code = self.consent.redeem(form.get("code", ""), form.get("redirect_uri", ""))
        if code is None:
            return Response(400, encode({"error": "invalid_grant"}))
        access_token = self.create_token(code.account)
        return Response(200, encode({"access_token": access_token, "expires_in": 0, "scope": None}))

    def _metadata(self, request: Request) -> Response:
        """Whose token it is; a token that opens nothing is told with status 200."""
        key = self.keys.get(api.credential(request) or "")
        if key is None or key.revoked or not key.is_token:
            return Response(200, encode({"error": "invalid_token"}))
        return Response(200, encode(shapes.metadata(self.accounts[key.account])))

    def _refusal(self, refused: api.Refused) -> Response:
        return self._identified(refused.response(self._uuid()))

    def _identified(self, response: Response) -> Response:
        response.headers["X-Request-Id"] = self._uuid()
        return response

    def _uuid(self) -> str:
        with self._lock:
            return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))


def _invalid_key() -> api.Refused:
    return api.Refused(
        401,
        "API Key Invalid",
        "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
    )
