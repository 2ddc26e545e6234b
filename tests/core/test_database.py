"""The set-up of a database, and who connects to it by which URL."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DataError, OperationalError

from integration_pipelines.core import database
from integration_pipelines.core.database import (
    PSYCOPG2,
    Role,
    create_engine,
    database_url,
    initialise,
    is_outage,
    owner_url,
    role_password,
    venue_scope,
)
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.providers import PROVIDERS

MOON = "moonlight-hall"


def test_a_scope_ends_with_its_transaction(pipeline_engine: Engine) -> None:
    current = text("SELECT current_setting('app.venue_id', true)")
    with pipeline_engine.connect() as connection:
        venue_scope(connection, MOON)
        assert connection.scalar(current) == MOON
        connection.commit()
        assert not connection.scalar(current)
        venue_scope(connection, MOON)
        connection.rollback()
        assert not connection.scalar(current)


def shape(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT c.oid::regclass::text, c.relowner::regrole::text, c.relacl::text,"
            " (SELECT array_agg(p.polname ORDER BY p.polname) FROM pg_policy p"
            " WHERE p.polrelid = c.oid)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname !~ '^(pg_|information_schema)' ORDER BY 1"
        )
        return [tuple(row) for row in rows]


def test_set_up_is_safe_to_repeat(settings: Settings, owner_engine: Engine) -> None:
    before = shape(owner_engine)
    initialise(settings, PROVIDERS.values())
    assert shape(owner_engine) == before


def test_set_up_of_one_database_by_four_at_once_is_as_by_one(
    empty_settings: Settings, settings: Settings, owner_engine: Engine
) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(initialise, empty_settings, PROVIDERS.values()) for _ in range(4)]:
            done.result()
    engine = database.owner_engine(empty_settings)
    assert shape(engine) == shape(owner_engine)
    engine.dispose()


@dataclass
class Declared:
    """What `initialise` asks of a provider."""

    name: str
    title: str
    stream_names: Iterable[str]


def test_a_stream_added_later_gets_its_table(
    settings: Settings, owner_engine: Engine, pipeline_engine: Engine
) -> None:
    for provider in (
        Declared("fifth", "Fifth", ("first",)),
        Declared("fifth", "The Fifth", ("first", "second")),
    ):
        initialise(settings, [provider])  # type: ignore[list-item]
        # As a table is that was made before there was an index.
        with owner_engine.begin() as connection:
            connection.exec_driver_sql("DROP INDEX raw_fifth.first_last_changed_at")
    initialise(settings, [provider])  # type: ignore[list-item]
    with pipeline_engine.connect() as connection:
        for stream in ("first", "second"):
            assert connection.exec_driver_sql(f"SELECT * FROM raw_fifth.{stream}").all() == []
            (index,) = inspect(connection).get_indexes(stream, "raw_fifth")
            assert index["column_names"] == ["venue_id", "last_changed_at"]
        title = "SELECT title FROM control.integrations WHERE provider = 'fifth'"
        assert connection.exec_driver_sql(title).scalar_one() == "The Fifth"


def test_the_password_of_a_role_that_others_administer_is_left_alone(
    owner_engine: Engine,
) -> None:
    with owner_engine.connect() as connection:
        database.set_password(connection, "pg_monitor", "ignored")
        database.set_password(connection, "nobody_at_all", "ignored")


def test_a_database_that_refuses_is_no_outage_and_one_that_went_away_is(
    settings: Settings, pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session, pytest.raises(OperationalError) as refused:
        session.execute(text("SET LOCAL statement_timeout = 1"))
        session.execute(text("SELECT pg_sleep(10)"))
    assert not is_outage(refused.value)
    with pipeline_engine.connect() as session, pytest.raises(OperationalError) as gone:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert is_outage(gone.value)
    nowhere = SecretStr("postgresql://owner:pw@127.0.0.1:1/none")
    away = create_engine(settings.model_copy(update={"database_url": nowhere}))
    with pytest.raises(OperationalError) as refused, away.connect():
        pass
    assert is_outage(refused.value)
    away.dispose()


def test_the_parameters_of_a_failed_statement_are_not_told(pipeline_engine: Engine) -> None:
    with pytest.raises(DataError) as caught, pipeline_engine.connect() as connection:
        connection.execute(text("SELECT 1 / (length(:secret) - 6)"), {"secret": "canary"})
    assert "division by zero" in str(caught.value)
    assert "canary" not in str(caught.value)


def given(url: str | None, app_env: AppEnv = AppEnv.TEST) -> Settings:
    secret = SecretStr(url) if url else None
    base = "https://portal.example"
    return Settings(app_env=app_env, database_url=secret, kms_key_id="k", public_base_url=base)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_the_owners_url_gives_every_roles(scheme: str) -> None:
    settings = given(f"{scheme}://boss:secret@db.example:5433/venues?sslmode=require")
    assert owner_url(settings).render_as_string(hide_password=False) == (
        "postgresql+psycopg://boss:secret@db.example:5433/venues?sslmode=require"
    )
    password = role_password("secret", "portal")
    assert database_url(settings, Role.PORTAL).render_as_string(hide_password=False) == (
        f"postgresql+psycopg://portal:{password}@db.example:5433/venues?sslmode=require"
    )
    dagsters = database_url(settings, Role.DAGSTER, drivername=PSYCOPG2)
    assert (dagsters.drivername, dagsters.username) == (PSYCOPG2, "dagster")


def test_derived_passwords_differ_by_role_and_by_owner() -> None:
    derived = {role_password(owner, role) for owner in ("a", "b") for role in Role}
    assert len(derived) == 2 * len(Role)
    assert all(re.fullmatch("[0-9a-f]{64}", password) for password in derived)


def test_a_roles_own_url_is_used_as_it_is() -> None:
    settings = given("postgresql://portal:own@db/venues", AppEnv.PRODUCTION)
    assert database_url(settings, Role.PORTAL).password == "own"
    with pytest.raises(ConfigurationError, match="DATABASE_URL is the role portal's"):
        database_url(settings, Role.PIPELINE)
    with pytest.raises(ConfigurationError, match="DATABASE_URL is the role portal's"):
        owner_url(settings)


@pytest.mark.parametrize(
    "url",
    [
        "s3cret",
        "mysql://boss:s3cret@db/venues",
        "postgresql://boss:s3cret@db:port/venues",
        "postgresql://boss:s3cret@db",
        "postgresql://:s3cret@db/venues",
    ],
)
def test_a_malformed_url_is_named_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL is not of the form") as caught:
        owner_url(given(url))
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_production_refuses_an_owner_without_password() -> None:
    url = "postgresql://boss@db/venues"
    assert owner_url(given(url)).password is None
    with pytest.raises(ConfigurationError, match="DATABASE_URL has no password"):
        database_url(given(url, AppEnv.PRODUCTION), Role.PIPELINE)


def test_a_wrong_password_is_refused(settings: Settings) -> None:
    wrong = owner_url(settings).set(password="guessed").render_as_string(hide_password=False)
    engine = create_engine(given(wrong), Role.PORTAL)
    with pytest.raises(OperationalError, match="authentication failed") as caught:
        engine.connect()
    assert role_password("guessed", "portal") not in str(caught.value)
