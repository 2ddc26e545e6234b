"""Every body that Stripe and its users published, old shapes and new, and every one of Square's,
through all models."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integration_pipelines.providers.square.streams import STREAMS as SQUARES
from tests.dbt_mappings.conftest import Warehouse, not_passed
from tests.providers.square import test_published_bodies as square

ROOT = Path(__file__).parents[2]
REFERENCE = (
    Path(os.environ.get("PROVIDER_REFERENCE", ROOT.parent / "shared/provider_reference")) / "stripe"
)
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"Stripe's published bodies are not at {REFERENCE}"
)

STREAMS = {
    "customer": "customers",
    "product": "products",
    "price": "prices",
    "payment_intent": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
    "balance_transaction": "balance_transactions",
    "payout": "payouts",
    "invoice": "invoices",
    "invoiceitem": "invoice_items",
    "subscription": "subscriptions",
    "coupon": "coupons",
    "promotion_code": "promotion_codes",
    "credit_note": "credit_notes",
    "checkout.session": "checkout_sessions",
}

# dj-stripe wrote these from its own tables, amounts as "10.00": nothing that Stripe would send.
NOT_STRIPES_OWN = {
    "dispute_ch_fakefakefakefake01",
    "payout_custom_bank_account",
    "payout_custom_card",
}


def published() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each body with a name that tells it from others of the same id."""
    fixtures = json.loads((REFERENCE / "fixtures3.json").read_text())["resources"]
    yield from fixtures.items()
    for folder in ("webhook_events", "objects"):
        for path in sorted((REFERENCE / folder).glob("*.json")):
            body = json.loads(path.read_text())
            yield path.stem, body["data"]["object"] if body.get("object") == "event" else body


INCOMPLETE = ("charges", "checkout_sessions", "payouts", "subscriptions")
"""Streams of which a body lacks what staging asks of a real one: of these, the checks must warn."""
SQUARES_INCOMPLETE = ("customers", "payout_entries", "payouts")
"""The same of Square's: a deleted customer without times, amounts without a currency."""


@pytest.fixture(scope="module")
def outcomes(warehouse: Warehouse) -> dict[str, str]:
    warehouse.add_venue("published")
    warehouse.add_venue("unreadable")
    for name, body in published():
        stream = STREAMS.get(body.get("object", ""))
        if stream is not None:
            venue_id = "unreadable" if name in NOT_STRIPES_OWN else "published"
            warehouse.land(venue_id, stream, body, account_id=name)
    for number, layer in enumerate(square.published()):
        for stream, bodies in layer.items():
            # Amounts without a currency are not published to analysts.
            warehouse.land(
                "unreadable" if stream == "payouts" else "published",
                stream,
                *bodies.values(),
                provider="square",
                account_id=f"layer-{number}",
                ids=[*bodies],
            )
    return warehouse.build()


def test_every_model_accepts_every_published_body(
    warehouse: Warehouse, outcomes: dict[str, str]
) -> None:
    # Each body stands alone in an account of its own, so what it points to is mostly missing.
    pointing = {name for name in outcomes if "_have_known_" in name and "status" not in name}
    unreadable = {
        "payments_are_complete",
        "orders_are_complete",
        "payouts_are_complete",
        "payouts_equal_their_lines",
        "payout_lines_are_complete",
        "payout_reconciliation_is_complete",
        "daily_revenue_equals_its_movements",
        *(f"stg_stripe__{name}_are_complete" for name in INCOMPLETE),
        *(f"stg_square__{name}_are_complete" for name in SQUARES_INCOMPLETE),
        # A refund of Square's examples is "IN PROGRESS", which its specification does not know.
        "refunds_have_known_status",
    }
    assert not_passed(outcomes).keys() <= pointing | unreadable
    assert warehouse.rows("SELECT DISTINCT venue_id FROM analytics.payments") == [
        {"venue_id": "published"}
    ]


@pytest.mark.parametrize("stream", STREAMS.values())
def test_every_raw_row_is_in_staging(
    warehouse: Warehouse, outcomes: dict[str, str], stream: str
) -> None:
    staged = warehouse.row(f"SELECT count(*) AS n FROM staging.stg_stripe__{stream}")
    landed = warehouse.row(f"SELECT count(*) AS n FROM raw_stripe.{stream}")
    assert staged == landed
    assert staged["n"] > 0


@pytest.mark.parametrize("stream", [stream.name for stream in SQUARES])
def test_every_raw_row_of_square_is_in_staging(
    warehouse: Warehouse, outcomes: dict[str, str], stream: str
) -> None:
    staged = warehouse.row(f"SELECT count(*) AS n FROM staging.stg_square__{stream}")
    landed = warehouse.row(f"SELECT count(*) AS n FROM raw_square.{stream}")
    assert staged == landed
    assert staged["n"] > 0


