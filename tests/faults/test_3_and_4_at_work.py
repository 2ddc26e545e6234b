"""Faults 3 and 4 where a worker or the daemon is at work on an event: their Postgres is killed, or
they are with their run. Without a person the event is done once, and what it tells is in analytics.
"""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from development.processes import Processes
from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.embedded_postgres import revive
from integration_pipelines.core.events import Event, store
from integration_pipelines.core.settings import Settings
from integration_pipelines.defs.dbt_build import warm_up
from integration_pipelines.instance import WORKSPACE
from integration_pipelines.instance import environment as environment_of
from provider_sandbox import Sandbox
from provider_sandbox.stripe import StripeAccount
from tests.faults.moments import DOWN_FOR, Hold, analysts, end_server, until
from tests.providers.stripe.conftest import ConnectedVenue, ConnectStripe
from tests.stripe_ledger import connected, open_account

COMMAND = Path(sys.executable).with_name("integrations")


@pytest.fixture(scope="module")
def warehouse(mortal: Settings) -> Settings:
    """The database on the server that is to be killed, with dbt's tables, empty."""
    engine = create_engine(mortal, Role.PIPELINE)
    warm_up(mortal, engine)
    engine.dispose()
    return mortal


@pytest.fixture
def settings(warehouse: Settings) -> Settings:
    return warehouse


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as processes:
        yield processes


def told(venue: ConnectedVenue, account: StripeAccount, *, of: str, name: str) -> None:
    """A customer gets another name, and Stripe tells of it."""
    account.economy.update("customers", of, {"name": name})
    body = {"data": {"object": {"object": "customer", "id": of}}}
    event = Event(f"evt_{of}", "customer.updated", venue.connection.account_id, None, body)
    with venue.engine.begin() as session:
        store(session, "stripe", [event], request_id="r")


def held(sandbox: Sandbox, customer: str) -> Hold:
    """Whoever reads the customer again waits in the middle of it."""
    hold = sandbox.faults.add(Hold(path=f"/v1/customers/{customer}"))
    assert isinstance(hold, Hold)
    return hold


def kill_server(data_path: Path, hold: Hold) -> None:
    """SIGKILL, while what is read is on its way; an operator brings the server back."""
    end_server(data_path, signal.SIGKILL)
    hold.release()
    time.sleep(DOWN_FOR)
    revive(data_path)


def events(venue: ConnectedVenue) -> list[Any]:
    """Status and attempts of the venue's events, in the order in which they came."""
    return venue.rows(
        "SELECT status, attempts FROM control.integration_webhooks WHERE venue_id = :venue_id"
        " ORDER BY webhook_id",
        venue_id=venue.connection.venue_id,
    )


def is_named(settings: Settings, name: str) -> bool:
    query = f"SELECT count(*) FROM analytics.customers WHERE name = '{name}'"
    return analysts(settings, query) == [(1,)]


def runs(settings: Settings) -> list[Any]:
    """Runs of events that a sensor asked for, oldest first: status, and if started again."""
    engine = create_engine(settings, Role.DAGSTER)
    with engine.connect() as session:
        found = session.execute(
            text(
                "SELECT r.status, a.value IS NOT NULL AS again FROM runs r"
                " JOIN run_tags k ON k.run_id = r.run_id AND k.key = 'dagster/run_key'"
                " JOIN run_tags e ON e.run_id = r.run_id AND e.key = 'events'"
                " LEFT JOIN run_tags a ON a.run_id = r.run_id AND a.key = 'dagster/parent_run_id'"
                " ORDER BY r.id"
            )
        ).all()
    engine.dispose()
    return list(found)


def test_a_worker_outlives_a_server_that_is_killed_under_its_run(
    sandbox: Sandbox,
    connect_stripe: ConnectStripe,
    children: Processes,
    environment: dict[str, str],
    data_path: Path,
    settings: Settings,
) -> None:
    account = open_account(sandbox, "bar", only={"customers": 3})
    venue = connected(sandbox, connect_stripe, account, venue_id="bar")
    customer = account.ids("customers")[0]
    hold = held(sandbox, customer)
    told(venue, account, of=customer, name="Read over an outage")
    worker = children.start("worker", [COMMAND, "work"], env=environment | sandbox.environment)
    until(lambda: hold.struck, "the object is asked for")
    kill_server(data_path, hold)
    until(lambda: is_named(settings, "Read over an outage"), "the name is in analytics")
    assert events(venue) == [("done", 1)]
    worker.process.terminate()
    assert worker.process.wait(30) == 0


def test_the_daemon_outlives_a_killed_server_and_a_run_killed_with_the_daemon_is_taken_up_again(
    sandbox: Sandbox,
    connect_stripe: ConnectStripe,
    children: Processes,
    environment: dict[str, str],
    data_path: Path,
    settings: Settings,
) -> None:
    account = open_account(sandbox, "hall", only={"customers": 3})
    venue = connected(sandbox, connect_stripe, account, venue_id="hall")
    first, second, _ = account.ids("customers")
    of_daemon = environment | environment_of(settings) | sandbox.environment
    command = [COMMAND.with_name("dagster-daemon"), "run", "-w", WORKSPACE]
    daemon = children.start("daemon", command, env=of_daemon)
    hold = held(sandbox, first)
    told(venue, account, of=first, name="Read over an outage, too")
    until(lambda: hold.struck, "the object is asked for")
    kill_server(data_path, hold)
    until(lambda: is_named(settings, "Read over an outage, too"), "the name is in analytics")
    assert events(venue) == [("done", 1)]

    hold = held(sandbox, second)
    told(venue, account, of=second, name="Read twice")
    until(lambda: hold.struck, "the object is asked for, by a daemon that still ticks")
    began = psutil.Process(daemon.process.pid)
    for each in [began, *began.children(recursive=True)]:
        each.kill()
    daemon.process.wait(10)
    hold.release()
    assert [run.status for run in runs(settings)] == ["SUCCESS", "STARTED"]
    assert events(venue) == [("done", 1), ("claimed", 1)]
    children.start("daemon again", command, env=of_daemon)
    until(lambda: "FAILURE" in {run.status for run in runs(settings)}, "the run is given up")
    until(lambda: events(venue)[1][0] == "done", "the event is done")
    assert [run.status for run in runs(settings) if not run.again] == ["SUCCESS", "FAILURE"]
    assert len([run for run in runs(settings) if run.again]) == 1
    assert venue.payloads("customers")[second]["name"] == "Read twice"
