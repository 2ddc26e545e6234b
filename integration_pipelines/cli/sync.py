"""`integrations sync`: a batch of connections, run as the Dagster job `sync_venues`, waited for."""

import os
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import require_streams, require_venue
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.credentials import Connection, open_connections
from integration_pipelines.core.errors import ConfigurationError, IntegrationError
from integration_pipelines.core.ingest.batch import BatchItem, abandon, create_batch
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.status import read_stale
from integration_pipelines.core.tables import sync_logs
from integration_pipelines.providers import PROVIDERS

COUNTS = ("fetched", "inserted", "updated", "unchanged", "deleted", "api_calls")
COLUMNS = ("venue_id", "provider", "stream", *COUNTS, "seconds")
POLL_SECONDS = 0.5
SHOWN_AT_MOST = 15
NAMED_AT_MOST = 4
ONCE = {"dagster/max_retries": "0"}
"""Run tag: the person who waits for this run is told that it failed, and asks again or not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one run of the job is to do; ``streams`` None: all of each connection's provider."""

    connections: Sequence[Connection]
    streams: tuple[str, ...] | None
    full: bool
    allow_deletes: bool

    def pairs(self) -> Iterator[tuple[Connection, str]]:
        """Every stream of every connection that it covers."""
        for connection in self.connections:
            for stream in self.streams or PROVIDERS[connection.provider].stream_names:
                yield connection, stream


class Ended(NamedTuple):
    """One run's end: a row for each stream asked for, and what failed beside the streams."""

    streams: list[dict[str, Any]]
    failures: list[str]


@click.command()
@click.option("--venue", "venue_ids", metavar="SLUG", multiple=True, help="Only this; repeatable.")
@click.option("--provider", "providers", multiple=True, help="Only this; repeatable.")
@click.option("--stream", "streams", multiple=True, help="Only this; repeatable.")
@click.option("--full", is_flag=True, help="Read all again, and mark what has vanished.")
@click.option(
    "--allow-deletes", is_flag=True, help="Let --full mark more than 5% of a stream as deleted."
)
@json_option
@click.pass_obj
def sync(
    application: Application,
    venue_ids: tuple[str, ...],
    providers: tuple[str, ...],
    streams: tuple[str, ...],
    full: bool,
    allow_deletes: bool,
    as_json: bool,
) -> None:
    """Bring the venues' data up to date, and the tables built from it.

    All connected accounts and streams, or those chosen. Runs in Dagster, where it can be seen;
    waits for the end; prints a row a stream. Status 0 only if every stream asked for succeeded and
    its venue's tables passed their tests.
    """
    if not application.debug:
        warnings.simplefilter("ignore")
    settings = application.settings
    ended: list[Ended] = []
    run_ids: list[str] = []
    with application.engine() as engine:
        chosen = choose(engine, venue_ids=venue_ids, providers=providers, streams=streams)
        for connections, of_provider in chosen.groups:
            asked = Asked(connections, of_provider, full, allow_deletes)
            run_ids.append(str(uuid4()))
            ended.append(run(settings, engine, asked, run_id=run_ids[-1], debug=application.debug))
        touched = {each.venue_id for connections, _ in chosen.groups for each in connections}
        with engine.connect() as session:
            stale = read_stale(session, touched)
    rows = [row for end in ended for row in end.streams]
    failures = chosen.held_back + [failure for end in ended for failure in end.failures]
    failed = [row for row in rows if row["outcome"] != "succeeded"]
    if as_json:
        print_json(
            {
                "succeeded": not (failed or failures or stale),
                "run_ids": run_ids,
                "streams": rows,
                "stale": [each._asdict() for each in stale],
                "failures": failures,
            }
        )
    else:
        console().print(table(rows, COLUMNS))
    for line in _causes(failed):
        click.echo(line, err=True)
    if failed or failures or stale:
        told = [f"{len(failed)} of {len(rows)} streams did not succeed"] if failed else []
        told += [each.words for each in stale]
        raise IntegrationError("; ".join([*told, *failures]))


