"""Faults 1 and 2: a sync killed in the midst of a page, of COPY, or between rows and cursor; and
where it works on events, between the rows of one and their commit."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from integration_pipelines.core.events import Event, store
from provider_sandbox import Sandbox
from tests.faults.moments import Hold, until
from tests.faults.worker import MOMENTS, work_on_events
from tests.providers.stripe.conftest import ConnectedVenue, ConnectStripe
from tests.stripe_ledger import by_id, connected, differences, open_account

ROWS = {"charges": 3_000, "payment_intents": 600}
CHARGES = "/v1/charges"
PAGES_LET_THROUGH = 15

Worker = Callable[..., AbstractContextManager["subprocess.Popen[str]"]]


@pytest.fixture
def worker(environment: dict[str, str]) -> Worker:
    """``worker(venue, *arguments)``: a process that syncs the venue; dead when the block ends."""

    @contextmanager
    def start(venue: ConnectedVenue, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        api_base = venue.settings.stripe_api_base
        assert api_base is not None
        with subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker", venue.connection.venue_id, *arguments],
            env=environment | {"STRIPE_API_BASE": str(api_base)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    return start


def kill(process: "subprocess.Popen[str]") -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def landed(venue: ConnectedVenue) -> dict[str, Any]:
    """What is committed: rows and the windows left, of both long streams."""
    states = dict(venue.rows("SELECT stream, state FROM control.sync_cursors"))
    return {
        stream: (venue.rows(f"SELECT count(*) FROM raw_stripe.{stream}"), states.get(stream))
        for stream in ROWS
    }


def lock_is_free(venue: ConnectedVenue) -> bool:
    return bool(
        venue.rows(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(:id, 0))",
            id=str(venue.connection.connection_id),
        )[0][0]
    )


def asked(sandbox: Sandbox, path: str) -> int:
    return sum(count for (*_, asked), count in sandbox.requests.items() if asked == path)


def test_a_sync_killed_in_the_midst_of_a_page_resumes_from_the_last_committed_cursor(
    sandbox: Sandbox, connect_stripe: ConnectStripe, worker: Worker
) -> None:
    account = open_account(sandbox, only=ROWS)
    venue = connected(sandbox, connect_stripe, account)
    hold = sandbox.faults.add(Hold(path=CHARGES, skip=PAGES_LET_THROUGH))
    assert isinstance(hold, Hold)
    with worker(venue) as process:
        until(lambda: hold.struck, "a page of charges is being read")
        until(lambda: landed(venue)["charges"][0][0][0] >= 1_000, "checkpoints of charges")
        kill(process)
    hold.release()
    sandbox.faults.clear()
    until(lambda: lock_is_free(venue), "the killed sync's lock is free")

    (rows, state) = landed(venue)["charges"]
    assert 0 < rows[0][0] < ROWS["charges"]
    assert state["phase"] == "pass"
    assert all(window["after"] or window["lt"] for window in state["windows"])
    assert dict(venue.rows("SELECT stream, outcome FROM control.sync_logs"))["charges"] == "running"

    sandbox.reset_stats()
    results = venue.sync()
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
    pages = ROWS["charges"] // 100
    still_to_read = pages - rows[0][0] // 100
    assert still_to_read <= asked(sandbox, CHARGES) <= still_to_read + 8 < pages
    assert rows[0][0] + results["charges"].inserted == ROWS["charges"]
    # What had ended before the kill stays so; what had not is given up.
    outcomes = venue.rows("SELECT stream, outcome FROM control.sync_logs")
    assert len(outcomes) == 2 * 16
    assert {stream for stream, outcome in outcomes if outcome != "succeeded"} >= {"charges"}
    assert {outcome for _, outcome in outcomes} == {"abandoned", "succeeded"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_rows_and_cursor_of_a_killed_checkpoint_are_lost_together_and_nothing_is_left(
    sandbox: Sandbox, connect_stripe: ConnectStripe, worker: Worker, moment: str
) -> None:
    account = open_account(sandbox, only=ROWS)
    venue = connected(sandbox, connect_stripe, account)
    with worker(venue, "--pause", moment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "READY\n"
        committed = landed(venue)
        assert not lock_is_free(venue)
        skipped = venue.sync(lock_wait=0)
        assert {result.outcome for result in skipped.values()} == {"skipped"}
        kill(process)
    until(lambda: lock_is_free(venue), "the killed sync's lock is free")
    assert landed(venue) == committed
    assert any(rows[0][0] for rows, _ in committed.values())
    staging = "SELECT count(*) FROM pg_class WHERE relname LIKE 'landing_stage%'"
    until(lambda: venue.rows(staging) == [(0,)], "no staging table is left")

    results = venue.sync()
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []


def test_rows_of_an_event_and_that_it_is_done_are_lost_together_and_its_next_run_does_it_once(
    sandbox: Sandbox, connect_stripe: ConnectStripe, worker: Worker
) -> None:
    account = open_account(sandbox, only={"customers": 3})
    venue = connected(sandbox, connect_stripe, account)
    customer = account.ids("customers")[0]
    body = {"data": {"object": {"object": "customer", "id": customer}}}
    event = Event("evt_1", "customer.updated", account.id, None, body)
    with venue.engine.begin() as session:
        store(session, "stripe", [event], request_id="r")
    with worker(venue, "--events") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "READY\n"
        kill(process)
    until(lambda: lock_is_free(venue), "the killed run's lock is free")
    inbox = "SELECT status, attempts FROM control.integration_webhooks"
    assert venue.rows(inbox) == [("claimed", 1)]
    assert venue.payloads("customers") == {}

    venue.rows("UPDATE control.integration_webhooks SET lease_expires_at = now() RETURNING 1")
    work_on_events(venue.engine, venue.client(), on_done=lambda: None)
    assert venue.rows(inbox) == [("done", 2)]
    assert venue.payloads("customers") == by_id(account.objects("customers")[:1])
    logged = venue.rows("SELECT outcome, inserted FROM control.sync_logs ORDER BY started_at")
    assert logged == [("abandoned", 0), ("succeeded", 1)]
    landed_once = "SELECT sum(inserted), sum(updated), sum(deleted) FROM control.sync_days"
    assert venue.rows(landed_once) == [(1, 0, 0)]
