"""Gaps: events that a provider keeps a list of, and that never came here: it had disabled our
endpoint, or nobody was there to take them. They are put into the inbox as if they had come."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import Engine, func, select, update

from integration_pipelines.core.credentials import Connection, Vault, open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError, IntegrationError
from integration_pipelines.core.events.deliveries import Unreadable
from integration_pipelines.core.events.endpoints import base_url
from integration_pipelines.core.events.inbox import store
from integration_pipelines.core.ingest import open_client
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import connections, webhook_endpoints
from integration_pipelines.core.transport import record_costs

KEPT = timedelta(days=28)
"""Square keeps its list so long, Stripe two days longer."""
STILL_COMING = timedelta(minutes=5)
"""What is younger may be on its way."""
OVERLAP = timedelta(minutes=10)
"""Listed late, though created before the last look."""
AT_ONCE = 100
LONGEST_ERROR = 500


class Compared(NamedTuple):
    """How many events the provider lists that we apply, and how many of them had not come;
    ``error``: why that cannot be told."""

    connection: Connection
    listed: int = 0
    missed: int = 0
    error: str | None = None


def told_of(session: Session, settings: Settings, provider: Provider) -> list[Connection]:
    """Connections that the provider should tell of, and whose events it lists."""
    webhooks = provider.webhooks
    if webhooks is None or webhooks.listed is None:
        return []
    with suppress(ConfigurationError):
        base_url(settings, provider)
        due = open_connections(session, providers=[provider.name], due=True)
        own: set[UUID] = set(
            session.scalars(
                select(webhook_endpoints.c.connection_id).where(
                    webhook_endpoints.c.provider == provider.name
                )
            )
        )
        everybody = bool(webhooks.secrets(settings))
        return [each for each in due if everybody or each.connection_id in own]
    return []


def fill_gap(
    settings: Settings, engine: Engine, vault: Vault, provider: Provider, connection: Connection
) -> Compared:
    """Put into the inbox what the provider lists since the last look and what never came. One
    connection's trouble is its own."""
    webhooks = provider.webhooks
    assert webhooks is not None
    assert webhooks.listed is not None
    one = (
        connections.c.venue_id == connection.venue_id,
        connections.c.connection_id == connection.connection_id,
    )
    with engine.connect() as session:
        seen: datetime | None = session.scalar(select(connections.c.events_compared_to).where(*one))
        now: datetime = session.scalars(select(func.now())).one()
    since = max((seen or connection.connected_at) - OVERLAP, now - KEPT)
    until = now - STILL_COMING
    listed = missed = 0
    try:
        client = open_client(settings, engine, vault, provider, connection)
        applied = (
            replace(event, account_id=connection.account_id)
            for event in webhooks.listed(client, since)
            if event.created_at is None or event.created_at <= until
            if webhooks.meaning(event.event_type, event.payload).ignored is None
        )
        while events := list(islice(applied, AT_ONCE)):
            with engine.begin() as session:
                missed += store(session, provider.name, events, request_id="listed")
            listed += len(events)
    except (IntegrationError, Unreadable) as error:
        return Compared(connection, listed, missed, redact(str(error))[:LONGEST_ERROR])
    with engine.begin() as session:
        venue_scope(session, connection.venue_id)
        session.execute(update(connections).where(*one).values(events_compared_to=until))
        record_costs(session, client.drain_costs())
    return Compared(connection, listed, missed)
