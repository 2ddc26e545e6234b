"""A database with dbt's project in it: land raw rows, build, and look at the tables."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, text

from integration_pipelines.core import database
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import raw_table, venues
from integration_pipelines.defs.dbt_build import Build, build, project
from tests.conftest import NewDatabase

PROJECT = Path(__file__).parents[2] / "dbt_mappings"
OBSERVED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Warehouse:
    """One database, as its owner, the pipelines and dbt see it."""

    settings: Settings
    owner: Engine
    pipeline: Engine
    dbt: Engine

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

    def build(self, *venue_ids: str, **asked: Any) -> dict[str, str]:
        """Build these venues, or all: the outcome of every model and test by name."""
        made = self.built(*venue_ids, **asked)
        nodes = (*made.tables, *made.tests, *made.tests_of_views)
        return {project().node(each.unique_id)["name"]: each.status for each in nodes}

    def built(self, *venue_ids: str, **asked: Any) -> Build:
        """The same, whole; ``asked`` is what build() may be asked for besides."""
        if not venue_ids:
            venue_ids = tuple(row["venue_id"] for row in self.rows("SELECT * FROM control.venues"))
        made = build(self.settings, self.pipeline, venue_ids=venue_ids, **asked)
        assert made is not None
        return made

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a query as dbt, which sees every venue."""
        with self.dbt.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(query), parameters)]

    def row(self, query: str, **parameters: Any) -> dict[str, Any]:
        (row,) = self.rows(query, **parameters)
        return row


@pytest.fixture(scope="module")
def warehouse(
    new_warehouse: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A warehouse of its own for each module: a build costs seconds, so its tests share them."""
    with new_warehouse(tmp_path_factory.mktemp("dbt")) as settings:
        owner = database.owner_engine(settings)
        pipeline = database.create_engine(settings, database.Role.PIPELINE)
        dbt = database.create_engine(settings, database.Role.DBT)
        yield Warehouse(settings, owner, pipeline, dbt)
        for engine in (owner, pipeline, dbt):
            engine.dispose()


def not_passed(outcomes: dict[str, str]) -> dict[str, str]:
    """Models and tests that did anything but succeed."""
    return {name: status for name, status in outcomes.items() if status not in ("success", "pass")}
