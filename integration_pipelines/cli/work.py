"""`integrations work`: a process that stays warm and works on webhooks the moment they come in.

What a new process pays for first, imports and dbt's parsing, it has paid for already. Each round
is a run of `sync_venues` as any other. The sensor `webhook_events` does the same without it,
seconds later, and leaves it a head start while one is up.
"""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from integration_pipelines.cli.application import Application

if TYPE_CHECKING:
    from uuid import UUID

log = structlog.get_logger(__name__)

POLL = 0.2
AFTER_TROUBLE = 2.0


@click.command()
@click.pass_obj
def work(application: Application) -> None:
    """Work on webhooks as they come in, until it is told to stop. Several may run side by side."""
    from integration_pipelines.core.logs import configure_logging

    configure_logging(application.settings.app_env)
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        # What is under way is brought to its end.
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    # Dagster takes signals for itself while a run is under way, in the main thread.
    with application.engine() as engine, ThreadPoolExecutor(1, "work") as one:
        one.submit(_work, application, engine, stop).result()


def _work(application: Application, engine: Engine, stop: threading.Event) -> None:
    from integration_pipelines.core.credentials import Vault
    from integration_pipelines.core.events.claims import at_hand, claim, secrets_of
    from integration_pipelines.definitions import defs
    from integration_pipelines.defs.dbt_build import warm_up
    from integration_pipelines.defs.sensors.webhooks import CLAIMED_AT_ONCE
    from integration_pipelines.instance import open_instance
    from integration_pipelines.providers import PROVIDERS

    vault = Vault(application.settings)
    job = defs.resolve_job_def("sync_venues")
    warm_up(application.settings, engine)
    with open_instance(application.settings) as instance:
        click.echo("ready", err=True)
        while not stop.is_set():
            with _patiently(), at_hand(engine) as session:
                while not stop.is_set():
                    with session.begin():
                        claimed = claim(
                            session,
                            PROVIDERS,
                            limit=CLAIMED_AT_ONCE,
                            secrets_of=partial(secrets_of, session, vault),
                        )
                    if claimed.batch_id is None:
                        stop.wait(POLL)
                    else:
                        _run(job, instance, claimed.batch_id, claimed.claimed, stop)
                return
            stop.wait(AFTER_TROUBLE)


@contextmanager
def _patiently() -> Iterator[None]:
    """A database that does not answer is asked again."""
    from dagster_postgres.utils import DagsterPostgresException

    try:
        yield
    except (OperationalError, DagsterPostgresException) as error:
        log.warning("the database does not answer", kind=type(error).__name__)


def _run(job: Any, instance: Any, batch_id: "UUID", events: int, stop: threading.Event) -> None:
    """One run, visible as all others are; another one where the database left it, to go on with the
    batch. A batch whose run died otherwise is closed by the sensor that mends batches, and its
    events come again when their lease ends."""
    from integration_pipelines.cli.sync import ONCE
    from integration_pipelines.defs.jobs import run_config, run_tags

    try:
        while not stop.is_set():
            with _patiently():
                result = job.execute_in_process(
                    run_config=run_config(batch_id),
                    tags=run_tags(batch_id, events=events) | ONCE,
                    instance=instance,
                    raise_on_error=False,
                )
                log.info(
                    "worked on events",
                    events=events,
                    run_id=result.run_id,
                    succeeded=result.success,
                )
                return
            stop.wait(AFTER_TROUBLE)
    except Exception as error:
        log.error("a run ended", kind=type(error).__name__, batch_id=str(batch_id))
