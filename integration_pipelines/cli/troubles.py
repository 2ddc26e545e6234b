"""What goes wrong, told in one line."""

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from integration_pipelines.core.errors import ConfigurationError, IntegrationError
from integration_pipelines.core.redaction import redact

NOT_PREPARED = (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn)


def explain(error: Exception) -> str:
    """``error`` in one line without secrets: what is wrong and what to do."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    said = str(cause).strip()
    if isinstance(error, ConfigurationError):
        # It names fields and settings and quotes none of their values.
        return " ".join(said.split())
    if isinstance(error, IntegrationError):
        message = said
    elif isinstance(cause, NOT_PREPARED):
        message = f"the database is not prepared ({said.splitlines()[0]}): run `integrations init`"
    elif isinstance(cause, psycopg.OperationalError) and "authentication failed" in said:
        message = (
            f"the database refuses us ({_fatal(said)}): run `integrations init`, which gives the "
            "roles their passwords; if that fails too, check DATABASE_URL"
        )
    elif isinstance(cause, psycopg.OperationalError):
        message = f"the database does not answer ({_fatal(said)}): check DATABASE_URL"
    else:
        message = f"{type(error).__name__}: {said}; `integrations --debug …` shows where"
    return redact(" ".join(message.split()))


def _fatal(said: str) -> str:
    """What the server said, without libpq's account of how it got there."""
    return said.splitlines()[-1].rpartition("FATAL:")[2].strip()
