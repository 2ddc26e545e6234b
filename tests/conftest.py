"""What every test stands on: a real Postgres, and a fresh database in it for each test.

The server is the one DATABASE_URL names, else an embedded one that ends with the tests. That URL's
user must have CREATEDB, CREATEROLE and pg_signal_backend. Nothing else of the developer's
environment is read.
With REQUIRE_ALL=1 a skipped test is a failed one. What hypothesis searches is little and the same
each time; HYPOTHESIS_PROFILE=thorough searches long, and elsewhere each time.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import hypothesis
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import URL, Engine, insert, make_url
from sqlalchemy.dialects.postgresql import insert as upsert

from integration_pipelines.core import database
from integration_pipelines.core.embedded_postgres import DATABASE, HOST, OWNER, embedded_postgres
from integration_pipelines.core.settings import OUR_PREFIXES, AppEnv, Settings
from integration_pipelines.core.tables import connections, integrations
from integration_pipelines.core.venues import add_venue
from integration_pipelines.providers import PROVIDERS

GIVEN_DATABASE_URL = os.environ.get("DATABASE_URL")
REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"

FAST_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

hypothesis.settings.register_profile("quick", max_examples=4, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=50)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
NewDatabase = Callable[..., AbstractContextManager[Settings]]
Venue = Callable[..., str]
Connect = Callable[..., UUID]


def pytest_configure() -> None:
    Settings.model_config["env_file"] = None
    names = {name.upper() for name in Settings.model_fields}
    for name in list(os.environ):
        if name in names or name.startswith(OUR_PREFIXES):
            del os.environ[name]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process where the server is given: its roles, and their passwords, are all tests'. Else
    one more than there are cores: half of the time is spent waiting for other processes."""
    return 1 if GIVEN_DATABASE_URL else (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _refuse_to_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _refuse_to_skip((yield))


def _refuse_to_skip(report: Report) -> Report:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{report.nodeid} was skipped, and REQUIRE_ALL=1: {reason}"
    return report


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """The owner's URL on the server of these tests; its database is left alone."""
    if GIVEN_DATABASE_URL:
        yield make_url(GIVEN_DATABASE_URL).set(drivername=database.PSYCOPG)
        return
    data_path = tmp_path_factory.mktemp("server")
    with embedded_postgres(data_path, configuration=FAST_AND_FORGETFUL) as server:
        yield URL.create(
            database.PSYCOPG,
            username=OWNER,
            password=server.owner_password,
            host=HOST,
            port=server.port,
            database=DATABASE,
        )
    shutil.rmtree(data_path)


@pytest.fixture(scope="session")
def template(server_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a database as `integrations init` leaves it, to be copied."""
    with temporary_database(server_url) as name:
        data_dir = tmp_path_factory.mktemp("template")
        database.initialise(settings_for(server_url, name, data_dir), PROVIDERS.values())
        yield name


@pytest.fixture(scope="session")
def warehouse_template(
    server_url: URL, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The same with all of dbt's views and tables, empty: what a first build takes its time for."""
    from integration_pipelines.defs.dbt_build import warm_up

    with temporary_database(server_url, template=template) as name:
        settings = settings_for(server_url, name, tmp_path_factory.mktemp("warehouse"))
        engine = database.create_engine(settings, database.Role.PIPELINE)
        warm_up(settings, engine)
        engine.dispose()
        yield name


@pytest.fixture(scope="session")
def new_database(server_url: URL, template: str) -> NewDatabase:
    """``new_database(data_dir)``: settings whose database is new, until the block ends."""
    return databases_like(template, server_url)


@pytest.fixture(scope="session")
def new_warehouse(server_url: URL, warehouse_template: str) -> NewDatabase:
    """The same with dbt's tables: what a module that builds makes its ``new_database``."""
    return databases_like(warehouse_template, server_url)


def databases_like(template: str, server_url: URL) -> NewDatabase:
    @contextmanager
    def new(data_dir: Path, *, initialised: bool = True) -> Iterator[Settings]:
        of = template if initialised else "template0"
        with temporary_database(server_url, template=of) as name:
            yield settings_for(server_url, name, data_dir)

    return new


@pytest.fixture
def settings(new_database: NewDatabase, tmp_path: Path) -> Iterator[Settings]:
    """Settings whose database is new and initialised; DATABASE_URL is the owner's."""
    with new_database(tmp_path / "data") as settings:
        yield settings


@pytest.fixture
def empty_settings(new_database: NewDatabase, tmp_path: Path) -> Iterator[Settings]:
    """Settings whose database is new and empty."""
    with new_database(tmp_path / "data", initialised=False) as settings:
        yield settings


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives another process the same settings."""
    assert settings.database_url is not None
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {
        "APP_ENV": settings.app_env,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "DATA_DIR": str(settings.data_path),
    }


@pytest.fixture
def owner_engine(settings: Settings) -> Iterator[Engine]:
    engine = database.owner_engine(settings)
    yield engine
    engine.dispose()


@pytest.fixture
def pipeline_engine(settings: Settings) -> Iterator[Engine]:
    engine = database.create_engine(settings, database.Role.PIPELINE)
    yield engine
    engine.dispose()


@pytest.fixture
def venue(owner_engine: Engine) -> Venue:
    """``venue(slug, name=..., timezone=..., currency=..., day_starts_at=...) -> venue_id``."""

    def add(venue_id: str = "moonlight-hall", **attributes: str) -> str:
        return add_venue(owner_engine, venue_id, **attributes).venue_id

    return add


@pytest.fixture
def connect(owner_engine: Engine, pipeline_engine: Engine) -> Connect:
    """``connect(venue_id, provider, account_id, ...) -> connection_id``: adds a connection."""

    def add(
        venue_id: str, provider: str = "stripe", account_id: str = "acct_1", **columns: object
    ) -> UUID:
        with owner_engine.begin() as connection:
            catalog = upsert(integrations).values(provider=provider, title=provider.title())
            connection.execute(catalog.on_conflict_do_nothing())
        with pipeline_engine.begin() as connection:
            database.venue_scope(connection, venue_id)
            row = {
                "venue_id": venue_id,
                "provider": provider,
                "account_id": account_id,
                "account_name": account_id,
            } | columns
            added = insert(connections).values(row).returning(connections.c.connection_id)
            return UUID(str(connection.scalars(added).one()))

    return add


def settings_for(server_url: URL, name: str, data_dir: Path) -> Settings:
    url = server_url.set(database=name).render_as_string(hide_password=False)
    return Settings(app_env=AppEnv.TEST, database_url=SecretStr(url), data_dir=data_dir)


@contextmanager
def temporary_database(server_url: URL, *, template: str = "template0") -> Iterator[str]:
    """A new database, a copy of ``template``, dropped when the block ends."""
    name = f"test_{secrets.token_hex(6)}"
    _execute(server_url, "CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield name
    finally:
        _execute(server_url, "DROP DATABASE {} WITH (FORCE)", name)


def _execute(server_url: URL, statement: str, *names: str) -> None:
    dsn = server_url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
