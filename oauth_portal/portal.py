"""What every view works with: settings, the database as the role `portal`, the vault."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from flask import abort, current_app
from sqlalchemy import Connection as Session
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Connection, Vault, open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import Settings

EXTENSION = "portal"
PATIENCE = timedelta(seconds=10)
"""The longest that a statement may take: slow ones would hold every thread."""


@dataclass(frozen=True, slots=True)
class Portal:
    """One application's parts; ``providers`` in the order in which pages show them."""

    settings: Settings
    engine: Engine
    vault: Vault
    providers: Mapping[str, Provider]

    @contextmanager
    def scoped(self, venue_id: str) -> Iterator[Session]:
        """A transaction that sees and writes this venue's rows alone."""
        with self.engine.begin() as session:
            venue_scope(session, venue_id)
            yield session

    def held(self, venue_id: str, provider: Provider) -> Connection | None:
        """The account of the provider that is open at the venue."""
        with self.scoped(venue_id) as session:
            found = open_connections(session, venue_ids=[venue_id], providers=[provider.name])
        return found[0] if found else None


def portal() -> Portal:
    """The parts of the application that answers this request."""
    return cast(Portal, current_app.extensions[EXTENSION])


def asked_provider(name: str) -> Provider:
    """The provider that the request names; without it, 404."""
    if name not in portal().providers:
        abort(404, "There is no such provider.")
    return portal().providers[name]


def asked_connection(venue_id: str, provider: Provider) -> Connection:
    """The connection that the request is about; without it, 404."""
    held = portal().held(venue_id, provider)
    if held is None:
        abort(404, f"{provider.title} is not connected.")
    return held
