"""Faults are made for a Stripe account of the sandbox; its ledger says what must have landed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import URL

from integration_pipelines.core import database
from integration_pipelines.core.embedded_postgres import (
    DATABASE,
    HOST,
    OWNER,
    Server,
    embedded_postgres,
)
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.providers import PROVIDERS
from tests.providers.stripe.conftest import connect_stripe, sandbox

__all__ = ["connect_stripe", "sandbox"]


@pytest.fixture(scope="module")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mortal")


@pytest.fixture(scope="module")
def server(data_path: Path) -> Iterator[Server]:
    """A server of a module's own, to be killed."""
    with embedded_postgres(data_path, configuration={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="module")
def mortal(server: Server, data_path: Path) -> Settings:
    """Settings whose DATABASE_URL leads to that server: nobody but an operator revives it."""
    url = URL.create(
        database.PSYCOPG,
        username=OWNER,
        password=server.owner_password,
        host=HOST,
        port=server.port,
        database=DATABASE,
    )
    settings = Settings(
        app_env=AppEnv.TEST,
        database_url=SecretStr(url.render_as_string(hide_password=False)),
        data_dir=data_path,
    )
    database.initialise(settings, PROVIDERS.values())
    return settings
