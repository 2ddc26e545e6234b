"""Child processes, each in a session of its own, that end together and leave none behind."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

GRACE = 10.0


class ChildEnded(Exception):
    """A child ended by itself; the message names it, its status and its last lines."""


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    process: "subprocess.Popen[bytes]"
    log: Path


@dataclass(slots=True)
class Processes:
    """Children that write to ``logs``/NAME.log. Use as a context: leaving it stops them all.

    ``grace``: seconds they have to end by themselves before their whole sessions are killed.
    """

    logs: Path
    grace: float = GRACE
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> "Processes":
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self, name: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> Child:
        """Start ``argv`` with ``env`` on top of this process's environment."""
        log = self.logs / f"{name}.log"
        # A session of its own: Ctrl-C in the terminal reaches only us, who stop in order.
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def start_receiver(self, url: str, env: Mapping[str, str]) -> None:
        """Start the webhook receiver at ``url``."""
        self.start(
            "receiver",
            [
                Path(sys.executable).with_name("gunicorn"),
                *("-c", "python:webhook_receiver.server"),
                *("--bind", url.removeprefix("http://")),
                "webhook_receiver:create_app()",
            ],
            env={**env, "WEBHOOK_BASE_URL": url},
        )

    def start_data_docs(self, url: str, folder: Path) -> None:
        """Start a server of the files in ``folder`` at ``url``: of these alone, and to read."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        host, _, port = url.removeprefix("http://").partition(":")
        self.start(
            "data-docs",
            [
                *(sys.executable, "-m", "http.server", port),
                *("--bind", host, "--directory", folder),
            ],
        )

    def check(self) -> None:
        """Raise ChildEnded if a child has ended."""
        for child in self.children:
            status = child.process.poll()
            if status is None:
                continue
            lines = child.log.read_text(errors="replace").splitlines()[-10:]
            raise ChildEnded(
                "\n".join([f"{child.name} ended with status {status}; {child.log} ends:", *lines])
            )

    def wait_for(self, url: str, *, timeout: float = 120.0) -> None:
        """Until ``url`` answers with a success. Raises ChildEnded, TimeoutError."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.check()
            with (
                suppress(urllib.error.URLError, ConnectionError, TimeoutError),
                urllib.request.urlopen(url, timeout=5),  # noqa: S310
            ):
                return
            time.sleep(0.2)
        raise TimeoutError(f"{url} did not answer within {timeout:.0f} s; see {self.logs}")

    def stop(self) -> None:
        """End every child, last started first, with all that it has started."""
        started: list[psutil.Process] = []
        for child in reversed(self.children):
            with suppress(psutil.NoSuchProcess):
                started += psutil.Process(child.process.pid).children(recursive=True)
            child.process.terminate()
        deadline = time.monotonic() + self.grace
        for child in reversed(self.children):
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            # What the child started shares its session's process group and goes with it.
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self.children.clear()
        # Whoever is killed lives on for a moment, and holds what it uses: the last one out is to
        # stop the embedded Postgres, and must not see others there.
        while time.monotonic() < deadline + self.grace and any(map(_lives, started)):
            time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Within: SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt once, then are ignored, so that
    an impatient second Ctrl-C cannot cut the clean-up short."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def free_port(preferred: int = 0) -> int:
    """``preferred`` if nothing listens there on 127.0.0.1, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
