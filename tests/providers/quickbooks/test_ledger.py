"""What lands equals what is true: every stream, every object, through time, edits and deletes."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.events import Delivery
from integration_pipelines.core.ingest import take_census
from integration_pipelines.providers.quickbooks import client, extract
from integration_pipelines.providers.quickbooks.streams import REPORT_MONTHS, REPORTS_A_MONTH
from provider_sandbox import Sandbox
from provider_sandbox.messages import Request
from provider_sandbox.quickbooks import QuickBooksAccount, api
from tests.connected import ConnectedVenue
from tests.faults.moments import Meanwhile
from tests.providers.quickbooks.conftest import (
    ENTITIES,
    QUICKBOOKS,
    REPORTS,
    ConnectQuickBooks,
    asked_for,
    differences,
    failures,
    open_account,
    report_differences,
)

DAY = 86_400


@pytest.fixture
def account(sandbox: Sandbox) -> QuickBooksAccount:
    return open_account(sandbox, size=40)


@pytest.fixture
def hall(connect_quickbooks: ConnectQuickBooks, account: QuickBooksAccount) -> ConnectedVenue:
    return connect_quickbooks(account.credentials)


def changed(results: dict[str, Any]) -> set[str]:
    return {name for name, result in results.items() if result.changed}


@pytest.mark.parametrize(
    "company", [{}, {"currency": "JPY"}, {"currency": "GBP", "currencies": ("EUR", "JPY")}]
)
def test_a_first_load_lands_everything(
    sandbox: Sandbox, connect_quickbooks: ConnectQuickBooks, company: dict[str, Any]
) -> None:
    account = open_account(sandbox, size=80, **company)
    venue = connect_quickbooks(account.credentials)
    assert failures(venue.sync()) == {}
    assert differences(venue, account) == []
    assert report_differences(venue, account) == []
    assert changed(venue.sync()) == set()
    whole = venue.sync(full=True)
    assert {result.repaired for result in whole.values()} == {0}


@pytest.mark.parametrize("seed", range(3))
def test_incremental_syncs_keep_up_and_the_full_pass_brings_what_is_silent(
    sandbox: Sandbox, connect_quickbooks: ConnectQuickBooks, seed: int
) -> None:
    account = open_account(sandbox, size=60, seed=seed)
    venue = connect_quickbooks(account.credentials)
    venue.sync()
    for seconds, mutations in ((60, 3), (900, 30), (1, 1), (2 * DAY, 60), (900, 0)):
        account.economy.advance(seconds, mutations=mutations)
        assert failures(venue.sync()) == {}
        assert differences(venue, account, lingering=True) == []
        assert report_differences(venue, account) == []
    assert any(line.startswith("accounts") for line in differences(venue, account))
    results = venue.sync(full=True, allow_deletes=True)
    assert failures(results) == {}
    assert results["accounts"].repaired
    assert differences(venue, account) == []
    assert report_differences(venue, account) == []


def test_changes_of_all_entities_cost_one_read(
    sandbox: Sandbox, hall: ConnectedVenue, account: QuickBooksAccount
) -> None:
    hall.sync()
    account.economy.mutate(10)
    captured = [stream.name for stream in QUICKBOOKS.streams if stream.captured]  # type: ignore[attr-defined]
    before = sum(sandbox.quickbooks.reads.values())
    results = hall.sync(streams=captured)
    assert sum(sandbox.quickbooks.reads.values()) == before + 1
    assert sum(result.api_calls for result in results.values()) == 1
    assert differences(hall, account, *captured, lingering=True) == []


def test_what_each_cadence_is_said_to_cost_is_about_what_it_costs(
    sandbox: Sandbox, connect_quickbooks: ConnectQuickBooks
) -> None:
    account = open_account(sandbox, size=5, months=3)
    hall = connect_quickbooks(account.credentials)
    hall.sync()
    assert QUICKBOOKS.metering is not None
    young = REPORTS_A_MONTH * REPORT_MONTHS - sum(len(hall.payloads(name)) for name in REPORTS)

    def reads(work: Callable[[], Any]) -> int:
        before = sum(sandbox.quickbooks.reads.values())
        work()
        return sum(sandbox.quickbooks.reads.values()) - before

    account.economy.sell()
    passes = 0
    for cadence in QUICKBOOKS.metering.cadences:
        if cadence.reading == "changes":
            needed = reads(partial(hall.sync, streams=cadence.streams))
            assert abs(needed - cadence.reads) <= 1, cadence.streams
        elif cadence.reading == "pass":
            passes += cadence.reads
        else:
            assert reads(partial(census, hall)) == cadence.reads
    assert reads(partial(hall.sync, full=True)) == pytest.approx(passes - young, abs=8)


def census(hall: ConnectedVenue) -> Any:
    return take_census(
        hall.engine, provider=QUICKBOOKS, connection=hall.connection, client=hall.client()
    )


def test_a_number_that_agrees_costs_one_read_and_one_that_does_not_is_listed(
    sandbox: Sandbox, hall: ConnectedVenue, account: QuickBooksAccount
) -> None:
    hall.sync()
    lost = account.ids("invoices")[0]
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        session.execute(text("DELETE FROM raw_quickbooks.invoices WHERE id = :id"), {"id": lost})
    asked = asked_for(sandbox)
    assert census(hall).missing == {"invoices": [lost]}
    assert {query.split()[3] for query in asked if "SELECT * FROM" in query} == {
        "CompanyInfo",
        "Invoice",
    }
    assert sum("SELECT COUNT(*) FROM" in query for query in asked) == len(ENTITIES)


def test_every_request_names_the_minor_version(
    sandbox: Sandbox, hall: ConnectedVenue, account: QuickBooksAccount
) -> None:
    asked: list[tuple[str, str | None]] = []

    def note(request: Request) -> None:
        if request.path.startswith("/v3/"):
            asked.append((request.path, dict(parse_qsl(request.query)).get("minorversion")))

    sandbox.faults.add(Meanwhile(provider="quickbooks", times=None, happens=note))
    assert hall.client().identify().account_id == account.id
    hall.sync()
    account.economy.mutate(5)
    hall.sync()
    hall.sync(streams=[], objects={"invoices": account.ids("invoices")[:1]})
    census(hall)
    kinds = {path.split("/")[4] for path, _ in asked}
    assert {"query", "cdc", "reports", "companyinfo", "invoice"} <= kinds
    assert {version for _, version in asked} == {str(client.MINOR_VERSION)}


def test_every_answered_call_is_counted_as_a_read(sandbox: Sandbox, hall: ConnectedVenue) -> None:
    before = sum(sandbox.quickbooks.reads.values())
    hall.sync()
    rows = hall.rows("SELECT endpoint, calls FROM control.integration_costs WHERE cost > 0")
    assert sum(row.calls for row in rows) == sum(sandbox.quickbooks.reads.values()) - before
    assert {"GET /query Invoice", "GET /reports/CashFlow"} <= {row.endpoint for row in rows}


def test_what_is_deleted_is_marked_and_what_is_voided_or_inactive_stays(
    hall: ConnectedVenue, account: QuickBooksAccount
) -> None:
    hall.sync()
    deleted = account.economy.do("remove", "invoices")["Id"]
    budget = account.ids("budgets")[0]
    account.economy.do("remove", "budgets", budget)
    voided = account.economy.do("void", "sales_receipts")["Id"]
    hidden = account.economy.do("inactivate", "customers")["Id"]
    hall.sync()
    assert deleted not in hall.payloads("invoices")
    assert budget not in hall.payloads("budgets")
    assert hall.payloads("sales_receipts")[voided]["TotalAmt"] == 0
    assert hall.payloads("customers")[hidden]["Active"] is False
    assert differences(hall, account, lingering=True) == []


def test_a_deletion_that_leaves_no_trace_is_found_by_the_full_pass(
    hall: ConnectedVenue, account: QuickBooksAccount
) -> None:
    hall.sync()
    gone = account.ids("time_activities")[1]
    account.economy.do("remove", "time_activities", gone)
    hall.sync()
    assert gone in hall.payloads("time_activities")
    results = hall.sync(full=True, streams=["time_activities"], allow_deletes=True)
    assert results["time_activities"].repaired == 1
    assert gone not in hall.payloads("time_activities")


@pytest.mark.parametrize("size", [1, 7])
def test_the_size_of_a_page_makes_no_difference(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: QuickBooksAccount,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", size)
    assert failures(hall.sync()) == {}
    assert differences(hall, account) == []
    account.economy.mutate(10)
    hall.sync()
    assert differences(hall, account, lingering=True) == []


def test_a_large_stream_is_read_in_windows_that_leave_nothing_out(
    sandbox: Sandbox, connect_quickbooks: ConnectQuickBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = open_account(sandbox, months=30, only={"invoices": 1_500})
    venue = connect_quickbooks(account.credentials)
    monkeypatch.setattr(client, "PAGE_SIZE", 14)
    asked = asked_for(sandbox)
    venue.sync(streams=["invoices"])
    assert len(venue.payloads("invoices")) == 1_500
    windows = {query.partition("ORDERBY")[0] for query in asked if "SELECT * FROM Inv" in query}
    assert len(windows) == 30


def test_a_cut_answer_of_change_data_is_completed(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: QuickBooksAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall.sync()
    for module in (api, client):
        monkeypatch.setattr(module, "MOST_CAPTURED", 5)
    account.economy.mutate(60, step=2)
    asked = asked_for(sandbox)
    assert failures(hall.sync(streams=ENTITIES)) == {}
    assert differences(hall, account, lingering=True) == []
    assert sum("/cdc" in path for path in asked) > 10


def test_more_changes_in_one_second_than_change_data_tell_are_read_whole(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: QuickBooksAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall.sync()
    for module in (api, client):
        monkeypatch.setattr(module, "MOST_CAPTURED", 4)
    account.economy.do("edit_together")
    asked = asked_for(sandbox)
    assert failures(hall.sync(streams=ENTITIES)) == {}
    assert differences(hall, account, lingering=True) == []
    assert any("FROM Invoice" in query for query in asked)
    assert not any("FROM Vendor " in query for query in asked)


def test_a_cursor_older_than_change_data_is_read_whole_and_holds_up_no_other(
    sandbox: Sandbox, hall: ConnectedVenue, account: QuickBooksAccount
) -> None:
    hall.sync()
    account.economy.advance(20 * DAY, mutations=20)
    hall.sync(streams=[name for name in ENTITIES if name != "bills"])
    account.economy.advance(15 * DAY, mutations=20)
    asked = asked_for(sandbox)
    assert failures(hall.sync(streams=ENTITIES)) == {}
    assert differences(hall, account, lingering=True) == []
    assert any("FROM Bill " in query for query in asked)
    assert not any("FROM Customer" in query for query in asked)


def test_a_cursor_in_the_future_yields_nothing_and_breaks_nothing(
    hall: ConnectedVenue, account: QuickBooksAccount
) -> None:
    hall.sync()
    with hall.engine.begin() as session:
        session.exec_driver_sql(
            "SELECT set_config('app.venue_id', %(venue)s, true)",
            {"venue": hall.connection.venue_id},
        )
        session.exec_driver_sql(
            "UPDATE control.sync_cursors SET state ="
            " jsonb_set(state, '{through}', '\"2031-01-01T00:00:00+00:00\"')"
        )
    results = hall.sync()
    assert failures(results) == {}
    assert changed(results) == set()
    account.economy.mutate(10)
    hall.sync()
    assert differences(hall, account, lingering=True) == []


def test_objects_are_read_again_by_id(hall: ConnectedVenue, account: QuickBooksAccount) -> None:
    hall.sync()
    account.economy.mutate(40)
    objects = {name: [*account.ids(name), *account.deleted(name)] for name in ENTITIES}
    assert failures(hall.sync(streams=[], objects=objects)) == {}
    assert differences(hall, account) == []
    reader = hall.client()
    (page,) = reader.fetch("invoices", ["987654"])
    assert [(record.id, record.deleted) for record in page.records] == [("987654", True)]
    (page,) = reader.fetch("cash_flow", ["Cash/2026-08"])
    assert [(record.id, record.deleted) for record in page.records] == [("Cash/2026-08", False)]
    (page,) = reader.fetch("cash_flow", ["Cash/soon"])
    assert [record.deleted for record in page.records] == [True]


def test_what_deletes_move_while_pages_are_read_is_not_left_out(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: QuickBooksAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 6)
    monkeypatch.setattr(extract, "TAIL", 4)

    def forget(request: Any) -> None:
        first = account.ids("time_activities")[0]
        account.economy.do("remove", "time_activities", first)

    gone = Meanwhile(provider="quickbooks", path="*/query", times=None, skip=3, happens=forget)
    alive = account.ids("time_activities")
    gone.times = len(alive) // 2
    sandbox.faults.add(gone)
    assert failures(hall.sync(streams=["time_activities"])) == {}
    sandbox.faults.clear()
    assert gone.struck > 1
    assert set(account.ids("time_activities")) <= hall.payloads("time_activities").keys()


def test_a_census_finds_what_exists_and_holds_it_against_the_count(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: QuickBooksAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 30)
    hall.sync()
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        for stream in ("customers", "invoices"):
            session.execute(text(f"DELETE FROM raw_quickbooks.{stream}"))
    result = census(hall)
    assert result.failed == {}
    assert {name: sorted(ids) for name, ids in result.missing.items()} == {
        name: sorted(account.ids(name)) for name in ("customers", "invoices")
    }
    expected = {name: sum(one.expected for one in found) for name, found in result.found.items()}
    assert {name: expected[name] for name in ENTITIES} == {
        name: len(account.ids(name)) for name in ENTITIES
    }
    assert expected["cash_flow"] == len(hall.payloads("cash_flow"))


@pytest.mark.parametrize("by", ["sync", "cloudevents", "eventNotifications"])
def test_who_was_merged_is_one_whether_found_by_a_sync_or_told_by_events(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: QuickBooksAccount,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    hall.sync()
    webhook, sent = sandbox.quickbooks.webhook, []
    webhook.url = "https://venues.example/webhooks/quickbooks"
    webhook.format = by if by != "sync" else webhook.format
    monkeypatch.setattr(webhook, "_send", lambda notice, wait: sent.append(notice))
    lost = {}
    for stream, named, transactions in (
        ("customers", "CustomerRef", "invoices"),
        ("vendors", "VendorRef", "bills"),
    ):
        gone = account.objects(transactions)[0][named]["value"]
        known = {one["Id"]: one["CurrencyRef"] for one in account.objects(stream)}
        survivor = next(id for id in known if id != gone and known[id] == known[gone])
        assert account.economy.do("merge", stream, survivor, gone)
        lost[stream] = gone
        assert gone in hall.payloads(stream)
    if by == "sync":
        hall.sync()
    else:
        body = sent[0].body()
        assert QUICKBOOKS.webhooks is not None
        objects: dict[str, list[str]] = {}
        for event in QUICKBOOKS.webhooks.read(Delivery(body, {}, webhook.url, datetime.now(UTC))):
            meaning = QUICKBOOKS.webhooks.meaning(event.event_type, event.payload)
            for stream, ids in meaning.objects.items():
                objects.setdefault(stream, []).extend(ids)
        hall.sync(streams=[], objects=objects)
    for stream, gone in lost.items():
        assert gone not in hall.payloads(stream)
    assert differences(hall, account, lingering=True) == []
