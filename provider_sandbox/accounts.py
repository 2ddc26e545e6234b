"""A provider's accounts, and the control of what goes on in them."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

from provider_sandbox.ledger import Clock, Json
from provider_sandbox.outbox import Outbox


class Account(Protocol):
    """What every provider's account has. ``economy`` is its Life."""

    id: str
    slug: str
    name: str
    country: str
    timezone: str
    clock: Clock
    economy: Any

    def objects(self, stream: str) -> list[Json]: ...

    def ids(self, stream: str) -> list[str]: ...

    def sums(self, stream: str) -> Any: ...

    def deleted(self, stream: str) -> Any: ...


AnAccount = TypeVar("AnAccount", bound=Account)


class Accounts(Generic[AnAccount]):
    """All accounts of one provider by id. ``streams`` are the names of what they hold, ``outbox``
    what its webhooks leave by."""

    name: str
    title: str
    streams: Collection[str]

    create_account: Callable[..., AnAccount]

    def __init__(self) -> None:
        self.accounts: dict[str, AnAccount] = {}
        self.outbox = Outbox()

    def account(self, account: str) -> AnAccount:
        """The account with this id or slug. Raises LookupError."""
        return self.accounts[self.resolve(account)]

    def resolve(self, account: str) -> str:
        """See messages.Provider."""
        for id, found in self.accounts.items():
            if account in (id, found.slug):
                return id
        known = ", ".join(found.slug for found in self.accounts.values()) or "none yet"
        raise LookupError(f"there is no {self.title} account {account!r}; there are: {known}")

    def control(self, method: str, path: Sequence[str], body: dict[str, Any]) -> Any:
        """Below `/_sandbox/PROVIDER/`; ACCOUNT is an id or a slug.

        POST   accounts                    fields of `create_account`
        GET    accounts, accounts/ACCOUNT  what exists: counts, sums, deleted ids
        GET    accounts/ACCOUNT/streams/STREAM[?objects=true]
        POST   accounts/ACCOUNT/mutations  {"count": 10, "kinds": ["refund"]}, or one of
               {"do": "refund", "arguments": ["ID", 500]},
               {"update": {"stream", "id", "changes"}}, {"delete": {"stream", "id"}}
        POST   accounts/ACCOUNT/clock      {"at": second or null}, {"advance": seconds,
               "mutations": 10}, {"told": whether answers carry it as Date}
        """
        match (method, *path):
            case ("POST", "accounts"):
                return self.told(self.create_account(**body))
            case ("GET", "accounts"):
                return [self.told(account) for account in self.accounts.values()]
            case (_, "accounts", reference, *rest):
                return self.control_account(self.account(reference), method, rest, body)
        raise LookupError(f"{method} {'/'.join(path)} is unknown: see provider_sandbox.{self.name}")

    def control_account(
        self, account: AnAccount, method: str, path: Sequence[str], body: dict[str, Any]
    ) -> Any:
        """What `control` does below accounts/ACCOUNT."""
        match (method, *path):
            case ("GET",):
                truth = {stream: self.truth(account, stream) for stream in self.streams}
                return {**self.told(account), "streams": truth}
            case ("GET", "streams", stream) if stream in self.streams:
                told = {**self.truth(account, stream), "ids": account.ids(stream)}
                if str(body.get("objects")).lower() == "true":
                    told["objects"] = account.objects(stream)
                return told
            case ("POST", "mutations") if "do" in body:
                return account.economy.do(body["do"], *body.get("arguments", ()))
            case ("POST", "mutations") if "update" in body:
                return account.economy.update(**body["update"])
            case ("POST", "mutations") if "delete" in body:
                return account.economy.delete(**body["delete"])
            case ("POST", "mutations"):
                return account.economy.mutate(**body)
            case ("POST", "clock"):
                if "at" in body:
                    account.clock.set(body["at"])
                account.clock.told = body.get("told", account.clock.told)
                if "advance" in body or "mutations" in body:
                    account.economy.advance(
                        body.get("advance", 0), mutations=body.get("mutations", 0)
                    )
                return {"now": account.clock.now(), "is_set": account.clock.is_set}
        raise LookupError(f"{method} {'/'.join(path)} is unknown: see provider_sandbox.{self.name}")

    def time_told(self, account: str | None) -> int | None:
        """See messages.Provider."""
        found = self.accounts.get(account or "")
        return found.clock.now() if found is not None and found.clock.told else None

    def told(self, account: AnAccount) -> Json:
        """What the control API tells of an account."""
        return {
            "account_id": account.id,
            "slug": account.slug,
            "name": account.name,
            "country": account.country,
            "timezone": account.timezone,
            "now": account.clock.now(),
        }

    def truth(self, account: AnAccount, stream: str) -> Json:
        """What is true of a stream, without its objects."""
        return {
            "count": len(account.ids(stream)),
            "sums": account.sums(stream),
            "deleted": account.deleted(stream),
        }
