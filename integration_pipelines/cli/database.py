"""`integrations init` and `integrations db`: the database, and a way into it for people."""

import os
import shutil
import signal
import subprocess

import click
from sqlalchemy import URL

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import require_venue
from integration_pipelines.core import embedded_postgres
from integration_pipelines.core.database import ANALYST, Role, database_url, initialise, owner_url
from integration_pipelines.core.errors import ConfigurationError

OWNER = "owner"
READ_ONLY = "-cdefault_transaction_read_only=on"

ROLES = """
\b
    dbt           raw, staging, analytics and marts of every venue (the default)
    analyst_all   analytics and marts of every venue
    analyst_SLUG  analytics and marts of one venue
    pipeline      the control tables: connections, sync_logs, ...
    owner         migrations and maintenance; sees no venue's rows
"""


@click.command()
@click.pass_obj
def init(application: Application) -> None:
    """Bring the database to head: migrations, schemas, roles and their passwords.

    Safe to repeat. Needs the owner's DATABASE_URL; without one, makes an embedded Postgres under
    DATA_DIR.
    """
    from integration_pipelines.providers import PROVIDERS

    initialise(application.settings, PROVIDERS.values())
    url = owner_url(application.settings)
    where = "" if application.settings.database_url else " (embedded, while something uses it)"
    click.echo(f"the database {url.database} at {url.host}:{url.port} is ready{where}")


@click.group()
def db() -> None:
    """The database's URL, and psql on it."""


def role_option(command: click.decorators.FC) -> click.decorators.FC:
    return click.option("--role", default=Role.DBT.value, show_default=True, help="Who to be.")(
        command
    )


@db.command(epilog=ROLES)
@role_option
@click.pass_obj
def url(application: Application, role: str) -> None:
    """Print the URL that a role connects with. It holds the role's password.

    The role dbt gets a session that only reads. An embedded Postgres answers as long as something
    uses it, such as `make dev` or `integrations db psql`.
    """
    click.echo(_url(application, role).render_as_string(hide_password=False))


@db.command(
    epilog=ROLES,
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
)
@role_option
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def psql(context: click.Context, role: str, args: tuple[str, ...]) -> None:
    """Run psql as a role; ARGS are psql's own.

    The role dbt gets a session that only reads (`set transaction_read_only = off` undoes it).
    """
    url = _url(context.obj, role)
    program = shutil.which("psql") or embedded_postgres.binary("psql")
    shown = url._replace(password=None).render_as_string()
    # Ctrl-C is psql's, which cancels the query; we stay until it ends, and with us the server.
    signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    completed = subprocess.run(
        [program, f"--dbname={shown}", *args],
        env={**os.environ, "PGPASSWORD": str(url.password or "")},
        check=False,
    )
    context.exit(completed.returncode)


def _url(application: Application, role: str) -> URL:
    """What ``role`` connects with, in the form that every Postgres client reads."""
    settings = application.settings
    if role == OWNER:
        return owner_url(settings).set(drivername="postgresql")
    if role not in set(Role):
        if not role.startswith(f"{ANALYST}_"):
            raise ConfigurationError(
                f"there is no role {role}: choose of {', '.join(Role)}, {ANALYST}_SLUG, {OWNER}"
            )
        with application.engine() as engine:
            require_venue(engine, role.removeprefix(f"{ANALYST}_"))
    url = database_url(settings, role, drivername="postgresql")
    return url.update_query_dict({"options": READ_ONLY}) if role == Role.DBT else url
