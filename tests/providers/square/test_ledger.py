"""What lands equals what is true: every stream, every object, through time, faults and deletes."""

import pytest

from integration_pipelines.providers.square import client
from provider_sandbox import Sandbox
from provider_sandbox.faults import DropPage, DropRow
from provider_sandbox.square import SquareAccount
from tests.providers.square.conftest import SQUARE, VANISHING, ConnectSquare, differences, truth


def test_a_first_load_lands_everything_and_a_second_sync_writes_nothing(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=200, locations=12, inactive=3)
    venue = connected(account)
    results = venue.sync()
    assert {name: result.error for name, result in results.items() if result.error} == {}
    assert differences(venue, account) == []
    assert all(results[name].inserted >= len(truth(account, name)) > 0 for name in results)
    again = venue.sync()
    assert {name: result for name, result in again.items() if result.changed} == {}
    whole = venue.sync(full=True)
    assert {name: result for name, result in whole.items() if result.changed} == {}


@pytest.mark.parametrize("seed", range(3))
def test_incremental_syncs_keep_up(sandbox: Sandbox, connected: ConnectSquare, seed: int) -> None:
    account = sandbox.square.create_account("hall", size=60, seed=seed)
    venue = connected(account)
    venue.sync()
    for mutations in (3, 40, 1, 80):
        account.economy.mutate(mutations)
        results = venue.sync()
        assert {result.outcome for result in results.values()} == {"succeeded"}
        assert differences(venue, account, lingering=True) == []
    repaired = venue.sync(full=True, allow_deletes=True)
    assert {name for name, result in repaired.items() if result.repaired} <= set(VANISHING)
    assert differences(venue, account) == []
    assert set(SQUARE.stream_names) == set(repaired)


def test_what_moves_no_update_time_lands_with_the_next_sync(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=60)
    venue = connected(account)
    venue.sync()
    seen = len(account.silent_changes)
    for step in ("edit_price", "edit_location", "block_gift_card", "pause_subscription"):
        assert account.economy.do(step) is not None
    silent = {change.stream for change in account.silent_changes[seen:]}
    assert silent == {"catalog", "locations", "gift_cards", "subscriptions"}
    results = venue.sync()
    assert all(results[stream].updated for stream in silent)
    assert differences(venue, account) == []


def test_what_is_deleted_from_the_catalog_is_told_and_the_rest_found_by_a_full_pass(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=150)
    venue = connected(account)
    venue.sync()
    item = account.economy.do("delete_item")
    customer = account.economy.do("delete_customer")
    account.economy.do("add_invoice")
    venue.sync()
    invoice = account.economy.do("delete_invoice")
    assert item and customer and invoice
    venue.sync()
    assert item["id"] not in venue.payloads("catalog")
    assert {customer["id"]} <= venue.payloads("customers").keys()
    assert {invoice["id"]} <= venue.payloads("invoices").keys()
    assert differences(venue, account, lingering=True) == []
    venue.sync(full=True, allow_deletes=True)
    assert differences(venue, account) == []
    by = dict(venue.rows("SELECT id, deleted_by FROM raw_square.catalog WHERE deleted_by <> ''"))
    assert by[item["id"]] == "provider"
    last = venue.rows("SELECT payload FROM raw_square.catalog WHERE id = :id", id=item["id"])
    assert "item_data" in last[0].payload


def test_an_order_that_comes_days_late_lands(sandbox: Sandbox, connected: ConnectSquare) -> None:
    account = sandbox.square.create_account("hall", size=60)
    venue = connected(account)
    venue.sync()
    for _ in range(12):
        account.economy.do("sell_offline")
    results = venue.sync()
    assert results["orders"].inserted == results["payments"].inserted == 12
    assert differences(venue, account) == []


def test_years_and_inactive_locations_are_not_hidden(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=80, months=26, locations=3, inactive=1)
    venue = connected(account)
    venue.sync()
    assert differences(venue, account) == []
    (old,) = [one for one in account.objects("payments") if one["status"] == "COMPLETED"][:1]
    assert account.economy.do("refund", old["id"]) is not None
    results = venue.sync()
    assert results["payments"].updated == results["refunds"].inserted == 1
    assert differences(venue, account) == []


