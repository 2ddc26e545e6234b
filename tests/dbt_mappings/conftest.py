"""A database with dbt's project in it: land raw rows, build, and look at the tables."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner
from sqlalchemy import URL, Engine, delete, insert, text

from integration_pipelines.core import database
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import dbt_build_venues, raw_table, venues
from tests.conftest import settings_for, temporary_database

PROJECT = Path(__file__).parents[2] / "dbt_mappings"
OBSERVED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Warehouse:
    """One database; what dbt writes beside it goes to ``directory``."""

    settings: Settings
    owner: Engine
    dbt: Engine
    directory: Path

    def add_venue(self, venue_id: str, **columns: Any) -> str:
        with self.owner.begin() as connection:
            database.venue_scope(connection, venue_id)
            connection.execute(insert(venues).values(venue_id=venue_id, name=venue_id, **columns))
        return venue_id

    def land(
        self,
        venue_id: str,
        stream: str,
        *bodies: dict[str, Any],
        account_id: str = "acct_1",
        provider: str = "stripe",
        ids: Sequence[str] = (),
        deleted_at: datetime | None = None,
    ) -> None:
        """Bodies as the pipelines land them, under ``ids`` if given; one without an id is known by
        its place."""
        rows = [
            {
                "venue_id": venue_id,
                "account_id": account_id,
                "id": ids[place] if ids else body.get("id") or f"nameless_{place}",
                "payload": body,
                "observed_at": OBSERVED_AT,
                "content_hash": hashlib.blake2b(json.dumps(body).encode(), digest_size=16).digest(),
                "deleted_at": deleted_at,
            }
            for place, body in enumerate(bodies)
        ]
        if rows:
            with self.owner.begin() as connection:
                database.venue_scope(connection, venue_id)
                connection.execute(insert(raw_table(provider, stream)), rows)

    def remove(self, venue_id: str, stream: str) -> None:
        """Take a venue's raw rows of a stream away."""
        with self.owner.begin() as connection:
            database.venue_scope(connection, venue_id)
            connection.execute(delete(raw_table("stripe", stream)))

    def build(self, *venue_ids: str, options: tuple[str, ...] = ()) -> dict[str, str]:
        """`dbt build` of these venues, or of all: the outcome of every model and test by name. Once
        staging's views are there, it leaves them out with their tests, unless ``options`` say what
        to build."""
        target = self.directory / "target"
        if target.exists() and not options:
            options = ("--exclude", "staging", "--indirect-selection=cautious")
        with self.owner.begin() as connection:
            connection.execute(delete(dbt_build_venues))
            for venue_id in venue_ids:
                connection.execute(insert(dbt_build_venues).values(venue_id=venue_id))
        url = self.dbt.url
        environment = {
            "DBT_HOST": url.host or "",
            "DBT_PORT": str(url.port or 5432),
            "DBT_USER": url.username or "",
            "DBT_PASSWORD": str(url.password or ""),
            "DBT_DATABASE": url.database or "",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            result = dbtRunner().invoke(
                [
                    "--quiet",
                    "--no-use-colors",
                    "build",
                    *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
                    *("--target-path", str(target)),
                    *("--log-path", str(self.directory / "logs")),
                    *options,
                ]
            )
        if result.exception is not None:
            raise result.exception
        return {node.node.name: str(node.status) for node in result.result}

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a query as dbt, which sees every venue."""
        with self.dbt.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(query), parameters)]

    def row(self, query: str, **parameters: Any) -> dict[str, Any]:
        (row,) = self.rows(query, **parameters)
        return row


@pytest.fixture(scope="module")
def warehouse(
    server_url: URL, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A warehouse of its own for each module: a build costs seconds, so its tests share them."""
    directory = tmp_path_factory.mktemp("dbt")
    with temporary_database(server_url, template=template) as name:
        settings = settings_for(server_url, name, directory / "data")
        owner = database.owner_engine(settings)
        dbt = database.create_engine(settings, database.Role.DBT)
        yield Warehouse(settings, owner, dbt, directory)
        owner.dispose()
        dbt.dispose()


def not_passed(outcomes: dict[str, str]) -> dict[str, str]:
    """Models and tests that did anything but succeed."""
    return {name: status for name, status in outcomes.items() if status not in ("success", "pass")}
