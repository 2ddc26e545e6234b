"""Moments: faults that tell the test when a request comes and hold it there, and what else is
waited for or ended."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.embedded_postgres import status
from integration_pipelines.core.settings import Settings
from provider_sandbox import Fault
from provider_sandbox.messages import Provider, Request

PATIENCE = 120.0
DOWN_FOR = 1.0
"""Seconds that a database is away, before it is brought back."""


@dataclass(slots=True)
class Hold(Fault):
    """Every request struck waits for `release()`: whoever asked is in the middle of its page."""

    kind = "hold"
    times: int | None = None
    _released: Any = field(default_factory=threading.Event, init=False)

    def before(self, provider: Provider, request: Request) -> None:
        self._released.wait(PATIENCE)

    def release(self) -> None:
        self._released.set()


@dataclass(slots=True)
class Arrivals(Fault):
    """Notes when each request came, on the monotonic clock; strikes none."""

    kind = "arrivals"
    times: int | None = None
    at: list[float] = field(default_factory=list, init=False)

    def before(self, provider: Provider, request: Request) -> None:
        self.at.append(time.monotonic())


@dataclass(slots=True)
class Meanwhile(Fault):
    """Something happens at the provider just before the request is answered."""

    kind = "meanwhile"
    happens: Callable[[Request], Any] = lambda request: None

    def before(self, provider: Provider, request: Request) -> None:
        self.happens(request)


def until(true: Callable[[], Any], what: str) -> Any:
    """What ``true`` gives, as soon as that is something."""
    deadline = time.monotonic() + PATIENCE
    while not (value := true()):
        assert time.monotonic() < deadline, f"not in {PATIENCE:.0f} s: {what}"
        time.sleep(0.02)
    return value


def end_server(data_path: Path, order: signal.Signals) -> None:
    """End the embedded server of ``data_path`` as an operator or an accident does."""
    pid = status(data_path).pid
    assert pid is not None
    os.kill(pid, order)
    until(lambda: not status(data_path).running, f"the server is gone after {order.name}")


def analysts(settings: Settings, query: str) -> list[Any]:
    """Rows of ``query``, as analysts of all venues see them."""
    engine = create_engine(settings, Role.ANALYST_ALL)
    with engine.connect() as session:
        rows = session.execute(text(query)).all()
    engine.dispose()
    return list(rows)
