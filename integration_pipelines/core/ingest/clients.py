"""Clients: a provider's API opened with a connection's credentials, at the account's pace."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Connection, Vault, load_credentials
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.provider import WHOLE_ACCOUNT, Client, Limits, Provider, Scope
from integration_pipelines.core.redaction import register_secret
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Bounds, RetryPolicy, Transport, open_transport


def open_client(
    settings: Settings,
    engine: Engine,
    vault: Vault,
    provider: Provider,
    connection: Connection,
    *,
    limits: Limits | None = None,
    retry: RetryPolicy | None = None,
    bounds: Bounds | None = None,
) -> Client:
    """The client of a connection. Raises VaultError where its credentials cannot be opened.

    ``limits``, ``retry``, ``bounds``: pace and patience for a server that is not the provider's
    own, in place of the documented and the usual.
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
        {"limits": limits, "retry": retry, "bounds": bounds},
        Scope(
            None if connection.location_ids is None else frozenset(connection.location_ids),
            connection.is_primary,
        ),
    )


def unconnected_client(
    settings: Settings,
    engine: Engine,
    provider: Provider,
    credentials: BaseModel,
    venue_id: str,
    *,
    retry: RetryPolicy | None = None,
) -> Client:
    """A client for credentials that are not stored yet: to ask whose account they open."""
    for _, value in credentials:
        if isinstance(value, SecretStr):
            register_secret(value.get_secret_value())
    return _client(
        settings, engine, provider, credentials, venue_id, None, {"retry": retry}, WHOLE_ACCOUNT
    )


def _client(
    settings: Settings,
    engine: Engine,
    provider: Provider,
    credentials: BaseModel,
    venue_id: str,
    account_id: str | None,
    ours: Mapping[str, Any],
    scope: Scope,
) -> Client:
    def make_transport(**theirs: Any) -> Transport:
        return open_transport(
            engine,
            venue_id=venue_id,
            provider=provider.name,
            account_id=account_id,
            **(theirs | {name: value for name, value in ours.items() if value is not None}),
        )

    return provider.open_client(settings, credentials, make_transport, scope)