def _causes(failed: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a cause: whose, what it kept from succeeding, and what to do."""
    streams: dict[tuple[str, ...], list[str]] = {}
    for row in failed:
        cause = (row["outcome"], f"{row['venue_id']}/{row['provider']}", row["error"])
        streams.setdefault(cause, []).append(row["stream"])
    for (outcome, account, error), names in streams.items():
        which = ", ".join(names) if len(names) <= NAMED_AT_MOST else f"{len(names)} streams"
        yield f"{outcome}: {account} ({which}): {error}"


class Chosen(NamedTuple):
    """Connections to sync, grouped by the streams asked for (None: all of the provider's), and
    why others that were asked for cannot be."""

    groups: list[tuple[list[Connection], tuple[str, ...] | None]]
    held_back: list[str]


def choose(
    engine: Engine,
    *,
    venue_ids: Collection[str],
    providers: Collection[str],
    streams: Collection[str],
) -> Chosen:
    """What to sync of what was asked for; a paused connection that nobody named is passed over.

    Raises ConfigurationError where something named does not exist, or nothing is connected.
    """
    asked = require_streams(providers, streams)
    require_venue(engine, *venue_ids)
    with engine.connect() as session:
        found = open_connections(
            session,
            venue_ids=venue_ids or None,
            providers=[provider.name for provider in asked],
        )
    missing = sorted(set(venue_ids) - {connection.venue_id for connection in found})
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)} has no account connected: "
            f"`integrations connect PROVIDER --venue {missing[0]}`"
        )
    if not found:
        raise ConfigurationError(
            "no account is connected: `integrations connect PROVIDER --venue SLUG`"
        )
    groups: dict[tuple[str, ...] | None, list[Connection]] = {}
    held_back = []
    for connection in found:
        own = PROVIDERS[connection.provider].stream_names
        of_provider = tuple(name for name in own if name in streams) if streams else None
        if of_provider == ():
            continue
        if connection.is_due:
            groups.setdefault(of_provider, []).append(connection)
        elif venue_ids or not connection.paused:
            held_back.append(_held_back(connection))
    return Chosen([(connections, names) for names, connections in groups.items()], held_back)


def _held_back(connection: Connection) -> str:
    which = f"{connection.venue_id}/{connection.provider}"
    if connection.paused:
        return f"{which} is paused or disabled: resume it first"
    return (
        f"{which} is {connection.status} ({connection.status_reason or 'no reason noted'}): "
        f"connect it again with `integrations connect {connection.provider} --venue …`"
    )


def run(
    settings: Settings, engine: Engine, asked: Asked, *, run_id: str, debug: bool = False
) -> Ended:
    """Run the job on what is asked for, in this process and on the real instance."""
    from integration_pipelines.definitions import defs
    from integration_pipelines.defs.jobs import run_config, run_tags
    from integration_pipelines.instance import open_instance

    with engine.begin() as session:
        batch_id = create_batch(
            session,
            [BatchItem(connection, asked.streams, asked.full) for connection in asked.connections],
        )
    try:
        with (
            open_instance(settings) as instance,
            _progress(engine, asked, run_id),
            nullcontext() if debug else _dagster_unheard(),
        ):
            result = defs.resolve_job_def("sync_venues").execute_in_process(
                run_config=run_config(batch_id, allow_deletes=asked.allow_deletes),
                tags=run_tags(batch_id) | ONCE,
                run_id=run_id,
                instance=instance,
                raise_on_error=False,
            )
        failed = [event for event in result.all_node_events if event.is_step_failure]
        if any(event.step_failure_data.error_source.name == "INTERRUPT" for event in failed):
            raise KeyboardInterrupt
    except BaseException:
        # Else the daemon would take up what the person who asked has given up.
        with engine.begin() as session:
            abandon(session, [batch_id])
        raise
    rows = _rows(engine, asked, run_id)
    failures = [_why(event) for event in failed]
    # Where every stream failed, so did the step, and the rows say why.
    told = any(row["outcome"] != "succeeded" for row in rows)
    return Ended(rows, [] if told and len(failures) == 1 else failures)


def _why(event: Any) -> str:
    """A step's failure in its own words."""
    data = event.step_failure_data
    said = data.user_failure_data and data.user_failure_data.description
    return f"{event.step_key}: {said or data.error_display_string.strip().splitlines()[0]}"


def _rows(engine: Engine, asked: Asked, run_id: str) -> list[dict[str, Any]]:
    """What `control.sync_logs` says of each stream asked for."""
    columns = sync_logs.c
    with engine.connect() as session:
        logged = {
            (row["venue_id"], row["provider"], row["stream"]): dict(row)
            for row in session.execute(
                select(
                    columns.venue_id,
                    columns.provider,
                    columns.stream,
                    columns.mode,
                    columns.outcome,
                    *(columns[name] for name in COUNTS),
                    func.extract("epoch", columns.finished_at - columns.started_at).label(
                        "seconds"
                    ),
                    columns.cursor_at,
                    columns.error_kind,
                    columns.error,
                ).where(columns.run_id == run_id)
            ).mappings()
        }
    rows = []
    for connection, stream in asked.pairs():
        row = logged.get((connection.venue_id, connection.provider, stream)) or {
            "venue_id": connection.venue_id,
            "provider": connection.provider,
            "stream": stream,
            "mode": None,
            "outcome": "skipped",
            **dict.fromkeys(COUNTS, 0),
            "seconds": None,
            "cursor_at": None,
            "error_kind": None,
            "error": "another sync of this account is under way: wait for it, then ask again",
        }
        rows.append(row | {"seconds": float(row["seconds"] or 0)})
    return rows


@contextmanager
def _dagster_unheard() -> Iterator[None]:
    """Drop what Dagster's console logger says: the run's events in the UI hold all of it."""
    # Left open: what an interruption leaves under way may still speak to it.
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115
    with redirect_stderr(nowhere):
        yield


@contextmanager
def _progress(engine: Engine, asked: Asked, run_id: str) -> Iterator[None]:
    """Show on a terminal what the run has done so far; elsewhere say once what it does."""
    shown = console(stderr=True)
    what = f"{len(asked.connections)} account{'' if len(asked.connections) == 1 else 's'}"
    if not shown.is_terminal:
        shown.print(f"syncing {what}, run {run_id}")
        yield
        return
    ended = threading.Event()
    begun = Spinner("dots", f"starting the run {run_id} for {what} …")
    with Live(begun, console=shown, transient=True, redirect_stderr=False) as live:

        def follow() -> None:
            while not ended.wait(POLL_SECONDS):
                # The run must not end because nobody could look at it.
                with suppress(SQLAlchemyError):
                    live.update(_so_far(engine, asked, run_id))

        watcher = threading.Thread(target=follow, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _so_far(engine: Engine, asked: Asked, run_id: str) -> RenderableType:
    """A line an account under way, and one for all of them."""
    columns = sync_logs.c
    with engine.connect() as session:
        accounts = session.execute(
            select(
                columns.venue_id,
                columns.provider,
                func.count().label("streams"),
                func.count().filter(columns.outcome != "running").label("done"),
                func.sum(columns.fetched).label("fetched"),
            )
            .where(columns.run_id == run_id)
            .group_by(columns.venue_id, columns.provider)
            .order_by(func.max(columns.started_at))
        ).all()
    under_way = [account for account in accounts if account.done < account.streams]
    ended = len(accounts) - len(under_way)
    lines: list[RenderableType] = [
        Text(
            f"  {account.venue_id}/{account.provider}: {account.done} of {account.streams} "
            f"streams, {account.fetched:,} rows fetched"
        )
        for account in under_way[:SHOWN_AT_MOST]
    ]
    fetched = sum(account.fetched for account in accounts)
    doing = "publishing the tables built from" if ended == len(asked.connections) else "syncing"
    total = f"{doing} {ended} of {len(asked.connections)} accounts, {fetched:,} rows fetched"
    return Group(Spinner("dots", total), *lines)
