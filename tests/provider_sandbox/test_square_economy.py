"""The books of an account agree with each other to the cent."""

import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from provider_sandbox.square import Square, SquareAccount
from provider_sandbox.square.account import Table, iso, milliseconds
from provider_sandbox.square.economy import KINDS
from provider_sandbox.square.endpoints import FACTS, STREAMS
from provider_sandbox.square.money import COUNTRIES

NOW = 1_790_000_000
DAY = 86_400
Json = dict[str, Any]


@pytest.fixture(scope="module", params=["US", "JP", "CA", "IE"])
def books(request: pytest.FixtureRequest) -> SquareAccount:
    """An account after its history, random changes and four more weeks."""
    account = Square(seed=3, now=NOW).create_account(
        f"venue-{request.param}", size=400, country=request.param, locations=5
    )
    for _ in range(12):
        account.economy.do("authorize")
    account.economy.mutate(200, step=60)
    account.economy.advance(28 * DAY, mutations=100)
    return account


@pytest.fixture
def account() -> SquareAccount:
    return Square(seed=5, now=NOW).create_account("red-room", size=60, months=1)


def by_id(account: SquareAccount, stream: str) -> dict[str, Json]:
    return {one["id"]: one for one in account.objects(stream)}


def cents(found: Json, name: str) -> int:
    return int(found[name]["amount"]) if name in found else 0


def test_every_stream_has_rows(books: SquareAccount) -> None:
    assert [stream for stream in STREAMS if not books.objects(stream)] == []


def test_every_amount_is_in_the_currency_of_the_country(books: SquareAccount) -> None:
    def currencies(found: Any) -> set[str]:
        if isinstance(found, list):
            return set().union(*map(currencies, found))
        if not isinstance(found, dict):
            return set()
        if found.keys() == {"amount", "currency"}:
            assert type(found["amount"]) is int
            return {found["currency"]}
        return set().union(*map(currencies, found.values()))

    for stream in STREAMS:
        assert currencies(books.objects(stream)) <= {books.currency}
    assert books.currency == COUNTRIES[books.country].currency


def test_an_order_is_its_lines_and_charges_and_tip(books: SquareAccount) -> None:
    seen: Counter[str] = Counter()
    for order in books.objects("orders"):
        lines = order.get("line_items", [])
        charges = order.get("service_charges", [])
        rounding = order.get("rounding_adjustment", {"amount_money": {"amount": 0}})
        additive = sum(
            cents(tax, "applied_money")
            for tax in order.get("taxes", ())
            if tax["type"] == "ADDITIVE"
        )
        gross = sum(cents(line, "gross_sales_money") for line in lines)
        assert cents(order, "total_money") == (
            gross
            - cents(order, "total_discount_money")
            + additive
            + cents(order, "total_service_charge_money")
            + cents(order, "total_tip_money")
            + rounding["amount_money"]["amount"]
        )
        assert cents(order, "total_tax_money") == sum(cents(x, "total_tax_money") for x in lines)
        assert cents(order, "total_discount_money") == sum(
            cents(line, "total_discount_money") for line in lines
        )
        assert cents(order, "total_service_charge_money") == sum(
            cents(charge, "total_money") for charge in charges
        )
        seen.update(name for name in order if name in ("discounts", "service_charges", "returns"))
        seen.update({"tips": cents(order, "total_tip_money") > 0})
        seen.update({"rounded": "rounding_adjustment" in order})
        seen.update({"extras": any("modifiers" in line for line in lines)})
    wanted = {"discounts", "service_charges", "returns", "tips", "extras"}
    if COUNTRIES[books.country].cash_step > 1:
        wanted |= {"rounded"}
    assert {name for name, count in seen.items() if count} >= wanted


def test_a_line_is_its_price_and_extras_times_quantity(books: SquareAccount) -> None:
    for order in books.objects("orders"):
        for line in order.get("line_items", ()):
            quantity = int(line["quantity"])
            extras = sum(cents(one, "base_price_money") for one in line.get("modifiers", ()))
            gross = quantity * (cents(line, "base_price_money") + extras)
            assert cents(line, "gross_sales_money") == gross
            added = (
                cents(line, "total_tax_money")
                if any(tax["type"] == "ADDITIVE" for tax in order.get("taxes", ()))
                else 0
            )
            assert cents(line, "total_money") == (
                gross - cents(line, "total_discount_money") + added
            )
            for kind in ("taxes", "discounts"):
                uids = {one["uid"] for one in order.get(kind, ())}
                uid = f"{kind.removesuffix('es') if kind == 'taxes' else 'discount'}_uid"
                for one in line.get(f"applied_{kind}", ()):
                    assert one[uid] in uids