@pytest.mark.parametrize("size", (1, 7))
def test_any_page_size_gives_the_same_rows(
    sandbox: Sandbox, connected: ConnectSquare, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    account = sandbox.square.create_account("hall", size=25, locations=2)
    venue = connected(account)
    monkeypatch.setattr(client, "PAGE_SIZE", size)
    venue.sync()
    assert differences(venue, account) == []
    account.economy.mutate(15)
    venue.sync()
    assert differences(venue, account, lingering=True) == []


# Of the catalog a row left out may be of what is deleted, and none is missed: so three are.
@pytest.mark.parametrize(("fault", "times"), [(DropRow, 3), (DropPage, 1)])
def test_a_full_pass_brings_what_a_list_left_out(
    sandbox: Sandbox,
    connected: ConnectSquare,
    monkeypatch: pytest.MonkeyPatch,
    fault: type[DropRow | DropPage],
    times: int,
) -> None:
    # At a time of its own: at another, the catalog's row in the middle is one that was deleted.
    account = sandbox.square.create_account("hall", size=120, locations=1, now=1_790_000_000)
    account.clock.told = True
    venue = connected(account)
    monkeypatch.setattr(client, "PAGE_SIZE", 5)
    for path in ("/v2/orders/search", "/v2/payments", "/v2/customers/search", "/v2/catalog/search"):
        sandbox.faults.add(fault(provider="square", path=path, times=times))
    venue.sync()
    missing = differences(venue, account)
    assert {line.split()[0] for line in missing} >= {"orders", "payments", "customers", "catalog"}
    repaired = venue.sync(full=True)
    assert repaired["payments"].repaired
    assert differences(venue, account) == []


def test_a_pass_that_saw_too_little_deletes_nothing(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=60)
    venue = connected(account)
    venue.sync()
    paths = ("/v2/invoices", "/v2/payouts/*/payout-entries", "/v2/loyalty/events/search")
    faults = [DropRow(provider="square", path=path, times=4) for path in paths]
    for fault in faults:
        sandbox.faults.add(fault)
    results = venue.sync(full=True, allow_deletes=True)
    assert all(fault.struck for fault in faults)
    assert not any(result.deleted for result in results.values())
    assert differences(venue, account) == []


def test_customers_who_were_merged_are_one_whether_found_by_a_sync_or_told_by_events(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=60)
    venue = connected(account)
    venue.sync()
    told = len(account.events)
    bought = {order["customer_id"] for order in account.objects("orders") if "customer_id" in order}
    listed = without_points(account)
    one, other = [id for id in listed if id in bought][:2]
    first, second = [id for id in listed if id not in (one, other)][:2]
    survivor = account.economy.do("merge_customers", one, other)
    again = account.economy.do("merge_customers", survivor["id"], first)
    assert survivor and again
    account.economy.do("merge_customers", second, listed[-1])

    venue.sync()
    assert again["id"] in venue.payloads("customers")
    assert differences(venue, account, lingering=True) == []
    gone = {one, other, first, second, listed[-1]}
    assert gone <= venue.payloads("customers").keys(), "nothing listed tells that they are gone"

    assert SQUARE.webhooks is not None
    objects: dict[str, list[str]] = {}
    for row in list(account.events)[told:]:
        meaning = SQUARE.webhooks.meaning(row.object["type"], row.object)
        for stream, ids in meaning.objects.items():
            objects.setdefault(stream, []).extend(ids)
    assert gone < set(objects["customers"])
    results = venue.sync(streams=[], objects=objects)
    assert {name: result.error for name, result in results.items() if result.error} == {}
    assert not gone & venue.payloads("customers").keys()
    assert differences(venue, account) == []
    assert {one, other} <= {body.get("customer_id") for body in venue.payloads("orders").values()}


def without_points(account: SquareAccount) -> list[str]:
    """Customers who could be merged with any other: only one of two may be in the program."""
    members = {member["customer_id"] for member in account.objects("loyalty_accounts")}
    return [id for id in account.ids("customers") if id not in members]


def test_an_id_that_was_merged_away_answers_with_who_took_its_place(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=20)
    venue = connected(account)
    one, other = without_points(account)[:2]
    survivor = account.economy.do("merge_customers", one, other)
    assert survivor
    pages = list(venue.client().fetch("customers", [one]))
    read = {record.id: record.deleted for page in pages for record in page.records}
    assert read == {survivor["id"]: False, one: True}
