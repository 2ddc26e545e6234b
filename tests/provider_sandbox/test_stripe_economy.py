"""The books of an account agree with each other to the cent."""

from collections import Counter, defaultdict
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import pytest

from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.stripe import Stripe, StripeAccount
from provider_sandbox.stripe.endpoints import STREAMS

from .conftest import NOW


@pytest.fixture(scope="session", params=["usd", "eur", "jpy", "kwd"])
def books(request: pytest.FixtureRequest) -> StripeAccount:
    """An account after its history, random changes and four more weeks."""
    account = Stripe(seed=3, now=NOW).create_account(
        f"venue-{request.param}", size=500, currency=request.param
    )
    account.economy.mutate(150, step=60)
    account.economy.advance(28 * 86_400, mutations=100)
    return account


def by_id(account: StripeAccount, stream: str) -> dict[str, dict]:
    return {one["id"]: one for one in account.objects(stream)}


def test_every_stream_has_rows(books: StripeAccount) -> None:
    empty = [stream for stream in STREAMS if not books.objects(stream)]
    assert empty == []


def test_a_captured_charge_has_the_balance_transaction_of_what_was_captured(
    books: StripeAccount,
) -> None:
    transactions = by_id(books, "balance_transactions")
    for charge in books.objects("charges"):
        if not charge["captured"]:
            assert charge["balance_transaction"] is None
            assert charge["amount_captured"] == 0
            continue
        found = transactions[charge["balance_transaction"]]
        assert found["source"] == charge["id"]
        assert found["currency"] == books.currency
        assert found["amount"] == settled(charge["amount_captured"], found["exchange_rate"])
        assert (found["exchange_rate"] is None) == (charge["currency"] == books.currency)


def settled(amount: int, rate: float | None) -> int:
    if rate is None:
        return amount
    exact = Decimal(amount) * Decimal(repr(rate))
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_net_is_amount_less_the_fees_in_the_details(books: StripeAccount) -> None:
    for found in books.objects("balance_transactions"):
        assert found["fee"] == sum(detail["amount"] for detail in found["fee_details"])
        assert found["net"] == found["amount"] - found["fee"]
        assert found["fee"] >= 0


def test_a_charge_shows_what_its_refunds_add_up_to(books: StripeAccount) -> None:
    refunded: Counter[str] = Counter()
    for refund in books.objects("refunds"):
        if refund["status"] != "failed":
            refunded[refund["charge"]] += refund["amount"]
    for charge in books.objects("charges"):
        assert charge["amount_refunded"] == refunded[charge["id"]]
        assert charge["amount_refunded"] <= charge["amount"]
        assert charge["refunded"] == (charge["amount_refunded"] == charge["amount"])


def test_a_refund_takes_its_amount_from_the_balance_and_a_failed_one_gives_it_back(
    books: StripeAccount,
) -> None:
    transactions = by_id(books, "balance_transactions")
    charges = by_id(books, "charges")
    for refund in books.objects("refunds"):
        if refund["balance_transaction"] is None:
            charge = charges[refund["charge"]]
            assert charge["amount_captured"] < charge["amount"]
            continue
        taken = transactions[refund["balance_transaction"]]
        assert taken["amount"] == -settled(refund["amount"], taken["exchange_rate"])
        assert taken["source"] == refund["id"]
        if refund["status"] == "failed":
            back = transactions[refund["failure_balance_transaction"]]
            assert back["amount"] == -taken["amount"]


def test_a_dispute_embeds_the_balance_transactions_as_they_are(books: StripeAccount) -> None:
    transactions = by_id(books, "balance_transactions")
    charges = by_id(books, "charges")
    for dispute in books.objects("disputes"):
        assert charges[dispute["charge"]]["disputed"]
        for embedded in dispute["balance_transactions"]:
            assert embedded == transactions[embedded["id"]]
        total = sum(one["amount"] for one in dispute["balance_transactions"])
        assert total == 0 if dispute["status"] == "won" else total < 0


def test_a_payout_is_the_net_of_the_transactions_that_it_swept(books: StripeAccount) -> None:
    transactions = by_id(books, "balance_transactions")
    swept: defaultdict[str, list[dict]] = defaultdict(list)
    for id, payout in books.swept.items():
        swept[payout].append(transactions[id])
    for payout in books.objects("payouts"):
        own = transactions[payout["balance_transaction"]]
        others = [one for one in swept[payout["id"]] if one["id"] != own["id"]]
        assert payout["amount"] == sum(one["net"] for one in others) == -own["amount"]
        assert all(one["available_on"] <= payout["created"] for one in others)


