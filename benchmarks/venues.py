"""Many small venues by the schedule's own path: tick, queue, daemon, one run, one dbt build."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from benchmarks.stage import Stage
from integration_pipelines.instance import WORKSPACE, environment, open_instance

ROWS = {"customers": 25, "payment_intents": 25, "charges": 25, "balance_transactions": 25}
DEADLINE = 900.0
PROVIDERS_PER_VENUE = 4
MANY_VENUES = 10_000

Figures = dict[str, Any]


def run(stage: Stage, *, venues: int) -> list[Figures]:
    """A row a tick: first load, then a quiet one, then one in which a tenth of the venues has
    changes. Seconds run from the tick to the end of its last run; CPU is of the run's processes,
    the daemon and Postgres."""
    accounts = []
    for number in range(venues):
        slug = f"venue-{number:05}"
        account = stage.account("stripe", slug, only=ROWS)
        stage.connect("stripe", slug, account)
        accounts.append(account["account_id"])
    os.environ |= stage.environment() | environment(stage.settings)
    table = [ticked(stage, "first load", venues), ticked(stage, "nothing new", venues)]
    for account_id in accounts[::10]:
        stage.change(account_id, "customers", every=5)
    table.append(ticked(stage, "a tenth changed", venues))
    return table


def ticked(stage: Stage, case: str, venues: int) -> Figures:
    """One tick of the schedule `incremental`, its runs started by a daemon of their own."""
    from integration_pipelines.definitions import defs

    instance = open_instance(stage.settings)
    before = {run.run_id for run in instance.get_runs()}
    since = time.time()
    with daemon(stage) as meter:
        _wait_for(lambda: _beats(instance) > since, "the daemon is not up", meter)
        cpu = stage.postgres_cpu() + meter.seconds
        begun = time.monotonic()
        for request in _tick(defs, instance):
            _launch(request)
        _wait_for(
            lambda: all(run.is_finished for run in _runs(instance, before)),
            "the runs do not end",
            meter,
        )
        seconds = time.monotonic() - begun
        cpu = stage.postgres_cpu() + meter.seconds - cpu
    runs = _runs(instance, before)
    assert all(run.status is dg.DagsterRunStatus.SUCCESS for run in runs), runs
    return {
        "case": case,
        "venues": venues,
        "runs": len(runs),
        "seconds": seconds,
        "s per venue": seconds / venues,
        "CPU s per venue": cpu / venues,
        "machines for 10,000 x 4 an hour": seconds
        / venues
        * MANY_VENUES
        * PROVIDERS_PER_VENUE
        / 3600,
    }


def _tick(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    schedule = defs.resolve_schedule_def("incremental")
    with dg.build_schedule_context(
        instance=instance, resources=defs.resources, repository_def=defs.get_repository_def()
    ) as context:
        return list(schedule.evaluate_tick(context).run_requests or [])


def _launch(request: dg.RunRequest) -> None:
    subprocess.run(
        [
            Path(sys.executable).with_name("dagster"),
            "job",
            "launch",
            "--workspace",
            WORKSPACE,
            "--job",
            "sync_venues",
            "--config-json",
            json.dumps(request.run_config),
            "--tags",
            json.dumps(dict(request.tags)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class Meter:
    """CPU seconds of a process and all its descendants, those seen and ended since included."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._spent: dict[tuple[int, float], float] = {}

    def look(self) -> None:
        """Note what each has spent so far; to be called often."""
        for process in (self._root, *self._root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._spent[process.pid, process.create_time()] = times.user + times.system

    @property
    def seconds(self) -> float:
        """All that was seen."""
        self.look()
        return sum(self._spent.values())


@contextmanager
def daemon(stage: Stage) -> Iterator[Meter]:
    """Dagster's daemon, which starts what is queued, in a session of its own that ends whole."""
    with (stage.settings.data_path / "daemon.log").open("ab") as output:
        daemon = subprocess.Popen(
            [Path(sys.executable).with_name("dagster-daemon"), "run", "--workspace", WORKSPACE],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Meter(psutil.Process(daemon.pid))
    finally:
        daemon.terminate()
        daemon.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)


def _beats(instance: dg.DagsterInstance) -> float:
    """When the daemon that starts queued runs last gave a sign of life, in epoch seconds."""
    beats = instance.get_daemon_heartbeats()
    return beats["QUEUED_RUN_COORDINATOR"].timestamp if "QUEUED_RUN_COORDINATOR" in beats else 0.0


def _runs(instance: dg.DagsterInstance, before: set[str]) -> list[dg.DagsterRun]:
    return [run for run in instance.get_runs() if run.run_id not in before]


def _wait_for(condition: Callable[[], bool], otherwise: str, meter: Meter) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        meter.look()
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.2)
