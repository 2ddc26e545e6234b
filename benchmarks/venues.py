"""Many small venues by the schedule's own path: tick, queue, daemon, one run, one dbt build."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.landing import connect
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
        account = stage.stripe_account(slug, only=ROWS)
        connect(stage, slug, account["api_key"])
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
    cpu = stage.postgres_cpu() + _children_cpu()
    since = time.time()
    with _daemon(stage) as daemon:
        _wait_for(lambda: _beats(instance) > since, "the daemon is not up")
        begun = time.monotonic()
        requests = _tick(defs, instance)
        for request in requests:
            _launch(request)
        _wait_for(
            lambda: all(run.is_finished for run in _runs(instance, before)), "the runs do not end"
        )
        seconds = time.monotonic() - begun
        runs = _runs(instance, before)
        daemon.terminate()
        daemon.wait(60)
    cpu = stage.postgres_cpu() + _children_cpu() - cpu
    assert all(run.status is dg.DagsterRunStatus.SUCCESS for run in runs), runs
    return {
        "case": case,
        "venues": venues,
        "runs": len(runs),
        "seconds": seconds,
        "s per venue": seconds / venues,
        "CPU s per venue": cpu / venues,
        "hours for 10,000 x 4, 1 machine": seconds
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


def _daemon(stage: Stage) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [Path(sys.executable).with_name("dagster-daemon"), "run", "--workspace", WORKSPACE],
        stdout=(stage.settings.data_path / "daemon.log").open("ab"),
        stderr=subprocess.STDOUT,
    )


def _beats(instance: dg.DagsterInstance) -> float:
    """When the daemon that starts queued runs last gave a sign of life, in epoch seconds."""
    beats = instance.get_daemon_heartbeats()
    return beats["QUEUED_RUN_COORDINATOR"].timestamp if "QUEUED_RUN_COORDINATOR" in beats else 0.0


def _runs(instance: dg.DagsterInstance, before: set[str]) -> list[dg.DagsterRun]:
    return [run for run in instance.get_runs() if run.run_id not in before]


def _wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.2)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
