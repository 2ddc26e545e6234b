"""Clients: a provider's API opened with a connection's credentials, at the account's pace."""

from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Connection, Vault, load_credentials
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.provider import Client, Limits, Provider
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Transport, open_transport


def open_client(
    settings: Settings,
    engine: Engine,
    vault: Vault,
    provider: Provider,
    connection: Connection,
    *,
    limits: Limits | None = None,
) -> Client:
    """The client of a connection. Raises VaultError where its credentials cannot be opened.

    ``limits``: the pace of a server that is not the provider's own, in place of the documented.
    """
    with engine.begin() as session:
        venue_scope(session, connection.venue_id)
        fields = load_credentials(session, vault, connection)
    return _client(
        settings,
        engine,
        provider,
        provider.credentials.model_validate(fields),
        connection.venue_id,
        connection.account_id,
        limits,
    )


def unconnected_client(
    settings: Settings, engine: Engine, provider: Provider, credentials: BaseModel, venue_id: str
) -> Client:
    """A client for credentials that are not stored yet: to ask whose account they open."""
    return _client(settings, engine, provider, credentials, venue_id, None)


def _client(
    settings: Settings,
    engine: Engine,
    provider: Provider,
    credentials: BaseModel,
    venue_id: str,
    account_id: str | None,
    limits: Limits | None = None,
) -> Client:
    def make_transport(**theirs: Any) -> Transport:
        return open_transport(
            engine,
            venue_id=venue_id,
            provider=provider.name,
            account_id=account_id,
            **(theirs | ({"limits": limits} if limits else {})),
        )

    return provider.open_client(settings, credentials, make_transport)
