"""A sync as its caller sees it: outcomes, logs, costs, and what a full pass may delete."""

import threading
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.transport import RetryPolicy
from provider_sandbox import Sandbox
from provider_sandbox.faults import DropRow, RateLimited, ServerError, Unauthorized
from provider_sandbox.stripe import StripeAccount
from tests.providers.stripe.conftest import STRIPE, ConnectedVenue, ConnectStripe
from tests.stripe_ledger import connected, differences, open_account

SOON_TIRED = RetryPolicy(attempts=2, base=0.01, cap=0.02)
CUSTOMERS = "/v1/customers"


@pytest.fixture
def account(sandbox: Sandbox) -> StripeAccount:
    return open_account(sandbox, size=60)


@pytest.fixture
def hall(sandbox: Sandbox, connect_stripe: ConnectStripe, account: StripeAccount) -> ConnectedVenue:
    return connected(sandbox, connect_stripe, account)


def outcomes(results: dict[str, Any]) -> set[str]:
    return {result.outcome for result in results.values()}


def forget(account: StripeAccount, share: float) -> list[str]:
    """Remove that share of the customers without any event."""
    gone = account.ids("customers")[: round(len(account.ids("customers")) * share)]
    with account.lock:
        for customer_id in gone:
            account.streams["customers"].remove(customer_id, account.clock.now())
    return gone


def add_customers(account: StripeAccount, count: int) -> None:
    with account.lock:
        account.economy.now()
        for _ in range(count):
            account.economy.add_customer()


def test_an_unknown_stream_is_refused_with_those_there_are(
    sandbox: Sandbox, hall: ConnectedVenue
) -> None:
    with pytest.raises(ConfigurationError, match=r"no stream guests, orders: choose of customers,"):
        hall.sync(streams=["orders", "customers", "guests"])


def test_all_streams_are_skipped_while_another_sync_holds_the_account(
    sandbox: Sandbox, hall: ConnectedVenue
) -> None:
    sandbox.reset_stats()
    key = func.hashtextextended(str(hall.connection.connection_id), 0)
    with hall.engine.connect() as other:
        assert other.scalar(select(func.pg_try_advisory_lock(key)))
        results = hall.sync(lock_wait=0.1)
        other.execute(select(func.pg_advisory_unlock(key)))
    assert outcomes(results) == {"skipped"}
    assert "another sync" in str(results["customers"].error)
    assert not sandbox.requests
    assert hall.rows("SELECT count(*) FROM control.sync_logs") == [(0,)]
    assert outcomes(hall.sync()) == {"succeeded"}


def test_a_sync_waits_for_the_one_under_way(sandbox: Sandbox, hall: ConnectedVenue) -> None:
    key = func.hashtextextended(str(hall.connection.connection_id), 0)
    with hall.engine.connect() as other:
        other.execute(select(func.pg_try_advisory_xact_lock(key)))
        released = threading.Timer(0.5, other.rollback)
        released.start()
        assert outcomes(hall.sync(streams=["products"])) == {"succeeded"}
        released.join()