def test_a_discount_and_a_tax_are_what_the_lines_bear_of_them(books: SquareAccount) -> None:
    for order in books.objects("orders"):
        lines = order.get("line_items", ())
        for tax in order.get("taxes", ()):
            assert cents(tax, "applied_money") == sum(cents(x, "total_tax_money") for x in lines)
        for discount in order.get("discounts", ()):
            assert cents(discount, "applied_money") == sum(
                cents(one, "applied_money") for x in lines for one in x["applied_discounts"]
            )


def test_the_payments_of_a_complete_order_are_its_total(books: SquareAccount) -> None:
    paid: Counter[str] = Counter()
    tips: Counter[str] = Counter()
    for payment in books.objects("payments"):
        assert cents(payment, "total_money") == (
            cents(payment, "amount_money") + cents(payment, "tip_money")
        )
        if payment["status"] == "COMPLETED":
            paid[payment["order_id"]] += cents(payment, "total_money")
            tips[payment["order_id"]] += cents(payment, "tip_money")
    for order in books.objects("orders"):
        if order["state"] == "COMPLETED":
            assert paid[order["id"]] == cents(order, "total_money")
            assert tips[order["id"]] == cents(order, "total_tip_money")
            assert cents(order, "net_amount_due_money") == 0
            assert "closed_at" in order
        elif order["state"] == "OPEN":
            assert paid[order["id"]] + cents(order, "net_amount_due_money") == (
                cents(order, "total_money")
            )
            assert "closed_at" not in order


def test_a_tender_is_the_payment_that_it_names(books: SquareAccount) -> None:
    payments = by_id(books, "payments")
    for order in books.objects("orders"):
        for tender in order.get("tenders", ()):
            payment = payments[tender["payment_id"]]
            assert tender["amount_money"] == payment["total_money"]
            assert tender.get("tip_money") == payment.get("tip_money")
            assert payment["order_id"] == order["id"]


def test_payments_are_of_all_kinds(books: SquareAccount) -> None:
    payments = books.objects("payments")
    assert {one["source_type"] for one in payments} == {"CARD", "CASH", "EXTERNAL"}
    assert {one["status"] for one in payments} >= {"COMPLETED", "CANCELED", "FAILED"}
    assert any("app_fee_money" in one for one in payments)
    assert any("offline_payment_details" in one for one in payments)
    for payment in payments:
        details = payment.get("card_details", {})
        expected = {"COMPLETED": "CAPTURED", "APPROVED": "AUTHORIZED", "CANCELED": "VOIDED"}
        if details:
            assert details["status"] == expected.get(payment["status"], "FAILED")
        if payment["source_type"] == "CASH":
            cash = payment["cash_details"]
            assert cents(cash, "buyer_supplied_money") - cents(cash, "change_back_money") == (
                cents(payment, "total_money")
            )


def test_a_payment_shows_what_its_refunds_add_up_to(books: SquareAccount) -> None:
    refunded: Counter[str] = Counter()
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for refund in books.objects("refunds"):
        ids[refund["payment_id"]].add(refund["id"])
        if refund["status"] in ("PENDING", "COMPLETED"):
            refunded[refund["payment_id"]] += cents(refund, "amount_money")
    for payment in books.objects("payments"):
        assert cents(payment, "refunded_money") == refunded[payment["id"]]
        assert refunded[payment["id"]] <= cents(payment, "total_money")
        assert set(payment.get("refund_ids", ())) == ids[payment["id"]]


