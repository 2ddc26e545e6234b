"""One account of each provider in the sandbox, connected, and how it is held against the ledger:
what the tests that are the same for every provider stand on."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine

from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS, mailchimp, quickbooks, square, stripe
from provider_sandbox import Sandbox
from tests import stripe_ledger
from tests.connected import ConnectedVenue, connect_account
from tests.providers.mailchimp import conftest as of_mailchimp
from tests.providers.quickbooks import conftest as of_quickbooks
from tests.providers.square import conftest as of_square

Connect = Callable[..., ConnectedVenue]


def pointed_at(settings: Settings, sandbox: Sandbox) -> Settings:
    """``settings`` with the sandbox in the providers' place, and its applications."""
    told = {name.lower(): value for name, value in sandbox.environment.items()}
    given = settings.model_dump(exclude=set(told), exclude_unset=True)
    return Settings.model_validate(given | told)


@dataclass(frozen=True)
class Kind:
    """How tests deal with one provider. ``differences(venue, account)``: where what landed is not
    what the ledger says, apart from what only a full pass brings up to date: ``of_passes`` is where
    that differs."""

    provider: Provider
    client: ModuleType
    open_account: Callable[..., Any]
    differences: Callable[..., list[str]]
    secrets: tuple[str, ...]
    of_passes: Callable[..., list[str]] = lambda venue, account: []

    @property
    def name(self) -> str:
        return self.provider.name

    def credentials(self, account: Any) -> BaseModel:
        """What opens the account."""
        told = account.credentials if self.name == "quickbooks" else vars(account)
        return self.provider.credentials.model_validate({name: told[name] for name in self.secrets})

    def all_differences(self, venue: ConnectedVenue, account: Any) -> list[str]:
        """Where what landed is not what the ledger says, once everything was read."""
        return [*self.differences(venue, account), *self.of_passes(venue, account)]

    def connect(
        self,
        settings: Settings,
        engine: Engine,
        sandbox: Sandbox,
        account: Any,
        venue_id: str,
        credentials: BaseModel | None = None,
    ) -> ConnectedVenue:
        """The venue, which exists, connected to the account."""
        here = pointed_at(settings, sandbox)
        return connect_account(
            here, engine, self.provider, credentials or self.credentials(account), venue_id
        )


def _open_square(sandbox: Sandbox, slug: str = "hall", **options: Any) -> Any:
    account = sandbox.square.create_account(slug, now=1_790_000_000, **options)
    account.clock.told = True
    return account


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            PROVIDERS["stripe"],
            stripe.client,
            stripe_ledger.open_account,
            stripe_ledger.differences,
            ("api_key",),
        ),
        Kind(
            PROVIDERS["square"],
            square.client,
            _open_square,
            of_square.differences,
            ("access_token",),
        ),
        Kind(
            PROVIDERS["mailchimp"],
            mailchimp.client,
            of_mailchimp.open_account,
            of_mailchimp.differences,
            ("api_key",),
        ),
        Kind(
            PROVIDERS["quickbooks"],
            quickbooks.client,
            of_quickbooks.open_account,
            of_quickbooks.differences,
            ("access_token", "refresh_token", "realm_id"),
            of_quickbooks.report_differences,
        ),
    )
}
