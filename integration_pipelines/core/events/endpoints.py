"""Endpoints: where providers are told to send their webhooks, ensured, mended and taken away.

An application's endpoint is one for all venues. A connection's own has a path that nobody guesses,
of which only the hash is kept here: the provider knows it, and is asked. It is written down before
the provider is told, so whatever dies in between, the next look removes what has no owner and makes
what is missing.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from pydantic import SecretStr
from sqlalchemy import ColumnElement, Engine, delete, exists, func, insert, select, update
from sqlalchemy import Connection as Session

from integration_pipelines.core.credentials import (
    Connection,
    Keeper,
    Vault,
    end,
    load_secret,
    open_connections,
    save_secret,
)
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError, IntegrationError
from integration_pipelines.core.events.deliveries import Hook, Hooks
from integration_pipelines.core.ingest import open_client, unpaced_client
from integration_pipelines.core.presence import alone
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.redaction import redact, register_secret
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.core.tables import (
    integration_webhooks,
    sync_logs,
    venue_api_keys,
    webhook_endpoints,
)
from integration_pipelines.core.transport import RetryPolicy

SECRET = "webhook_secret"  # noqa: S105
"""The field of the vault that holds what a connection's endpoint signs with."""
FORMER_SECRET = "former_webhook_secret"  # noqa: S105
"""What the endpoint before it signed with, kept while events of that one wait."""
LOOKED_AT_EVERY = timedelta(days=1)
LONGEST_ERROR = 500
PATIENCE = RetryPolicy(attempts=2, total=10, longest_wait=2)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

held = webhook_endpoints.c
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Ensured:
    """What it took: endpoints that stood as they should, were made, mended, removed. ``secret``:
    what the provider shows once, of an application's endpoint."""

    kept: int = 0
    made: int = 0
    mended: int = 0
    removed: int = 0
    secret: SecretStr | None = None


class Registration(NamedTuple):
    """What became of one connection's endpoints; ``error``: in the provider's words."""

    connection: Connection
    ensured: Ensured | None
    error: str | None = None


def base_url(settings: Settings, provider: Provider) -> str:
    """What URLs of the receiver begin with. Raises ConfigurationError where this provider could
    not reach it."""
    base = settings.webhook_base_url or settings.public_base_url
    ours = urlsplit(base)
    if getattr(settings, f"{provider.name}_api_base", None) is not None:
        return base
    if ours.scheme != "https" or ours.hostname in LOOPBACK or settings.app_env is AppEnv.TEST:
        raise ConfigurationError(
            f"{provider.title} cannot reach {base}: set PUBLIC_BASE_URL to the https address that "
            "leads to the receiver"
        )
    return base


def ensure_application(settings: Settings, provider: Provider, *, may_make: bool) -> Ensured:
    """Ensure the application's one endpoint, with its own credential.

    Unless ``may_make``, a provider that shows the secret only once is not asked for a new one:
    raises ConfigurationError, as where the credential is missing.
    """
    assert provider.webhooks is not None
    assert provider.webhooks.of_application is not None
    url = f"{base_url(settings, provider)}/webhooks/{provider.name}"
    hooks = provider.webhooks.of_application(settings)
    ensured = Ensured()
    for hook in hooks.standing():
        if hook.url != url:
            continue
        if ensured.kept + ensured.mended:
            hooks.remove(hook)
            ensured.removed += 1
        elif hook.whole:
            ensured.kept += 1
        else:
            hooks.mend(hook)
            ensured.mended += 1
        ensured.secret = ensured.secret or hook.secret
    if not ensured.kept + ensured.mended:
        if hooks.shows_secret_once and not may_make:
            raise ConfigurationError(
                f"{provider.title} has no endpoint {url} yet, and shows what it signs with only "
                "once: register with --show-secret, and set it as the secret"
            )
        ensured.secret = hooks.add(url, "")
        ensured.made += 1
    return ensured


