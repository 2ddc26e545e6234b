"""Fault 8: pages that shift while read, equal timestamps, duplicates, a cursor that loops."""

from collections.abc import Iterable
from typing import Any

import pytest

from provider_sandbox import Sandbox
from provider_sandbox.faults import Duplicates, Loop, Shift
from provider_sandbox.messages import Request
from provider_sandbox.stripe import StripeAccount
from tests.faults.moments import Meanwhile
from tests.providers.stripe.conftest import ConnectedVenue, ConnectStripe
from tests.stripe_ledger import connected, differences, open_account

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def account(sandbox: Sandbox) -> StripeAccount:
    return open_account(sandbox, size=60)


@pytest.fixture
def hall(sandbox: Sandbox, connect_stripe: ConnectStripe, account: StripeAccount) -> ConnectedVenue:
    return connected(sandbox, connect_stripe, account)


def add_customers(account: StripeAccount, count: int) -> None:
    """So many customers of the present second."""
    with account.lock:
        account.economy.now()
        for _ in range(count):
            account.economy.add_customer()


def outcomes(results: dict[str, Any]) -> set[str]:
    return {result.outcome for result in results.values()}


def deleting_anchors(account: StripeAccount, *, pages: Iterable[int]) -> Meanwhile:
    """Delete the customer after whom a page is asked for, just before its answer."""
    chosen = set(pages)
    asked = 0

    def delete(request: Request) -> None:
        nonlocal asked
        _, found, after = request.query.partition("starting_after=")
        if found:
            asked += 1
            if asked in chosen:
                account.economy.delete("customers", after.partition("&")[0])

    return Meanwhile(path="/v1/customers", times=None, happens=delete)


def test_objects_created_while_the_list_is_read_land(
    sandbox: Sandbox, hall: Any, account: Any
) -> None:
    add_customers(account, 320)
    shift = sandbox.faults.add(Shift(path="/v1/customers", times=20))
    assert outcomes(hall.sync()) == {"succeeded"}
    assert shift.struck >= 4
    sandbox.faults.clear()
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []


def test_hundreds_of_objects_of_one_second_land_in_first_load_and_feed(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    add_customers(account, 320)
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []
    add_customers(account, 320)
    assert outcomes(hall.sync()) == {"succeeded"}
    account.economy.advance(400)
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []


def test_windows_of_a_crowded_minute_overlap_nowhere_and_leave_nothing_out(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, "crowd", only={"charges": 4_000}, months=60 / 2_592_000)
    venue = connected(sandbox, connect_stripe, account)
    results = venue.sync(streams=["charges"])
    assert (results["charges"].outcome, results["charges"].inserted) == ("succeeded", 4_000)
    assert results["charges"].fetched == 4_000
    assert differences(venue, account) == []


def test_rows_that_two_pages_share_land_once(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, "crowd", only={"charges": 1_200})
    venue = connected(sandbox, connect_stripe, account)
    duplicates = sandbox.faults.add(Duplicates(path="/v1/charges"))
    charges = venue.sync(streams=["charges"])["charges"]
    assert duplicates.struck > 12
    assert charges.fetched > 1_200
    assert (charges.outcome, charges.inserted) == ("succeeded", 1_200)
    assert differences(venue, account) == []


@pytest.mark.parametrize(
    ("path", "stream"),
    [("/v1/customers", "customers"), ("/v1/invoices/*/lines", "invoices")],
    ids=["list", "nested list"],
)
def test_a_list_that_loops_fails_its_stream_by_name_and_the_others_land(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount, path: str, stream: str
) -> None:
    add_customers(account, 320)
    loop = sandbox.faults.add(Loop(path=path))
    results = hall.sync()
    assert results[stream].error_kind == "malformed"
    assert "loop" in str(results[stream].error)
    assert {name for name, result in results.items() if result.outcome == "failed"} == {stream}
    assert loop.struck < 30
    sandbox.faults.clear()
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []


def test_a_feed_that_loops_moves_no_cursor(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    hall.sync()
    account.economy.advance(86_400, mutations=150)
    sandbox.faults.add(Loop(path="/v1/events"))
    assert {result.error_kind for result in hall.sync().values()} == {"malformed"}
    sandbox.faults.clear()
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []


@pytest.mark.parametrize("page", [1, 2, 3])
def test_the_object_after_which_a_page_is_asked_for_may_vanish(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount, page: int
) -> None:
    account.clock.set(account.clock.now() + 60)
    add_customers(account, 420)
    deleted_before = len(account.deleted("customers"))
    sandbox.faults.add(deleting_anchors(account, pages=[page]))
    results = hall.sync()
    assert len(account.deleted("customers")) == deleted_before + 1
    assert {result.error for result in results.values()} == {None}
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []


def test_a_pass_goes_on_however_many_of_those_objects_vanish(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    for _ in range(12):
        account.clock.set(account.clock.now() + 60)
        add_customers(account, 60)
    sandbox.faults.add(deleting_anchors(account, pages=range(1, 100, 2)))
    assert outcomes(hall.sync()) == {"succeeded"}
    sandbox.faults.clear()
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []


def test_an_object_that_vanishes_while_new_ones_are_listed_costs_no_filter_for_good(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    hall.sync()
    account.clock.set(account.clock.now() + 600)
    add_customers(account, 320)
    sandbox.faults.add(deleting_anchors(account, pages=[1]))
    assert outcomes(hall.sync()) == {"succeeded"}
    sandbox.faults.clear()
    cursors = dict(hall.rows("SELECT stream, state FROM control.sync_cursors"))
    assert all(state["filters"] for state in cursors.values())
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []
