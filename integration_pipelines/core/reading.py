"""Reading streams in parts: how a provider whose API only lists and filters is read.

A stream's reading is divided into parts that do not depend on each other (a location, a list, a
window of time). The parts of all streams are read side by side by a bounded number of threads;
what a stream has reached is folded into its state by one thread, in the order in which pages are
handed over, so that a committed state never runs ahead of the rows it stands for.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from integration_pipelines.core.errors import AccessRevoked, BreakerOpen, ProviderError
from integration_pipelines.core.provider import (
    Counted,
    Page,
    Record,
    State,
    StreamFailed,
    StreamPlan,
)

Progress = Any
"""Where a part may be taken up again: JSON that only the part itself reads; None: its beginning."""


class Chunk(NamedTuple):
    """What one request of a part brought.

    ``observed_at``: its start on the database's clock; ``answered_at``: the provider's clock when
    it answered; ``progress``: where the part goes on after these records.
    """

    records: Sequence[Record]
    observed_at: datetime
    answered_at: datetime
    progress: Progress = None
    calls: int = 1
    touch: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of a stream; ``read(progress)`` yields it from there on."""

    key: str
    read: Callable[[Progress], Iterator[Any]]


@dataclass(slots=True, eq=False)
class Reading:
    """One stream, to be read whole (``full``: a pass, in which what is not seen has vanished) or
    as far as it changed. ``state`` is the plan's; ``kept`` is remembered in the stream's next
    state beside the time it reaches, ``division`` for as long as a pass is under way."""

    stream: str
    parts: Sequence[Part]
    full: bool
    state: State | None = None
    kept: State = field(default_factory=dict)
    division: State = field(default_factory=dict)
    _reached: dict[str, Progress] = field(init=False, default_factory=dict)
    _done: list[str] = field(init=False, default_factory=list)
    _through: datetime | None = field(init=False, default=None)
    _failed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if self.full and self.state is not None and self.state["phase"] == "pass":
            keys = {part.key for part in self.parts}
            self._reached = {k: v for k, v in self.state["reached"].items() if k in keys}
            self._done = [key for key in self.state["done"] if key in keys]
            if self.state["through"]:
                self._through = datetime.fromisoformat(self.state["through"])

    @property
    def left(self) -> list[tuple[Part, Progress]]:
        """Parts not read to their end, each with where it stands."""
        return [(p, self._reached.get(p.key)) for p in self.parts if p.key not in self._done]

    def take(self, part: Part, chunk: Chunk) -> Page:
        """Account for a chunk."""
        if self._through is None or chunk.answered_at < self._through:
            self._through = chunk.answered_at
        self._reached[part.key] = chunk.progress
        return Page(
            self.stream,
            chunk.records,
            chunk.observed_at,
            state=self._under_way() if self.full else None,
            in_pass=self.full,
            touch=chunk.touch,
            calls=chunk.calls,
        )

    def end(self, part: Part) -> None:
        """Account for a part's end."""
        self._reached.pop(part.key, None)
        self._done.append(part.key)

    def last(self, now: datetime) -> Page:
        """The page that ends the stream; ``now`` counts where nothing was asked."""
        through = self._through or now
        return Page(
            self.stream,
            [],
            now,
            state={"phase": "follow", "through": through.isoformat(), **self.kept},
            in_pass=self.full,
            last=self.full,
            cursor_at=through,
        )

    def _under_way(self) -> State:
        return {
            "phase": "pass",
            "through": self._through.isoformat() if self._through else None,
            "reached": dict(self._reached),
            "done": list(self._done),
            **({"division": self.division} if self.division else {}),
        }


def is_full(plan: StreamPlan) -> bool:
    """Whether the plan asks for a pass: the first, one begun and not ended, or another."""
    return plan.full or plan.state is None or plan.state["phase"] == "pass"


def through(plan: StreamPlan, *, lookback: timedelta) -> datetime:
    """From when on what changed is of interest, ``lookback`` included; for plans not full."""
    assert plan.state is not None
    return datetime.fromisoformat(plan.state["through"]) - lookback


