"""A venue whose account stands on some server, and its syncs: the same for every provider."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, text

from integration_pipelines.core.credentials import Connection, Vault, save_connection
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.ingest import StreamResult, open_client, sync, unconnected_client
from integration_pipelines.core.provider import Client, Limits, Provider
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Bounds, RetryPolicy

UNHURRIED = Limits(rate=2_000, concurrency=8)
"""The stand-in has no pace to keep to, and the tests have no time to lose."""


@dataclass
class ConnectedVenue:
    """One venue with a connected account."""

    settings: Settings
    engine: Engine
    vault: Vault
    provider: Provider
    connection: Connection
    retry: RetryPolicy | None = None
    bounds: Bounds | None = None

    def client(self) -> Client:
        """A client of its account, as patient as ``retry`` and ``bounds`` say."""
        return open_client(
            self.settings,
            self.engine,
            self.vault,
            self.provider,
            self.connection,
            limits=UNHURRIED,
            retry=self.retry,
            bounds=self.bounds,
        )

    def sync(self, **options: Any) -> dict[str, StreamResult]:
        """A sync of its account: results by stream."""
        client = self.client()
        results = sync(
            self.engine,
            provider=self.provider,
            connection=self.connection,
            client=client,
            **options,
        )
        return {result.stream: result for result in results}

    def rows(self, query: str, **parameters: Any) -> list[Any]:
        """Rows of ``query`` under the venue's scope."""
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            return list(session.execute(text(query), parameters).all())

    def payloads(self, stream: str) -> dict[str, Any]:
        """Living objects of a stream, by id."""
        table = f"raw_{self.provider.name}.{stream}"
        return dict(self.rows(f"SELECT id, payload FROM {table} WHERE deleted_at IS NULL"))


def connect_account(
    settings: Settings,
    engine: Engine,
    provider: Provider,
    credentials: BaseModel,
    venue_id: str,
) -> ConnectedVenue:
    """Connect what ``credentials`` open to a venue that exists, as `integrations connect` does."""
    vault = Vault(settings)
    account = unconnected_client(settings, engine, provider, credentials, venue_id).identify()
    with engine.begin() as session:
        venue_scope(session, venue_id)
        connection = save_connection(
            session,
            vault,
            venue_id=venue_id,
            provider=provider.name,
            account=account,
            credentials=credentials,
        )
    return ConnectedVenue(settings, engine, vault, provider, connection)
