"""Postgres: who connects as what, engines, the venue scope, and the set-up of a database.

DATABASE_URL is either the URL of the very role that a process needs, or the owner's: the passwords
of the other roles are then derived from the owner's, so that there is nothing more to keep. Unset,
the embedded server is used (see embedded_postgres).

Row-level security binds every role: a tenant table shows and takes only rows of the venue named by
`venue_scope` for the transaction, and none without it. Tables that dbt builds in `analytics` and
`marts` are open to nobody until dbt, their owner, has run

    ALTER TABLE x ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY build ON x TO dbt USING (true) WITH CHECK (true);
    CREATE POLICY venue_isolation ON x FOR SELECT TO analyst
        USING (venue_id = control.analyst_venue());
    CREATE POLICY all_venues ON x FOR SELECT TO analyst_all USING (true);
    GRANT SELECT ON x TO analyst, analyst_all;
"""

import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import psycopg
import sqlalchemy
from psycopg import sql
from sqlalchemy import URL, Connection, CursorResult, Engine, event, make_url, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError
from sqlalchemy.schema import CreateIndex, CreateTable

from integration_pipelines.core import embedded_postgres
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.core.tables import integrations, raw_table

PSYCOPG = "postgresql+psycopg"
PSYCOPG2 = "postgresql+psycopg2"
"""Dagster's storage and Great Expectations speak through this one."""

ANALYST = "analyst"
"""The group of all analysts; nobody logs in as it."""

MIGRATIONS = Path(__file__).parents[2] / "migrations"
OLDEST_POSTGRES = 16
SETUP_LOCK = 0x76656E7565
CONNECT_TIMEOUT = 10

OPEN_RAW = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON {}.{} TO pipeline",
    "GRANT SELECT ON {}.{} TO dbt",
    "ALTER TABLE {}.{} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY venue_scope ON {}.{} USING (venue_id = current_setting('app.venue_id', true))",
    "CREATE POLICY dbt_reads ON {}.{} FOR SELECT TO dbt USING (true)",
)
"""To whom a raw table is open, and whose rows."""


class Role(StrEnum):
    """Who logs in, beside the owner and the analysts of single venues (`analyst_role`)."""

    PIPELINE = "pipeline"
    DBT = "dbt"
    PORTAL = "portal"
    RECEIVER = "receiver"
    ANALYST_ALL = "analyst_all"
    DAGSTER = "dagster"


def analyst_role(venue_id: str) -> str:
    """The login role that sees this venue alone in `analytics` and `marts`."""
    return f"{ANALYST}_{venue_id}"


def owner_url(settings: Settings) -> URL:
    """URL of the owner, who migrates and sets up. Raises ConfigurationError."""
    if settings.database_url is None:
        server = embedded_postgres.acquire(settings.data_path)
        return URL.create(
            PSYCOPG,
            username=embedded_postgres.OWNER,
            password=server.owner_password,
            host=embedded_postgres.HOST,
            port=server.port,
            database=embedded_postgres.DATABASE,
        )
    url = _given_url(settings)
    if _is_ours(url.username):
        raise ConfigurationError(
            f"DATABASE_URL is the role {url.username}'s, and this needs the owner of the database: "
            "give this command the owner's"
        )
    if not url.password and settings.app_env is AppEnv.PRODUCTION:
        raise ConfigurationError(
            "DATABASE_URL has no password, and the roles' passwords derive from it: add the "
            "owner's, or give each process a DATABASE_URL of its own role"
        )
    return url


def database_url(settings: Settings, role: str, *, drivername: str = PSYCOPG) -> URL:
    """URL for ``role``. Raises ConfigurationError where DATABASE_URL is another role's."""
    if settings.database_url is not None:
        given = _given_url(settings)
        if given.username == role:
            return given.set(drivername=drivername)
    owner = owner_url(settings)
    return owner.set(
        drivername=drivername, username=role, password=role_password(owner.password or "", role)
    )


def role_password(owner_password: str, role: str) -> str:
    """The password of ``role``, derived from the owner's."""
    message = f"venue-integrations:{role}"
    return hmac.new(owner_password.encode(), message.encode(), hashlib.sha256).hexdigest()


def create_engine(
    settings: Settings,
    role: str = Role.PIPELINE,
    *,
    application_name: str = "integrations",
    pool_size: int = 5,
    max_overflow: int = 5,
    patience: float | None = None,
) -> Engine:
    """An engine for ``role``; it connects on first use. ``patience``: the most seconds to wait for
    a connection of the pool, and for a statement. Raises ConfigurationError."""
    waits = {} if patience is None else {"pool_timeout": patience}
    return _engine(
        settings,
        database_url(settings, role),
        application_name=application_name,
        statement_timeout=patience,
        pool_size=pool_size,
        max_overflow=max_overflow,
        **waits,
    )


def owner_engine(settings: Settings) -> Engine:
    """An engine for the owner: for set-up and for removing a venue, never for serving."""
    return _engine(
        settings,
        owner_url(settings),
        application_name="integrations owner",
        pool_size=1,
        max_overflow=1,
    )


def venue_scope(connection: Connection, venue_id: str) -> None:
    """Bind the current transaction to one venue's rows; the next one starts without."""
    connection.execute(select(sqlalchemy.func.set_config("app.venue_id", venue_id, True)))


