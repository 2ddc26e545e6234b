"""One account, several venues: which of its locations are whose, and to whom the rest belongs.

A location belongs to one venue, and so do its rows. What belongs to no location (customers, a
catalog) is the account's primary venue's, of which there is one. A venue alone with an account has
all of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection as Session
from sqlalchemy import delete, func, select, update

from integration_pipelines.core.credentials import Connection, open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.ingest.sync import connection_key
from integration_pipelines.core.provider import Account, Provider
from integration_pipelines.core.tables import (
    completeness,
    connections,
    raw_table,
    sync_cursors,
    sync_seen,
)


def claim(
    session: Session,
    provider: Provider,
    connection: Connection,
    account: Account,
    *,
    location_ids: Collection[str] = (),
    primary: bool = False,
) -> Connection:
    """Settle what of ``account`` is ``connection``'s, in the transaction that saved it.

    ``location_ids``: all that is its own from now on; none leaves it as it stands. ``primary``:
    what belongs to no location moves here from the venue that had it. Where no venue is primary,
    this one becomes it. What a venue no longer owns is marked as deleted there, and the rest of
    its account is read again. Raises ConfigurationError if a location is unknown or another
    venue's, or if the account would be two venues' at once.
    """
    # Two venues claiming at once would not see each other.
    key = func.hashtextextended(f"{provider.name}/{account.account_id}", 0)
    session.execute(select(func.pg_advisory_xact_lock(key)))
    others = [
        other
        for other in open_connections(session, providers=[provider.name])
        if other.account_id == account.account_id and other.venue_id != connection.venue_id
    ]
    owned = _own(provider, connection, account, location_ids, others)
    is_primary = primary or not any(other.is_primary for other in others)
    if primary:
        for other in others:
            if other.is_primary:
                _hold(session, provider, other, other.location_ids, is_primary=False)
    return _hold(session, provider, connection, owned, is_primary=is_primary)


def _own(
    provider: Provider,
    connection: Connection,
    account: Account,
    location_ids: Collection[str],
    others: Sequence[Connection],
) -> tuple[str, ...] | None:
    """The connection's locations, None for all of them."""
    named = ", ".join(f"{id} ({name})" for id, name in account.locations.items())
    if location_ids and not account.locations:
        raise ConfigurationError(
            f"{provider.title} account {account.account_id} has no locations: leave --location out"
        )
    if unknown := sorted(set(location_ids) - account.locations.keys()):
        raise ConfigurationError(
            f"{provider.title} account {account.account_id} has no location {', '.join(unknown)}: "
            f"it has {named}"
        )
    owned = tuple(sorted(set(location_ids))) or connection.location_ids
    for other in others:
        if other.location_ids is None:
            cure = (
                "connect that venue again with each --location of its own first"
                if account.locations
                else "disconnect it there first"
            )
            raise ConfigurationError(
                f"{provider.title} account {account.account_id} ({account.name}) is "
                f"{other.venue_id}'s as a whole: {cure}"
            )
        if owned is None:
            raise ConfigurationError(
                f"{provider.title} account {account.account_id} ({account.name}) is shared with "
                f"{other.venue_id}: name each --location of {connection.venue_id}; it has {named}"
            )
        if taken := sorted(set(owned) & set(other.location_ids)):
            raise ConfigurationError(
                f"location {', '.join(taken)} is {other.venue_id}'s: a location has one venue; "
                "connect that one again without it first"
            )
    return owned


def _hold(
    session: Session,
    provider: Provider,
    connection: Connection,
    location_ids: tuple[str, ...] | None,
    *,
    is_primary: bool,
) -> Connection:
    """Note what the connection owns, and drop what it no longer does."""
    before = connection.location_ids
    lost = location_ids is not None and (before is None or not set(before) <= set(location_ids))
    if (before, connection.is_primary) == (location_ids, is_primary):
        return connection
    venue_scope(session, connection.venue_id)
    if not session.scalar(select(func.pg_try_advisory_xact_lock(connection_key(connection)))):
        raise ConfigurationError(
            f"{connection.venue_id}'s {provider.title} account is being synced: try again when "
            "that has ended (`integrations status` shows it)"
        )
    session.execute(
        update(connections)
        .where(
            connections.c.venue_id == connection.venue_id,
            connections.c.connection_id == connection.connection_id,
        )
        .values(location_ids=location_ids, is_primary=is_primary)
    )
    if lost or connection.is_primary != is_primary:
        _begin_anew(session, provider, connection)
    return replace(connection, location_ids=location_ids, is_primary=is_primary)


def _begin_anew(session: Session, provider: Provider, connection: Connection) -> None:
    """Take all rows of the connection's account for vanished, until they are seen again."""
    for table in (sync_cursors, sync_seen, completeness):
        session.execute(
            delete(table).where(
                table.c.venue_id == connection.venue_id,
                table.c.connection_id == connection.connection_id,
            )
        )
    for name in provider.stream_names:
        raw = raw_table(provider.name, name)
        session.execute(
            update(raw)
            .where(
                raw.c.venue_id == connection.venue_id,
                raw.c.account_id == connection.account_id,
                raw.c.deleted_at.is_(None),
            )
            .values(deleted_at=func.now(), deleted_by="full_pass", last_changed_at=func.now())
        )