def ensure_connection(
    settings: Settings, engine: Engine, vault: Vault, provider: Provider, connection: Connection
) -> Registration | None:
    """Ensure the endpoints of a connection's own; None where the application's serves it. What the
    provider refuses is told, and noted."""
    assert provider.webhooks is not None
    assert provider.webhooks.of_connection is not None
    try:
        client = open_client(settings, engine, vault, provider, connection)
        hooks = provider.webhooks.of_connection(client)
        if hooks is None:
            with engine.begin() as session:
                venue_scope(session, connection.venue_id)
                _note(session, connection, None)
            return None
        # Two at once would each remove what the other has made.
        with alone(engine, f"endpoints/{connection.connection_id}") as mine:
            if not mine:
                return Registration(connection, None, "another process is at it")
            ensured = _Ensuring(engine, vault, provider, connection, hooks).run(
                f"{base_url(settings, provider)}/webhooks/{provider.name}/"
            )
        return Registration(connection, ensured)
    except IntegrationError as error:
        said = redact(str(error))[:LONGEST_ERROR]
        with engine.begin() as session:
            venue_scope(session, connection.venue_id)
            _note(session, connection, said)
        return Registration(connection, None, said)


def unlooked_at(session: Session, provider: Provider) -> list[Connection]:
    """Connections of a provider whose endpoints are to be looked at: that have none, were not
    looked at for a day, or have got places since."""
    assert provider.webhooks is not None
    looked = {
        row.connection_id: row.at
        for row in session.execute(
            select(held.connection_id, func.max(held.checked_at).label("at"))
            .where(held.provider == provider.name)
            .group_by(held.connection_id)
        )
    }
    now = session.scalars(select(func.now())).one()
    places = sync_logs.c
    got_places: Iterable[UUID] = session.scalars(
        select(held.connection_id)
        .join(
            sync_logs,
            (places.venue_id == held.venue_id) & (places.connection_id == held.connection_id),
        )
        .where(
            held.provider == provider.name,
            places.stream == provider.webhooks.place_stream,
            places.inserted > 0,
            places.finished_at > held.checked_at,
        )
    )
    new = set(got_places)
    return [
        connection
        for connection in open_connections(session, providers=[provider.name], due=True)
        if (at := looked.get(connection.connection_id)) is None
        or now - at > LOOKED_AT_EVERY
        or connection.connection_id in new
    ]


def leave(keeper: Keeper) -> str | None:
    """Disconnect: take the connection's own endpoints away, and end our access; see `end`."""
    webhooks = keeper.provider.webhooks
    if webhooks is not None and webhooks.of_connection is not None:
        # What the provider does not let go of leads nowhere: the path goes with the connection.
        # Nothing that goes wrong there keeps anybody from leaving.
        try:
            hooks = webhooks.of_connection(unpaced_client(keeper, retry=PATIENCE))
            if hooks is not None:
                _withdraw(keeper.engine, keeper.connection, hooks)
        except Exception as error:
            log.warning("endpoints not removed at the provider", error=redact(str(error)))
    return end(keeper)


def _withdraw(engine: Engine, connection: Connection, hooks: Hooks) -> None:
    with engine.begin() as session:
        venue_scope(session, connection.venue_id)
        mine = _paths(session, connection)
    for hook in hooks.standing() if mine else ():
        if path_hash(hook.url.rpartition("/")[2]) in mine:
            hooks.remove(hook)


