"""Stripe: payments. See README.md beside this file for limits and quirks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel

from integration_pipelines.core.provider import (
    Access,
    Account,
    Counted,
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
from integration_pipelines.providers.stripe.credentials import StripeCredentials
from integration_pipelines.providers.stripe.extract import extract, reading_pool, retrieve_all
from integration_pipelines.providers.stripe.oauth import OAUTH
from integration_pipelines.providers.stripe.streams import BY_NAME, STREAMS
from integration_pipelines.providers.stripe.webhooks import WEBHOOKS


class StripeClient:
    """Stripe, for one connection."""

    def __init__(
        self, transport: Transport, credentials: StripeCredentials, *, concurrency: int
    ) -> None:
        self.transport = transport
        self.credentials = credentials
        self._reader = StripeReader(transport)
        self._concurrency = concurrency

    def identify(self) -> Account:
        """See core.provider.Client."""
        # The SDK takes half a second to import, and only connecting needs it.
        from integration_pipelines.providers.stripe.account import identify

        return identify(
            self.transport,
            token=self.credentials.token,
            api_version=API_VERSION,
            livemode=self.credentials.livemode,
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
        self, streams: Sequence[str], since: datetime | None, held: Mapping[str, int]
    ) -> Iterator[Counted | StreamFailed]:
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
            "Stripe-Version": API_VERSION,
        },
        authorization=lambda held: f"Bearer {held.token}",
        limits=limits,
        classify=classify,
    )
    return StripeClient(transport, credentials, concurrency=limits.concurrency)


ACCESS = Access(
    reads=(
        "customers, with names and e-mail addresses",
        "payments, refunds and disputes",
        "payouts to your bank, with what each is made of",
        "products, prices, coupons, invoices and subscriptions",
    ),
    writes=(
        "With your consent, nothing. With a key that may, we register one notification address (a "
        "webhook endpoint), so that changes arrive here within seconds; nothing else."
    ),
    ended_by="in Stripe's dashboard under Settings, Apps; a key under Developers, API keys",
    key="api_key",
    key_found=(
        "In Stripe's dashboard: Developers, API keys, Create restricted key, with Read for all "
        "resources. Webhook Endpoints: Write is optional: with it changes arrive here within "
        "seconds, without it with the next sync. Nothing else needs Write."
    ),
    key_looks="rk_live_…",
)


PROVIDER = Provider(
    name="stripe",
    title="Stripe",
    streams=STREAMS,
    credentials=StripeCredentials,
    open_client=open_client,
    access=ACCESS,
    oauth=OAUTH,
    webhooks=WEBHOOKS,
)