def test_logs_and_costs_agree_with_what_the_provider_counted(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    logged_calls = cost_calls = 0
    for full in (False, False, True):
        account.economy.advance(3_600, mutations=15)
        sandbox.reset_stats()
        results = hall.sync(full=full, run_id="run-1")
        assert outcomes(results) == {"succeeded"}
        requests = sum(sandbox.requests.values())
        assert sum(result.api_calls for result in results.values()) == requests
        logged_calls += requests
        cost_calls += requests
    sums = "SELECT sum(api_calls), sum(inserted), count(DISTINCT sync_id)"
    assert hall.rows(f"{sums} FROM control.sync_logs WHERE run_id = 'run-1'") == [
        (logged_calls, sum_of_rows(hall), 3)
    ]
    # What was deleted since its event is not found by its id, which is an error to Stripe alone.
    wrong = "sum(errors) FILTER (WHERE endpoint NOT LIKE '%/_id')"
    costs = f"SELECT sum(calls), {wrong}, sum(rate_limited) FROM control.integration_costs"
    assert hall.rows(costs) == [(cost_calls, 0, 0)]
    by_endpoint = hall.rows(
        "SELECT calls FROM control.integration_costs WHERE endpoint = 'GET /v1/events'"
    )
    assert by_endpoint[0][0] >= 1


def sum_of_rows(venue: ConnectedVenue) -> int:
    counts = [
        venue.rows(f"SELECT count(*) FROM raw_stripe.{name}")[0][0] for name in STRIPE.stream_names
    ]
    return sum(counts)


def test_tries_again_are_costs_and_no_calls_of_the_log(
    sandbox: Sandbox, hall: ConnectedVenue
) -> None:
    hall.retry = RetryPolicy(base=0.01, cap=0.02)
    sandbox.reset_stats()
    sandbox.faults.add(ServerError(times=3))
    sandbox.faults.add(RateLimited(skip=5, retry_after=0.1))
    results = hall.sync()
    assert outcomes(results) == {"succeeded"}
    requests = sum(sandbox.requests.values())
    costs = "SELECT sum(calls), sum(errors), sum(rate_limited) FROM control.integration_costs"
    assert hall.rows(costs) == [(requests, 4, 1)]
    assert sum(result.api_calls for result in results.values()) == requests - 4


def test_what_vanished_is_confirmed_by_id_and_marked(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    add_customers(account, 200)
    hall.sync()
    gone = forget(account, 0.02)
    sandbox.reset_stats()
    customers = hall.sync(full=True)["customers"]
    assert (customers.outcome, customers.mode, customers.deleted) == (
        "succeeded",
        "full",
        len(gone),
    )
    asked = {path for (*_, path) in sandbox.requests if path.startswith(f"{CUSTOMERS}/")}
    assert asked == {f"{CUSTOMERS}/{customer_id}" for customer_id in gone}
    marked = hall.rows(
        "SELECT id, deleted_by FROM raw_stripe.customers WHERE deleted_at IS NOT NULL"
    )
    assert sorted(marked) == sorted((customer_id, "full_pass") for customer_id in gone)
    assert differences(hall, account) == []


def test_a_row_that_the_list_left_out_stays_alive_if_its_id_still_finds_it(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    hall.sync()
    sandbox.faults.add(DropRow(path=CUSTOMERS))
    customers = hall.sync(full=True)["customers"]
    assert (customers.outcome, customers.deleted) == ("succeeded", 0)
    assert differences(hall, account) == []


def test_a_pass_that_would_delete_many_stops_and_asks_and_goes_through_with_a_yes(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    add_customers(account, 100)
    hall.sync()
    gone = forget(account, 0.2)
    asks = hall.sync(full=True)
    assert asks["customers"].error_kind == "confirmation_needed"
    assert "--allow-deletes --venue moonlight-hall" in str(asks["customers"].error)
    assert asks["customers"].deleted == 0
    assert {name for name, each in asks.items() if each.outcome == "failed"} == {"customers"}
    assert set(gone) <= hall.payloads("customers").keys()
    assert outcomes(hall.sync()) == {"succeeded"}
    said_yes = hall.sync(full=True, streams=["customers"], allow_deletes=True)["customers"]
    assert (said_yes.outcome, said_yes.deleted) == ("succeeded", len(gone))
    assert differences(hall, account) == []


def test_a_vanished_row_that_cannot_be_confirmed_fails_its_stream_alone_and_stays(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    hall.sync()
    gone = forget(account, 1 / len(account.ids("customers")))
    hall.retry = SOON_TIRED
    sandbox.faults.add(ServerError(path=f"{CUSTOMERS}/*", times=None))
    results = hall.sync(full=True)
    assert results["customers"].error_kind == "transient"
    assert {name for name, each in results.items() if each.outcome == "failed"} == {"customers"}
    assert set(gone) <= hall.payloads("customers").keys()
    sandbox.faults.clear()
    assert hall.sync(full=True)["customers"].deleted == len(gone)
    assert differences(hall, account) == []


def test_a_refused_key_pauses_this_connection_and_no_other(
    sandbox: Sandbox, connect_stripe: ConnectStripe, hall: ConnectedVenue, account: StripeAccount
) -> None:
    other_account = open_account(sandbox, "bar", size=20)
    bar = connected(sandbox, connect_stripe, other_account, venue_id="corner-bar")
    hall.sync()
    before = {name: hall.payloads(name) for name in ("charges", "customers")}
    sandbox.faults.add(Unauthorized(account=account.id, skip=3, times=None))
    results = hall.sync(full=True)
    refused = [each for each in results.values() if each.outcome == "failed"]
    assert {each.error_kind for each in refused} == {"access_revoked"}
    assert "reconnect" in str(refused[0].error)
    of_hall = "SELECT status, status_reason FROM control.connections WHERE venue_id = :venue_id"
    assert hall.rows(of_hall, venue_id="moonlight-hall")[0].status == "revoked"
    assert hall.rows(of_hall, venue_id="corner-bar")[0].status == "active"
    assert {name: hall.payloads(name) for name in before} == before
    assert outcomes(bar.sync()) == {"succeeded"}


def test_a_first_load_of_many_rows_is_analyzed(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, "crowd", only={"charges": 2_100, "payment_intents": 300})
    venue = connected(sandbox, connect_stripe, account)
    venue.sync(streams=["charges", "payment_intents"])
    analyzed = venue.rows(
        "SELECT relname FROM pg_stat_user_tables"
        " WHERE schemaname = 'raw_stripe' AND last_analyze IS NOT NULL"
    )
    assert analyzed == [("charges",)]
    assert venue.rows(
        "SELECT reltuples FROM pg_class WHERE oid = 'raw_stripe.charges'::regclass"
    ) == [(2_100.0,)]


def test_a_run_id_and_the_mode_are_on_every_row_of_the_log(
    sandbox: Sandbox, hall: ConnectedVenue
) -> None:
    run_id = str(uuid4())
    for options in ({}, {}, {"full": True}):
        hall.sync(run_id=run_id, streams=["products", "prices"], **options)
    logged = hall.rows(
        "SELECT mode, outcome, count(*) FROM control.sync_logs WHERE run_id = :run_id"
        " AND finished_at >= started_at AND cursor_at IS NOT NULL GROUP BY 1, 2 ORDER BY 1",
        run_id=run_id,
    )
    assert logged == [
        ("full", "succeeded", 2),
        ("incremental", "succeeded", 2),
        ("load", "succeeded", 2),
    ]


def test_a_full_pass_reports_what_incremental_syncs_had_missed(
    hall: ConnectedVenue, account: StripeAccount
) -> None:
    assert {result.repaired for result in hall.sync().values()} == {None}
    account.economy.advance(3_600, mutations=25)
    nothing_missed = hall.sync(full=True)
    assert {name: r.repaired for name, r in nothing_missed.items() if r.repaired} == {}
    assert sum(result.inserted + result.updated for result in nothing_missed.values()) > 0

    (lost, *_), (spoiled, *_) = account.ids("customers"), account.ids("charges")
    hall.rows(f"DELETE FROM raw_stripe.customers WHERE id = '{lost}' RETURNING 1")
    hall.rows(
        f"UPDATE raw_stripe.charges SET payload = '{{}}', content_hash = '' WHERE id = '{spoiled}'"
        " RETURNING 1"
    )
    assert {result.repaired for result in hall.sync().values()} == {None}
    repaired = {name: result.repaired for name, result in hall.sync(full=True).items()}
    assert {name: count for name, count in repaired.items() if count} == {
        "customers": 1,
        "charges": 1,
    }
    assert None not in repaired.values()
    assert hall.rows("SELECT sum(repaired) FROM control.sync_logs") == [(2,)]