class _Ensuring:
    """One look at the endpoints of a connection."""

    def __init__(
        self,
        engine: Engine,
        vault: Vault,
        provider: Provider,
        connection: Connection,
        hooks: Hooks,
    ) -> None:
        self.engine = engine
        self.vault = vault
        self.connection = connection
        self.provider = provider
        self.hooks = hooks
        self.done = Ensured()

    def run(self, prefix: str) -> Ensured:
        """See ensure_connection."""
        mine, others, has_secret = self._known()
        good: dict[str, Hook] = {}
        for hook in self.hooks.standing():
            if not hook.url.startswith(prefix):
                continue
            hashed = path_hash(hook.url.removeprefix(prefix))
            if hashed in others:
                continue
            usable = hashed in mine and (has_secret or not self.hooks.shows_secret_once)
            if not usable or hook.place in good:
                self.hooks.remove(hook)
                self.done.removed += 1
                continue
            good[hook.place] = hook
            if hook.whole:
                self.done.kept += 1
            else:
                self.hooks.mend(hook)
                self.done.mended += 1
        missing = [place for place in self.hooks.places() if place not in good]
        url = next((hook.url for hook in good.values()), None)
        if missing and url is None:
            url = prefix + self._new_path()
        for place in missing:
            assert url is not None
            self._add(url, place)
        self._looked(None if url is None else url.removeprefix(prefix))
        return self.done

    def _known(self) -> tuple[set[bytes], set[bytes], bool]:
        """Hashes of this connection's paths, of other connections', and whether the secret is
        here."""
        secret = select(venue_api_keys.c.field).where(
            venue_api_keys.c.venue_id == self.connection.venue_id,
            venue_api_keys.c.connection_id == self.connection.connection_id,
            venue_api_keys.c.field == SECRET,
        )
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            mine = _paths(session, self.connection)
            others: Iterable[bytes] = session.scalars(
                select(held.path_hash).where(
                    held.provider == self.provider.name,
                    held.account_id == self.connection.account_id,
                    held.connection_id != self.connection.connection_id,
                )
            )
            return mine, {bytes(each) for each in others}, bool(session.scalar(secret))

    def _new_path(self) -> str:
        path = secrets.token_urlsafe(32)
        register_secret(path)
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            session.execute(
                insert(webhook_endpoints).values(
                    venue_id=self.connection.venue_id,
                    connection_id=self.connection.connection_id,
                    path_hash=path_hash(path),
                    provider=self.provider.name,
                    account_id=self.connection.account_id,
                )
            )
        return path

    def _add(self, url: str, place: str) -> None:
        secret = self.hooks.add(url, place)
        self.done.made += 1
        if secret is None:
            return
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            former = load_secret(session, self.vault, self.connection, field=SECRET)
            for field, value in ((FORMER_SECRET, former), (SECRET, secret.get_secret_value())):
                if value is not None:
                    save_secret(session, self.vault, self.connection, field=field, secret=value)

    def _looked(self, path: str | None) -> None:
        with self.engine.begin() as session:
            venue_scope(session, self.connection.venue_id)
            if path is not None:
                session.execute(
                    delete(webhook_endpoints).where(
                        *_of(self.connection), held.path_hash != path_hash(path)
                    )
                )
            if not self.done.made:
                session.execute(
                    delete(venue_api_keys).where(
                        venue_api_keys.c.venue_id == self.connection.venue_id,
                        venue_api_keys.c.connection_id == self.connection.connection_id,
                        venue_api_keys.c.field == FORMER_SECRET,
                        ~exists().where(
                            integration_webhooks.c.venue_id == self.connection.venue_id,
                            integration_webhooks.c.connection_id == self.connection.connection_id,
                            integration_webhooks.c.proof.is_not(None),
                            integration_webhooks.c.status == "pending",
                        ),
                    )
                )
            _note(session, self.connection, None)


def path_hash(path: str) -> bytes:
    """What is kept of a path."""
    return hashlib.sha256(path.encode()).digest()


def _paths(session: Session, connection: Connection) -> set[bytes]:
    rows: Iterable[bytes] = session.scalars(select(held.path_hash).where(*_of(connection)))
    return {bytes(each) for each in rows}


def _note(session: Session, connection: Connection, error: str | None) -> None:
    """Note that the connection's endpoints were looked at, and what was wrong."""
    noted = session.execute(
        update(webhook_endpoints).where(*_of(connection)).values(checked_at=func.now(), error=error)
    )
    if noted.rowcount:
        return
    session.execute(
        insert(webhook_endpoints).values(
            venue_id=connection.venue_id,
            connection_id=connection.connection_id,
            # Of a path that does not exist.
            path_hash=secrets.token_bytes(32),
            provider=connection.provider,
            account_id=connection.account_id,
            checked_at=func.now(),
            error=error,
        )
    )


def _of(connection: Connection) -> Collection[ColumnElement[bool]]:
    return [
        held.venue_id == connection.venue_id,
        held.connection_id == connection.connection_id,
    ]