def test_a_refund_has_an_order_of_its_own_with_what_came_back(books: SquareAccount) -> None:
    orders, payments = by_id(books, "orders"), by_id(books, "payments")
    kinds = set()
    for refund in books.objects("refunds"):
        order = orders[refund["order_id"]]
        (returned,) = order["returns"]
        assert returned["source_order_id"] == payments[refund["payment_id"]]["order_id"]
        amounts = returned["return_amounts"]
        assert amounts == order["return_amounts"]
        assert cents(amounts, "total_money") == cents(refund, "amount_money")
        assert cents(amounts, "total_money") == (
            sum(cents(line, "total_money") for line in returned["return_line_items"])
            + sum(cents(x, "total_money") for x in returned.get("return_service_charges", ()))
            + sum(cents(x, "applied_money") for x in returned.get("return_tips", ()))
        )
        for name, one in order["net_amounts"].items():
            assert one["amount"] == -amounts[name]["amount"]
        (shown,) = order["refunds"]
        assert shown["id"] == refund["id"]
        assert shown["amount_money"] == refund["amount_money"]
        wanted = {"COMPLETED": "APPROVED"}.get(refund["status"], refund["status"])
        assert shown["status"] == wanted
        kinds.update(line["item_type"] for line in returned["return_line_items"])
    assert "ITEM" in kinds


def test_a_payout_is_the_sum_of_its_entries(books: SquareAccount) -> None:
    entries: defaultdict[str, int] = defaultdict(int)
    for entry in books.objects("payout_entries"):
        net = cents(entry, "net_amount_money")
        assert net == cents(entry, "gross_amount_money") - cents(entry, "fee_amount_money")
        entries[entry["payout_id"]] += net
    payouts = books.objects("payouts")
    assert {payout["id"]: cents(payout, "amount_money") for payout in payouts} == dict(entries)
    assert all(cents(payout, "amount_money") for payout in payouts)
    assert "PAID" in {payout["status"] for payout in payouts}


def test_what_was_earned_is_paid_out_or_owed(books: SquareAccount) -> None:
    """Charges less fees, refunds and lost disputes are what payouts and the balance hold."""
    earned: Counter[str] = Counter()
    for payment in books.objects("payments"):
        for fee in payment.get("processing_fee", ()):
            earned[payment["location_id"]] += (
                cents(payment, "total_money")
                - cents(fee, "amount_money")
                - cents(payment, "app_fee_money")
            )
    payments = by_id(books, "payments")
    for refund in books.objects("refunds"):
        by_card = payments[refund["payment_id"]]["source_type"] == "CARD"
        if refund["status"] == "COMPLETED" and by_card:
            returned = sum(cents(fee, "amount_money") for fee in refund.get("processing_fee", ()))
            earned[refund["location_id"]] -= cents(refund, "amount_money") + returned
    for dispute in books.objects("disputes"):
        if dispute["state"] != "WON":
            earned[dispute["location_id"]] -= cents(dispute, "amount_money")
    paid: Counter[str] = Counter(books.economy.unpaid)
    for payout in books.objects("payouts"):
        if payout["status"] != "FAILED":
            paid[payout["location_id"]] += cents(payout, "amount_money")
    assert {k: v for k, v in paid.items() if v} == {k: v for k, v in earned.items() if v}


def test_points_are_what_their_events_add_up_to(books: SquareAccount) -> None:
    balance: Counter[str] = Counter()
    earned: Counter[str] = Counter()
    for event in books.objects("loyalty_events"):
        points = event[event["type"].lower()].get("points", 0)
        balance[event["loyalty_account_id"]] += points
        earned[event["loyalty_account_id"]] += max(points, 0)
    for account in books.objects("loyalty_accounts"):
        assert account["balance"] == balance[account["id"]] >= 0
        assert account["lifetime_points"] == earned[account["id"]]


def test_invoices_ask_for_what_their_order_costs(books: SquareAccount) -> None:
    orders = by_id(books, "orders")
    for invoice in books.objects("invoices"):
        asked = sum(cents(one, "computed_amount_money") for one in invoice["payment_requests"])
        order = orders[invoice["order_id"]]
        assert asked == cents(order, "total_money")
        paid = sum(
            cents(one, "total_completed_amount_money") for one in invoice["payment_requests"]
        )
        if invoice["status"] in ("PAID", "REFUNDED", "PARTIALLY_REFUNDED"):
            assert paid == asked
            assert order["state"] == "COMPLETED"
        elif invoice["status"] == "PARTIALLY_PAID":
            assert 0 < paid < asked
        else:
            assert paid == 0
    ids = set(books.ids("invoices"))
    for subscription in books.objects("subscriptions"):
        assert set(subscription.get("invoice_ids", ())) <= ids


def test_an_item_shows_its_variations_as_they_are(books: SquareAccount) -> None:
    objects = {row.id: row.object for row in books.table("catalog")}
    items = [one for one in objects.values() if one["type"] == "ITEM"]
    assert any(one["is_deleted"] for one in items)
    for item in items:
        for part in item["item_data"]["variations"]:
            assert part == objects[part["id"]]
            assert part["item_variation_data"]["item_id"] == item["id"]


