"""Marts beside revenue: who is one person, payouts against the books, mailings, stock."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import ProgrammingError

from integration_pipelines.core.database import Role, analyst_role, create_engine, venue_scope
from integration_pipelines.core.tables import (
    connections,
    integration_health,
    integration_webhooks,
    publications,
    quarantine,
    sync_cursors,
    sync_days,
    sync_logs,
)
from integration_pipelines.core.venues import add_venue
from tests.dbt_mappings.conftest import PROJECT, Warehouse, not_passed
from tests.plans import rows_read

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EXAMPLES = sorted((PROJECT / "examples").glob("*.sql"))
CROWD = "crowd"
"""A venue whose customers have addresses and numbers by chance, some in common."""

Record = tuple[str, str, str]
"""Provider, record type and source id."""


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> Warehouse:
    add_venue(warehouse.owner, "hall", timezone="America/New_York")
    warehouse.add_venue("no-books")
    warehouse.add_venue(CROWD)
    land_people(warehouse)
    land_crowd(warehouse)
    land_campaigns(warehouse)
    land_payouts(warehouse)
    land_sales(warehouse)
    land_stock(warehouse)
    outcomes = not_passed(warehouse.build())
    wrong = {name for name, status in outcomes.items() if status != "warn"}
    assert wrong == set()
    return warehouse


# People.


def land_people(warehouse: Warehouse) -> None:
    def stripe(id: str, country: str = "US", **fields: str) -> dict[str, Any]:
        return {"id": id, "created": 1, "address": {"country": country}, **fields}

    warehouse.land(
        "hall",
        "customers",
        stripe("cus_ana", email=" Ana@Mail.example ", phone="+1 212 555 0100", name="Ana"),
        stripe("cus_other_area", phone="(312) 555-0100"),
        stripe("cus_ext", phone="x 100"),
        *(stripe(f"cus_none_{n}", email="none@venue.example") for n in range(21)),
    )
    square = {
        "id": "SQ_ANA",
        "given_name": "Ana",
        "family_name": "M.",
        "phone_number": "(212) 555-0100",
        "address": {"country": "US"},
        "created_at": "2026-01-01T00:00:00Z",
    }
    warehouse.land("hall", "customers", square, provider="square")
    loyalty = {
        "id": "L1",
        "customer_id": "SQ_ANA",
        "program_id": "P1",
        "balance": 40,
        "lifetime_points": 90,
        "created_at": "2026-01-02T00:00:00Z",
        "mapping": {"phone_number": "+441632960000"},
    }
    warehouse.land("hall", "loyalty_accounts", loyalty, provider="square")
    books = {
        "Id": "3",
        "DisplayName": "Ana M.",
        "PrimaryEmailAddr": {"Address": "ana.work@mail.example"},
        "PrimaryPhone": {"FreeFormNumber": "001-212-555-0100"},
    }
    warehouse.land("hall", "customers", books, provider="quickbooks", ids=["3"])
    for name, status in (("ana.work", "subscribed"), ("reader", "unsubscribed")):
        member = {
            "id": name,
            "list_id": "l1",
            "email_address": f"{name}@mail.example",
            "status": status,
        }
        warehouse.land("hall", "members", member, provider="mailchimp", ids=[f"l1:{name}"])
    charge = {
        "id": "ch_ana",
        "created": int(NOON.timestamp()),
        "currency": "usd",
        "amount": 2000,
        "amount_captured": 2000,
        "captured": True,
        "status": "succeeded",
        "customer": "cus_ana",
    }
    late = charge | {"id": "ch_late", "created": int((NOON + timedelta(days=30)).timestamp())}
    dinars = charge | {"id": "ch_dinar", "currency": "kwd", "amount": 1234, "amount_captured": 1234}
    yen = charge | {"id": "ch_yen", "currency": "jpy", "amount": 500, "amount_captured": 500}
    warehouse.land("hall", "charges", charge, late, dinars, yen)
    refund = {
        "id": "re_ana",
        "charge": "ch_ana",
        "created": charge["created"],
        "currency": "usd",
        "amount": 500,
        "status": "succeeded",
    }
    of_dinars = {"id": "re_dinar", "charge": "ch_dinar", "currency": "kwd", "amount": 234}
    warehouse.land("hall", "refunds", refund, refund | of_dinars)


def people(warehouse: Warehouse, venue_id: str) -> list[set[Record]]:
    """Records of the mart, a set a person."""
    found: dict[str, set[Record]] = defaultdict(set)
    for row in warehouse.rows(
        "SELECT * FROM marts.person_records WHERE venue_id = :venue_id", venue_id=venue_id
    ):
        found[row["person_id"]].add((row["provider"], row["record_type"], row["source_id"]))
    return list(found.values())


ANA = {
    ("stripe", "customer", "cus_ana"),
    ("square", "customer", "SQ_ANA"),
    ("square", "loyalty_account", "L1"),
    ("quickbooks", "customer", "3"),
    ("mailchimp", "contact", "l1:ana.work"),
}


def test_records_with_an_address_or_number_in_common_are_one_persons(built: Warehouse) -> None:
    found = people(built, "hall")
    assert ANA in found
    assert all(len(person) == 1 for person in found if person != ANA)
    assert len(found) == 1 + 2 + 21 + 1, "an area code, an extension and a placeholder join nobody"


def test_a_person_has_all_that_is_known_of_them(built: Warehouse) -> None:
    row = built.row("SELECT * FROM marts.customer_360 WHERE venue_id = 'hall' AND record_count > 1")
    assert row["emails"] == ["ana.work@mail.example", "ana@mail.example"]
    assert row["phones"] == ["+12125550100", "+441632960000"]
    assert row["providers"] == ["mailchimp", "quickbooks", "square", "stripe"]
    assert row["matched_by"] == ["customer", "email", "phone"]
    assert row["is_subscribed"] is True
    assert row["loyalty_points"] == 40
    assert row["payment_count"] == 4
    assert row["gross_amounts"] == {"USD": 40.00, "KWD": 1.234, "JPY": 500}
    assert row["net_amounts"] == {"USD": 35.00, "KWD": 1.000, "JPY": 500}
    assert row["first_payment_at"] == NOON


def crowd() -> Iterator[tuple[str, str | None, str | None]]:
    """A hundred and fifty customers: id, address and number, drawn from few."""
    random = Random(7)
    for number in range(150):
        email = f"e{random.randrange(90)}@mail.example" if random.random() < 0.6 else None
        phone = f"+4930{5550000 + random.randrange(90)}" if random.random() < 0.6 else None
        yield f"cus_{number}", email, phone


def land_crowd(warehouse: Warehouse) -> None:
    bodies = [
        {"id": id, "created": 1, "email": email, "phone": phone} for id, email, phone in crowd()
    ]
    warehouse.land(CROWD, "customers", *bodies)


def test_who_is_joined_by_others_is_one_however_long_the_chain(built: Warehouse) -> None:
    leader = {id: id for id, _, _ in crowd()}

    def first(id: str) -> str:
        while leader[id] != id:
            id = leader[id]
        return id

    for mark in (1, 2):
        seen: dict[str, str] = {}
        for record in crowd():
            if value := record[mark]:
                leader[first(record[0])] = first(seen.setdefault(value, record[0]))
    expected: dict[str, set[Record]] = defaultdict(set)
    for id in leader:
        expected[first(id)].add(("stripe", "customer", id))
    assert max(len(person) for person in expected.values()) > 10
    found = people(built, CROWD)
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected.values()))


# Campaigns.


def land_campaigns(warehouse: Warehouse) -> None:
    for name, day in (("first", 4), ("second", 1), ("too_early", 9)):
        campaign = {
            "id": name,
            "type": "regular",
            "status": "sent",
            "create_time": "2026-01-01T00:00:00+00:00",
            "send_time": (NOON - timedelta(days=day)).isoformat(),
            "emails_sent": 2,
            "settings": {"subject_line": name, "title": name},
            "recipients": {"list_id": "l1"},
        }
        warehouse.land("hall", "campaigns", campaign, provider="mailchimp")
        told = [
            {"campaign_id": name, "list_id": "l1", "email_address": f"{who}@mail.example"}
            for who in ("ana.work", "reader")
        ]
        told[0]["activity"] = [{"action": "open", "timestamp": NOON.isoformat()}]  # type: ignore[assignment]
        ids = [f"{name}:ana", f"{name}:reader"]
        warehouse.land("hall", "email_activity", *told, provider="mailchimp", ids=ids)


def test_a_payment_counts_once_for_the_last_campaign_within_seven_days(built: Warehouse) -> None:
    rows = {row["currency"]: row for row in built.rows("SELECT * FROM marts.campaign_revenue")}
    for row in rows.values():
        assert row["campaign_id"] == "second"
        assert row["buyer_count"] == row["buyer_who_opened_count"] == row["payment_count"] == 1
    assert {currency: str(row["revenue_amount"]) for currency, row in rows.items()} == {
        "USD": "15.00",
        "KWD": "1.000",
        "JPY": "500",
    }


# Payouts and books.

FIRST = date(2026, 2, 2)


def land_payouts(warehouse: Warehouse) -> None:
    """Every kind of difference between payouts and books, and what is none."""
    today = (datetime.now(UTC).date() - FIRST).days
    # Name, day of arrival, amount, and what its one line says of it.
    stripe: list[tuple[str, int, int, int]] = [
        ("po_before", -30, 900, 900),
        ("po_named", 1, 10_000, 10_000),
        ("po_twin_1", 2, 5_000, 5_000),
        ("po_twin_2", 3, 5_000, 5_000),
        ("po_short", 4, 7_000, 7_000),
        ("po_forgotten", 5, 6_000, 6_000),
        ("po_lines", 6, 4_000, 3_999),
        ("po_euro", 7, 3_000, 3_000),
        ("po_coming", 8, 2_000, 2_000),
        ("po_failed", 9, 1_500, 1_500),
        ("po_dinar", 30, 12_345, 12_345),
        ("po_yen", 31, 5_000, 5_000),
        ("po_overdue", today - 6, 1_100, 1_100),
        ("po_fresh", today - 4, 1_200, 1_200),
        ("po_entered", today, 1_300, 1_300),
    ]
    currencies = {"po_dinar": "kwd", "po_yen": "jpy"}
    states = {"po_coming": "in_transit", "po_failed": "failed"}
    for name, day, amount, lines in stripe:
        at = seconds(FIRST + timedelta(days=day))
        payout = {
            "id": name,
            "created": at,
            "arrival_date": at,
            "currency": currencies.get(name, "usd"),
            "amount": amount,
            "status": states.get(name, "paid"),
            "automatic": True,
            "balance_transaction": f"txn_{name}",
        }
        fee = 30
        movement = {
            "id": f"txn_of_{name}",
            "created": at - 3600,
            "available_on": at - 3600,
            "currency": currencies.get(name, "usd"),
            "type": "charge",
            "reporting_category": "charge",
            "amount": lines + fee,
            "fee": fee,
            "net": lines,
            "source": f"ch_{name}",
        }
        for venue_id in ("hall", "no-books") if name == "po_named" else ("hall",):
            warehouse.land(venue_id, "payouts", payout)
            warehouse.land(venue_id, "balance_transactions", movement)
    money = {"amount": 2_500, "currency": "USD"}
    square = {
        "id": "SQ_PO",
        "status": "PAID",
        "arrival_date": str(FIRST + timedelta(days=10)),
        "amount_money": money,
        "created_at": f"{FIRST + timedelta(days=9)}T08:00:00Z",
    }
    warehouse.land("hall", "payouts", square, provider="square")
    entry = {
        "id": "SQ_ENTRY",
        "payout_id": "SQ_PO",
        "type": "CHARGE",
        "effective_at": square["created_at"],
        "gross_amount_money": {"amount": 2_600, "currency": "USD"},
        "fee_amount_money": {"amount": 100, "currency": "USD"},
        "net_amount_money": money,
    }
    warehouse.land("hall", "payout_entries", entry, provider="square")
    deposits: Sequence[tuple[str, int, str, str]] = [
        ("night drop", 0, "310.00", "Night drop"),
        ("named", 40, "100.00", "STRIPE PAYOUT po_named"),
        ("twin 1", 2, "50.00", ""),
        ("twin 2", 4, "50.00", ""),
        ("short", 4, "69.00", "Stripe po_short less a bank fee"),
        ("lines", 6, "40.00", "stripe"),
        ("euro", 7, "30.00", "po_euro"),
        ("square", 12, "25.00", "SQ *DEPOSIT"),
        ("unknown", 20, "12.34", "Stripe transfer"),
        ("a loan", 5, "99.00", "Bank"),
        ("dinar", 31, "12.345", ""),
        ("yen", 32, "4990", "po_yen"),
        ("entered", today, "13.00", "po_entered"),
    ]
    of_books = {"euro": "EUR", "dinar": "KWD", "yen": "JPY"}
    for name, day, amount, note in deposits:
        deposit = {
            "Id": name,
            "TxnDate": str(FIRST + timedelta(days=day)),
            "CurrencyRef": {"value": of_books.get(name, "USD")},
            "PrivateNote": note,
            "TotalAmt": float(amount),
            "MetaData": {"CreateTime": "2026-02-02T00:00:00Z"},
        }
        warehouse.land("hall", "deposits", deposit, provider="quickbooks", ids=[name])


def seconds(day: date) -> int:
    return int(datetime.combine(day, time(12), UTC).timestamp())


EXPECTED = {
    ("po_before", None): ("before_the_books", None),
    ("po_named", "named"): ("matched", 0),
    ("po_twin_1", "twin 1"): ("matched", 0),
    ("po_twin_2", "twin 2"): ("matched", 0),
    ("po_short", "short"): ("amount_differs", -100),
    ("po_forgotten", None): ("no_deposit", None),
    ("po_lines", "lines"): ("lines_differ", 0),
    ("po_euro", "euro"): ("currency_differs", None),
    ("po_coming", None): ("on_its_way", None),
    ("po_overdue", None): ("no_deposit", None),
    ("po_fresh", None): ("awaiting_deposit", None),
    ("po_entered", "entered"): ("matched", 0),
    ("SQ_PO", "square"): ("matched", 0),
    (None, "unknown"): ("no_payout", None),
    ("po_dinar", "dinar"): ("matched", 0),
    ("po_yen", "yen"): ("amount_differs", -10),
}


def test_every_difference_between_payouts_and_books_is_found_and_no_other(
    built: Warehouse,
) -> None:
    rows = built.rows("SELECT * FROM marts.payout_reconciliation WHERE venue_id = 'hall'")
    found = {
        (row["payout_id"], row["deposit_id"]): (row["status"], row["difference_minor"])
        for row in rows
    }
    assert found == EXPECTED
    assert len(rows) == len(EXPECTED)
    (alone,) = built.rows("SELECT * FROM marts.payout_reconciliation WHERE venue_id = 'no-books'")
    assert alone["status"] == "no_books"


def test_a_payout_says_what_it_is_made_of(built: Warehouse) -> None:
    row = built.row("SELECT * FROM marts.payout_reconciliation WHERE payout_id = 'SQ_PO'")
    assert row["payment_amount"] == Decimal("26.00")
    assert row["fee_amount"] == Decimal("1.00")
    assert row["lines_amount"] == row["payout_amount"] == row["deposit_amount"] == Decimal("25.00")


# Sales and books.

TILL = "till"
"""A venue of New York whose day ends at four and whose books are in dinars; its clocks go forward
on 8 March 2026."""


def land_sales(warehouse: Warehouse) -> None:
    """Every kind of difference between processors, books and their report, and what is none."""
    warehouse.add_venue(TILL, timezone="America/New_York", day_starts_at=time(4))
    # Name, instant, currency, amount, and tax and tip of it.
    charges: list[tuple[str, str, str, int, int, int]] = [
        ("before", "2026-02-20T17:00Z", "kwd", 100, 0, 0),
        ("night", "2026-03-08T07:59Z", "kwd", 12_345, 345, 1_000),  # 3:59, an hour after 1:59
        ("morning", "2026-03-08T08:00Z", "kwd", 5_000, 400, 100),
        ("late", "2026-03-10T07:59Z", "kwd", 700, 0, 0),
        ("yen", "2026-03-11T17:00Z", "jpy", 5_000, 0, 0),
    ]
    for name, instant, currency, amount, tax, tip in charges:
        created = int(datetime.fromisoformat(instant).timestamp())
        money = {"created": created, "currency": currency, "amount": amount}
        charge = money | {
            "id": f"ch_{name}",
            "amount_captured": amount,
            "captured": True,
            "status": "succeeded",
            "payment_intent": f"pi_{name}",
        }
        details = {"tip": {"amount": tip}, "tax": {"total_tax_amount": tax}}
        warehouse.land(TILL, "charges", charge)
        warehouse.land(
            TILL, "payment_intents", money | {"id": f"pi_{name}", "amount_details": details}
        )
    half = {
        "id": "re_morning",
        "charge": "ch_morning",
        "created": int(datetime.fromisoformat("2026-03-08T20:00Z").timestamp()),
        "currency": "kwd",
        "amount": 2_500,
        "status": "succeeded",
    }
    warehouse.land(TILL, "refunds", half)
    accounts = [
        {
            "Id": id,
            "Name": name,
            "FullyQualifiedName": name,
            "AccountType": kind,
            "Classification": "Asset" if kind == "Bank" else "Revenue",
            "CurrencyRef": {"value": "KWD"},
            "Active": True,
        }
        for id, name, kind in [
            ("1", "Tickets", "Income"),
            ("2", "Bar", "Income"),
            ("3", "Cloakroom", "Income"),
            ("4", "Hire", "Income"),
            ("5", "Discounts", "Income"),
            ("6", "Interest", "Other Income"),
            ("7", "Bank", "Bank"),
        ]
    ]
    land_books(warehouse, "accounts", *accounts)
    land_books(warehouse, "items", {"Id": "8", "Name": "Pint", "IncomeAccountRef": {"value": "2"}})

    def document(id: str, day: str, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
        common = {"Id": id, "TxnDate": day, "CurrencyRef": {"value": "KWD"}, "TotalAmt": 1}
        return common | {"Line": list(lines)} | fields

    def sold(amount: float, **to: Any) -> dict[str, Any]:
        return {"DetailType": "SalesItemLineDetail", "Amount": amount, "SalesItemLineDetail": to}

    tickets, hire = {"ItemAccountRef": {"value": "1"}}, {"ItemAccountRef": {"value": "4"}}
    bar = {"ItemRef": {"value": "8"}}
    discount = {
        "DetailType": "DiscountLineDetail",
        "Amount": 1,
        "DiscountLineDetail": {"DiscountAccountRef": {"value": "5"}},
    }
    subtotal = {"DetailType": "SubTotalLineDetail", "Amount": 12}
    land_books(
        warehouse,
        "sales_receipts",
        document("20", "2026-03-07", sold(12, **tickets), subtotal, discount),
        document("21", "2026-03-08", sold(4.5, **bar)),
    )
    deleted = document("22", "2026-03-08", sold(99, **bar))
    land_books(warehouse, "sales_receipts", deleted, deleted_at=NOON)
    land_books(warehouse, "refund_receipts", document("23", "2026-03-08", sold(2, **bar)))
    dollars = {"CurrencyRef": {"value": "USD"}, "ExchangeRate": 0.307}
    land_books(warehouse, "invoices", document("24", "2026-03-10", sold(100.01, **hire), **dollars))
    land_books(warehouse, "credit_memos", document("25", "2026-03-10", sold(0.25, **bar)))
    postings = [("Debit", "7"), ("Credit", "6")]
    journal = [
        {
            "Id": str(place),
            "DetailType": "JournalEntryLineDetail",
            "Amount": 3,
            "JournalEntryLineDetail": {"PostingType": way, "AccountRef": {"value": id}},
        }
        for place, (way, id) in enumerate(postings)
    ]
    land_books(warehouse, "journal_entries", document("26", "2026-03-10", *journal))
    cash = {
        "DetailType": "DepositLineDetail",
        "Amount": 4,
        "DepositLineDetail": {"AccountRef": {"value": "2"}},
    }
    land_books(warehouse, "deposits", document("27", "2026-04-01", cash))
    reported = [("1", "12.000"), ("2", "2.500"), ("3", "1.250"), ("5", "-1.000"), ("6", "3.000")]
    for basis in ("Accrual", "Cash"):
        rows = [
            {"ColData": [{"value": f"account {id}", "id": id}, {"value": amount}], "type": "Data"}
            for id, amount in (reported if basis == "Accrual" else reported[:1])
        ]
        report = {
            "Header": {
                "ReportName": "ProfitAndLoss",
                "ReportBasis": basis,
                "StartPeriod": "2026-03-01",
                "EndPeriod": "2026-03-31",
                "Currency": "KWD",
            },
            "Columns": {
                "Column": [
                    {"ColTitle": "", "ColType": "Account"},
                    {"ColTitle": "Total", "ColType": "Money"},
                ]
            },
            "Rows": {"Row": rows},
        }
        land_books(warehouse, "profit_and_loss", report, ids=[f"{basis}/2026-03"])


def land_books(warehouse: Warehouse, stream: str, *bodies: dict[str, Any], **how: Any) -> None:
    ids = how.pop("ids", None) or [body["Id"] for body in bodies]
    warehouse.land(TILL, stream, *bodies, provider="quickbooks", ids=ids, **how)


SALES = {
    ("day", "KWD", "2026-02-20"): ("before_the_books", None),
    ("day", "KWD", "2026-03-07"): ("matched", "0"),
    ("day", "KWD", "2026-03-08"): ("differs", "0.250"),
    ("day", "KWD", "2026-03-09"): ("not_in_books", "-0.700"),
    ("day", "KWD", "2026-03-10"): ("not_at_processors", "30.453"),
    ("day", "JPY", "2026-03-11"): ("other_currency", None),
    ("day", "KWD", "2026-04-01"): ("not_at_processors", "4.000"),
    ("month", "KWD", "2026-02-01"): ("before_the_books", None),
    ("month", "KWD", "2026-03-01"): ("differs", "30.003"),
    ("month", "JPY", "2026-03-01"): ("other_currency", None),
    ("month", "KWD", "2026-04-01"): ("not_at_processors", "4.000"),
}
"""By period, currency and first day: the status, and books less processors."""
REPORTED = {
    ("2026-03-01", "Tickets"): ("matched", "0"),
    ("2026-03-01", "Discounts"): ("matched", "0"),
    ("2026-03-01", "Bar"): ("differs", "-0.250"),
    ("2026-03-01", "Cloakroom"): ("not_in_books", "-1.250"),
    ("2026-03-01", "Hire"): ("not_in_report", "30.703"),
    ("2026-04-01", "Bar"): ("no_report", None),
}
"""By month and account: the status, and books less report."""


def test_every_difference_between_sales_and_books_is_found_and_no_other(built: Warehouse) -> None:
    def exact(expected: dict[Any, tuple[str, str | None]]) -> dict[Any, Any]:
        return {key: (status, by and Decimal(by)) for key, (status, by) in expected.items()}

    rows = built.rows(
        "SELECT *, starts_on::text AS first FROM marts.sales_to_books WHERE venue_id = :till",
        till=TILL,
    )
    together = {
        (row["period"], row["currency"], row["first"]): row
        for row in rows
        if row["ledger_account_id"] is None
    }
    assert {
        key: (row["sales_status"], row["sales_difference"]) for key, row in together.items()
    } == exact(SALES)
    accounts = [row for row in rows if row["ledger_account_id"] is not None]
    months = {
        (row["first"], row["ledger_account_name"]): (row["report_status"], row["report_difference"])
        for row in accounts
        if row["period"] == "month"
    }
    assert months == exact(REPORTED)
    for row in accounts:
        month = (f"{row['first'][:7]}-01", row["ledger_account_name"])
        assert row["report_status"] == REPORTED[month][0], "a day stands as its month does"
        assert row["sales_status"] is row["processor_amount"] is None
    march = together["month", "KWD", "2026-03-01"]
    assert march["report_status"] == "differs"
    assert march["differing_accounts"] == ["Bar", "Cloakroom", "Hire"]
    assert march["processor_amount"] == Decimal("13.950")
    assert march["books_amount"] == Decimal("43.953")
    assert march["report_amount"] == Decimal("14.750")
    alone = built.rows("SELECT * FROM marts.sales_to_books WHERE venue_id = 'hall'")
    assert {row["sales_status"] for row in alone} == {"no_books"}


def test_a_difference_to_a_report_that_is_older_than_the_documents_is_none_yet(
    built: Warehouse,
) -> None:
    months = (
        "SELECT ledger_account_name AS name, report_status FROM marts.sales_to_books"
        " WHERE venue_id = :till AND period = 'month' AND starts_on = '2026-03-01'"
        " AND ledger_account_id IS NOT NULL"
    )

    with built.pipeline.begin() as session:
        venue_scope(session, TILL)
        account = {"provider": "quickbooks", "account_id": "acct_1", "account_name": "Books"}
        connection_id = session.scalar(
            insert(connections)
            .values(venue_id=TILL, **account)
            .returning(connections.c.connection_id)
        )
        cursor = {"venue_id": TILL, "connection_id": connection_id, "stream": "profit_and_loss"}
        session.execute(insert(sync_cursors).values(**cursor, state={}, sync_id=uuid4()))

    def with_report_of(at: datetime) -> dict[str, str]:
        with built.pipeline.begin() as session:
            venue_scope(session, TILL)
            session.execute(sync_cursors.update().values(cursor_at=at))
        assert built.built(TILL).refused == {}
        return {row["name"]: row["report_status"] for row in built.rows(months, till=TILL)}

    older = with_report_of(datetime(2020, 1, 1, tzinfo=UTC))
    assert older == {
        "Tickets": "matched",
        "Discounts": "matched",
        "Bar": "report_is_older",
        "Cloakroom": "not_in_books",
        "Hire": "report_is_older",
    }
    newer = with_report_of(datetime(2100, 1, 1, tzinfo=UTC))
    assert newer == {name: status for (_, name), (status, _) in list(REPORTED.items())[:5]}
    with built.pipeline.begin() as session:
        venue_scope(session, TILL)
        session.execute(connections.delete())


# Stock.


def land_stock(warehouse: Warehouse) -> None:
    """Three are sold in two days of ten, one of five, and none of what nobody watches."""
    counts = {"wine": "4", "beer": "10", "gin": "0", "cups": "0", "rum": "2"}
    bodies = [
        {
            "catalog_object_id": name,
            "location_id": "BAR",
            "state": "IN_STOCK",
            "quantity": quantity,
            "calculated_at": NOON.isoformat(),
        }
        for name, quantity in counts.items()
    ]
    warehouse.land("hall", "inventory_counts", *bodies, provider="square", ids=list(counts))
    for name in counts:
        variation: dict[str, Any] = {
            "item_id": f"item_{name}",
            "name": name,
            "pricing_type": "FIXED_PRICING",
            "price_money": {"amount": 100, "currency": "USD"},
        }
        if name in ("rum", "gin"):
            variation |= {"inventory_alert_type": "LOW_QUANTITY", "inventory_alert_threshold": 2}
        warehouse.land(
            "hall",
            "catalog",
            {"id": name, "type": "ITEM_VARIATION", "item_variation_data": variation},
            provider="square",
        )
    now = datetime.now(UTC)
    sold = Counter({"wine": 28, "beer": 28})
    order = {
        "id": "O1",
        "location_id": "BAR",
        "state": "COMPLETED",
        "created_at": now.isoformat(),
        "closed_at": now.isoformat(),
        "total_money": {"amount": 100, "currency": "USD"},
        "line_items": [
            {
                "uid": name,
                "catalog_object_id": name,
                "quantity": str(quantity),
                "total_money": {"amount": 50, "currency": "USD"},
            }
            for name, quantity in sold.items()
        ],
    }
    warehouse.land("hall", "orders", order, provider="square")


def test_stock_that_is_gone_low_or_soon_gone_is_told(built: Warehouse) -> None:
    rows = built.rows("SELECT * FROM marts.inventory_alerts")
    found = {row["price_id"]: (row["alert"], row["days_left"]) for row in rows}
    assert found == {
        "gin": ("out_of_stock", None),
        "rum": ("below_alert", None),
        "wine": ("gone_soon", Decimal("4.0")),
    }


# Health.


def connect(warehouse: Warehouse, venue_id: str, account_id: str, **columns: Any) -> None:
    """A connection to Stripe of which one stream is here, one fails and an event was given up."""
    sync = {"run_id": None, "mode": "incremental", "account_id": account_id, "provider": "stripe"}
    with warehouse.owner.begin() as session:
        venue_scope(session, venue_id)
        account = {"provider": "stripe", "account_id": account_id, "account_name": "Ana's"}
        connection_id = session.scalar(
            insert(connections)
            .values(venue_id=venue_id, **account, **columns)
            .returning(connections.c.connection_id)
        )
        of = {"venue_id": venue_id, "connection_id": connection_id}
        cursor = {"state": {}, "sync_id": uuid4()}
        session.execute(
            insert(sync_cursors),
            [
                of | cursor | {"stream": "charges", "cursor_at": NOON},
                of | cursor | {"stream": "refunds", "cursor_at": NOON + timedelta(hours=1)},
            ],
        )
        for hour, stream, outcome, kind in [
            (0, "charges", "succeeded", None),
            (1, "refunds", "failed", "transient"),
            (2, "charges", "failed", "access_revoked"),
            (2, "refunds", "succeeded", None),
            (3, "refunds", "running", None),
        ]:
            started = NOON + timedelta(hours=hour)
            session.execute(
                insert(sync_logs).values(
                    **of | sync,
                    sync_id=uuid4(),
                    stream=stream,
                    outcome=outcome,
                    error_kind=kind,
                    error=kind and f"{kind}: ana@mail.example",
                    started_at=started,
                    finished_at=None if outcome == "running" else started,
                )
            )
        day = {"provider": "stripe", "stream": "charges", "updated": 5}
        session.execute(
            insert(sync_days),
            [
                of | day | {"day": FIRST, "inserted": 12, "deleted": 0},
                of | day | {"day": FIRST + timedelta(days=1), "inserted": 3, "deleted": 5},
            ],
        )
        event = {"provider": "stripe", "event_type": "charge.updated", "payload": {"name": "Ana"}}
        session.execute(
            insert(integration_webhooks),
            [
                of | event | {"event_id": f"evt_{status}", "status": status}
                for status in ("dead", "done", "pending")
            ],
        )
        session.execute(
            insert(integration_health).values(venue_id=venue_id, provider="stripe", breaker="open")
        )


@pytest.fixture(scope="module")
def connected(built: Warehouse) -> Warehouse:
    with built.owner.begin() as session:
        venue_scope(session, "hall")
        before = {"provider": "stripe", "account_id": "acct_0", "account_name": "Ana's"}
        session.execute(
            insert(connections).values(venue_id="hall", status="disconnected", **before)
        )
    connect(built, "hall", "acct_1")
    connect(built, "no-books", "acct_2")
    with built.dbt.begin() as session:
        stale = publications.update().values(stale_since=NOON, reasons=["payments: 1 rows"])
        session.execute(
            stale.where(
                publications.c.venue_id == "hall",
                publications.c.table_name.in_(("analytics.payments", "marts.daily_revenue")),
            )
        )
        failing = {"venue_id": "hall", "provider": "stripe", "account_id": "acct_1"}
        failing |= {"raw_table": "raw_stripe.customers", "raw_id": "cus_1", "raw_content_hash": b""}
        session.execute(
            insert(quarantine).values(
                **failing,
                target_table="customers",
                source_id="cus_1",
                errors={"name": "is missing"},
                mapping_version=1,
                kept_out=True,
            )
        )
    return built


def test_health_is_how_a_venues_connections_stand_now(connected: Warehouse) -> None:
    row = connected.row("SELECT * FROM marts.venue_health WHERE venue_id = 'hall'")
    assert row.pop("connected_at") is not None
    assert row.pop("published_at") > NOON
    assert row.pop("behind") > timedelta(0)
    assert row == {
        "venue_id": "hall",
        "provider": "stripe",
        "account_id": "acct_1",
        "status": "active",
        "breaker": "open",
        "last_synced_at": NOON + timedelta(hours=2),
        "complete_up_to": NOON,
        "stream_count": 2,
        "failing_streams": ["charges"],
        "error_kinds": ["access_revoked"],
        "row_count": 10,
        "dead_letters": 1,
        "mapping_failures": 1,
        "stale_since": NOON,
        "stale_tables": ["analytics.payments", "marts.daily_revenue"],
    }
    other = connected.row("SELECT * FROM marts.venue_health WHERE venue_id = 'no-books'")
    assert (other["stale_since"], other["stale_tables"]) == (None, [])


def test_health_is_read_from_the_latest_syncs_and_none_before(connected: Warehouse) -> None:
    with connected.owner.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text(
                "INSERT INTO control.sync_logs (venue_id, sync_id, stream, provider, connection_id,"
                " account_id, mode, outcome, started_at, finished_at)"
                " SELECT venue_id, gen_random_uuid(), stream, provider, connection_id, account_id,"
                " mode, outcome, started_at - hours * interval '1 h',"
                " finished_at - hours * interval '1 h'"
                " FROM control.sync_logs, generate_series(1, 1000) AS hours"
                " WHERE outcome <> 'running' AND venue_id = 'hall'"
            )
        )
    with connected.owner.begin() as session:
        session.execute(text("ANALYZE control.sync_logs"))
    for role in (analyst_role("hall"), Role.ANALYST_ALL):
        engine = create_engine(connected.settings, role)
        with engine.connect() as session:
            read = rows_read(session, "SELECT * FROM marts.venue_health", None, "sync_logs")
        engine.dispose()
        assert 0 < read < 100


def test_an_analyst_sees_the_health_of_the_venue_of_the_role_whatever_scope_is_claimed(
    connected: Warehouse,
) -> None:
    seen = {}
    for role in (analyst_role("hall"), Role.ANALYST_ALL):
        engine = create_engine(connected.settings, role)
        with engine.connect() as session:
            venue_scope(session, "no-books")
            seen[role] = session.scalars(text("SELECT venue_id FROM marts.venue_health")).all()
            with pytest.raises(ProgrammingError, match="permission denied"):
                session.execute(text("SELECT payload FROM control.integration_webhooks"))
        engine.dispose()
    assert seen[analyst_role("hall")] == ["hall"]
    assert sorted(seen[Role.ANALYST_ALL]) == ["hall", "no-books"]


# Analysts.


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_analyst_can_ask_what_the_examples_ask(built: Warehouse, path: Path) -> None:
    engine = create_engine(built.settings, analyst_role("hall"))
    with engine.connect() as session:
        columns = list(session.execute(text(path.read_text())).keys())
    engine.dispose()
    assert "venue_id" in columns
