"""Dagster's instance: its home under DATA_DIR, and the environment that its processes need.

    dagster dev -w workspace.yaml     with `environment(settings)` added to its environment
    open_instance(settings)           in this process: for jobs executed here, visible in the UI

DAGSTER_HOME is DATA_DIR/dagster and gets a copy of `dagster.yaml`; runs, events and schedules are
in Postgres, as the role `dagster`. Importing this module imports neither Dagster nor a driver.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

ROOT = Path(__file__).parents[1]
WORKSPACE = ROOT / "workspace.yaml"
POSTGRES_URL = "DAGSTER_POSTGRES_URL"
EVENT_BATCH = "200"
"""Materializations written by one statement: 0.4 ms each, where one by one they take 8."""


def environment(settings: Settings) -> dict[str, str]:
    """Prepare DAGSTER_HOME and say what a Dagster process needs in its environment, with a URL that
    holds a password. A DAGSTER_POSTGRES_URL in ours serves where DATABASE_URL is another role's."""
    home = settings.data_path / "dagster"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(home / "dagster.yaml", (ROOT / "dagster.yaml").read_bytes())
    return {
        "DATA_DIR": str(settings.data_path),
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": EVENT_BATCH,
        POSTGRES_URL: _postgres_url(settings),
    }


def open_instance(settings: Settings) -> "DagsterInstance":
    """The instance, for this process, whose environment it completes. Raises ConfigurationError."""
    from dagster import DagsterInstance

    os.environ.update(environment(settings))
    return DagsterInstance.get()


def _postgres_url(settings: Settings) -> str:
    from integration_pipelines.core.database import PSYCOPG2, Role, database_url

    try:
        url = database_url(settings, Role.DAGSTER, drivername=PSYCOPG2)
    except ConfigurationError:
        if POSTGRES_URL in os.environ:
            return os.environ[POSTGRES_URL]
        raise
    return url.render_as_string(hide_password=False)


def _write(path: Path, content: bytes) -> None:
    """Write what is not there yet; who reads meanwhile sees the old or the new file."""
    if path.exists() and path.read_bytes() == content:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
