"""A venue whose Stripe account stands on some server, and its syncs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from integration_pipelines.core.credentials import Connection, Vault, save_connection
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.ingest import StreamResult, open_client, sync, unconnected_client
from integration_pipelines.core.provider import Client, Limits
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Bounds, RetryPolicy
from integration_pipelines.providers import PROVIDERS
from integration_pipelines.providers.stripe import StripeCredentials
from provider_sandbox import Sandbox, running_sandbox

STRIPE = PROVIDERS["stripe"]
UNHURRIED = Limits(rate=2_000, concurrency=8)
"""The stand-in has no pace to keep to, and the tests have no time to lose."""


@dataclass
class ConnectedVenue:
    """One venue with a connected Stripe account."""

    settings: Settings
    engine: Engine
    vault: Vault
    connection: Connection
    retry: RetryPolicy | None = None
    bounds: Bounds | None = None

    def client(self) -> Client:
        """A client of its account, as patient as ``retry`` and ``bounds`` say."""
        return open_client(
            self.settings,
            self.engine,
            self.vault,
            STRIPE,
            self.connection,
            limits=UNHURRIED,
            retry=self.retry,
            bounds=self.bounds,
        )

    def sync(self, **options: Any) -> dict[str, StreamResult]:
        """A sync of its account: results by stream."""
        client = self.client()
        results = sync(
            self.engine, provider=STRIPE, connection=self.connection, client=client, **options
        )
        return {result.stream: result for result in results}

    def rows(self, query: str, **parameters: Any) -> list[Any]:
        """Rows of ``query`` under the venue's scope."""
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            return list(session.execute(text(query), parameters).all())

    def payloads(self, stream: str) -> dict[str, Any]:
        """Living objects of a stream, by id."""
        return dict(
            self.rows(f"SELECT id, payload FROM raw_stripe.{stream} WHERE deleted_at IS NULL")
        )


ConnectStripe = Callable[..., ConnectedVenue]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def connect_stripe(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]
) -> ConnectStripe:
    """``connect_stripe(api_base, api_key, venue_id=...)``: a venue connected to that server."""

    def connect(
        api_base: str, api_key: str = "sk_test_any", venue_id: str = "moonlight-hall"
    ) -> ConnectedVenue:
        here = settings.model_copy(update={"stripe_api_base": api_base})
        vault = Vault(here)
        credentials = StripeCredentials(api_key=SecretStr(api_key))
        venue(venue_id)
        client = unconnected_client(here, pipeline_engine, STRIPE, credentials, venue_id)
        account = client.identify()
        with pipeline_engine.begin() as session:
            venue_scope(session, venue_id)
            connection = save_connection(
                session,
                vault,
                venue_id=venue_id,
                provider="stripe",
                account=account,
                credentials=credentials,
            )
        return ConnectedVenue(here, pipeline_engine, vault, connection)

    return connect
