"""What every view works with: settings, the database as the role `portal`, the vault."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from flask import current_app
from sqlalchemy import Connection as Session
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Vault
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import Settings

EXTENSION = "portal"


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


def portal() -> Portal:
    """The parts of the application that answers this request."""
    return cast(Portal, current_app.extensions[EXTENSION])
