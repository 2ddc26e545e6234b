"""The breaker of a venue and provider, shared by processes through a real Postgres."""

import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy import event, text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import (
    AccessRevoked,
    BreakerOpen,
    NotFound,
    RateLimited,
    Refused,
    Transient,
)
from integration_pipelines.core.transport import Breaker, RetryPolicy

from .conftest import Reply

HALL, BAR = "moonlight-hall", "corner-bar"

TRY = """
import sys, time
from integration_pipelines.core.database import create_engine
from integration_pipelines.core.errors import BreakerOpen
from integration_pipelines.core.settings import load_settings
from integration_pipelines.core.transport import Breaker

breaker = Breaker(create_engine(load_settings()), venue_id="moonlight-hall", provider="stripe")
print("ready", flush=True)
sys.stdin.readline()
probes = 0
for _ in range(30):
    try:
        if breaker.check():
            probes += 1
            breaker.probed()
    except BreakerOpen:
        pass
    time.sleep(0.02)
print(probes, flush=True)
"""


@pytest.fixture
def make_breaker(pipeline_engine, venue, connect):
    connect(venue(HALL))
    connect(venue(BAR))

    def make(venue_id=HALL, **options):
        return Breaker(pipeline_engine, venue_id=venue_id, provider="stripe", **options)

    return make


@pytest.fixture
def health(pipeline_engine):
    def read(venue_id=HALL):
        with pipeline_engine.begin() as connection:
            return connection.execute(
                text(
                    "SELECT *, extract(epoch FROM open_until - clock_timestamp()) AS opens_in"
                    " FROM control.integration_health WHERE venue_id = :venue_id"
                ),
                {"venue_id": venue_id},
            ).one_or_none()

    return read


@pytest.fixture
def cool_down_over(pipeline_engine):
    """``cool_down_over()``: as if the cool-down had just ended."""

    def end():
        with pipeline_engine.begin() as connection:
            venue_scope(connection, HALL)
            connection.execute(
                text("UPDATE control.integration_health SET open_until = clock_timestamp()")
            )

    return end


def fail(breaker, times=5, message="stripe GET /v1/charges: 500"):
    for _ in range(times):
        breaker.failed(Transient(message))


def test_closed_until_five_failures_in_a_row(make_breaker, health):
    breaker = make_breaker()
    fail(breaker, 4)
    assert breaker.check() is False
    breaker.succeeded()
    fail(breaker, 4)
    assert breaker.check() is False
    assert health().breaker == "closed"
    fail(breaker, 1)
    with pytest.raises(BreakerOpen, match=r"failed 5 times in a row .*in (60|59) s"):
        breaker.check()
    assert 59 < health().opens_in <= 60


def test_another_process_sees_it_open_at_once_or_within_a_second(make_breaker):
    early = make_breaker()
    assert early.check() is False
    fail(make_breaker())
    with pytest.raises(BreakerOpen):
        make_breaker().check()
    time.sleep(1.05)
    with pytest.raises(BreakerOpen):
        early.check()


def test_venues_have_breakers_of_their_own(make_breaker):
    fail(make_breaker())
    assert make_breaker(BAR).check() is False


def test_cool_down_doubles_to_half_an_hour(make_breaker, health, cool_down_over):
    breaker = make_breaker()
    fail(breaker)
    for seconds in (60, 120, 240, 480, 960, 1800, 1800):
        assert seconds - 1 < health().opens_in <= seconds
        cool_down_over()
        breaker = make_breaker()
        assert breaker.check() is True
        breaker.failed(Transient("still"))
    assert health().times_opened == 8


def test_success_of_the_probe_closes_it(make_breaker, health, cool_down_over):
    fail(make_breaker())
    cool_down_over()
    breaker = make_breaker()
    assert breaker.check() is True
    with pytest.raises(BreakerOpen, match="one call is trying it out now"):
        make_breaker().check()
    breaker.succeeded()
    breaker.probed()
    assert breaker.check() is False
    assert (health().breaker, health().times_opened, health().open_until) == ("closed", 0, None)
    assert health().last_success_at


def test_closing_by_another_process_is_noticed_when_the_cool_down_ends(make_breaker):
    mine = make_breaker(cool_down=0.2)
    fail(mine)
    with pytest.raises(BreakerOpen):
        mine.check()
    time.sleep(0.25)
    other = make_breaker()
    assert other.check() is True
    other.succeeded()
    assert mine.check() is False


