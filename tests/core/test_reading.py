"""Parts read side by side: one state a stream, never ahead of its rows."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integration_pipelines.core.errors import AccessRevoked, Refused
from integration_pipelines.core.provider import Page, Record, State, StreamFailed, StreamPlan
from integration_pipelines.core.reading import (
    Chunk,
    Part,
    Reading,
    is_full,
    read_side_by_side,
    through,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def part(key: str, pages: int = 3, *, error: Exception | None = None, at: int = 0) -> Part:
    """A part of one record a page, whose progress is how many pages were read."""

    def read(progress: Any) -> Iterator[Chunk]:
        for number in range(progress or 0, pages):
            answered = NOON + timedelta(seconds=at + number)
            yield Chunk([Record(f"{key}/{number}", b"{}")], NOON, answered, number + 1)
        if error:
            raise error

    return Part(key, read)


def read(*readings: Reading, concurrency: int = 4) -> list[Page | StreamFailed]:
    return list(read_side_by_side(readings, concurrency=concurrency, now=lambda: NOON))


def ids(items: list[Page | StreamFailed], stream: str = "orders") -> list[str]:
    return [
        record.id
        for item in items
        if isinstance(item, Page) and item.stream == stream
        for record in item.records
    ]


def test_a_pass_reads_every_part_and_ends_once_with_the_earliest_answer() -> None:
    items = read(Reading("orders", [part("a", at=60), part("b", at=5)], full=True, kept={"k": 1}))
    assert sorted(ids(items)) == ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"]
    *pages, last = items
    assert isinstance(last, Page)
    assert last.last and last.in_pass and last.cursor_at == NOON + timedelta(seconds=5)
    assert last.state == {"phase": "follow", "through": "2026-11-01T12:00:05+00:00", "k": 1}
    assert not any(isinstance(page, Page) and page.last for page in pages)


def test_a_pass_goes_on_from_any_of_its_states_and_misses_nothing() -> None:
    parts = [part("a"), part("b"), part("c", pages=0)]
    items = read(Reading("orders", parts, full=True))
    for cut in range(len(items) - 1):
        before = items[: cut + 1]
        state = before[-1].state  # type: ignore[union-attr]
        after = read(Reading("orders", parts, full=True, state=state))
        assert sorted(ids(before) + ids(after)) == sorted(ids(items))
        assert after[-1].cursor_at == NOON  # type: ignore[union-attr]


def test_what_changed_has_no_state_before_its_end() -> None:
    items = read(Reading("orders", [part("a")], full=False))
    states: list[State | None] = [item.state for item in items if isinstance(item, Page)]
    assert states == [None, None, None, {"phase": "follow", "through": NOON.isoformat()}]
    assert not any(item.in_pass or item.last for item in items if isinstance(item, Page))


def test_a_stream_without_parts_ends_at_once() -> None:
    (last,) = read(Reading("orders", [], full=True))
    assert isinstance(last, Page)
    assert (last.last, last.cursor_at) == (True, NOON)


def test_a_refusal_ends_its_stream_alone() -> None:
    refused = Refused("no such permission", status=403)
    items = read(
        Reading("orders", [part("a", error=refused), part("b", pages=50)], full=True),
        Reading("payments", [part("p")], full=True),
    )
    assert [item.error for item in items if isinstance(item, StreamFailed)] == [refused]
    ended = [item.stream for item in items if isinstance(item, Page) and item.last]
    assert ended == ["payments"]
    assert len(ids(items, "payments")) == 3


def test_a_revoked_credential_ends_everything_and_every_thread() -> None:
    with pytest.raises(AccessRevoked):
        read(
            Reading("orders", [part("a", error=AccessRevoked("revoked"))], full=True),
            Reading("payments", [part("p", pages=10_000)], full=True),
        )
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading-")]


def test_parts_are_read_at_once_up_to_the_concurrency_and_streams_take_turns() -> None:
    together = threading.Barrier(3, timeout=5)

    def waits(key: str) -> Part:
        def read(progress: Any) -> Iterator[Chunk]:
            together.wait()
            yield Chunk([Record(key, b"{}")], NOON, NOON, 1)

        return Part(key, read)

    items = read(
        Reading("orders", [waits("a"), waits("b"), waits("c"), waits("d")], full=True),
        Reading("payments", [waits("p"), waits("q")], full=True),
        concurrency=3,
    )
    first_three = [item.stream for item in items if isinstance(item, Page) and item.records][:3]
    assert set(first_three) == {"orders", "payments"}


def test_a_reader_that_is_left_ends_its_threads() -> None:
    pages = read_side_by_side(
        [Reading("orders", [part("a", pages=10_000)], full=True)],
        concurrency=2,
        now=lambda: NOON,
    )
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading-")]


def test_a_plan_is_full_until_a_pass_has_ended_and_then_looks_back() -> None:
    follow = {"phase": "follow", "through": NOON.isoformat()}
    assert is_full(StreamPlan("orders", None, False))
    assert is_full(StreamPlan("orders", {"phase": "pass"}, False))
    assert is_full(StreamPlan("orders", follow, True))
    plan = StreamPlan("orders", follow, False)
    assert not is_full(plan)
    assert through(plan, lookback=timedelta(hours=72)) == NOON - timedelta(hours=72)
