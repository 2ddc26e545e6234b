"""Clients: a provider's API opened with a connection's credentials, at the account's pace."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from requests import PreparedRequest
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Connection, Keeper, LiveCredentials, Vault
from integration_pipelines.core.provider import (
    WHOLE_ACCOUNT,
    Account,
    Client,
    Limits,
    Provider,
    Scope,
)
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
    live = LiveCredentials(Keeper(settings, engine, vault, provider, connection))
    return _client(
        settings,
        engine,
        provider,
        live.stored,
        connection.venue_id,
        connection.account_id,
        {"limits": limits, "retry": retry, "bounds": bounds},
        Scope(
            None if connection.location_ids is None else frozenset(connection.location_ids),
            connection.is_primary,
        ),
        live,
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


def identify(keeper: Keeper, *, retry: RetryPolicy | None = None) -> Account:
    """Ask the provider, now, whose account a connection opens; renews its token if that is due.
    Raises AccessRevoked, Transient, VaultError, ..."""
    return unpaced_client(keeper, retry=retry).identify()


def unpaced_client(keeper: Keeper, *, retry: RetryPolicy | None = None) -> Client:
    """The client of a connection for the few calls that somebody waits for: neither paced nor held
    back by the breaker. Raises VaultError."""
    live = LiveCredentials(keeper)
    return _client(
        keeper.settings,
        keeper.engine,
        keeper.provider,
        live.stored,
        keeper.connection.venue_id,
        None,
        {"retry": retry},
        WHOLE_ACCOUNT,
        live,
    )


class Authorization:
    """Puts the credentials of the moment on each request, as the header that ``header`` makes of
    them; those that the provider refuses are renewed, if they can be."""

    def __init__(self, credentials: LiveCredentials | BaseModel, header: Callable[[Any], str]):
        self._live = credentials if isinstance(credentials, LiveCredentials) else None
        self._fixed = credentials
        self._header = header

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """See requests."""
        credentials = self._live.current() if self._live else self._fixed
        request.headers["Authorization"] = self._header(credentials)
        return request

    def refused(self, request: PreparedRequest) -> bool:
        """See Transport."""
        used = request.headers["Authorization"]
        if self._live is None:
            return False
        return self._live.refused(lambda credentials: self._header(credentials) == used)


def _client(
    settings: Settings,
    engine: Engine,
    provider: Provider,
    credentials: BaseModel,
    venue_id: str,
    account_id: str | None,
    ours: Mapping[str, Any],
    scope: Scope,
    live: LiveCredentials | None = None,
) -> Client:
    def make_transport(
        *, authorization: Callable[[Any], str] | None = None, **theirs: Any
    ) -> Transport:
        auth = None
        if authorization is not None:
            auth = Authorization(live or credentials, authorization)
        return open_transport(
            engine,
            venue_id=venue_id,
            provider=provider.name,
            account_id=account_id,
            auth=auth,
            **(theirs | {name: value for name, value in ours.items() if value is not None}),
        )

    return provider.open_client(settings, credentials, make_transport, scope)
