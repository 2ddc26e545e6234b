"""Fault 7: bodies that are not what is documented. Never an empty page, never a moved cursor."""

from dataclasses import dataclass
from typing import Any

import pytest

from integration_pipelines.core.transport import RetryPolicy
from provider_sandbox import Fault, Sandbox
from provider_sandbox.faults import Cut, DropPage, DropRow, Empty, Html, Truncated, WrongType
from provider_sandbox.messages import Provider, Request, Response
from provider_sandbox.stripe import StripeAccount
from tests.providers.stripe.conftest import ConnectedVenue, ConnectStripe
from tests.stripe_ledger import connected, differences, open_account

PERSISTENT = RetryPolicy(attempts=12, base=0.01, cap=0.05)
SOON_TIRED = RetryPolicy(attempts=2, base=0.01, cap=0.02)
OF_LISTS = ("null_data", "object_data", "no_data", "no_has_more", "row")
OF_ANYTHING = ("list", "null", "text")


@dataclass(slots=True)
class EmptyWithMore(Fault):
    """A page without rows that says there are more."""

    kind = "empty_with_more"

    def after(self, provider: Provider, request: Request, response: Response) -> None:
        if response.page is not None:
            response.page.rows, response.page.has_more = (), True


def named(fault: Fault) -> Any:
    return pytest.param(fault, id=getattr(fault, "variant", fault.kind))


def outcomes(results: dict[str, Any]) -> set[str]:
    return {result.outcome for result in results.values()}


def standing(venue: ConnectedVenue) -> Any:
    """All cursors, and how many rows live, by stream."""
    cursors = venue.rows("SELECT stream, state, cursor_at FROM control.sync_cursors ORDER BY 1")
    return cursors, {stream: len(venue.payloads(stream)) for stream in ("charges", "customers")}


@pytest.fixture
def account(sandbox: Sandbox) -> StripeAccount:
    return open_account(sandbox, size=40)


@pytest.fixture
def hall(sandbox: Sandbox, connect_stripe: ConnectStripe, account: StripeAccount) -> Any:
    return connected(sandbox, connect_stripe, account)


@pytest.mark.parametrize(
    "fault", [named(WrongType(times=None, probability=0.3, variant=v)) for v in OF_LISTS]
)
def test_a_wrong_list_is_asked_for_again_and_lands(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount, fault: Fault
) -> None:
    hall.retry = PERSISTENT
    sandbox.faults.add(fault)
    assert outcomes(hall.sync()) == {"succeeded"}
    assert fault.struck >= 3
    assert differences(hall, account) == []


@pytest.mark.parametrize(
    "fault",
    [
        named(Cut(times=None, probability=0.3)),
        named(Truncated(times=None, probability=0.3)),
        named(Html(times=None, probability=0.3)),
        *(named(WrongType(times=None, probability=0.3, variant=v)) for v in OF_ANYTHING),
    ],
)
def test_a_wrong_body_is_asked_for_again_whether_list_feed_or_object(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount, fault: Fault
) -> None:
    hall.retry = PERSISTENT
    sandbox.faults.add(fault)
    assert outcomes(hall.sync()) == {"succeeded"}
    account.economy.advance(7_200, mutations=25)
    sandbox.reset_stats()
    results = hall.sync()
    assert {result.error for result in results.values()} == {None}
    assert any(path.count("/") == 3 and "_" in path for (*_, path) in sandbox.requests)
    assert differences(hall, account) == []