def test_history_ends_with_the_clock_and_nothing_is_ahead_of_it(books: SquareAccount) -> None:
    ahead = books.clock.now() * 1000 + 999
    for stream in STREAMS:
        for row in books.table(stream):
            assert row.created <= row.updated <= ahead or stream == "orders"
            assert row.updated <= ahead


def test_times_of_an_object_are_those_it_is_found_by(books: SquareAccount) -> None:
    for stream, facts in FACTS.items():
        for row in books.table(stream):
            found = row.object
            if facts.updated:
                assert milliseconds(found[facts.updated]) == row.updated
            if facts.created and stream != "inventory_counts":
                assert milliseconds(found[facts.created]) == row.created


def test_sales_fall_into_local_evenings(books: SquareAccount) -> None:
    zone = ZoneInfo(books.timezone)
    hours = Counter(
        datetime.fromtimestamp(row.created / 1000, zone).hour for row in books.table("orders")
    )
    evening = sum(hours[hour] for hour in range(18, 24))
    assert evening > sum(hours[hour] for hour in range(5, 11)) * 3


def test_some_objects_share_their_time(books: SquareAccount) -> None:
    times = Counter(row.updated for row in books.table("customers"))
    assert max(times.values()) > 1


def test_the_same_seed_gives_the_same_account() -> None:
    def life(seed: int) -> list[Any]:
        account = Square(seed=seed, now=NOW).create_account("venue", size=60)
        account.economy.mutate(40)
        account.economy.advance(5 * DAY, mutations=20)
        return [account.objects(stream) for stream in (*STREAMS, "events")]

    assert life(7) == life(7)
    assert life(7) != life(8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mutation_happens_now(account: SquareAccount, kind: str) -> None:
    account.economy.do("sell_gift_card")
    account.economy.do("add_invoice")
    account.economy.do("subscribe")
    before = account.clock.now()
    done = account.economy.mutate(3, kinds=[kind])
    assert len(done) == 3
    assert {one["kind"] for one in done} == {kind}
    assert account.clock.now() > before


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_moves_a_time_or_a_version_or_is_silent(account: SquareAccount, kind: str) -> None:
    def state() -> dict[tuple[str, str], Json]:
        return {(s, row.id): row.object for s in STREAMS for row in account.table(s)}

    before = state()
    silent = len(account.silent_changes)
    account.economy.mutate(4, kinds=[kind])
    quiet = {(one.stream, one.id) for one in account.silent_changes[silent:]}
    for key, found in state().items():
        if key in before and before[key] != found:
            updated = FACTS[key[0]].updated
            moved = updated and found[updated] != before[key][updated]
            versioned = found.get("version", 0) != before[key].get("version", 0)
            assert moved or versioned or key in quiet


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_tells_of_every_object_that_is_touched(account: SquareAccount, kind: str) -> None:
    told = len(account.events)
    done = account.economy.mutate(4, kinds=[kind])
    events = account.objects("events")
    assert len(events) > told
    named = {event["data"]["id"] for event in events}
    for one in done:
        if one["stream"] not in ("catalog", "inventory_counts"):
            assert one["id"] in named


def test_a_deleted_customer_is_gone_and_orders_keep_the_id(account: SquareAccount) -> None:
    id = next(one["customer_id"] for one in account.objects("orders") if "customer_id" in one)
    account.economy.delete("customers", id)
    assert account.find("customers", id) is None
    assert id in account.deleted("customers")
    assert any(one.get("customer_id") == id for one in account.objects("orders"))


def test_only_some_things_can_be_deleted(account: SquareAccount) -> None:
    with pytest.raises(ValueError, match="payments"):
        account.economy.delete("payments", account.ids("payments")[0])
    with pytest.raises(LookupError):
        account.economy.delete("customers", "nobody")
    paid = next(one for one in account.objects("invoices") if one["status"] == "PAID")
    with pytest.raises(ValueError, match="draft"):
        account.economy.delete("invoices", paid["id"])


def test_a_refund_moves_the_payment_and_leaves_the_sale(account: SquareAccount) -> None:
    payment = next(
        one
        for one in account.objects("payments")
        if one["status"] == "COMPLETED" and "refunded_money" not in one
    )
    sale = account.find("orders", payment["order_id"])
    done = account.economy.do("refund", payment["id"], 1)
    assert done is not None
    after = account.find("payments", payment["id"])
    assert after is not None
    assert after["updated_at"] > payment["updated_at"]
    assert after["version_token"] != payment["version_token"]
    assert cents(after, "refunded_money") == 1
    assert account.find("orders", payment["order_id"]) == sale
    with pytest.raises(ValueError, match="left"):
        account.economy.do("refund", payment["id"], 10**9)


def test_a_fee_arrives_later_and_updates_the_payment(account: SquareAccount) -> None:
    account.economy.advance(2 * DAY)
    payment = None
    while payment is None:
        done = account.economy.do("sell_online")
        assert done is not None
        payment = next(one for one in account.objects("payments") if one["order_id"] == done["id"])
    assert "processing_fee" not in payment
    account.economy.advance(3 * 3600)
    after = account.find("payments", payment["id"])
    assert after is not None
    assert cents(after["processing_fee"][0], "amount_money") > 0
    assert after["updated_at"] > payment["updated_at"]


def test_a_silent_update_moves_nothing_and_is_known(account: SquareAccount) -> None:
    id = account.ids("payments")[0]
    before = account.find("payments", id)
    account.economy.update("payments", id, {"note": "quiet"}, silent=True)
    after = account.find("payments", id)
    assert before is not None
    assert after == before | {"note": "quiet"}
    assert account.silent_changes[-1][1:] == ("payments", id, "note")


def test_a_clock_that_follows_the_machine_ends_with_the_last_hour_and_cannot_be_moved() -> None:
    account = Square(seed=1).create_account("now-room", size=20, months=0.5)
    last = int(time.time()) // 3600 * 3600
    assert max(row.created for row in account.table("orders")) <= last * 1000 + 999
    with pytest.raises(ValueError, match="set it"):
        account.economy.advance(60)
    done = account.economy.mutate(1, kinds=["customer"])
    assert done


def test_a_million_rows_are_filled_quickly_and_a_page_is_read_at_once() -> None:
    count = 30_000
    began = time.perf_counter()
    account = Square(seed=1, now=NOW).create_account("big", only={"payments": count})
    assert time.perf_counter() - began < 10
    table = account.table("payments")
    assert len(table) == count
    for order in ("created", "updated"):
        rows = iter(table.read(order, locations=[account.main_location], descending=True))
        next(rows)
        began = time.perf_counter()
        page = [row.body for _, row in zip(range(100), rows, strict=False)]
        assert time.perf_counter() - began < 0.05
        assert len(page) == 100
    total = account.sums("payments")["USD"]
    assert total == sum(one["total_money"]["amount"] for one in account.objects("payments"))


def test_rows_stand_in_every_order_through_adds_changes_and_removals() -> None:
    table = Table()
    for number in range(200):
        table.add(str(number), number % 50, b"{}", location="AB"[number % 2])
    table.sorted("updated")
    table.sorted("updated", "A")
    for number in range(0, 200, 3):
        table.replace(str(number), b"{}", updated=1000 - number, location="BA"[number % 2])
    for number in range(0, 200, 7):
        table.remove(str(number), 5)
    rows = list(table.read("updated"))
    keys = [(row.updated, row.arrival) for row in rows]
    assert keys == sorted(keys)
    assert len(rows) == len(table) == 200 - 29
    for descending in (False, True):
        both = list(table.read("updated", locations=["A", "B"], descending=descending))
        assert both == (rows[::-1] if descending else rows)
    middle = keys[80]
    assert list(table.read("updated", after=middle)) == rows[81:]
    assert list(table.read("updated", after=middle, descending=True)) == rows[:80][::-1]
    inside = list(table.read("updated", first=20, last=900))
    assert inside == [row for row in rows if 20 <= row.updated <= 900]


def test_times_are_written_and_read_alike() -> None:
    at = int((datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC) + timedelta(milliseconds=7)).timestamp())
    assert iso(at * 1000 + 7) == "2026-02-03T04:05:06.007Z"
    assert milliseconds("2026-02-03T04:05:06.007Z") == at * 1000 + 7
    assert milliseconds("2026-02-03T05:05:06+01:00") == at * 1000
    for wrong in ("2026-02-03", "2026-02-03T04:05:06", "soon", None):
        with pytest.raises(ValueError):
            milliseconds(wrong)
