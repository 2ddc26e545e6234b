"""Tokens that never go stale: renewed ahead of their end, one renewal at a time over all processes.

A renewal may rotate the refresh token, so an answer that is lost is a connection lost. Hence: the
lock of the connection is held while the token endpoint is asked, by a database session, which ends
with its process and with nothing else; what is held is read again inside the lock; that a renewal
begins is committed before it is asked for; what it gave is stored in the transaction of the lock,
and only over the version that it renewed.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import BoundedSemaphore, Lock
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from pydantic import BaseModel
from sqlalchemy import Connection as Session
from sqlalchemy import Engine, func, select, update
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from integration_pipelines.core.credentials.connections import (
    Connection,
    disconnect,
    load_credentials,
    mark_revoked,
    open_connections,
    store_tokens,
)
from integration_pipelines.core.credentials.vault import Vault
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import (
    AccessRevoked,
    ConfigurationError,
    IntegrationError,
    RateLimited,
    Refused,
    VaultError,
)
from integration_pipelines.core.oauth import MakeTransport, OAuth
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import oauth_tokens
from integration_pipelines.core.transport import open_transport

log = structlog.get_logger(__name__)

SHORTEST_LIFE = 60.0
"""Seconds in which a token that was just renewed is not renewed again because it is refused."""

VAULT_PATIENCE = 30.0
"""Seconds for which tokens that were just given are tried to be sealed."""

TELL_BEFORE = timedelta(days=14)
"""How long before a consent ends its venue is told."""

OVERDUE_AFTER = timedelta(days=2)
"""A renewal that is so late will not come by itself any more."""

_RENEWING = BoundedSemaphore(2)
# Each holds a database connection while it waits and takes one more for its intent.


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored of a connection's credentials. ``version`` grows with each renewal (0: a key,
    which is never renewed); ``due_in``: seconds until they are to be renewed (None: never)."""

    credentials: BaseModel
    version: int
    due_in: float | None
    was_interrupted: bool


@dataclass(frozen=True, slots=True)
class Keeper:
    """What renewing a connection's tokens takes."""

    settings: Settings
    engine: Engine
    vault: Vault
    provider: Provider
    connection: Connection

    def read(self) -> Held:
        """The stored credentials. Raises VaultError, ConfigurationError."""
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            return self._read(session)

    def renew(self, seen: int) -> Held:
        """Credentials newer than version ``seen``: renewed here, or by whoever was first.

        Raises AccessRevoked where the provider refuses the refresh token, ConfigurationError where
        it refuses the application, VaultError, before it is asked, where what it gives could not be
        sealed, Transient where it cannot be known what became of it: the next renewal tries again.
        """
        with _RENEWING, self.engine.connect() as holder, holder.begin():
            venue_scope(holder, self.connection.venue_id)
            key = func.hashtextextended(f"renew/{self.connection.connection_id}", 0)
            holder.execute(select(func.pg_advisory_xact_lock(key)))
            held = self._read(holder)
            if held.version != seen or held.due_in is None:
                return held
            # What is given once and cannot be sealed would be lost.
            self.vault.check(venue_id=self.connection.venue_id, provider=self.connection.provider)
            self._note_intent(held.version)
            new = self._ask(held)
            if self._version(holder, locked=True) == held.version:
                self._store(holder, new)
            log.info(
                "token renewed",
                venue_id=self.connection.venue_id,
                provider=self.provider.name,
                interrupted_before=held.was_interrupted,
            )
            return self._read(holder)

    def _store(self, holder: Session, new: BaseModel) -> None:
        """The tokens that are held now are the only ones: a vault that fails is asked again."""
        for attempt in Retrying(
            retry=retry_if_exception_type(VaultError),
            wait=wait_random_exponential(multiplier=0.5, max=5),
            stop=stop_after_delay(VAULT_PATIENCE),
            reraise=True,
        ):
            with attempt:
                store_tokens(holder, self.vault, self.connection, new)

    def _ask(self, held: Held) -> BaseModel:
        oauth = self.provider.oauth
        assert oauth is not None
        assert oauth.refresh is not None
        application = oauth.application(self.settings)
        try:
            return oauth.refresh(
                self.settings, application, held.credentials, self.make_transport()
            )
        except AccessRevoked as error:
            if not held.was_interrupted:
                raise
            raise AccessRevoked(
                f"an earlier renewal of {self.provider.title}'s token was cut off before its "
                "answer was stored, and the token held is no longer good; connect the account "
                "again",
                status=error.status,
                code=error.code,
            ) from error
        except (ConfigurationError, Refused, RateLimited):
            # Answered, and with no token: nothing was rotated.
            self._note_intent(held.version, begun=False)
            raise

    def make_transport(self) -> MakeTransport:
        """For the token endpoint, which is not paced as the account is."""
        return partial(
            open_transport,
            self.engine,
            venue_id=self.connection.venue_id,
            provider=self.provider.name,
            account_id=None,
        )

    def _note_intent(self, version: int, *, begun: bool = True) -> None:
        """Commit that a renewal of this version has begun, or that it came to nothing."""
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            session.execute(
                update(oauth_tokens)
                .where(*self._mine(), oauth_tokens.c.version == version)
                .values(refresh_started_at=func.clock_timestamp() if begun else None)
            )

    def _version(self, session: Session, *, locked: bool = False) -> int | None:
        asked = select(oauth_tokens.c.version).where(*self._mine())
        return session.scalar(asked.with_for_update() if locked else asked)

    def _read(self, session: Session) -> Held:
        row = session.execute(
            select(
                oauth_tokens.c.version,
                oauth_tokens.c.refresh_started_at,
                func.clock_timestamp().label("now"),
            ).where(*self._mine())
        ).one_or_none()
        fields = load_credentials(session, self.vault, self.connection)
        credentials = self.provider.credentials.model_validate(fields)
        if row is None:
            return Held(credentials, 0, None, False)
        due_in = self._due_in(fields, row.now)
        return Held(credentials, row.version, due_in, row.refresh_started_at is not None)

    def _due_in(self, fields: dict[str, Any], now: datetime) -> float | None:
        oauth = self.provider.oauth
        if (
            oauth is None
            or oauth.refresh is None
            or not fields.get("refresh_token")
            or not oauth.is_configured(self.settings)
        ):
            return None
        ends: datetime | None = fields.get("expires_at")
        return 0.0 if ends is None else (ends - oauth.renew_before - now).total_seconds()

    def _mine(self) -> list[Any]:
        return [
            oauth_tokens.c.venue_id == self.connection.venue_id,
            oauth_tokens.c.connection_id == self.connection.connection_id,
        ]


