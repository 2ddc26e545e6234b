"""What a new process pays before its first line of work: every run, code server and worker."""

import subprocess
import sys
import time
from statistics import median
from typing import Any

import psutil

CASES = {
    "dagster alone": "dagster",
    "the code location": "integration_pipelines.definitions",
    "dagster_dbt, which only building imports": "dagster_dbt",
}


def run(*, repeats: int) -> list[dict[str, Any]]:
    """Seconds, CPU seconds and megabytes of a Python that imports one thing, as medians."""
    found = {case: _measure(module, repeats) for case, module in CASES.items()}
    alone = found["dagster alone"]["seconds"]
    return [
        {"case": case, **figures, "of dagster alone": figures["seconds"] / alone}
        for case, figures in found.items()
    ]


def _measure(module: str, repeats: int) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-c", f"import {module}; print(flush=True); input()"]
    found = []
    for _ in range(repeats + 1):  # The first one fills the disk's cache.
        begun = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            seconds, process = time.perf_counter() - begun, psutil.Process(child.pid)
            times = process.cpu_times()
            found.append((seconds, times.user + times.system, process.memory_info().rss / 2**20))
            child.communicate(b"\n")
    seconds, cpu, peak = (median(column) for column in zip(*found[1:], strict=True))
    return {"seconds": seconds, "CPU s": cpu, "MB": peak}