def count_side_by_side(
    counts: Sequence[tuple[str, Callable[[], Iterator[Counted]]]], *, concurrency: int
) -> Iterator[Counted | StreamFailed]:
    """Take the census of each (stream, part of it), ``concurrency`` at a time; errors are met as
    in `read_side_by_side`."""
    jobs: deque[_Job] = deque()
    readings: dict[str, Reading] = {}
    for stream, count in counts:
        reading = readings.setdefault(stream, Reading(stream, (), full=True))
        jobs.append((reading, Part(stream, partial(_counted, count)), None))
    with _Workers(jobs, concurrency) as workers:
        for reading, _, item in workers:
            if isinstance(item, Counted):
                yield item
            elif failed := _failure(reading, item):
                yield failed


def _counted(count: Callable[[], Iterator[Counted]], _: Progress) -> Iterator[Counted]:
    return count()


def read_side_by_side(
    readings: Sequence[Reading], *, concurrency: int, now: Callable[[], datetime]
) -> Iterator[Page | StreamFailed]:
    """Read all parts of all ``readings``, ``concurrency`` of them at a time.

    A ProviderError ends its stream alone; AccessRevoked and BreakerOpen end everything, and are
    raised. ``now`` is the database's clock.
    """
    left = {id(reading): len(reading.left) for reading in readings}
    for reading in readings:
        if not left[id(reading)]:
            yield reading.last(now())
    with _Workers(_in_turns(readings), concurrency) as workers:
        for reading, part, item in workers:
            if reading._failed:
                continue
            if isinstance(item, Chunk):
                yield reading.take(part, item)
            elif item is None:
                reading.end(part)
                left[id(reading)] -= 1
                if not left[id(reading)]:
                    yield reading.last(now())
            elif failed := _failure(reading, item):
                yield failed


def _failure(reading: Reading, error: object) -> StreamFailed | None:
    """The end of a stream that failed, told once; raises what is about more than the stream."""
    if error is None or reading._failed:
        return None
    if isinstance(error, ProviderError) and not isinstance(error, AccessRevoked | BreakerOpen):
        reading._failed = True
        return StreamFailed(reading.stream, error, calls=1)
    assert isinstance(error, BaseException)
    raise error


_Job = tuple[Reading, Part, Progress]
_Item = Chunk | Counted | BaseException | None


def _in_turns(readings: Sequence[Reading]) -> deque[_Job]:
    """The jobs of all streams, a part of each in turn, so that none waits for another's last."""
    queues = [deque(reading.left) for reading in readings]
    jobs: deque[_Job] = deque()
    while any(queues):
        for reading, queue in zip(readings, queues, strict=True):
            if queue:
                jobs.append((reading, *queue.popleft()))
    return jobs


class _Workers:
    """Threads that read jobs; iterating gives (reading, part, what it yields), None at a part's
    end, or what it raised."""

    AHEAD = 2
    """Chunks a thread may be ahead of whoever iterates."""

    def __init__(self, jobs: deque[_Job], size: int) -> None:
        self._jobs = jobs
        self._left = len(jobs)
        self._size = min(size, len(jobs))
        self._items: deque[tuple[Reading, Part, _Item]] = deque()
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, daemon=True, name=f"reading-{number}")
            for number in range(self._size)
        ]

    def __enter__(self) -> "_Workers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[tuple[Reading, Part, _Item]]:
        while self._left:
            with self._changed:
                self._changed.wait_for(lambda: self._items)
                item = self._items.popleft()
                self._changed.notify_all()
            if item[2] is None or isinstance(item[2], BaseException):
                self._left -= 1
            yield item

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._closed or not self._jobs:
                    return
                reading, part, progress = self._jobs.popleft()
            ended: BaseException | None = None
            try:
                if not reading._failed:
                    for chunk in part.read(progress):
                        self._put((reading, part, chunk))
                        if self._closed or reading._failed:
                            break
            except BaseException as error:
                ended = error
            self._put((reading, part, ended))

    def _put(self, item: tuple[Reading, Part, _Item]) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._items) < self.AHEAD * self._size or self._closed
            )
            self._items.append(item)
            self._changed.notify_all()