class LiveCredentials:
    """A connection's credentials for as long as a client is open: renewed when they are due, and
    when the provider refuses them. Thread-safe."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._lock = Lock()
        self._take(keeper.read())

    @property
    def stored(self) -> BaseModel:
        """The credentials as they were last read, however old."""
        return self._held.credentials

    def current(self) -> BaseModel:
        """The credentials to use now. Raises what `Keeper.renew` raises once the token is so near
        its end that it cannot be used any more."""
        if not self._is_due():
            return self._held.credentials
        with self._lock:
            if self._is_due():
                try:
                    self._take(self._keeper.renew(self._held.version), renewed=True)
                except AccessRevoked:
                    raise
                except IntegrationError:
                    # It may be good for a while; the provider says when it is not.
                    self._due_at = time.monotonic() + SHORTEST_LIFE
                    log.warning(
                        "a token could not be renewed and is used on",
                        venue_id=self._keeper.connection.venue_id,
                        provider=self._keeper.provider.name,
                        exc_info=True,
                    )
        return self._held.credentials

    def refused(self, was_used: Callable[[BaseModel], bool]) -> bool:
        """The provider refuses the credentials of which ``was_used`` is true. True: there are
        others now, so ask again."""
        with self._lock:
            if not was_used(self._held.credentials):
                return True
            if time.monotonic() - self._taken_at < SHORTEST_LIFE and self._renewed:
                return False
            stored = self._keeper.read()
            if stored.version == self._held.version:
                if stored.due_in is None:
                    return False
                stored = self._keeper.renew(stored.version)
            changed = stored.version != self._held.version
            self._take(stored, renewed=True)
            return changed

    def _is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def _take(self, held: Held, *, renewed: bool = False) -> None:
        self._held = held
        self._renewed = renewed
        self._taken_at = time.monotonic()
        due_in = math.inf if held.due_in is None else max(held.due_in, 0.0)
        self._due_at = self._taken_at + due_in


def consent_ends(
    oauth: OAuth | None,
    *,
    connected_at: datetime,
    expires_at: datetime | None,
    refresh_expires_at: datetime | None,
    renews: bool,
    now: datetime,
) -> datetime | None:
    """When what a venue allowed ends, so that it has to be given again before. ``renews``: there is
    a refresh token; then the access token's own end counts only where its renewal is overdue. None:
    never, as far as the provider tells."""
    known = [refresh_expires_at]
    if oauth is not None and oauth.consent_lasts is not None:
        known.append(connected_at + oauth.consent_lasts)
    if expires_at is not None:
        renewed_by = expires_at - oauth.renew_before if oauth is not None else expires_at
        if not renews or renewed_by + OVERDUE_AFTER < now:
            known.append(expires_at)
    return min((end for end in known if end is not None), default=None)


class Renewal(NamedTuple):
    """How one connection's renewal ended; ``error`` None: well."""

    connection: Connection
    error: IntegrationError | None