def initialise(settings: Settings, providers: Iterable[Provider]) -> None:
    """Bring the database to the present shape: roles, schemas, control tables, raw tables, catalog.

    Safe to repeat and to run twice at once. Raises ConfigurationError where the server is too old
    or DATABASE_URL is not the owner's.
    """
    # A fifth of a second that no other process need pay.
    from alembic import command
    from alembic.config import Config

    engine = owner_engine(settings)
    with engine.begin() as connection:
        version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000
        if version < OLDEST_POSTGRES:
            raise ConfigurationError(
                f"DATABASE_URL leads to Postgres {version}, and {OLDEST_POSTGRES} is the oldest "
                "that works: upgrade the server, or unset DATABASE_URL for the embedded one"
            )
        connection.execute(select(sqlalchemy.func.pg_advisory_xact_lock(SETUP_LOCK)))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        for role in Role:
            set_password(connection, role, role_password(engine.url.password or "", role))
        _open_database(connection)
        for provider in providers:
            _enter_provider(connection, provider)
    engine.dispose()


def set_password(connection: Connection, role: str, password: str) -> None:
    """Give ``role`` its password, unless someone else administers that role.

    Sent as a verifier, so that no statement or log ever holds the password itself.
    """
    if administers(connection, role):
        pgconn = cast(Any, connection.connection.driver_connection).pgconn
        verifier = pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        execute(connection, "ALTER ROLE {} PASSWORD {}", role, sql.Literal(verifier.decode()))


def administers(connection: Connection, role: str) -> bool:
    """Whether ``role`` exists and the owner may alter and drop it."""
    question = text(
        "SELECT pg_has_role(oid, 'MEMBER WITH ADMIN OPTION') FROM pg_roles WHERE rolname = :role"
    )
    return bool(connection.scalar(question, {"role": role}))


def execute(
    connection: Connection, statement: str, *parts: str | sql.Composable
) -> CursorResult[Any]:
    """Run a statement whose ``{}`` are names, quoted here, or literals (``sql.Literal``)."""
    composed = sql.SQL(statement).format(
        *(sql.Identifier(part) if isinstance(part, str) else part for part in parts)
    )
    return connection.exec_driver_sql(composed.as_string().replace("%", "%%"))


def _open_database(connection: Connection) -> None:
    """Grants on the database itself, which neither a template nor a dump carries along."""
    database = connection.engine.url.database or ""
    execute(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)
    for role in (*Role, ANALYST):
        execute(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, role)
    for role in (Role.PIPELINE, Role.DBT):
        execute(connection, "GRANT TEMPORARY ON DATABASE {} TO {}", database, role)


def _enter_provider(connection: Connection, provider: Provider) -> None:
    """The provider's row in the catalog, and its raw tables with grants, policies and indexes."""
    catalog = insert(integrations).values(provider=provider.name, title=provider.title)
    connection.execute(
        catalog.on_conflict_do_update(
            index_elements=[integrations.c.provider], set_={"title": catalog.excluded.title}
        )
    )
    schema = f"raw_{provider.name}"
    execute(connection, "CREATE SCHEMA IF NOT EXISTS {}", schema)
    execute(connection, "GRANT USAGE ON SCHEMA {} TO pipeline, dbt", schema)
    inspected = sqlalchemy.inspect(connection)
    existing = set(inspected.get_table_names(schema))
    indexed = {
        each["name"] for found in inspected.get_multi_indexes(schema).values() for each in found
    }
    for stream in provider.stream_names:
        table = raw_table(provider.name, stream)
        if stream not in existing:
            connection.execute(CreateTable(table))
            for statement in OPEN_RAW:
                execute(connection, statement, schema, stream)
        for index in table.indexes:
            # `IF NOT EXISTS` would wait for whoever writes.
            if index.name not in indexed:
                connection.execute(CreateIndex(index))


def is_outage(error: BaseException) -> bool:
    """Whether ``error`` says that the database is away, and not that it refuses what was asked,
    such as for want of space: it has no SQLSTATE, or one of connections or of a shutdown."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, psycopg.Error):
            return cause.sqlstate is None or cause.sqlstate.startswith(("08", "57P"))
        cause = cause.__cause__
    return True


def _engine(
    settings: Settings,
    url: URL,
    *,
    application_name: str,
    statement_timeout: float | None = None,
    **pool: Any,
) -> Engine:
    arguments: dict[str, Any] = {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT,
    }
    if statement_timeout is not None:
        arguments["options"] = f"-c statement_timeout={statement_timeout * 1_000:.0f}"
    engine = sqlalchemy.create_engine(
        url, pool_pre_ping=True, hide_parameters=True, connect_args=arguments, **pool
    )
    if settings.database_url is None:

        @event.listens_for(engine, "do_connect")
        def connect(dialect: Any, _record: Any, args: Any, parameters: dict[str, Any]) -> Any:
            try:
                return dialect.connect(*args, **parameters)
            except dialect.loaded_dbapi.OperationalError:
                parameters["port"] = embedded_postgres.revive(settings.data_path).port
                return dialect.connect(*args, **parameters)

    return engine


def _given_url(settings: Settings) -> URL:
    given = settings.database_url.get_secret_value() if settings.database_url else ""
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        url = URL.create("none")
    if url.drivername.partition("+")[0] not in ("postgres", "postgresql") or not (
        url.username and url.database
    ):
        raise ConfigurationError(
            "DATABASE_URL is not of the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    return url.set(drivername=PSYCOPG)


def _is_ours(username: str | None) -> bool:
    return username is not None and (username in set(Role) or username.startswith(f"{ANALYST}_"))
