"""One account, several venues: which of its locations are whose, and to whom the rest belongs.

A location belongs to one venue, and so do its rows. What belongs to no location (customers, a
catalog) is the account's primary venue's, of which there is one. A venue alone with an account has
all of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import delete, func, select, update

from integration_pipelines.core.credentials import Connection
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.provider import Account, Provider
from integration_pipelines.core.tables import (
    completeness,
    connections,
    raw_table,
    sync_cursors,
    sync_seen,
)


class Share(NamedTuple):
    """What an open connection has of its account; ``location_ids`` None: all of them."""

    venue_id: str
    connection_id: UUID
    location_ids: tuple[str, ...] | None
    is_primary: bool


def shares(session: Session, provider: str, account_id: str) -> list[Share]:
    """Every venue that has a part of the account, whichever is in scope."""
    found = func.control.connections_of_account(provider, account_id)
    rows = session.execute(select(found.table_valued(*Share._fields))).all()
    return sorted(
        Share(
            row.venue_id,
            row.connection_id,
            None if row.location_ids is None else tuple(row.location_ids),
            row.is_primary,
        )
        for row in rows
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
    this one becomes it. The next sync of a venue that owns less than before marks as deleted what
    is no longer its own. Raises ConfigurationError if a location is unknown or another venue's, or
    if the account would be two venues' at once. Leaves ``connection``'s venue in scope.
    """
    _hold_account(session, provider, account)
    others = [
        share
        for share in shares(session, provider.name, account.account_id)
        if share.venue_id != connection.venue_id
    ]
    owned = _own(provider, connection, account, location_ids, others)
    is_primary = primary or not any(other.is_primary for other in others)
    if primary:
        for other in others:
            if other.is_primary:
                _hold(session, other, other.location_ids, is_primary=False)
    held = Share(
        connection.venue_id,
        connection.connection_id,
        connection.location_ids,
        connection.is_primary,
    )
    _hold(session, held, owned, is_primary=is_primary)
    return replace(connection, location_ids=owned, is_primary=is_primary)


def divide(
    session: Session,
    provider: Provider,
    account: Account,
    owners: Mapping[str, str],
    *,
    primary: str,
) -> None:
    """Settle at once, for every venue that has ``account`` open, which locations are its own:
    ``owners`` names the venue of each location, ``primary`` the one that gets what belongs to none.
    A location that is not among them is nobody's. Raises ConfigurationError, and changes nothing,
    if a location is unknown, or a venue has no part of the account or would have none."""
    _hold_account(session, provider, account)
    held = shares(session, provider.name, account.account_id)
    title = f"{provider.title} account {account.account_id}"
    if unknown := sorted(owners.keys() - account.locations.keys()):
        raise ConfigurationError(f"{title} has no location {', '.join(unknown)}")
    if strange := sorted({*owners.values(), primary} - {share.venue_id for share in held}):
        raise ConfigurationError(f"{title} is not open at {', '.join(strange)}: connect it there")
    own = {
        share: tuple(sorted(id for id, venue_id in owners.items() if venue_id == share.venue_id))
        for share in held
    }
    if idle := sorted(share.venue_id for share, ids in own.items() if not ids):
        raise ConfigurationError(
            f"{', '.join(idle)} would have no location of {title}: disconnect it there instead"
        )
    for share, ids in own.items():
        _hold(session, share, ids, is_primary=share.venue_id == primary)


def begin_anew(session: Session, provider: Provider, connection: Connection) -> None:
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


def _hold_account(session: Session, provider: Provider, account: Account) -> None:
    """Two venues claiming at once would not see each other."""
    key = func.hashtextextended(f"{provider.name}/{account.account_id}", 0)
    session.execute(select(func.pg_advisory_xact_lock(key)))


def _own(
    provider: Provider,
    connection: Connection,
    account: Account,
    location_ids: Collection[str],
    others: Sequence[Share],
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
    session: Session, held: Share, location_ids: Sequence[str] | None, *, is_primary: bool
) -> None:
    """Note what a connection owns; where that is less than before, that it begins anew."""
    venue_scope(session, held.venue_id)
    before = held.location_ids
    lost = location_ids is not None and (before is None or not set(before) <= set(location_ids))
    changed = {"location_ids": location_ids, "is_primary": is_primary}
    if lost or held.is_primary != is_primary:
        changed["begins_anew"] = True
    session.execute(
        update(connections)
        .where(
            connections.c.venue_id == held.venue_id,
            connections.c.connection_id == held.connection_id,
        )
        .values(changed)
    )
