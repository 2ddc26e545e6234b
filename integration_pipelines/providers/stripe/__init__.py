"""Stripe: payments. See README.md beside this file for limits and quirks."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from integration_pipelines.core.provider import (
    Account,
    Census,
    Limits,
    Page,
    Provider,
    Scope,
    StreamFailed,
    StreamPlan,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Cost, Transport
from integration_pipelines.providers.stripe.census import take_census
from integration_pipelines.providers.stripe.client import (
    API_BASE,
    API_VERSION,
    StripeReader,
    classify,
)
from integration_pipelines.providers.stripe.extract import extract, reading_pool, retrieve_all
from integration_pipelines.providers.stripe.streams import BY_NAME, STREAMS


class StripeCredentials(BaseModel):
    """What opens an account: its secret or restricted key, or an OAuth access token."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    api_key: SecretStr | None = None
    access_token: SecretStr | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.api_key) == bool(self.access_token):
            raise ValueError("give api_key (sk_… or rk_…) or access_token, and not both")
        return self

    @property
    def token(self) -> str:
        """The bearer token of every request."""
        secret = self.api_key or self.access_token
        assert secret is not None
        return secret.get_secret_value()

    @property
    def livemode(self) -> bool:
        """Whether this key opens live data rather than a sandbox's."""
        return "_test_" not in self.token


class StripeClient:
    """Stripe, for one connection."""

    def __init__(
        self, transport: Transport, credentials: StripeCredentials, *, concurrency: int
    ) -> None:
        self.transport = transport
        self._credentials = credentials
        self._reader = StripeReader(transport)
        self._concurrency = concurrency

    def identify(self) -> Account:
        """See core.provider.Client."""
        # The SDK takes half a second to import, and only connecting needs it.
        from integration_pipelines.providers.stripe.account import identify

        return identify(
            self.transport,
            token=self._credentials.token,
            api_version=API_VERSION,
            livemode=self._credentials.livemode,
        )

    def extract(self, plans: Sequence[StreamPlan]) -> Iterator[Page | StreamFailed]:
        """See core.provider.Client."""
        return extract(self._reader, plans, concurrency=self._concurrency)

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Page]:
        """See core.provider.Client."""
        with reading_pool(self._concurrency) as pool:
            for record, read_at, calls in retrieve_all(self._reader, pool, BY_NAME[stream], ids):
                yield Page(stream, [record], read_at, touch=True, calls=calls)

    def census(
        self, streams: Sequence[str], since: datetime | None
    ) -> Iterator[Census | StreamFailed]:
        """See core.provider.Client."""
        return take_census(
            self._reader, [BY_NAME[name] for name in streams], since, concurrency=self._concurrency
        )

    def drain_costs(self) -> list[Cost]:
        """See core.provider.Client."""
        return self.transport.drain_costs()


LIVE = Limits(rate=100, concurrency=30)
"""So many under way are needed to make 100 a second of answers that take 300 ms."""

SANDBOX = Limits(rate=25, concurrency=8)


def open_client(
    settings: Settings,
    credentials: BaseModel,
    make_transport: Callable[..., Transport],
    scope: Scope,
) -> StripeClient:
    """The client of one account, always whole; see core.provider.Provider."""
    assert isinstance(credentials, StripeCredentials)
    limits = LIVE if credentials.livemode else SANDBOX
    transport = make_transport(
        base_url=settings.stripe_api_base or API_BASE,
        headers={
            "Authorization": f"Bearer {credentials.token}",
            "Stripe-Version": API_VERSION,
        },
        limits=limits,
        classify=classify,
    )
    return StripeClient(transport, credentials, concurrency=limits.concurrency)


PROVIDER = Provider(
    name="stripe",
    title="Stripe",
    streams=STREAMS,
    credentials=StripeCredentials,
    open_client=open_client,
)