def test_what_is_not_paid_out_is_the_balance(books: StripeAccount) -> None:
    transactions = by_id(books, "balance_transactions")
    unswept = [one for id, one in transactions.items() if id not in books.swept]
    assert sum(one["net"] for one in transactions.values()) == sum(one["net"] for one in unswept)


def test_transactions_are_available_from_their_day_on(books: StripeAccount) -> None:
    now = books.clock.now()
    for found in books.objects("balance_transactions"):
        assert found["status"] == ("available" if found["available_on"] <= now else "pending")


def test_an_invoice_is_the_sum_of_its_lines(books: StripeAccount) -> None:
    intents = by_id(books, "payment_intents")
    lengths = []
    for invoice in books.objects("invoices"):
        lines = books.lines("invoices", invoice["id"])
        lengths.append(len(lines))
        off = sum(one["amount"] for line in lines for one in line["discount_amounts"])
        tax = sum(one["amount"] for line in lines for one in line["taxes"])
        assert invoice["subtotal"] == sum(line["amount"] for line in lines)
        assert invoice["total_excluding_tax"] == invoice["subtotal"] - off
        assert invoice["total"] == invoice["subtotal"] - off + tax
        assert invoice["lines"]["data"] == lines[:10]
        assert invoice["lines"]["has_more"] == (len(lines) > 10)
        credited = invoice["pre_payment_credit_notes_amount"]
        assert invoice["amount_due"] == invoice["total"] - credited
        assert invoice["amount_remaining"] == invoice["amount_due"] - invoice["amount_paid"]
        for payment in books.payments(invoice["id"]):
            intent = intents[payment["payment"]["payment_intent"]]
            assert intent["amount_received"] == invoice["amount_paid"]
    assert max(lengths) > 25


def test_an_intent_shows_the_charge_that_paid_it(books: StripeAccount) -> None:
    charges = by_id(books, "charges")
    for intent in books.objects("payment_intents"):
        if intent["status"] == "succeeded":
            charge = charges[intent["latest_charge"]]
            assert intent["amount_received"] == charge["amount_captured"]
        else:
            assert intent["amount_received"] == 0


def test_a_session_is_the_sum_of_its_line_items(books: StripeAccount) -> None:
    intents = by_id(books, "payment_intents")
    for session in books.objects("checkout_sessions"):
        items = books.lines("checkout_sessions", session["id"])
        assert session["amount_total"] == sum(item["amount_total"] for item in items)
        details = session["total_details"]
        assert session["amount_total"] == (
            session["amount_subtotal"] - details["amount_discount"] + details["amount_tax"]
        )
        if session["status"] == "complete":
            assert intents[session["payment_intent"]]["amount"] == session["amount_total"]


def test_subscriptions_embed_ten_of_their_items(books: StripeAccount) -> None:
    items = defaultdict(list)
    for item in books.objects("subscription_items"):
        items[item["subscription"]].append(item)
    for found in books.objects("subscriptions"):
        assert found["items"]["data"] == items[found["id"]][::-1][:10]
        assert found["items"]["has_more"] == (len(items[found["id"]]) > 10)


def test_nothing_is_created_ahead_of_the_clock(books: StripeAccount) -> None:
    now = books.clock.now()
    for stream in STREAMS:
        for found in books.objects(stream):
            assert found.get("created", found.get("date")) <= now


def test_three_decimal_currencies_are_charged_in_multiples_of_ten(books: StripeAccount) -> None:
    for charge in books.objects("charges"):
        if charge["currency"] == "kwd":
            assert charge["amount"] % 10 == 0


def test_sales_stand_on_both_sides_of_midnight_and_of_four(books: StripeAccount) -> None:
    zone = ZoneInfo(books.timezone)
    hours = Counter(
        datetime.fromtimestamp(one["created"], zone).hour for one in books.objects("charges")
    )
    assert min(hours[hour] for hour in (23, 0, 3, 4)) > 0


def test_an_update_event_undone_by_its_previous_attributes_is_the_object_before() -> None:
    account = Stripe(seed=4, now=NOW).create_account("green-room", size=40)
    before = account.objects("customers")[0]
    account.economy.update("customers", before["id"], {"metadata.seat": "A", "name": "New name"})
    event = account.objects("events")[-1]
    assert event["type"] == "customer.updated"
    assert event["data"]["object"] == account.find("customers", before["id"])
    previous = event["data"]["previous_attributes"]
    assert previous["name"] == before["name"]
    assert previous["metadata"] == {"seat": before["metadata"].get("seat")}


