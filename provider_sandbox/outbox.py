"""Webhooks on their way out: signed when they are sent, and sent again until they are taken."""

import heapq
import itertools
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

SENDERS = 8
PATIENCE = 10.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
ATTEMPTS = 12


@dataclass(slots=True)
class Notice:
    """One delivery. ``body`` may be made when it is first sent; ``sign(body, at)`` gives the
    headers that say, at Unix second ``at``, whose it is."""

    provider: str
    account: str
    url: str
    body: bytes | Callable[[], bytes]
    content_type: str = "application/json"
    sign: Callable[[bytes, int], Mapping[str, str]] = lambda body, at: {}
    attempts: int = 0


@dataclass(slots=True)
class Mood:
    """How badly deliveries go: the shares of them that are sent twice and that are lost, and the
    most seconds that one is late, which also changes their order. ``held``: none leaves."""

    twice: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    held: bool = False


@dataclass
class Outbox:
    """Deliveries of all providers. ``counts``: taken, refused (to be tried again), given_up and
    lost, by what became of them."""

    seed: int = 0
    mood: Mood = field(default_factory=Mood)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = Random(f"{self.seed}/outbox")
        self._due: list[tuple[float, int, Notice]] = []
        self._number = itertools.count()
        self._under_way = 0
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def send(self, notice: Notice, *, wait: float = 0.0) -> None:
        """Send it, ``wait`` seconds from now."""
        with self._changed:
            if self._random.random() < self.mood.lost:
                self.counts["lost"] += 1
                return
            for _ in range(2 if self._random.random() < self.mood.twice else 1):
                late = self._random.uniform(0, self.mood.late)
                self._put(notice, wait + late)
            while len(self._threads) < SENDERS:
                thread = threading.Thread(target=self._work, name="outbox", daemon=True)
                self._threads.append(thread)
                thread.start()

    @property
    def waiting(self) -> int:
        """Deliveries that are still to be taken."""
        with self._changed:
            return len(self._due) + self._under_way

    def set_mood(self, **mood: Any) -> None:
        """See Mood. Raises TypeError for what is none."""
        with self._changed:
            self.mood = Mood(**mood)
            self._changed.notify_all()

    def told(self) -> dict[str, Any]:
        """What the control API tells."""
        return {"waiting": self.waiting, **self.counts}

    def close(self) -> None:
        """Send nothing any more."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify_all()

    def _put(self, notice: Notice, wait: float) -> None:
        heapq.heappush(self._due, (time.monotonic() + wait, next(self._number), notice))
        self._changed.notify()

    def _work(self) -> None:
        while (notice := self._next()) is not None:
            taken = _delivered(notice)
            with self._changed:
                self._under_way -= 1
                self.counts["taken" if taken else "refused"] += 1
                if not taken and notice.attempts < ATTEMPTS and not self._closed:
                    self._put(notice, min(FIRST_WAIT * 2 ** (notice.attempts - 1), LONGEST_WAIT))
                elif not taken:
                    self.counts["given_up"] += 1

    def _next(self) -> Notice | None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0 and not self.mood.held:
                    self._under_way += 1
                    notice = heapq.heappop(self._due)[2]
                    notice.attempts += 1
                    if not isinstance(notice.body, bytes):
                        notice.body = notice.body()
                    return notice
                self._changed.wait(None if self.mood.held else wait)
            return None


def _delivered(notice: Notice) -> bool:
    """Whether it was answered 2xx."""
    assert isinstance(notice.body, bytes)
    request = urllib.request.Request(  # noqa: S310
        notice.url,
        data=notice.body,
        headers={
            "Content-Type": notice.content_type,
            **notice.sign(notice.body, int(time.time())),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return bool(200 <= answer.status < 300)
    except (OSError, ValueError):
        return False
