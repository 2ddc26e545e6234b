"""QuickBooks Online: the books. See README.md beside this file for limits and quirks."""

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
from integration_pipelines.providers.quickbooks.census import take_census
from integration_pipelines.providers.quickbooks.client import (
    API_BASE,
    SANDBOX_BASE,
    QuickBooksReader,
    classify,
)
from integration_pipelines.providers.quickbooks.credentials import QuickBooksCredentials
from integration_pipelines.providers.quickbooks.extract import QuickBooksExtract
from integration_pipelines.providers.quickbooks.oauth import OAUTH
from integration_pipelines.providers.quickbooks.streams import METERING, STREAMS
from integration_pipelines.providers.quickbooks.webhooks import WEBHOOKS


class QuickBooksClient:
    """QuickBooks, for one connection."""

    def __init__(
        self,
        transport: Transport,
        realm_id: str,
        scope: Scope,
        *,
        concurrency: int,
        livemode: bool,
    ) -> None:
        self.transport = transport
        self._realm_id = realm_id
        self._livemode = livemode
        reader = QuickBooksReader(transport, realm_id)
        self._reading = QuickBooksExtract(reader, scope, concurrency)

    def identify(self) -> Account:
        """See core.provider.Client."""
        # The SDK takes a while to import, and only connecting needs it.
        from integration_pipelines.providers.quickbooks.account import identify

        return identify(self.transport, realm_id=self._realm_id, livemode=self._livemode)

    def extract(self, plans: Sequence[StreamPlan]) -> Iterator[Page | StreamFailed]:
        """See core.provider.Client."""
        return self._reading.extract(plans)

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Page]:
        """See core.provider.Client."""
        return self._reading.fetch(stream, ids)

    def census(
        self, streams: Sequence[str], since: datetime | None, held: Mapping[str, int]
    ) -> Iterator[Counted | StreamFailed]:
        """See core.provider.Client."""
        return take_census(self._reading, streams, held)

    def drain_costs(self) -> list[Cost]:
        """See core.provider.Client."""
        return self.transport.drain_costs()


LIMITS = Limits(rate=480 / 60, concurrency=10, shared=True)
"""500 requests a minute, 10 a second and 10 at once, over all processes, for each company. The 20
that are left are what a burst and the network's delays may bunch together into one minute."""


def open_client(
    settings: Settings,
    credentials: BaseModel,
    make_transport: Callable[..., Transport],
    scope: Scope,
) -> QuickBooksClient:
    """The client of one connection; see core.provider.Provider."""
    assert isinstance(credentials, QuickBooksCredentials)
    transport = make_transport(
        base_url=settings.quickbooks_api_base
        or (SANDBOX_BASE if settings.quickbooks_sandbox else API_BASE),
        headers={
            "Accept": "application/json",
        },
        authorization=lambda held: f"Bearer {held.token}",
        limits=LIMITS,
        classify=classify,
        metered=True,
    )
    return QuickBooksClient(
        transport,
        credentials.realm_id,
        scope,
        concurrency=LIMITS.concurrency,
        livemode=not settings.quickbooks_sandbox,
    )


ACCESS = Access(
    reads=(
        "the chart of accounts, customers, vendors, employees and items",
        "invoices, payments, bills, expenses, deposits and journal entries",
        "the profit and loss, balance sheet and cash flow reports",
    ),
    broader=(
        "QuickBooks has no access that only reads: what you allow could also write to your books. "
        "We read, and never write."
    ),
    ended_by="in QuickBooks under Apps, My apps",
)


PROVIDER = Provider(
    name="quickbooks",
    title="QuickBooks Online",
    streams=STREAMS,
    credentials=QuickBooksCredentials,
    open_client=open_client,
    access=ACCESS,
    oauth=OAUTH,
    webhooks=WEBHOOKS,
    metering=METERING,
)
