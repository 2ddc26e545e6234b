"""The pace of an account, shared by processes through a real Postgres."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain

import pytest
from sqlalchemy import event, text

from integration_pipelines.core.errors import RateLimited
from integration_pipelines.core.transport import Clock, RateLimiter, Transport

from .conftest import QUICK, Reply

HAMMER = """
import sys, threading, time
from integration_pipelines.core.database import create_engine
from integration_pipelines.core.settings import load_settings
from integration_pipelines.core.transport import RateLimiter

rate, seconds, threads = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
engine = create_engine(load_settings())
limiter = RateLimiter(engine, provider="stripe", account_id="acct_1", rate=rate)
engine.connect().close()
print("ready", flush=True)
sys.stdin.readline()
slots, end = [], time.monotonic() + seconds
def run():
    while time.monotonic() < end:
        away = limiter.reserve(60)
        slots.append(time.monotonic() + away)
        time.sleep(away)
workers = [threading.Thread(target=run) for _ in range(threads)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
print(" ".join(f"{slot:.6f}" for slot in slots), flush=True)
"""


@pytest.fixture
def account(pipeline_engine, venue, connect):
    connect(venue())
    return {"provider": "stripe", "account_id": "acct_1"}


@pytest.fixture
def row(pipeline_engine):
    """``row() -> the account's row of control.rate_limits``"""

    def read():
        with pipeline_engine.connect() as connection:
            return connection.execute(
                text("SELECT *, clock_timestamp() AS now FROM control.rate_limits")
            ).one()

    return read


def fullest(slots: list[float], window: float) -> int:
    """The most slots in any window."""
    most, first = 0, 0
    for last, slot in enumerate(slots):
        while slot - slots[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_rate_is_used_in_full_and_never_exceeded_by_processes_together(account, environment):
    rate, seconds, threads = 150.0, 3.0, 4
    hammers = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(rate), str(seconds), str(threads)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for hammer in hammers:
        assert hammer.stdout.readline() == "ready\n"
    for hammer in hammers:
        hammer.stdin.write("go\n")
        hammer.stdin.flush()
    each = [
        [float(slot) for slot in hammer.communicate(timeout=60)[0].split()] for hammer in hammers
    ]
    slots = sorted(chain.from_iterable(each))
    assert all(len(mine) > rate * seconds / 20 for mine in each)
    for window in (0.1, 0.5, 1.0, 2.0):
        assert fullest(slots, window) <= rate * (window + 0.1) + 1
    assert len(slots) >= 0.85 * rate * (slots[-1] - slots[0])


def test_one_statement_serves_many_requests(pipeline_engine, account):
    statements = []
    limiter = RateLimiter(pipeline_engine, **account, rate=100)
    event.listen(pipeline_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for _ in range(60):
        time.sleep(limiter.reserve(10))
    assert len(statements) <= 60 / 10 + 7


def test_slots_not_needed_are_not_taken_from_others(pipeline_engine, account, row):
    """A slow reader of one request at a time takes one slot a request, not a lease of ten."""
    limiter = RateLimiter(pipeline_engine, **account, rate=100)
    for _ in range(4):
        time.sleep(limiter.reserve(10) + 0.15)
    limiter.reserve(10)
    assert (row().next_at - row().now).total_seconds() <= 0.02


def test_429_halves_the_pace_and_blocks_every_process(pipeline_engine, account, row):
    mine = RateLimiter(pipeline_engine, **account, rate=100)
    other = RateLimiter(pipeline_engine, **account, rate=100)
    other.reserve(10)
    mine.reserve(10)
    mine.throttled(retry_after=2.0, began=row().now)
    assert 1.8 < mine.reserve(10) <= 2.1
    time.sleep(0.11)
    assert 1.6 < other.reserve(10) <= 2.1
    assert 48 <= row().rate <= 52
    assert row().throttled == 1


def test_answers_of_one_storm_halve_the_pace_once(pipeline_engine, account, row):
    limiter = RateLimiter(pipeline_engine, **account, rate=100)
    limiter.reserve(10)
    began = row().now
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: limiter.throttled(retry_after=1, began=began), range(8)))
    assert 48 <= row().rate <= 52
    assert row().throttled == 8
    limiter.throttled(retry_after=0, began=began + timedelta(seconds=5))
    assert 24 <= row().rate <= 26


def test_pace_has_a_floor_and_recovers_to_the_documented_rate(pipeline_engine, account, row):
    limiter = RateLimiter(pipeline_engine, **account, rate=100)
    limiter.reserve(10)
    for later in range(10):
        limiter.throttled(retry_after=0, began=row().now + timedelta(seconds=later * 10))
    assert row().rate == 5
    with pipeline_engine.begin() as connection:
        connection.execute(
            text("UPDATE control.rate_limits SET next_at = next_at - interval '30 s'")
        )
    limiter.reserve(10)
    assert 50 <= row().rate <= 60
    with pipeline_engine.begin() as connection:
        connection.execute(
            text("UPDATE control.rate_limits SET next_at = next_at - interval '1 day'")
        )
    RateLimiter(pipeline_engine, **account, rate=100).reserve(10)
    assert row().rate == 100


def test_a_slot_too_far_away_is_not_taken(pipeline_engine, account, row):
    """A limiter never sleeps for days: it says when, and leaves the queue as it is."""
    limiter = RateLimiter(pipeline_engine, **account, rate=100)
    limiter.reserve(10)
    limiter.throttled(retry_after=10 * 86400, began=row().now)
    before = row()
    with pytest.raises(RateLimited, match="no free slot for 3600 s") as caught:
        limiter.reserve(120)
    assert 3590 < caught.value.retry_after <= 3600
    assert row().next_at == before.next_at


def test_accounts_do_not_wait_for_each_other(pipeline_engine, account, row):
    limiter = RateLimiter(pipeline_engine, **account, rate=100)
    limiter.reserve(10)
    limiter.throttled(retry_after=100, began=row().now)
    other = RateLimiter(pipeline_engine, provider="stripe", account_id="acct_2", rate=100)
    assert other.reserve(10) < 0.1


def test_429_from_the_provider_holds_the_whole_connection_back(
    pipeline_engine, account, row, server, make_transport
):
    with pipeline_engine.connect() as connection:
        clock = Clock.read(connection)
    waits = []
    transport: Transport = make_transport(
        clock=clock,
        limiter=RateLimiter(pipeline_engine, **account, rate=200),
        retry=QUICK,
        on_wait=lambda seconds, reason: waits.append(reason),
    )
    server.script("/list", Reply(), Reply(429, headers={"Retry-After": "1"}), Reply())
    for _ in range(5):
        transport.request("GET", "/list", endpoint="GET /list")
    times = [request.at for request in server.received]
    assert len(times) == 6
    assert times[2] - times[1] >= 1.0
    assert times[5] - times[2] < 0.5
    assert len(waits) == 1
    assert 95 < row().rate < 115


class TestSearch:
    """A limit that nobody documents is found by its 429s."""

    @pytest.fixture
    def limiter(self, pipeline_engine, account):
        def new():
            return RateLimiter(pipeline_engine, **account, rate=10, search=True)

        new().reserve(10)
        return new

    @pytest.fixture
    def pass_time(self, pipeline_engine):
        """``pass_time(seconds, idle=...)``: as if the pace had been used in full, or not at all."""

        def move(seconds, *, idle=False):
            with pipeline_engine.begin() as connection:
                connection.execute(
                    text(
                        "UPDATE control.rate_limits SET"
                        " steady_since = steady_since - make_interval(secs => :seconds),"
                        " blocked_until = blocked_until - make_interval(secs => :seconds),"
                        " next_at = clock_timestamp() - make_interval(secs => :idle)"
                    ),
                    {"seconds": seconds, "idle": seconds if idle else 0},
                )

        return move

    @pytest.mark.parametrize("limit", [3, 14, 50, 220])
    def test_it_is_found_within_a_twentieth_by_few_429s(self, limiter, pass_time, row, limit):
        storms = []
        for step in range(60):
            limiter().reserve(10)
            while row().rate > limit:
                limiter().throttled(retry_after=0, began=row().now + timedelta(seconds=1))
                storms.append(step)
            pass_time(6)
        assert 0.95 * limit <= row().rate <= limit
        assert len(storms) <= 14
        assert storms[-1] < 30

    def test_a_pace_that_is_not_used_does_not_grow(self, limiter, pass_time, row):
        for _ in range(5):
            pass_time(60, idle=True)
            limiter().reserve(10)
        assert row().rate == 10

    def test_a_storm_is_one_ceiling(self, limiter, row):
        began = row().now
        for _ in range(8):
            limiter().throttled(retry_after=1, began=began)
        assert (row().rate, row().ceiling, row().throttled) == (5, 10, 8)

    def test_a_ceiling_is_forgotten_after_hours(self, limiter, pass_time, row):
        limiter().throttled(retry_after=0, began=row().now)
        for _ in range(5):
            pass_time(6)
            limiter().reserve(10)
        held = row().rate
        assert held < 10
        pass_time(7 * 3600)
        limiter().reserve(10)
        assert row().rate == held * 3 / 2