def test_a_body_that_stays_wrong_fails_its_stream_by_name_and_moves_nothing(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount
) -> None:
    hall.sync(streams=["products"])
    hall.retry = SOON_TIRED
    before = standing(hall)
    lasting: dict[str, Any] = {"path": "/v1/charges", "times": None}
    faults: list[tuple[Fault, str]] = [
        (Truncated(**lasting), "transient"),
        (Cut(**lasting), "malformed"),
        (Html(**lasting), "malformed"),
        (EmptyWithMore(**lasting), "malformed"),
        *((WrongType(**lasting, variant=v), "malformed") for v in (*OF_LISTS, *OF_ANYTHING)),
    ]
    for fault, kind in faults:
        sandbox.faults.add(fault)
        results = hall.sync(streams=["charges", "products"])
        sandbox.faults.clear()
        assert (results["charges"].outcome, results["charges"].error_kind) == ("failed", kind)
        assert results["products"].outcome == "succeeded"
        after = standing(hall)
        assert after[1] == before[1]
        assert [row for row in after[0] if row.stream == "charges"] == [
            row for row in before[0] if row.stream == "charges"
        ]
    logged = hall.rows(
        "SELECT DISTINCT error_kind FROM control.sync_logs WHERE outcome = 'failed'"
        " AND stream = 'charges' AND error IS NOT NULL"
    )
    assert {row[0] for row in logged} == {"transient", "malformed"}
    assert outcomes(hall.sync(full=True)) == {"succeeded"}
    assert differences(hall, account) == []


@pytest.mark.parametrize("fault", [Cut(), Html(), WrongType(variant="no_data"), EmptyWithMore()])
def test_a_feed_that_stays_wrong_moves_no_cursor(
    sandbox: Sandbox, hall: ConnectedVenue, account: StripeAccount, fault: Fault
) -> None:
    hall.sync()
    account.economy.advance(3_600, mutations=10)
    hall.retry = SOON_TIRED
    before = standing(hall)
    fault.path, fault.times = "/v1/events", None
    sandbox.faults.add(fault)
    results = hall.sync()
    assert {result.error_kind for result in results.values()} == {"malformed"}
    assert standing(hall) == before
    sandbox.faults.clear()
    assert outcomes(hall.sync()) == {"succeeded"}
    assert differences(hall, account) == []


@pytest.mark.parametrize("fault", [Empty, DropRow, DropPage])
def test_what_a_well_formed_lie_hid_from_the_first_load_the_next_full_pass_lands(
    sandbox: Sandbox, connect_stripe: ConnectStripe, fault: type[Fault]
) -> None:
    account = open_account(sandbox, "crowd", only={"charges": 400, "customers": 300})
    venue = connected(sandbox, connect_stripe, account)
    streams = ["customers", "charges"]
    sandbox.faults.add(fault(path="/v1/charges"))
    venue.sync(streams=streams)
    hidden = [name for name in streams if len(venue.payloads(name)) < len(account.ids(name))]
    assert hidden == ["charges"]
    repaired = venue.sync(streams=streams, full=True)
    assert {result.deleted for result in repaired.values()} == {0}
    assert [name for name in streams if repaired[name].inserted] == hidden
    for name in streams:
        assert sorted(venue.payloads(name)) == sorted(account.ids(name))


@pytest.mark.parametrize(
    ("fault", "error_kind"),
    [(Empty(), "confirmation_needed"), (DropPage(), "confirmation_needed"), (DropRow(), None)],
    ids=["empty", "drop_page", "drop_row"],
)
def test_a_well_formed_lie_in_a_full_pass_deletes_nothing(
    sandbox: Sandbox, connect_stripe: ConnectStripe, fault: Fault, error_kind: str | None
) -> None:
    account = open_account(sandbox, "crowd", only={"charges": 400})
    venue = connected(sandbox, connect_stripe, account)
    venue.sync(streams=["charges"])
    fault.path = "/v1/charges"
    sandbox.faults.add(fault)
    lied_to = venue.sync(full=True, streams=["charges"])["charges"]
    assert (lied_to.error_kind, lied_to.deleted) == (error_kind, 0)
    assert len(venue.payloads("charges")) == 400
    honest = venue.sync(full=True, streams=["charges"])["charges"]
    assert (honest.outcome, honest.changed) == ("succeeded", False)
    assert differences(venue, account) == []
