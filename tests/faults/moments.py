"""Faults that tell the test when a request comes, and hold it there."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from provider_sandbox import Fault
from provider_sandbox.messages import Provider, Request

PATIENCE = 120.0


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
