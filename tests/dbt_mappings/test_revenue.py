"""Payments, refunds and daily revenue against the same sums in plain Python."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.dbt_mappings.conftest import Warehouse, not_passed

EXPONENTS = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "ISK": 2}
RATES = {
    "USD": Decimal(1),
    "EUR": Decimal("1.0873"),
    "JPY": Decimal("0.6641"),
    "KWD": Decimal("0.32487"),
    "ISK": Decimal("0.00717"),
}
"""US cents for one minor unit."""

FIGURES = ("gross", "refund", "tax", "tip", "fee", "net")


@dataclass
class Ledger:
    """What is true of one venue, in plain numbers."""

    venue_id: str
    timezone: str
    day_starts_at: time
    days: dict[tuple[date, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def day(self, instant: datetime, currency: str) -> Counter[str]:
        local = instant.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None)
        opening = timedelta(hours=self.day_starts_at.hour, minutes=self.day_starts_at.minute)
        return self.days[(local - opening).date(), currency]

    def pay(
        self, instant: datetime, currency: str, *, gross: int, tax: int, tip: int, fee: int
    ) -> None:
        self.day(instant, currency).update(
            gross=gross, tax=tax, tip=tip, fee=fee, net=gross - fee, payments=1
        )

    def refund(self, instant: datetime, currency: str, amount: int) -> None:
        self.day(instant, currency).update(refund=amount, net=-amount, refunds=1)


def random_trade(warehouse: Warehouse, ledger: Ledger, seed: int) -> None:
    """Land charges of every kind, their refunds, taxes, tips and fees; enter what counts."""
    choose = random.Random(seed)
    bodies: dict[str, list[dict[str, Any]]] = defaultdict(list)
    vanished: list[dict[str, Any]] = []
    start = datetime(2025, 10, 30, tzinfo=UTC)
    for number in range(240):
        instant = start + timedelta(minutes=choose.randrange(6 * 24 * 60))
        created = int(instant.timestamp())
        currency = choose.choice(list(EXPONENTS))
        amount = choose.randrange(50, 90_000) * (100 if currency == "ISK" else 1)
        kind = choose.choice(
            [
                "whole",
                "whole",
                "whole",
                "part",
                "part of old",
                "held",
                "failed",
                "pending",
                "vanished",
            ]
        )
        captured = {"whole": amount, "vanished": amount, "held": 0, "failed": 0, "pending": 0}.get(
            kind, amount * 2 // 3
        )
        charge: dict[str, Any] = {
            "id": f"ch_{number}",
            "object": "charge",
            "created": created,
            "currency": currency.lower(),
            "amount": amount,
            "amount_captured": captured,
            "captured": captured > 0,
            "paid": kind not in ("failed", "pending"),
            "status": kind if kind in ("failed", "pending") else "succeeded",
            "payment_intent": f"pi_{number}",
            "balance_transaction": None,
            "metadata": {},
        }
        tip = choose.choice([None, 150])
        intent: dict[str, Any] = {
            "id": f"pi_{number}",
            "created": created,
            "currency": currency.lower(),
            "amount": amount,
            "amount_details": {"tip": {} if tip is None else {"amount": tip}},
        }
        tax = choose.choice([None, captured // 11])
        if tax is not None:
            state_tax(choose, charge, intent, bodies, tax)
        fee = 0
        if captured and choose.random() < 0.9:
            settled = rounded(captured * RATES[currency])
            fee_settled = settled * 29 // 1000 + 30
            fee = (
                fee_settled
                if currency == "USD"
                else rounded(Decimal(fee_settled) * captured / settled)
            )
            charge["balance_transaction"] = f"txn_{number}"
            bodies["balance_transactions"].append(
                {
                    "id": f"txn_{number}",
                    "created": created,
                    "currency": "usd",
                    "amount": settled,
                    "fee": fee_settled,
                    "net": settled - fee_settled,
                    "exchange_rate": None if currency == "USD" else float(RATES[currency]),
                    "type": "charge",
                    "status": "available",
                }
            )
        bodies["payment_intents"].append(intent)
        if kind == "vanished":
            vanished.append(charge)
            continue
        bodies["charges"].append(charge)
        if captured:
            ledger.pay(instant, currency, gross=captured, tax=tax or 0, tip=tip or 0, fee=fee)
        if kind in ("held", "part of old"):
            # What was never captured is given back: a refund by name that moved nothing.
            bodies["refunds"].append(
                refund_body(
                    f"re_release_{number}", charge, created + 60, amount - captured, "succeeded"
                )
            )
        for part in range(choose.randrange(3) if captured else 0):
            status = choose.choice(
                ["succeeded", "succeeded", "pending", "failed", "canceled", "requires_action"]
            )
            later = instant + timedelta(minutes=choose.randrange(3 * 24 * 60))
            given_back = captured // choose.choice([2, 5])
            bodies["refunds"].append(
                refund_body(
                    f"re_{number}_{part}", charge, int(later.timestamp()), given_back, status
                )
                | {"balance_transaction": f"txn_re_{number}_{part}"}
            )
            if status in ("succeeded", "pending"):
                ledger.refund(later, currency, given_back)
    for stream, landed in bodies.items():
        warehouse.land(ledger.venue_id, stream, *landed)
    warehouse.land(ledger.venue_id, "charges", *vanished, deleted_at=start)


def state_tax(
    choose: random.Random,
    charge: dict[str, Any],
    intent: dict[str, Any],
    bodies: dict[str, list[dict[str, Any]]],
    tax: int,
) -> None:
    """Write the payment's tax into one of the places where Stripe does."""
    place = choose.choice(["intent", "session", "old invoice", "new invoice", "charge's invoice"])
    number = charge["id"]
    if place == "intent":
        intent["amount_details"]["tax"] = {"total_tax_amount": tax}
        return
    if place == "session":
        bodies["checkout_sessions"].append(
            {
                "id": f"cs_{number}",
                "currency": charge["currency"],
                "payment_intent": charge["payment_intent"],
                "total_details": {"amount_tax": tax},
            }
        )
        return
    invoice: dict[str, Any] = {
        "id": f"in_{number}",
        "created": charge["created"],
        "currency": charge["currency"],
        "status": "paid",
        "total": charge["amount_captured"],
    }
    if place == "new invoice":
        payment = {"type": "payment_intent", "payment_intent": charge["payment_intent"]}
        invoice |= {
            "total_taxes": [{"amount": tax - 1}, {"amount": 1}],
            "payments": {"object": "list", "data": [{"id": f"inpay_{number}", "payment": payment}]},
        }
    elif place == "old invoice":
        invoice |= {"tax": tax, "charge": charge["id"]}
    else:
        invoice |= {"total_tax_amounts": [{"amount": tax}]}
        charge["invoice"] = invoice["id"]
    bodies["invoices"].append(invoice)


