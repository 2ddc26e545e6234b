"""Square: sales, payments, catalog and loyalty. See README.md beside this file for limits and
quirks."""

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
from integration_pipelines.providers.square.census import take_census
from integration_pipelines.providers.square.client import (
    API_BASE,
    API_VERSION,
    SANDBOX_BASE,
    SquareReader,
    classify,
)
from integration_pipelines.providers.square.credentials import SquareCredentials
from integration_pipelines.providers.square.extract import extract, fetch
from integration_pipelines.providers.square.oauth import OAUTH
from integration_pipelines.providers.square.streams import BY_NAME, STREAMS
from integration_pipelines.providers.square.webhooks import WEBHOOKS


class SquareClient:
    """Square, for one connection."""

    def __init__(
        self,
        transport: Transport,
        credentials: SquareCredentials,
        scope: Scope,
        *,
        concurrency: int,
        livemode: bool,
    ) -> None:
        self.transport = transport
        self._credentials = credentials
        self._scope = scope
        self._reader = SquareReader(transport)
        self._concurrency = concurrency
        self._livemode = livemode

    def identify(self) -> Account:
        """See core.provider.Client."""
        # The SDK is slow to import, and only connecting needs it.
        from integration_pipelines.providers.square.account import identify

        return identify(
            self.transport,
            token=self._credentials.token,
            api_version=API_VERSION,
            livemode=self._livemode,
            merchant_id=self._credentials.merchant_id,
        )

    def extract(self, plans: Sequence[StreamPlan]) -> Iterator[Page | StreamFailed]:
        """See core.provider.Client."""
        return extract(self._reader, plans, self._scope, concurrency=self._concurrency)

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Page]:
        """See core.provider.Client."""
        return fetch(self._reader, BY_NAME[stream], ids, self._scope, concurrency=self._concurrency)

    def census(
        self, streams: Sequence[str], since: datetime | None, held: Mapping[str, int]
    ) -> Iterator[Counted | StreamFailed]:
        """See core.provider.Client."""
        return take_census(
            self._reader,
            [BY_NAME[name] for name in streams],
            since,
            self._scope,
            concurrency=self._concurrency,
        )

    def drain_costs(self) -> list[Cost]:
        """See core.provider.Client."""
        return self.transport.drain_costs()


LIMITS = Limits(rate=20, concurrency=8, search=True)
"""Square publishes no limit: the search for it begins here."""


def open_client(
    settings: Settings,
    credentials: BaseModel,
    make_transport: Callable[..., Transport],
    scope: Scope,
) -> SquareClient:
    """The client of one connection; see core.provider.Provider."""
    assert isinstance(credentials, SquareCredentials)
    transport = make_transport(
        base_url=settings.square_api_base
        or (SANDBOX_BASE if settings.square_sandbox else API_BASE),
        headers={
            "Square-Version": API_VERSION,
        },
        authorization=lambda held: f"Bearer {held.token}",
        limits=LIMITS,
        classify=classify,
    )
    return SquareClient(
        transport,
        credentials,
        scope,
        concurrency=LIMITS.concurrency,
        livemode=not settings.square_sandbox,
    )


ACCESS = Access(
    reads=(
        "locations and the catalog, with stock",
        "orders, payments, refunds, disputes and invoices",
        "payouts to your bank, with what each is made of",
        "customers, loyalty, gift cards and subscriptions",
        "team members' names, which orders and payments point to",
    ),
    ended_by="in Square's dashboard under Settings, App integrations",
)


PROVIDER = Provider(
    name="square",
    title="Square",
    streams=STREAMS,
    credentials=SquareCredentials,
    open_client=open_client,
    access=ACCESS,
    oauth=OAUTH,
    webhooks=WEBHOOKS,
)