def renew_due(
    settings: Settings,
    engine: Engine,
    vault: Vault,
    providers: Mapping[str, Provider],
    *,
    ahead: timedelta,
) -> Iterator[Renewal]:
    """Renew every active connection's tokens that are due within ``ahead``, one after another.
    A refresh token that is refused marks its connection as revoked; one's trouble is its own."""
    with engine.connect() as session:
        found = due_for_renewal(session, settings, providers, ahead=ahead)
    for connection in found:
        keeper = Keeper(settings, engine, vault, providers[connection.provider], connection)
        error: IntegrationError | None = None
        try:
            held = keeper.read()
            if held.due_in is not None and held.due_in <= ahead.total_seconds():
                keeper.renew(held.version)
        except IntegrationError as raised:
            error = raised
            if isinstance(raised, AccessRevoked):
                with engine.begin() as session:
                    venue_scope(session, connection.venue_id)
                    mark_revoked(session, connection, reason=str(raised))
        yield Renewal(connection, error)


def due_for_renewal(
    session: Session,
    settings: Settings,
    providers: Mapping[str, Provider],
    *,
    ahead: timedelta,
) -> list[Connection]:
    """Active connections, paused ones too, whose tokens are due for renewal within ``ahead``."""
    found = []
    for provider in providers.values():
        oauth = provider.oauth
        if oauth is None or oauth.refresh is None or not oauth.is_configured(settings):
            continue
        ends = oauth_tokens.c.expires_at
        due: set[UUID] = set(
            session.scalars(
                select(oauth_tokens.c.connection_id).where(
                    oauth_tokens.c.provider == provider.name,
                    oauth_tokens.c.refresh_token.is_not(None),
                    ends.is_(None) | (ends < func.now() + (oauth.renew_before + ahead)),
                )
            )
        )
        found += [
            connection
            for connection in open_connections(session, providers=[provider.name])
            if connection.connection_id in due and connection.status == "active"
        ]
    return found


def end(keeper: Keeper) -> str | None:
    """Disconnect: end our access at the provider, and destroy what is held here. Another venue's
    connection to the same account keeps its access, for one consent may be both's.

    None where nothing is left to do; else what its owner has to do there, in words for them.
    """
    connection = keeper.connection
    shared = _is_shared(keeper)
    left = None if shared else _revoke(keeper)
    with keeper.engine.begin() as session:
        venue_scope(session, connection.venue_id)
        disconnect(session, connection)
    if shared:
        title = keeper.provider.title
        return f"another venue has the same account open: {title} was not asked to end our access"
    return left


def _is_shared(keeper: Keeper) -> bool:
    """Whether another venue has the same account open."""
    held = keeper.connection
    found = func.control.connections_of_account(held.provider, held.account_id)
    with keeper.engine.connect() as session:
        venue_ids: list[str] = list(session.scalars(select(found.table_valued("venue_id").c[0])))
    return any(venue_id != held.venue_id for venue_id in venue_ids)


def _revoke(keeper: Keeper) -> str | None:
    """End our access at the provider. Else why it is not ended: there is no such call, it came by a
    key, or the provider did not answer."""
    provider, oauth = keeper.provider, keeper.provider.oauth
    by_hand = f"to end our access at {provider.title} too: {provider.access.ended_by}"
    try:
        held = keeper.read()
        if oauth is None or oauth.revoke is None or held.version == 0:
            return by_hand
        application = oauth.application(keeper.settings)
        oauth.revoke(keeper.settings, application, held.credentials, keeper.make_transport())
    except (AccessRevoked, Refused):
        # It was ended there already.
        return None
    except IntegrationError as error:
        return f"{provider.title} did not end it ({error}); {by_hand}"
    return None