def test_a_stream_folded_from_its_events_is_what_exists_but_for_silent_changes() -> None:
    account = Stripe(seed=5, now=NOW).create_account("fold", size=200, months=0.5)
    account.economy.mutate(200, step=30)
    streams = {
        "charge": "charges", "refund": "refunds", "customer": "customers", "payout": "payouts",
        "invoice": "invoices", "subscription": "subscriptions", "product": "products",
        "price": "prices", "coupon": "coupons", "promotion_code": "promotion_codes",
        "payment_intent": "payment_intents", "credit_note": "credit_notes", "dispute": "disputes",
    }  # fmt: skip
    folded: defaultdict[str, dict[str, dict]] = defaultdict(dict)
    for event in account.objects("events"):
        found = event["data"]["object"]
        stream = streams.get(found["object"])
        if stream is None:
            continue
        if event["type"].endswith(".deleted") and stream != "subscriptions":
            del folded[stream][found["id"]]
        else:
            folded[stream][found["id"]] = found
    silent = defaultdict(set)
    for change in account.silent_changes:
        silent[change.stream, change.id].add(change.field)
    for stream in streams.values():
        existing = by_id(account, stream)
        assert existing.keys() == folded[stream].keys()
        for id, found in existing.items():
            differing = {name for name in found if found[name] != folded[stream][id][name]}
            assert differing <= silent[stream, id], (stream, id, differing)
    assert {change.stream for change in account.silent_changes} <= {
        "balance_transactions", "charges", "checkout_sessions", "coupons", "invoiceitems",
    }  # fmt: skip


def test_events_leave_out_what_stripe_leaves_out(books: StripeAccount) -> None:
    kinds = {event["type"] for event in books.objects("events")}
    assert not {kind for kind in kinds if kind.startswith("balance_transaction")}
    assert "checkout.session.created" not in kinds
    assert "invoiceitem.updated" not in kinds
    assert {"charge.succeeded", "refund.created", "invoice.paid", "payout.paid"} <= kinds


def test_events_are_kept_for_thirty_days(books: StripeAccount) -> None:
    oldest = books.objects("events")[0]["created"]
    assert books.clock.now() - 30 * 86_400 <= oldest < books.clock.now() - 25 * 86_400


def test_the_same_seed_gives_the_same_account_to_the_byte() -> None:
    def account(seed: int) -> StripeAccount:
        made = Stripe(seed=seed, now=NOW).create_account("twin", size=80)
        made.economy.mutate(30)
        return made

    first, second, other = account(7), account(7), account(8)
    assert (first.id, first.api_key) == (second.id, second.api_key)
    for stream in STREAMS:
        assert [row.body for row in first.streams[stream]] == [
            row.body for row in second.streams[stream]
        ]
    assert other.id != first.id


def test_a_clock_that_follows_this_machine_stamps_mutations_with_now(sandbox: Sandbox) -> None:
    with running_sandbox(seed=1) as live:
        account = live.stripe.create_account("live", size=20)
        before = account.clock.now()
        account.economy.mutate(5)
        created = account.objects("events")[-1]["created"]
        assert before <= created <= account.clock.now()


def test_a_step_is_played_by_its_name() -> None:
    account = Stripe(seed=1, now=NOW).create_account("steps", size=40)
    charge = next(
        one for one in account.objects("charges")[::-1]
        if one["captured"] and not one["amount_refunded"] and not one["disputed"]
    )  # fmt: skip
    refund = account.economy.do("refund", charge["id"], charge["amount_captured"])
    assert refund is not None
    assert refund["amount"] == charge["amount_captured"]
    assert account.economy.do("refund", charge["id"]) is None
    with pytest.raises(ValueError, match="_release"):
        account.economy.do("_release", charge)
    with pytest.raises(LookupError, match="ch_unknown"):
        account.economy.do("refund", "ch_unknown")


def test_rows_without_a_history_are_made_when_read() -> None:
    account = Stripe(seed=1, now=NOW).create_account("bulk", only={"charges": 1000})
    charges = account.objects("charges")
    assert len({one["id"] for one in charges}) == 1000
    assert account.sums("charges") == {"usd": sum(one["amount"] for one in charges)}
    assert account.objects("customers") == []
    account.economy.update("charges", charges[5]["id"], {"description": "x"})
    assert account.objects("charges")[5]["description"] == "x"
    assert len(account.economy.mutate(20, kinds=["create"])) == 20
    assert account.objects("customers")
