import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, func, insert, inspect, select

from integration_pipelines.core import database
from integration_pipelines.core.database import (
    MIGRATIONS,
    Role,
    analyst_role,
    create_engine,
    initialise,
    venue_scope,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import CONTROL, field_mappings, metadata
from integration_pipelines.core.venues import add_venue, describe_removal
from integration_pipelines.providers import PROVIDERS
from tests.filled import fill

SCRIPTS = ScriptDirectory(str(MIGRATIONS))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]

CANONICAL = """
    CREATE TABLE analytics.payments (venue_id text);
    ALTER TABLE analytics.payments ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY build ON analytics.payments TO dbt USING (true) WITH CHECK (true);
    CREATE POLICY venue_isolation ON analytics.payments FOR SELECT TO analyst
        USING (venue_id = control.analyst_venue());
    CREATE POLICY all_venues ON analytics.payments FOR SELECT TO analyst_all USING (true);
    GRANT SELECT ON analytics.payments TO analyst, analyst_all;
    INSERT INTO analytics.payments VALUES ('moonlight-hall');
"""


def upgrade(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        command.upgrade(configuration(connection=connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        command.downgrade(configuration(connection=connection), revision)


def configuration(**attributes: object) -> Config:
    config = Config(attributes=attributes)
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names(CONTROL))


OF_MODELS = {table.name for table in metadata.sorted_tables}


@pytest.fixture
def empty(empty_settings: Settings) -> Iterator[Engine]:
    """The owner's engine on an empty database."""
    engine = database.owner_engine(empty_settings)
    yield engine
    engine.dispose()


def test_models_and_migrations_agree(owner_engine: Engine) -> None:
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _parents: kind != "schema" or name == CONTROL,
        "version_table_schema": CONTROL,
        "compare_server_default": True,
    }
    with owner_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_there_is_one_head() -> None:
    assert SCRIPTS.get_heads() == REVISIONS[-1:]


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_migration_goes_up_and_down_and_up_again(empty: Engine, revision: str) -> None:
    below = SCRIPTS.get_revision(revision).down_revision or "base"
    assert isinstance(below, str)
    upgrade(empty, revision)
    above = tables(empty)
    downgrade(empty, below)
    upgrade(empty, revision)
    assert tables(empty) == above


def test_down_from_head_leaves_no_table(empty: Engine) -> None:
    upgrade(empty, "head")
    assert tables(empty) == OF_MODELS | {"alembic_version"}
    downgrade(empty, "base")
    assert tables(empty) == {"alembic_version"}


def test_a_full_database_goes_down_and_up_and_keeps_what_was_received(
    settings: Settings, owner_engine: Engine, venue: Callable[..., str]
) -> None:
    venue("moonlight-hall")
    dbt = create_engine(settings, Role.DBT)
    with owner_engine.begin() as connection:
        fill(connection, "moonlight-hall")
        connection.exec_driver_sql(
            "INSERT INTO raw_stripe.charges"
            " (venue_id, account_id, id, payload, observed_at, content_hash)"
            " VALUES ('moonlight-hall', 'acct', '1', '{}', now(), '')"
        )
    with dbt.begin() as connection:
        connection.exec_driver_sql(CANONICAL)
    dbt.dispose()

    downgrade(owner_engine, "base")
    assert tables(owner_engine) == {"alembic_version"}

    initialise(settings, PROVIDERS.values())
    add_venue(owner_engine, "moonlight-hall")
    assert describe_removal(owner_engine, "moonlight-hall") == {
        "analytics.payments": 1,
        "control.venues": 1,
        "raw_stripe.charges": 1,
    }
    analyst = create_engine(settings, analyst_role("moonlight-hall"))
    with analyst.connect() as connection:
        everything = "SELECT * FROM analytics.payments"
        assert connection.exec_driver_sql(everything).all() == [], "closed until dbt has run"
    analyst.dispose()


def test_names_of_fields_that_people_typed_are_forgotten(empty: Engine) -> None:
    kept = ["metadata.table", 'metadata."two words"', "lines[].amount-due"]
    typed = ['"ana@x.example"', "m.ana@x", "m.sk_live_abcdefgh", 'm."+49 30"', f'm."{"a b" * 30}"']
    upgrade(empty, "0019")
    with empty.begin() as session:
        session.exec_driver_sql(
            "SET LOCAL app.venue_id = 'hall';"
            "INSERT INTO control.venues (venue_id, name) VALUES ('hall', '');"
            "INSERT INTO control.integrations (provider, title) VALUES ('stripe', '')"
        )
        for path in (*kept, *typed):
            session.exec_driver_sql(
                "INSERT INTO control.raw_fields VALUES ('hall', 'stripe', 'customers', %s,"
                " 'string', 1, true, now(), now())",
                (path,),
            )
    upgrade(empty, "0021")
    with empty.begin() as session:
        session.exec_driver_sql("SET LOCAL app.venue_id = 'hall'")
        found = session.exec_driver_sql("SELECT path FROM control.raw_fields").scalars()
        assert set(found) == set(kept)


def test_what_was_required_of_payments_is_so_no_more_and_is_built_again(
    owner_engine: Engine, venue: Callable[..., str]
) -> None:
    venue("moonlight-hall")
    downgrade(owner_engine, "0019")
    with owner_engine.begin() as connection:
        venue_scope(connection, "moonlight-hall")
        for entity in ("payments", "customers"):
            connection.execute(
                insert(field_mappings).values(
                    venue_id="moonlight-hall",
                    provider="stripe",
                    target_table=entity,
                    target_field="custom.x",
                    version=1,
                    source_path="x",
                    transforms=[],
                    required=True,
                    type="text",
                    compiled={"required": True},
                    created_by="ana",
                    applied_at=func.now(),
                )
            )
    upgrade(owner_engine, "head")
    with owner_engine.begin() as connection:
        venue_scope(connection, "moonlight-hall")
        rules = {row.target_table: row for row in connection.execute(select(field_mappings))}
    for entity, is_required in (("payments", False), ("customers", True)):
        assert rules[entity].required is is_required
        assert rules[entity].compiled == {"required": is_required}
        assert (rules[entity].applied_at is not None) is is_required


def test_every_foreign_key_is_indexed(owner_engine: Engine) -> None:
    with owner_engine.connect() as connection:
        unindexed = connection.exec_driver_sql(
            "SELECT conrelid::regclass, conname FROM pg_constraint k WHERE contype = 'f'"
            " AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid"
            "  AND i.indpred IS NULL"
            "  AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)"
        )
        assert unindexed.all() == []


def test_the_alembic_command_reads_the_settings(environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "alembic", "current"],
        cwd=MIGRATIONS.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, f"{REVISIONS[-1]} (head)"), ran.stderr
