"""Requests under way of one account, counted over all processes by a real Postgres."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from integration_pipelines.core.transport import Slots

SIZE = 10

READER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from integration_pipelines.core.database import create_engine
from integration_pipelines.core.settings import load_settings
from integration_pipelines.core.transport import Slots

seconds = float(sys.argv[1])
engine = create_engine(load_settings())
slots = Slots(engine, provider="mailchimp", account_id="acct_1", size=10)
engine.connect().close()
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + seconds
def run(_):
    used = []
    while time.monotonic() < end:
        with slots:
            begun = time.monotonic()
            time.sleep(0.03)
            used.append((begun, time.monotonic()))
    return used
with ThreadPoolExecutor(12) as pool:
    spans = [span for used in pool.map(run, range(12)) for span in used]
print(" ".join(f"{begun:.6f},{ended:.6f}" for begun, ended in spans), flush=True)
"""


@pytest.fixture
def make_slots(pipeline_engine):
    return lambda account_id="acct_1": Slots(
        pipeline_engine, provider="mailchimp", account_id=account_id, size=SIZE
    )


@pytest.fixture
def locks(owner_engine):
    """``locks() -> how many advisory locks are held in this database``"""

    def count():
        with owner_engine.connect() as session:
            return session.scalar(
                text(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )

    return count


def use(slots, *, threads=30, times=6, seconds=0.02):
    """Spans of time, as (begun, ended), in which slots were held."""

    def run(_):
        spans = []
        for _ in range(times):
            with slots:
                begun = time.monotonic()
                time.sleep(seconds)
                spans.append((begun, time.monotonic()))
        return spans

    with ThreadPoolExecutor(threads) as pool:
        return [span for spans in pool.map(run, range(threads)) for span in spans]


def most_at_once(spans):
    changes = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    return max(accumulate(change for _, change in changes))


def test_a_lone_reader_uses_all_slots_and_no_more(make_slots, locks):
    spans = use(make_slots())
    assert len(spans) == 180
    assert most_at_once(spans) == SIZE
    assert locks() == 0


def test_one_request_at_a_time_holds_one_slot_and_nothing_in_between(make_slots, locks):
    slots = make_slots()
    for _ in range(3):
        with slots:
            assert locks() == 2  # Its slot, and that it is one of the readers.
        assert locks() == 0


def test_accounts_do_not_wait_for_each_other(make_slots):
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda name: use(make_slots(name)), ["acct_1", "acct_2"]))
    assert most_at_once(both[0] + both[1]) > SIZE
    assert [most_at_once(spans) for spans in both] == [SIZE, SIZE]


def test_processes_share_the_slots_evenly(environment, pipeline_engine):
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, "4"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout.readline() == "ready\n"
    for reader in readers:
        reader.stdin.write("go\n")
        reader.stdin.flush()
    each = [
        [tuple(map(float, span.split(","))) for span in reader.communicate(timeout=60)[0].split()]
        for reader in readers
    ]
    assert most_at_once(each[0] + each[1]) <= SIZE
    fewer, more = sorted(len(spans) for spans in each)
    assert fewer >= 0.5 * more


def test_a_reader_that_is_gone_leaves_its_slots_to_the_others(make_slots, owner_engine):
    gone = make_slots()
    with pytest.raises(DBAPIError), gone, owner_engine.connect() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND mode = 'ShareLock'"
            )
        )
        assert most_at_once(use(make_slots())) == SIZE
        gone._looked_at = float("-inf")
        with gone:
            pass
    assert most_at_once(use(gone)) == SIZE