def test_squares_published_amounts_arrive(warehouse: Warehouse, outcomes: dict[str, str]) -> None:
    bodies = [body for layer in square.published() for body in layer.get("payments", {}).values()]
    true = sorted((body["id"], body["amount_money"]["amount"]) for body in bodies)
    rows = warehouse.rows("SELECT payment_id, amount_minor FROM staging.stg_square__payments")
    assert sorted((row["payment_id"], row["amount_minor"]) for row in rows) == true
    known = warehouse.rows("SELECT source_id FROM analytics.payments WHERE provider = 'square'")
    assert {row["source_id"] for row in known} <= {id for id, _ in true}
    assert known


EXPECTED = {
    # The invoice of an older API version: subscription, tax and price each in a field of their own.
    ("invoices", "invoice_in_fakefakefakefakefake0004"): {
        "subscription_id": "sub_fakefakefakefakefake0002",
        "tax_amount_minor": 522,
        "total_amount_minor": 4000,
        "status": "paid",
        "currency": "USD",
        "finalized_at": datetime(2020, 6, 27, 2, 46, 24, tzinfo=UTC),
    },
    ("invoice_lines", "invoice_in_fakefakefakefakefake0004"): {
        "price_id": "silver41294",
        "product_id": "prod_fake1",
        "subscription_id": "sub_fakefakefakefakefake0002",
        "tax_amount_minor": 522,
        "is_proration": False,
    },
    ("invoice_payments", "invoice.finalized"): {
        "charge_id": "ch_000000000000000000000000",
        "payment_intent_id": "pi_000000000000000000000000",
    },
    # The invoice of a new one: a parent and a pricing.
    ("invoices", "invoice"): {
        "subscription_id": "subscription",
        "tax_amount_minor": 0,
        "total_amount_minor": 1000,
        "status": "draft",
    },
    ("invoice_lines", "invoice"): {
        "subscription_id": "subscription",
        "subscription_item_id": "subscription_item",
        "invoice_item_id": "invoice_item",
        "is_proration": True,
    },
    # The billing period, on the subscription and on its items.
    ("subscriptions", "subscription_sub_fakefakefakefakefake0001"): {
        "current_period_starts_at": datetime(2019, 5, 16, 8, 26, 16, tzinfo=UTC),
        "current_period_ends_at": datetime(2019, 6, 16, 8, 26, 16, tzinfo=UTC),
        "currency": "USD",
    },
    ("subscriptions", "subscription"): {
        "current_period_starts_at": datetime.fromtimestamp(1896570518, UTC),
        "current_period_ends_at": datetime.fromtimestamp(976287773, UTC),
        "cancels_at_period_end": True,
    },
    # A charge of 2013 has neither status nor amount_captured.
    ("charges", "charge.updated"): {
        "status": "succeeded",
        "captured_amount_minor": 1000,
        "card_brand": "visa",
        "invoice_id": "in_00000000000000",
    },
    ("charges", "charge"): {"is_captured": False, "captured_amount_minor": 0, "customer_id": None},
    ("disputes", "charge.dispute.funds_reinstated"): {
        "settlement_fee_amount_minor": 1500,
        "settlement_net_amount_minor": -26500,
    },
    ("disputes", "dispute_dp_funds_reinstated_full"): {
        "settlement_fee_amount_minor": 0,
        "settlement_net_amount_minor": 0,
    },
    ("checkout_sessions", "checkout.session.completed.payment_mode"): {
        "created_at": None,
        "tax_amount_minor": 0,
        "payment_intent_id": "pi_00000000000000",
    },
    ("checkout_sessions", "checkout.session"): {
        "tax_amount_minor": 1424534716,
        "payment_intent_id": "pi_1PgafyB7WZ01zgkWSjxsAJo3",
    },
    ("coupons", "coupon"): {"percent_off": 25.5, "name": "25.5% off"},
    ("promotion_codes", "promotion_code"): {"code": "FALL20", "coupon_id": None},
    ("credit_notes", "credit_note"): {"first_refund_id": "refund", "total_amount_minor": 1690},
}


@pytest.mark.parametrize(("stream", "name"), EXPECTED, ids="-".join)
def test_fields_are_found_in_their_old_place_and_their_new(
    warehouse: Warehouse, outcomes: dict[str, str], stream: str, name: str
) -> None:
    expected = EXPECTED[stream, name]
    row = warehouse.row(
        f"SELECT * FROM staging.stg_stripe__{stream} WHERE account_id = :name", name=name
    )
    assert {column: row[column] for column in expected} == expected


def test_stubs_of_deleted_objects_are_marked_deleted(
    warehouse: Warehouse, outcomes: dict[str, str]
) -> None:
    for stream, name in [("customers", "deleted_customer"), ("invoices", "deleted_invoice")]:
        row = warehouse.row(
            f"SELECT is_deleted, deleted_at FROM analytics.{stream} WHERE account_id = :name",
            name=name,
        )
        assert row["is_deleted"]
        assert row["deleted_at"] is not None
