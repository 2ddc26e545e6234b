"""Children that end together."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from development.processes import Child, ChildEnded, Processes, free_port


def test_a_child_that_ends_is_named_with_its_last_lines(tmp_path: Path) -> None:
    with Processes(tmp_path / "logs") as processes:
        processes.start("steady", ["sleep", "60"])
        processes.start("brittle", ["sh", "-c", "echo out of tea >&2; exit 3"])
        with pytest.raises(ChildEnded, match=r"brittle ended with status 3(?s:.*)out of tea"):
            processes.wait_for(f"http://127.0.0.1:{free_port()}", timeout=10)


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    with Processes(tmp_path / "logs", grace=1) as processes:
        processes.start("parent", ["sh", "-c", "trap '' TERM; sleep 60 & wait; sleep 60"])
        processes.start("deaf", ["sh", "-c", "sleep 60 & exec sleep 61"])
        deadline = time.monotonic() + 10
        while len(started := [each for child in processes.children for each in _tree(child)]) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    _, alive = psutil.wait_procs(started, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_second_interrupt_does_not_cut_the_end_short(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from development.processes import stopped_by_signals
try:
    with stopped_by_signals():
        try:
            print("up", flush=True)
            time.sleep(60)
        finally:
            time.sleep(1)
            print("ended in order", flush=True)
except KeyboardInterrupt:
    sys.exit(0)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=_with_this_tree()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert process.stdout.read() == "ended in order\n"
    assert process.wait(timeout=10) == 0


def _tree(child: Child) -> list[psutil.Process]:
    process = psutil.Process(child.process.pid)
    return [process, *process.children(recursive=True)]


def _with_this_tree() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[2])}