def refund_body(
    refund_id: str, charge: dict[str, Any], created: int, amount: int, status: str
) -> dict[str, Any]:
    return {
        "id": refund_id,
        "object": "refund",
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "amount": amount,
        "status": status,
        "balance_transaction": None,
    }


def rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def captured_charge(
    charge_id: str, created: str, amount: int = 1000, currency: str = "usd", **fields: Any
) -> dict[str, Any]:
    return {
        "id": charge_id,
        "created": int(datetime.fromisoformat(created).timestamp()),
        "currency": currency,
        "amount": amount,
        "amount_captured": amount,
        "captured": True,
        "status": "succeeded",
    } | fields


NIGHTS = [
    # New York's clocks go from 2:00 to 3:00 on 9 March 2025, from 2:00 back to 1:00 on 2 November.
    ("midnight", "2025-03-09T04:59:59+00:00", "2025-03-08"),
    ("midnight", "2025-03-09T05:00:00+00:00", "2025-03-09"),
    ("midnight", "2025-03-10T03:59:59+00:00", "2025-03-09"),
    ("midnight", "2025-03-10T04:00:00+00:00", "2025-03-10"),
    ("half-past-two", "2025-03-09T06:59:59+00:00", "2025-03-08"),  # 1:59:59, a second before 3:00
    ("half-past-two", "2025-03-09T07:00:00+00:00", "2025-03-09"),  # 3:00
    ("four", "2025-03-09T07:30:00+00:00", "2025-03-08"),  # 3:30, half an hour after 1:59
    ("four", "2025-03-09T08:00:00+00:00", "2025-03-09"),
    ("four", "2025-11-02T05:30:00+00:00", "2025-11-01"),  # 1:30 for the first time
    ("four", "2025-11-02T06:30:00+00:00", "2025-11-01"),  # 1:30 for the second
    ("four", "2025-11-02T08:59:59+00:00", "2025-11-01"),
    ("four", "2025-11-02T09:00:00+00:00", "2025-11-02"),
    ("utc", "2025-03-09T04:59:59+00:00", "2025-03-09"),
]
NIGHT_VENUES = {
    "midnight": {"timezone": "America/New_York"},
    "half-past-two": {"timezone": "America/New_York", "day_starts_at": time(2, 30)},
    "four": {"timezone": "America/New_York", "day_starts_at": time(4)},
    "utc": {"timezone": "UTC"},
}

