"""Alembic's environment: the schema `control`, as the owner of the database.

`initialise` hands over its open transaction; the `alembic` command reads the settings itself.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection, text

from integration_pipelines.core.database import owner_engine
from integration_pipelines.core.settings import load_settings
from integration_pipelines.core.tables import CONTROL, metadata


def _include_name(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "schema" or name == CONTROL


def _run(connection: Connection) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {CONTROL}"))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=CONTROL,
        include_schemas=True,
        include_name=_include_name,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    _run(connection)
else:
    with owner_engine(load_settings()).begin() as connection:
        _run(connection)
