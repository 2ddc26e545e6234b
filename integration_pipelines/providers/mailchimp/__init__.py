"""Mailchimp: audiences and campaigns. See README.md beside this file for limits and quirks."""

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
from integration_pipelines.providers.mailchimp.census import take_census
from integration_pipelines.providers.mailchimp.client import (
    API_BASE,
    MailchimpReader,
    classify,
)
from integration_pipelines.providers.mailchimp.credentials import MailchimpCredentials
from integration_pipelines.providers.mailchimp.extract import MailchimpExtract
from integration_pipelines.providers.mailchimp.oauth import OAUTH, data_centre
from integration_pipelines.providers.mailchimp.streams import STREAMS
from integration_pipelines.providers.mailchimp.webhooks import WEBHOOKS


class MailchimpClient:
    """Mailchimp, for one connection."""

    def __init__(self, transport: Transport, scope: Scope, *, dc: str, concurrency: int) -> None:
        self.transport = transport
        self._dc = dc
        self._reading = MailchimpExtract(MailchimpReader(transport), scope, concurrency)

    def identify(self) -> Account:
        """See core.provider.Client."""
        # The SDK takes a while to import, and only connecting needs it.
        from integration_pipelines.providers.mailchimp.account import identify

        return identify(self.transport, dc=self._dc)

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
        return take_census(self._reading, streams, since)

    def drain_costs(self) -> list[Cost]:
        """See core.provider.Client."""
        return self.transport.drain_costs()


LIMITS = Limits(rate=100, concurrency=10, shared=True)
"""Ten requests under way at once, over all processes; nothing is said of their number a second."""


def open_client(
    settings: Settings,
    credentials: BaseModel,
    make_transport: Callable[..., Transport],
    scope: Scope,
) -> MailchimpClient:
    """The client of one connection; see core.provider.Provider."""
    assert isinstance(credentials, MailchimpCredentials)
    dc = credentials.dc
    if dc is None:
        assert credentials.access_token is not None
        token = credentials.access_token.get_secret_value()
        dc = data_centre(settings, token, make_transport)
    transport = make_transport(
        base_url=settings.mailchimp_api_base or API_BASE.format(dc=dc),
        authorization=lambda held: held.authorization,
        limits=LIMITS,
        classify=classify,
    )
    return MailchimpClient(transport, scope, dc=dc, concurrency=LIMITS.concurrency)


ACCESS = Access(
    reads=(
        "audiences and their members, with tags and merge fields",
        "campaigns, their reports, opens, clicks and unsubscribes",
        "automations and segments",
    ),
    writes=(
        "We register one notification address in each audience (a webhook), so that changes arrive "
        "here within seconds; nothing else. It goes when you disconnect."
    ),
    broader=(
        "Mailchimp has no access that only reads: what you allow could also change audiences and "
        "send campaigns. We never do either."
    ),
    ended_by=(
        "in Mailchimp under Profile, Extras: Connected sites and apps for a consent, API keys for "
        "a key. Mailchimp lets nobody else end it, so do this too when you disconnect"
    ),
    key="api_key",
    key_found="In Mailchimp: Profile, Extras, API keys, Create A Key.",
    key_looks="0123…cdef-us21",
)


PROVIDER = Provider(
    name="mailchimp",
    title="Mailchimp",
    streams=STREAMS,
    credentials=MailchimpCredentials,
    open_client=open_client,
    access=ACCESS,
    oauth=OAUTH,
    webhooks=WEBHOOKS,
)