AMOUNTS = [
    ("JPY", 1099, Decimal("1099")),
    ("KWD", 1234, Decimal("1.234")),
    ("ISK", 500_000, Decimal("5000.00")),
    ("UGX", 500_000, Decimal("5000.00")),
    ("HUF", 123_400, Decimal("1234.00")),
    ("MGA", 1099, Decimal("1099")),
    ("USD", 1099, Decimal("10.99")),
]


@pytest.fixture(scope="module")
def ledgers(warehouse: Warehouse) -> Iterable[Ledger]:
    """Everything landed and built once."""
    ledgers = [
        Ledger("bar-in-new-york", "America/New_York", time(4)),
        Ledger("hall-in-auckland", "Pacific/Auckland", time(0)),
    ]
    for seed, ledger in enumerate(ledgers):
        warehouse.add_venue(
            ledger.venue_id, timezone=ledger.timezone, day_starts_at=ledger.day_starts_at
        )
        random_trade(warehouse, ledger, seed)
    for venue_id, columns in NIGHT_VENUES.items():
        warehouse.add_venue(venue_id, **columns)
    for place, (venue_id, instant, _) in enumerate(NIGHTS):
        warehouse.land(venue_id, "charges", captured_charge(f"ch_night_{place}", instant))
    warehouse.add_venue("currencies")
    for currency, amount_minor, _ in AMOUNTS:
        charge = captured_charge(
            f"ch_{currency}", "2025-01-01T12:00+00:00", amount_minor, currency.lower()
        )
        warehouse.land("currencies", "charges", charge)
    warehouse.add_venue("instalments")
    payments = [
        captured_charge(
            f"ch_{part}", f"2025-01-0{part}T12:00+00:00", amount, balance_transaction=None
        )
        for part, amount in [(1, 3333), (2, 3333), (3, 3334)]
    ]
    invoice = {
        "id": "in_1",
        "created": payments[0]["created"],
        "currency": "usd",
        "status": "paid",
        "total": 10_000,
        "tax": 1000,
        "payments": {"data": [{"payment": {"charge": charge["id"]}} for charge in payments]},
    }
    warehouse.land("instalments", "charges", *payments)
    warehouse.land("instalments", "invoices", invoice)
    dispute = {
        "id": "dp_1",
        "created": payments[0]["created"],
        "charge": "ch_1",
        "currency": "usd",
        "amount": 3333,
        "status": "lost",
        "balance_transactions": [{"currency": "usd", "amount": -3333, "fee": 1500, "net": -4833}],
    }
    warehouse.land("instalments", "disputes", dispute)
    outcomes = warehouse.build()
    # The bodies here hold what revenue is made of and not all that Stripe documents.
    assert {name for name in not_passed(outcomes) if not name.startswith("stg_")} == set()
    return ledgers


