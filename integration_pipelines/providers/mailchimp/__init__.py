"""Mailchimp: audiences and campaigns. See README.md beside this file for limits and quirks."""

import base64
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
from integration_pipelines.providers.mailchimp.census import take_census
from integration_pipelines.providers.mailchimp.client import (
    API_BASE,
    DATA_CENTRE,
    MailchimpReader,
    classify,
)
from integration_pipelines.providers.mailchimp.extract import MailchimpExtract
from integration_pipelines.providers.mailchimp.oauth import data_centre
from integration_pipelines.providers.mailchimp.streams import STREAMS


class MailchimpCredentials(BaseModel):
    """What opens an account: an API key, or an OAuth access token. ``dc`` is the data centre, such
    as us21: the end of a key, and asked for where a token comes without."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    api_key: SecretStr | None = None
    access_token: SecretStr | None = None
    dc: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.api_key) == bool(self.access_token):
            raise ValueError("give api_key (…-us21) or access_token, and not both")
        if self.dc is None and self.api_key is not None:
            self.dc = self.api_key.get_secret_value().rpartition("-")[2]
        if self.dc is not None and not DATA_CENTRE.fullmatch(self.dc):
            raise ValueError(
                "the data centre is to be letters and digits, such as us21: give dc, or the whole "
                "api_key with its end"
            )
        return self

    @property
    def authorization(self) -> str:
        """The header of every request."""
        if self.access_token is not None:
            return f"Bearer {self.access_token.get_secret_value()}"
        assert self.api_key is not None
        pair = f"venue:{self.api_key.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


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
        self, streams: Sequence[str], since: datetime | None
    ) -> Iterator[Census | StreamFailed]:
        """See core.provider.Client. Everything is counted, whenever it was made."""
        return take_census(self._reading, streams)

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
        dc = data_centre(settings, token, make_transport, LIMITS)
    transport = make_transport(
        base_url=settings.mailchimp_api_base or API_BASE.format(dc=dc),
        headers={"Authorization": credentials.authorization},
        limits=LIMITS,
        classify=classify,
    )
    return MailchimpClient(transport, scope, dc=dc, concurrency=LIMITS.concurrency)


PROVIDER = Provider(
    name="mailchimp",
    title="Mailchimp",
    streams=STREAMS,
    credentials=MailchimpCredentials,
    open_client=open_client,
)