def test_late_success_of_an_older_request_does_not_close_it(make_breaker, health):
    slow = make_breaker()
    assert slow.check() is False
    fail(make_breaker())
    slow.succeeded()
    assert health().breaker == "open"


def test_one_probe_goes_out_over_all_processes(make_breaker, cool_down_over, environment):
    fail(make_breaker())
    triers = [
        subprocess.Popen(
            [sys.executable, "-c", TRY],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for trier in triers:
        assert trier.stdout.readline() == "ready\n"
    cool_down_over()
    for trier in triers:
        trier.stdin.write("go\n")
        trier.stdin.flush()
    probes = [int(trier.communicate(timeout=30)[0]) for trier in triers]
    assert sorted(probes) == [0, 1]


@pytest.mark.parametrize(("answered", "others"), [(True, False), (False, None)])
def test_one_probe_goes_out_over_all_threads_and_the_others_wait_for_its_outcome(
    make_breaker, cool_down_over, answered, others
):
    fail(make_breaker())
    cool_down_over()
    breaker = make_breaker()
    outcomes = []

    def run():
        try:
            probe = breaker.check()
        except BreakerOpen:
            outcomes.append(None)
            return
        if probe:
            time.sleep(0.3)
            breaker.succeeded() if answered else breaker.failed(Transient("still"))
            breaker.probed()
        outcomes.append(probe)

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 1
    assert outcomes.count(others) == 15


def test_probe_that_was_never_heard_of_again_is_given_to_another(
    make_breaker, health, cool_down_over
):
    fail(make_breaker())
    cool_down_over()
    assert make_breaker().check() is True
    assert health().breaker == "half_open"
    assert 290 < health().opens_in <= 300
    cool_down_over()
    assert make_breaker().check() is True


def test_a_healthy_connection_costs_few_queries(make_breaker, pipeline_engine):
    breaker = make_breaker()
    statements = []
    event.listen(pipeline_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    end = time.monotonic() + 2.2
    requests = 0
    while time.monotonic() < end:
        breaker.check()
        breaker.succeeded()
        requests += 1
        time.sleep(0.001)
    assert requests > 200
    assert len(statements) <= 2 * 4


def test_secret_in_the_last_error_is_masked(make_breaker, health):
    fail(make_breaker(), message="500 for Bearer abcdefgh12345678")
    assert "abcdefgh" not in health().last_error


class TestThroughTheTransport:
    """What counts as a failure, with a real server."""

    @pytest.fixture
    def call(self, server, make_transport, make_breaker):
        transport = make_transport(
            breaker=make_breaker(),
            retry=RetryPolicy(attempts=2, base=0.001, longest_wait=0.5),
        )

        def make(*replies):
            server.script("/list", *replies)
            return transport.request("GET", "/list", endpoint="GET /list")

        return make

    def test_five_requests_that_fail_after_their_retries_open_it(self, call, server, health):
        for _ in range(5):
            with pytest.raises(Transient):
                call(Reply(500))
        assert len(server.received) == 10
        with pytest.raises(BreakerOpen):
            call(Reply())
        assert len(server.received) == 10
        assert health().consecutive_failures == 5

    @pytest.mark.parametrize(
        ("status", "error"), [(401, AccessRevoked), (400, Refused), (404, NotFound)]
    )
    def test_a_refusal_is_no_failure_of_the_provider(self, call, health, status, error):
        for _ in range(7):
            with pytest.raises(error):
                call(Reply(status))
        assert health().breaker == "closed"

    def test_rate_limits_beyond_patience_count(self, call, health):
        for _ in range(5):
            with pytest.raises(RateLimited):
                call(Reply(429, headers={"Retry-After": "60"}))
        assert health().breaker == "open"

    def test_probe_is_tried_once_and_its_success_reopens_the_way(
        self, call, server, cool_down_over, health
    ):
        for _ in range(5):
            with pytest.raises(Transient):
                call(Reply(500))
        cool_down_over()
        time.sleep(1.05)
        server.received.clear()
        with pytest.raises(Transient):
            call(Reply(500))
        assert len(server.received) == 1
        cool_down_over()
        time.sleep(1.05)
        assert call(Reply()).status == 200
        assert health().breaker == "closed"
        assert call(Reply()).status == 200