def test_daily_revenue_equals_the_ledger(warehouse: Warehouse, ledgers: list[Ledger]) -> None:
    for ledger in ledgers:
        found = {
            (row["business_date"], row["currency"]): row
            for row in warehouse.rows(
                "SELECT * FROM marts.daily_revenue WHERE venue_id = :venue_id",
                venue_id=ledger.venue_id,
            )
        }
        assert found.keys() == ledger.days.keys()
        for (day, currency), true in ledger.days.items():
            row = found[day, currency]
            unit = Decimal(1).scaleb(-EXPONENTS[currency])
            assert {figure: row[f"{figure}_amount_minor"] for figure in FIGURES} == {
                figure: true[figure] for figure in FIGURES
            }
            assert {figure: row[f"{figure}_amount"] for figure in FIGURES} == {
                figure: true[figure] * unit for figure in FIGURES
            }
            assert (row["payment_count"], row["refund_count"]) == (
                true["payments"],
                true["refunds"],
            )
        assert sum(day["payments"] for day in ledger.days.values()) > 50
        assert sum(day["refunds"] for day in ledger.days.values()) > 20


@pytest.mark.parametrize("place", range(len(NIGHTS)))
def test_m_a_payment_falls_on_the_venues_own_day(
    warehouse: Warehouse, ledgers: list[Ledger], place: int
) -> None:
    venue_id, instant, business_date = NIGHTS[place]
    row = warehouse.row(
        "SELECT occurred_at, business_date FROM analytics.payments"
        " WHERE venue_id = :venue_id AND source_id = :source_id",
        venue_id=venue_id,
        source_id=f"ch_night_{place}",
    )
    assert row["occurred_at"] == datetime.fromisoformat(instant)
    assert row["business_date"] == date.fromisoformat(business_date)


@pytest.mark.parametrize(("currency", "amount_minor", "amount"), AMOUNTS)
def test_m_an_amount_has_the_decimals_of_its_currency(
    warehouse: Warehouse, ledgers: list[Ledger], currency: str, amount_minor: int, amount: Decimal
) -> None:
    row = warehouse.row(
        "SELECT gross_amount_minor, gross_amount FROM analytics.payments"
        " WHERE venue_id = 'currencies' AND currency = :currency",
        currency=currency,
    )
    assert row == {"gross_amount_minor": amount_minor, "gross_amount": amount}
    assert row["gross_amount"].as_tuple().exponent == amount.as_tuple().exponent


def test_a_payment_settled_elsewhere_keeps_both_currencies(
    warehouse: Warehouse, ledgers: list[Ledger]
) -> None:
    rows = warehouse.rows(
        "SELECT * FROM analytics.payments WHERE currency = 'JPY' AND settlement_currency = 'USD'"
    )
    assert rows
    for row in rows:
        assert (
            row["settlement_net_amount"]
            == row["settlement_gross_amount"] - row["settlement_fee_amount"]
        )
        assert row["settlement_gross_amount_minor"] == rounded(
            row["gross_amount_minor"] * RATES["JPY"]
        )
        assert row["exchange_rate"] == RATES["JPY"]


def test_the_tax_of_an_invoice_is_shared_among_its_payments_to_the_cent(
    warehouse: Warehouse, ledgers: list[Ledger]
) -> None:
    rows = warehouse.rows(
        "SELECT tax_amount_minor, invoice_id FROM analytics.payments"
        " WHERE venue_id = 'instalments' ORDER BY source_id"
    )
    assert rows == [
        {"tax_amount_minor": tax_minor, "invoice_id": "in_1"} for tax_minor in (333, 334, 333)
    ]


def test_a_lost_dispute_is_no_refund(warehouse: Warehouse, ledgers: list[Ledger]) -> None:
    dispute = warehouse.row("SELECT * FROM analytics.disputes WHERE venue_id = 'instalments'")
    assert dispute["is_lost"]
    assert dispute["amount"] == Decimal("33.33")
    assert dispute["settlement_net_amount"] == Decimal("-48.33")
    total = warehouse.row(
        "SELECT sum(net_amount) AS net FROM marts.daily_revenue WHERE venue_id = 'instalments'"
    )
    assert total == {"net": Decimal("100.00")}
