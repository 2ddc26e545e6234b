"""Where benchmarks run: a Postgres and a provider of their own, and child processes to measure.

Each case runs in a new Python process, so that its CPU and its peak of memory are its own; the
Postgres server's CPU is counted with it, the provider's stand-in is not.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
from pydantic import SecretStr

from integration_pipelines.core.credentials import Vault, save_connection
from integration_pipelines.core.database import (
    create_engine,
    initialise,
    owner_engine,
    venue_scope,
)
from integration_pipelines.core.embedded_postgres import embedded_postgres, status
from integration_pipelines.core.ingest import unconnected_client
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.core.venues import add_venue
from integration_pipelines.providers import PROVIDERS


@dataclass(frozen=True, slots=True)
class Stage:
    """A Postgres under ``settings``, and the stand-in's ``base_url``."""

    settings: Settings
    base_url: str
    postmaster: psutil.Process

    def account(self, provider: str, slug: str, **options: Any) -> dict[str, Any]:
        """An account of a stand-in: its ``account_id`` and what opens it."""
        account: dict[str, Any] = self._control(f"{provider}/accounts", slug=slug, **options)
        return account

    def connect(self, provider: str, slug: str, account: dict[str, Any]) -> str:
        """A venue connected to the account; its id, which is the slug."""
        asked = PROVIDERS[provider]
        owner, engine = owner_engine(self.settings), create_engine(self.settings)
        add_venue(owner, slug)
        secrets = {name: account[name] for name in SECRETS[provider]}
        credentials = asked.credentials.model_validate(secrets)
        client = unconnected_client(self.settings, engine, asked, credentials, slug)
        with engine.begin() as session:
            venue_scope(session, slug)
            save_connection(
                session,
                Vault(self.settings),
                venue_id=slug,
                provider=provider,
                account=client.identify(),
                credentials=credentials,
            )
        owner.dispose()
        engine.dispose()
        return slug

    def live_key(self, account_id: str) -> dict[str, str]:
        """A key to a Stripe account that counts as live."""
        key: dict[str, str] = self._control(f"stripe/accounts/{account_id}/keys", live=True)
        return key

    def latency(self, seconds: float) -> None:
        """Let every answer of the stand-in take so long."""
        self._control("latency", seconds=seconds)

    def limit(self, provider: str, account_id: str, **limit: float) -> None:
        """Let the stand-in refuse what is beyond an account's ``rate``, ``per_minute`` or
        ``concurrency``."""
        self._control("limits", provider=provider, account=account_id, **limit)

    def limited(self, account_id: str) -> int:
        """How many requests of an account were answered 429."""
        told = requests.get(f"{self.base_url}/_sandbox/stats", timeout=600).json()
        return sum(
            refusal["count"] for refusal in told["limited"] if refusal["account"] == account_id
        )

    def change(self, account_id: str, stream: str, *, every: int) -> None:
        """Change every so-many-th object of an account's stream."""
        for object_id in self.ids(account_id, stream)[::every]:
            self.update(account_id, stream, object_id, {"description": "changed"})

    def ids(self, account_id: str, stream: str) -> list[str]:
        """Ids of a Stripe account's stream."""
        path = f"stripe/accounts/{account_id}/streams/{stream}"
        told = requests.get(f"{self.base_url}/_sandbox/{path}", timeout=600)
        return [str(name) for name in told.json()["ids"]]

    def update(self, account_id: str, stream: str, id: str, changes: dict[str, Any]) -> None:
        """Change an object of a Stripe account."""
        update = {"stream": stream, "id": id, "changes": changes}
        self._control(f"stripe/accounts/{account_id}/mutations", update=update)

    def owner_dsn(self) -> str:
        """libpq's URL of the database's owner."""
        assert self.settings.database_url is not None
        return self.settings.database_url.get_secret_value()

    def _control(self, path: str, **body: Any) -> Any:
        answer = requests.post(f"{self.base_url}/_sandbox/{path}", json=body, timeout=600)
        answer.raise_for_status()
        return answer.json()

    def measure(self, case: str, **arguments: Any) -> dict[str, Any]:
        """Run one case of `benchmarks.cases` in a process of its own.

        Returns what the case returns, with ``client_cpu``, ``postgres_cpu`` (seconds) and
        ``peak_mb`` (of the client).
        """
        before = self.postgres_cpu()
        child = subprocess.run(
            [sys.executable, "-m", "benchmarks.cases", case, json.dumps(arguments)],
            env=self.environment(),
            stdout=subprocess.PIPE,
            check=True,
        )
        result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
        result["postgres_cpu"] = self.postgres_cpu() - before
        return result

    def measure_together(self, case: str, *, processes: int, **arguments: Any) -> dict[str, Any]:
        """Run one case in several processes at once: what they did together, in the seconds from
        the first one's beginning to the last one's end."""
        with ThreadPoolExecutor(processes) as pool:
            jobs = [pool.submit(self.measure, case, **arguments) for _ in range(processes)]
            figures = [job.result() for job in jobs]
        return {
            "api_calls": sum(each["api_calls"] for each in figures),
            "seconds": max(each["began"] + each["seconds"] for each in figures)
            - min(each["began"] for each in figures),
        }

    def environment(self) -> dict[str, str]:
        """What gives another process the same settings."""
        assert self.settings.database_url is not None
        return {
            **os.environ,
            "APP_ENV": "test",
            "DATABASE_URL": self.settings.database_url.get_secret_value(),
            "DATA_DIR": str(self.settings.data_dir),
            **{name.upper(): url for name, url in _bases(self.base_url).items()},
        }

    def postgres_cpu(self) -> float:
        """Seconds of CPU of the server and its backends, those that have ended included."""
        while True:
            own = self.postmaster.cpu_times()
            total = own.user + own.system + own.children_user + own.children_system
            try:
                for backend in self.postmaster.children():
                    times = backend.cpu_times()
                    total += times.user + times.system
            except psutil.NoSuchProcess:
                continue  # One has ended since, and counts with the postmaster's own now.
            return float(total)


SECRETS = {
    "stripe": ("api_key",),
    "square": ("access_token",),
    "mailchimp": ("api_key",),
    "quickbooks": ("access_token", "refresh_token", "realm_id"),
}
"""What of a told account opens it."""


def _bases(base_url: str) -> dict[str, Any]:
    return {f"{name}_api_base": f"{base_url}/{name}" for name in PROVIDERS}


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage in a temporary directory; everything on it ends with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as directory,
        embedded_postgres(Path(directory)) as server,
        _stand_in() as base_url,
    ):
        url = (
            f"postgresql://owner:{server.owner_password}@127.0.0.1:{server.port}/venue_integrations"
        )
        settings = Settings(
            app_env=AppEnv.TEST,
            database_url=SecretStr(url),
            data_dir=Path(directory),
            **_bases(base_url),
        )
        initialise(settings, PROVIDERS.values())
        pid = status(Path(directory)).pid
        assert pid is not None
        yield Stage(settings, base_url, psutil.Process(pid))


@contextmanager
def _stand_in() -> Iterator[str]:
    """The provider sandbox, on a free port, in a process of its own."""
    server = subprocess.Popen(
        [sys.executable, "-m", "provider_sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().rsplit(" ", 1)[-1].strip()
    finally:
        server.terminate()
        server.wait(20)
