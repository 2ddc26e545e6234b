"""`make dev` for real: an embedded Postgres, the sandbox and Dagster, up and then gone."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from integration_pipelines.core import embedded_postgres

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_all_of_it_comes_up_and_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    dev = subprocess.Popen(
        [sys.executable, "-m", "development.dev"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": "data"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert dev.stdout is not None
    said = ""
    for line in dev.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            break
    try:
        urls = re.findall(
            r"^(?:Dagster|Data Docs|sandbox|portal) +(http://127\.0\.0\.1:\S+)", said, re.MULTILINE
        )
        assert len(urls) == 4, said
        for url in urls:
            assert urllib.request.urlopen(url, timeout=30).status == 200
        data_path = tmp_path / "data"
        server = embedded_postgres.status(data_path)
        assert server.pid is not None
        started = [*psutil.Process(dev.pid).children(recursive=True), psutil.Process(server.pid)]
        commands = [" ".join(process.cmdline()) for process in started]
        for part in (
            "provider_sandbox",
            "dagster-webserver",
            "dagster-daemon",
            "api grpc",
            "gunicorn",
            "http.server",
        ):
            assert any(part in command for command in commands), commands
        addresses = {
            socket.laddr.ip
            for process in (psutil.Process(dev.pid), *started)
            for socket in process.net_connections("inet")
            if socket.status == psutil.CONN_LISTEN
        }
        assert addresses == {"127.0.0.1"}
        dev.send_signal(signal.SIGINT)
        rest, _ = dev.communicate(timeout=60)
    finally:
        dev.kill()
    assert rest.strip() == "stopped"
    assert dev.returncode == 0
    # Postgres writes all it holds before it ends, which a busy machine makes it wait for.
    _, alive = psutil.wait_procs(started, timeout=120)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    assert not embedded_postgres.status(data_path).running
