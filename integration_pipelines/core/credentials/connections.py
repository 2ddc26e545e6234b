"""Connections: whose account a venue has opened to us, and the sealed credentials that open it.

Every function works in the caller's transaction, under the venue's scope, and commits nothing.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import structlog
from pydantic import BaseModel, SecretStr
from sqlalchemy import ColumnElement, RowMapping, and_, case, delete, func, select, update
from sqlalchemy import Connection as Session
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.credentials.vault import Sealed, Vault
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.provider import Account
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.tables import (
    connections,
    integration_configs,
    integrations,
    oauth_tokens,
    pending_connections,
    venue_api_keys,
    webhook_endpoints,
)

log = structlog.get_logger(__name__)

OAUTH_SECRETS = ("access_token", "refresh_token")
OAUTH_TIMES = ("expires_at", "refresh_expires_at")
PENDING = "pending_connection"
"""The field of what opens an account whose owner has a question to answer first."""
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Connection:
    """One account of one provider, opened to us by one venue. Holds no credential.

    ``status`` is active, paused, revoked or disconnected; ``paused``: this provider is paused or
    disabled, for the venue or for all. ``connected_at``: when its credentials were last given.
    """

    venue_id: str
    connection_id: UUID
    provider: str
    account_id: str
    account_name: str
    currency: str | None
    country: str | None
    livemode: bool
    status: str
    status_reason: str | None
    location_ids: tuple[str, ...] | None
    is_primary: bool
    connected_at: datetime
    disconnected_at: datetime | None
    paused: bool = False
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_due(self) -> bool:
        """Whether it may be synced at all."""
        return self.status == "active" and not self.paused

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        """A connection from a row of `control.connections` (with ``paused``, if selected)."""
        locations = row["location_ids"]
        return cls(
            venue_id=row["venue_id"],
            connection_id=row["connection_id"],
            provider=row["provider"],
            account_id=row["account_id"],
            account_name=row["account_name"],
            currency=row["currency"],
            country=row["country"],
            livemode=row["livemode"],
            status=row["status"],
            status_reason=row["status_reason"],
            location_ids=None if locations is None else tuple(locations),
            is_primary=row["is_primary"],
            connected_at=row["connected_at"],
            disconnected_at=row["disconnected_at"],
            paused=row.get("paused", False),
            details=row["details"],
        )


def open_connections(
    session: Session,
    *,
    venue_ids: Collection[str] | None = None,
    providers: Collection[str] | None = None,
    due: bool = False,
) -> list[Connection]:
    """Connections not disconnected, by venue and provider: of the venue in scope, or of all for a
    role that reads across venues.

    ``due``: only those that may be synced now: active, and not paused or disabled.
    """
    asked: list[ColumnElement[bool]] = [connections.c.status != "disconnected"]
    if venue_ids is not None:
        asked.append(connections.c.venue_id.in_(venue_ids))
    if providers is not None:
        asked.append(connections.c.provider.in_(providers))
    configured = integration_configs.c
    held = connections.join(integrations).outerjoin(
        integration_configs,
        and_(
            configured.venue_id == connections.c.venue_id,
            configured.provider == connections.c.provider,
        ),
    )
    runs = (
        integrations.c.enabled
        & integrations.c.paused_at.is_(None)
        & func.coalesce(configured.enabled, True)
        & configured.paused_at.is_(None)
    )
    rows = session.execute(
        select(connections, (~runs).label("paused"))
        .select_from(held)
        .where(*asked)
        .order_by(connections.c.venue_id, connections.c.provider)
    )
    found = [Connection.from_row(row) for row in rows.mappings()]
    return [connection for connection in found if connection.is_due] if due else found


def save_connection(
    session: Session,
    vault: Vault,
    *,
    venue_id: str,
    provider: str,
    account: Account,
    credentials: BaseModel,
    scopes: Collection[str] = (),
) -> Connection:
    """Connect ``account``, or take new credentials for it; it becomes active.

    ``credentials`` is the provider's model: its secret fields are sealed, the others kept in
    ``details``. They replace the ones held as a whole, except that a refresh token is kept where
    no new one is given. The account's rows and cursors stay. Raises ConfigurationError if another
    account is open for this venue and provider, VaultError if nothing can be sealed.
    """
    secrets, plain = _split(credentials)
    # What only the account tells (a data centre) need not be asked for again.
    unset = [name for name, value in credentials if value is None]
    plain |= {name: account.details[name] for name in unset if name in account.details}
    if not secrets:
        raise ConfigurationError(
            f"no credential for {provider} was given: see `integrations connect --help`"
        )
    sealed = {
        name: vault.seal(secret, venue_id=venue_id, provider=provider, field=name)
        for name, secret in secrets.items()
    }
    # Two at once would both find no other account open.
    session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{venue_id}/{provider}", 0)))
    )
    other = session.execute(
        select(connections.c.account_id, connections.c.account_name).where(
            connections.c.venue_id == venue_id,
            connections.c.provider == provider,
            connections.c.account_id != account.account_id,
            connections.c.status != "disconnected",
        )
    ).one_or_none()
    if other is not None:
        raise ConfigurationError(
            f"{venue_id} has {provider} account {other.account_id} ({other.account_name}) open, "
            f"and these credentials are of {account.account_id} ({account.name}): disconnect "
            f"first (integrations disconnect {provider} --venue {venue_id})"
        )
    described = {
        "account_name": account.name,
        "currency": account.currency,
        "country": account.country,
        "livemode": account.livemode,
        "details": {**account.details, "credentials": plain},
    }
    row = session.execute(
        insert(connections)
        .values(venue_id=venue_id, provider=provider, account_id=account.account_id, **described)
        .on_conflict_do_update(
            index_elements=["venue_id", "provider", "account_id"],
            set_={
                **described,
                "status": "active",
                "status_reason": None,
                "connected_at": func.now(),
                "disconnected_at": None,
            },
        )
        .returning(connections)
    )
    connection = Connection.from_row(row.mappings().one())
    _store(session, connection, sealed, credentials, list(scopes))
    return connection


def save_secret(
    session: Session, vault: Vault, connection: Connection, *, field: str, secret: str
) -> None:
    """Seal one more secret of a connection (a webhook's signing secret, say) beside its
    credentials; `load_credentials` gives it by ``field``."""
    sealed = vault.seal(
        secret, venue_id=connection.venue_id, provider=connection.provider, field=field
    )
    _store_key(session, connection, field, sealed)


def load_secret(
    session: Session, vault: Vault, connection: Connection, *, field: str
) -> str | None:
    """What `save_secret` has sealed; None where nothing is. Raises VaultError."""
    sealed = session.scalar(
        select(venue_api_keys.c.ciphertext).where(
            *_of(venue_api_keys, connection), venue_api_keys.c.field == field
        )
    )
    if sealed is None:
        return None
    return vault.open(
        sealed, venue_id=connection.venue_id, provider=connection.provider, field=field
    )


def store_tokens(
    session: Session, vault: Vault, connection: Connection, credentials: BaseModel
) -> None:
    """Store renewed tokens in place of those held. What is not among them stays as it is."""
    secrets, _ = _split(credentials)
    sealed = {
        name: vault.seal(
            secret, venue_id=connection.venue_id, provider=connection.provider, field=name
        )
        for name, secret in secrets.items()
        if name in OAUTH_SECRETS
    }
    _store_tokens(session, connection, sealed, credentials)


def load_credentials(session: Session, vault: Vault, connection: Connection) -> dict[str, Any]:
    """Everything that opens ``connection``, opened: what the provider's model validates.

    Raises VaultError if it cannot be opened, ConfigurationError if nothing is stored.
    """
    keys = session.execute(
        select(venue_api_keys.c.field, venue_api_keys.c.ciphertext).where(
            *_of(venue_api_keys, connection)
        )
    ).all()
    token = (
        session.execute(select(oauth_tokens).where(*_of(oauth_tokens, connection)))
        .mappings()
        .one_or_none()
    )
    sealed = {row.field: row.ciphertext for row in keys}
    times: dict[str, datetime] = {}
    if token is not None:
        sealed |= {name: token[name] for name in OAUTH_SECRETS if token[name] is not None}
        times = {name: token[name] for name in OAUTH_TIMES if token[name] is not None}
    if not sealed:
        raise ConfigurationError(
            f"{connection.venue_id} has no {connection.provider} credential: connect it again "
            f"(integrations connect {connection.provider} --venue {connection.venue_id})"
        )
    opened = {
        name: vault.open(
            ciphertext, venue_id=connection.venue_id, provider=connection.provider, field=name
        )
        for name, ciphertext in sealed.items()
    }
    return {**connection.details.get("credentials", {}), **times, **opened}


def disconnect(session: Session, connection: Connection) -> None:
    """Destroy the connection's ciphertexts and end it. Its raw rows and cursors stay, for the day
    the same account is connected again."""
    session.execute(delete(venue_api_keys).where(*_of(venue_api_keys, connection)))
    session.execute(delete(oauth_tokens).where(*_of(oauth_tokens, connection)))
    session.execute(delete(webhook_endpoints).where(*_of(webhook_endpoints, connection)))
    session.execute(
        update(connections)
        .where(*_of(connections, connection))
        .values(status="disconnected", status_reason=None, disconnected_at=func.now())
    )


def mark_revoked(session: Session, connection: Connection, *, reason: str) -> bool:
    """Note that the provider refuses the credential: nothing is synced until it is connected
    again, and whoever runs this is alerted, once. False, and nothing happens, if it is no longer
    active or has new credentials since ``connection`` was read."""
    marked = session.execute(
        update(connections)
        .where(
            *_of(connections, connection),
            connections.c.status == "active",
            connections.c.connected_at == connection.connected_at,
        )
        .values(status="revoked", status_reason=redact(reason)[:LONGEST_REASON])
    )
    if marked.rowcount == 0:
        return False
    log.error(
        "access revoked",
        venue_id=connection.venue_id,
        provider=connection.provider,
        account_id=connection.account_id,
        cause=redact(reason)[:LONGEST_REASON],
        cure=f"reconnect at /venues/{connection.venue_id}/{connection.provider}/connect of the "
        "portal",
    )
    return True


def rewrap_credentials(session: Session, vault: Vault, *, venue_id: str) -> int:
    """Seal anew whatever of one venue another wrapping key sealed; returns how many values.

    Commit after each venue, and a rotation that was cut short resumes where it stopped.
    """
    rewrapped = 0
    keys = session.execute(
        select(venue_api_keys)
        .where(venue_api_keys.c.venue_id == venue_id, venue_api_keys.c.key_id != vault.key_id)
        .with_for_update()
    )
    for row in keys.mappings().all():
        sealed = vault.rewrap(
            row["ciphertext"], venue_id=venue_id, provider=row["provider"], field=row["field"]
        )
        session.execute(
            update(venue_api_keys)
            .where(
                venue_api_keys.c.venue_id == venue_id,
                venue_api_keys.c.connection_id == row["connection_id"],
                venue_api_keys.c.field == row["field"],
            )
            .values(ciphertext=sealed.ciphertext, key_id=sealed.key_id)
        )
        rewrapped += 1
    tokens = session.execute(
        select(oauth_tokens)
        .where(oauth_tokens.c.venue_id == venue_id, oauth_tokens.c.key_id != vault.key_id)
        .with_for_update()
    )
    for row in tokens.mappings().all():
        anew = {
            name: vault.rewrap(
                row[name], venue_id=venue_id, provider=row["provider"], field=name
            ).ciphertext
            for name in OAUTH_SECRETS
            if row[name] is not None
        }
        session.execute(
            update(oauth_tokens)
            .where(
                oauth_tokens.c.venue_id == venue_id,
                oauth_tokens.c.connection_id == row["connection_id"],
            )
            .values(**anew, key_id=vault.key_id)
        )
        rewrapped += len(anew)
    pending = session.execute(
        select(pending_connections)
        .where(
            pending_connections.c.venue_id == venue_id,
            pending_connections.c.key_id != vault.key_id,
        )
        .with_for_update()
    )
    for row in pending.mappings().all():
        sealed = vault.rewrap(
            row["credentials"], venue_id=venue_id, provider=row["provider"], field=PENDING
        )
        session.execute(
            update(pending_connections)
            .where(
                pending_connections.c.venue_id == venue_id,
                pending_connections.c.pending_id == row["pending_id"],
            )
            .values(credentials=sealed.ciphertext, key_id=sealed.key_id)
        )
        rewrapped += 1
    return rewrapped


def vault_status(session: Session) -> dict[str, int]:
    """How many values each wrapping key sealed, by key id: of the venue in scope, or of all for
    a role that reads across venues."""
    counts: Counter[str] = Counter()
    tokens = func.count() + func.count(oauth_tokens.c.refresh_token)
    for table, values in (
        (venue_api_keys, func.count()),
        (oauth_tokens, tokens),
        (pending_connections, func.count()),
    ):
        key_id = table.c.key_id
        for row in session.execute(select(key_id, values.label("values")).group_by(key_id)):
            counts[row.key_id] += row.values
    return dict(sorted(counts.items()))


def _split(credentials: BaseModel) -> tuple[dict[str, str], dict[str, Any]]:
    """Secret fields that are given, opened, and the others as JSON; times go to their columns."""
    secrets = {
        name: value.get_secret_value()
        for name, value in credentials
        if isinstance(value, SecretStr) and value.get_secret_value()
    }
    declared_secret = {name for name, value in credentials if isinstance(value, SecretStr)}
    plain = credentials.model_dump(
        mode="json", exclude={*declared_secret, *OAUTH_TIMES}, exclude_none=True
    )
    return secrets, plain


def _store(
    session: Session,
    connection: Connection,
    sealed: Mapping[str, Sealed],
    credentials: BaseModel,
    scopes: list[str],
) -> None:
    """Write sealed fields where they belong, and remove those they replace."""
    replaced = [name for name in type(credentials).model_fields if name not in sealed]
    session.execute(
        delete(venue_api_keys).where(
            *_of(venue_api_keys, connection), venue_api_keys.c.field.in_(replaced)
        )
    )
    for name, value in sealed.items():
        if name not in OAUTH_SECRETS:
            _store_key(session, connection, name, value)
    if "access_token" in sealed:
        _store_tokens(session, connection, sealed, credentials, scopes)
    else:
        session.execute(delete(oauth_tokens).where(*_of(oauth_tokens, connection)))


def _store_tokens(
    session: Session,
    connection: Connection,
    sealed: Mapping[str, Sealed],
    credentials: BaseModel,
    scopes: list[str] | None = None,
) -> None:
    """Write tokens over those held; without ``scopes``, those that were granted stay."""
    access = sealed["access_token"]
    refresh = sealed.get("refresh_token")
    add = insert(oauth_tokens).values(
        venue_id=connection.venue_id,
        connection_id=connection.connection_id,
        provider=connection.provider,
        access_token=access.ciphertext,
        refresh_token=refresh.ciphertext if refresh else None,
        key_id=access.key_id,
        scopes=scopes or [],
        **{name: getattr(credentials, name, None) for name in OAUTH_TIMES},
    )
    held, new = oauth_tokens.c, add.excluded
    session.execute(
        add.on_conflict_do_update(
            index_elements=["venue_id", "connection_id"],
            set_={
                "access_token": new.access_token,
                "refresh_token": func.coalesce(new.refresh_token, held.refresh_token),
                "key_id": case(
                    # A kept refresh token is under its own key: rewrapping must find it.
                    (new.refresh_token.is_(None) & held.refresh_token.is_not(None), held.key_id),
                    else_=new.key_id,
                ),
                "scopes": held.scopes if scopes is None else new.scopes,
                "expires_at": new.expires_at,
                "refresh_expires_at": func.coalesce(
                    new.refresh_expires_at, held.refresh_expires_at
                ),
                "version": held.version + 1,
                "refresh_started_at": None,
                "updated_at": func.now(),
            },
        )
    )


def _store_key(session: Session, connection: Connection, name: str, sealed: Sealed) -> None:
    add = insert(venue_api_keys).values(
        venue_id=connection.venue_id,
        connection_id=connection.connection_id,
        provider=connection.provider,
        field=name,
        ciphertext=sealed.ciphertext,
        key_id=sealed.key_id,
    )
    session.execute(
        add.on_conflict_do_update(
            index_elements=["venue_id", "connection_id", "field"],
            set_={
                "ciphertext": add.excluded.ciphertext,
                "key_id": add.excluded.key_id,
                "created_at": func.now(),
            },
        )
    )


def _of(table: Any, connection: Connection) -> list[ColumnElement[bool]]:
    return [
        table.c.venue_id == connection.venue_id,
        table.c.connection_id == connection.connection_id,
    ]
