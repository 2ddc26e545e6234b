"""A venue's rules fill its own rows of the canonical model at its next build, and no one else's."""

import json
from decimal import Decimal
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.mapping import (
    ELSEWHERE,
    TARGETS,
    count_failures,
    default_rule,
    found_by_analysts,
    preview,
    read_rule,
    remove_rule,
    set_rule,
)
from integration_pipelines.core.venues import add_venue
from integration_pipelines.defs.dbt_build import project
from tests.dbt_mappings.conftest import OBSERVED_AT, PROJECT, Warehouse, not_passed

CUSTOMER = {"provider": "stripe", "target_table": "customers"}


def customer(id: str, **metadata: Any) -> dict[str, Any]:
    return {
        "id": id,
        "created": 1735732800,
        "email": f"{id}@default.example",
        "name": id,
        "metadata": metadata,
    }


def rule(warehouse: Warehouse, venue_id: str, **given: Any) -> int:
    with warehouse.owner.begin() as session:
        venue_scope(session, venue_id)
        return set_rule(session, venue_id, read_rule(given), by="test", reason=None)


ADDRESS = {
    "line1": "1 Main St",
    "line2": "Floor 2",
    "city": "Springfield",
    "state": "IL",
    "postal_code": "62701",
    "country": "US",
}


def expense(id: str, number: str | None = "7", **given: Any) -> dict[str, Any]:
    """A document of three lines in the books, one of them of tax."""
    return {
        "Id": id,
        "MetaData": {"CreateTime": AT},
        "TxnDate": "2025-01-01",
        "DocNumber": number,
        "PrivateNote": "For the bar",
        "CurrencyRef": {"value": "USD"},
        "TotalAmt": 13,
        "Balance": 0,
        "TxnTaxDetail": {"TotalTax": 1},
        "Line": [
            {
                "Id": line,
                "Amount": 6,
                "DetailType": "AccountBasedExpenseLineDetail",
                "AccountBasedExpenseLineDetail": {"AccountRef": {"value": "1"}},
            }
            for line in ("1", "2")
        ],
    } | given


EUR = {"amount": 1200, "currency": "EUR"}
AT = "2025-01-01T00:00:00Z"
WHOLE: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("stripe", "customers"): [customer("cus_1") | {"phone": "+1 555", "address": ADDRESS}],
    ("stripe", "products"): [
        {
            "id": "prod_1",
            "created": 1735732800,
            "name": "Ticket",
            "description": "One evening",
            "active": True,
            "unit_label": "seat",
            "tax_code": "txcd_1",
        }
    ],
    ("stripe", "checkout_sessions"): [
        {
            "id": "cs_1",
            "created": 1735732800,
            "status": "complete",
            "payment_status": "paid",
            "mode": "payment",
            "currency": "eur",
            "amount_subtotal": 1200,
            "amount_total": 1200,
            "client_reference_id": "web-7",
            **given,
        }
        for given in ({"customer_details": {"email": "a@web.example"}},)
    ],
    ("stripe", "charges"): [
        {
            "id": id,
            "created": 1735732800,
            "status": "succeeded",
            "captured": True,
            "currency": "eur",
            "amount": 1200,
            "amount_captured": 1200,
            "description": "A seat",
            **given,
        }
        for id, given in (
            ("ch_1", {"payment_method_details": {"type": "card"}}),
            ("ch_2", {"source": {"object": "alipay"}}),
        )
    ],
    ("stripe", "prices"): [
        {
            "id": "price_1",
            "created": 1735732800,
            "product": "prod_1",
            "currency": "eur",
            "unit_amount": 1200,
            "nickname": "Stalls",
            "active": True,
        }
    ],
    ("stripe", "refunds"): [
        {
            "id": "re_1",
            "created": 1735732800,
            "status": "failed",
            "currency": "eur",
            "amount": 100,
            "charge": "ch_1",
            "reason": "duplicate",
            "failure_reason": "lost_or_stolen_card",
        }
    ],
    ("stripe", "disputes"): [
        {
            "id": "dp_1",
            "created": 1735732800,
            "status": "won",
            "currency": "eur",
            "amount": 100,
            "charge": "ch_1",
            "reason": "fraudulent",
            "evidence_details": {"has_evidence": True},
        }
    ],
    ("stripe", "payouts"): [
        {
            "id": "po_1",
            "created": 1735732800,
            "arrival_date": 1735776000,
            "status": "failed",
            "currency": "eur",
            "amount": 100,
            "automatic": False,
            "method": "instant",
            "description": "For the brewery",
            "failure_message": "The account is closed",
        }
    ],
    ("stripe", "subscriptions"): [
        {
            "id": "sub_1",
            "created": 1735732800,
            "status": "active",
            "currency": "eur",
            "customer": "cus_1",
            "description": "Patron",
        }
    ],
    ("stripe", "invoices"): [
        {
            "id": "in_1",
            "created": 1735732800,
            "status": "open",
            "currency": "eur",
            "total": 100,
            "customer": "cus_1",
            "number": "A-7",
            "description": "Hire of the hall",
        }
    ],
    ("square", "customers"): [
        {
            "id": id,
            "created_at": AT,
            "email_address": "a@mail.example",
            "phone_number": "+1 555",
            "address": {
                "address_line_1": "1 Main St",
                "address_line_2": "Floor 2",
                "locality": "Springfield",
                "administrative_district_level_1": "IL",
                "postal_code": "62701",
                "country": "us",
            },
            **names,
        }
        for id, names in (
            ("C1", {"given_name": "Ana", "family_name": "Núñez", "nickname": "An"}),
            ("C2", {"family_name": "Núñez"}),
            ("C3", {"company_name": "Springfield Catering", "nickname": "An"}),
            ("C4", {"nickname": "An"}),
        )
    ],
    ("square", "catalog"): [
        {
            "id": f"I{place}",
            "type": "ITEM",
            "updated_at": AT,
            "item_data": {"name": "Tea", "description": "Black", **archived},
        }
        for place, archived in enumerate(({}, {"is_archived": True}, {"is_archived": False}))
    ]
    + [
        {
            "id": f"V{place}",
            "type": "ITEM_VARIATION",
            "updated_at": AT,
            "item_variation_data": {
                "item_id": "I0",
                "name": "Pot",
                "price_money": EUR,
                **sellable,
            },
        }
        for place, sellable in enumerate(({}, {"sellable": True}, {"sellable": False}))
    ]
    + [
        {
            "id": "PV1",
            "type": "SUBSCRIPTION_PLAN_VARIATION",
            "updated_at": AT,
            "subscription_plan_variation_data": {"name": "Patron, monthly"},
        }
    ],
    ("square", "orders"): [
        {
            "id": "O1",
            "created_at": AT,
            "closed_at": AT,
            "state": "COMPLETED",
            "location_id": "L1",
            "total_money": EUR,
            "source": {"name": "Kiosk"},
            "reference_id": "till-7",
        }
    ],
    ("square", "payments"): [
        {
            "id": "P1",
            "created_at": AT,
            "status": "COMPLETED",
            "location_id": "L1",
            "total_money": EUR,
            "amount_money": EUR,
            "source_type": "CASH",
            "note": "No receipt",
        }
    ],
    ("square", "refunds"): [
        {
            "id": "R1",
            "created_at": AT,
            "status": "COMPLETED",
            "payment_id": "P1",
            "amount_money": EUR,
            "reason": "Rained off",
        }
    ],
    ("square", "disputes"): [
        {
            "id": "D1",
            "created_at": AT,
            "state": "WON",
            "disputed_payment": {"payment_id": "P1"},
            "amount_money": EUR,
            "reason": "NO_KNOWLEDGE",
        }
    ],
    ("square", "payouts"): [
        {"id": f"PO{type}", "created_at": AT, "status": "PAID", "amount_money": EUR, "type": type}
        for type in ("BATCH", "SIMPLE")
    ],
    ("square", "payout_entries"): [
        {
            "id": f"PE{type}",
            "payout_id": f"PO{type}",
            "effective_at": AT,
            "type": "CHARGE",
            "gross_amount_money": EUR,
            "fee_amount_money": {"amount": 0, "currency": "EUR"},
            "net_amount_money": EUR,
        }
        for type in ("BATCH", "SIMPLE")
    ],
    ("square", "subscriptions"): [
        {
            "id": "S1",
            "created_at": AT,
            "start_date": "2025-01-01",
            "status": "ACTIVE",
            "customer_id": "C1",
            "plan_variation_id": "PV1",
        }
    ],
    ("square", "invoices"): [
        {
            "id": f"INV{place}",
            "created_at": AT,
            "status": "DRAFT",
            "location_id": "L1",
            "invoice_number": "7",
            "description": "By Friday",
            "primary_recipient": {"customer_id": "C1"},
            "payment_requests": [{"computed_amount_money": EUR}],
            **title,
        }
        for place, title in enumerate(({"title": "Catering"}, {}))
    ],
    ("square", "loyalty_accounts"): [
        {
            "id": "LA1",
            "created_at": AT,
            "program_id": "LP1",
            "balance": 1,
            "lifetime_points": 1,
            "mapping": {"phone_number": "+1 555"},
        }
    ],
    ("quickbooks", "customers"): [
        {
            "Id": "1",
            "MetaData": {"CreateTime": AT},
            "DisplayName": "Ana",
            "PrimaryEmailAddr": {"Address": "a@mail.example"},
            "PrimaryPhone": {"FreeFormNumber": "555"},
            "CurrencyRef": {"value": "USD"},
            "Balance": 0,
            "BillAddr": {
                "Line1": "1 Main St",
                "Line2": "Floor 2",
                "City": "Springfield",
                "CountrySubDivisionCode": "IL",
                "PostalCode": "62701",
                "Country": "USA",
            },
        }
    ],
    ("quickbooks", "items"): [
        {
            "Id": "1",
            "MetaData": {"CreateTime": AT, "LastUpdatedTime": AT},
            "Name": "Cask",
            "Description": "50 l",
            "Active": True,
            "Type": "Inventory",
            "Sku": "C50",
            "TrackQtyOnHand": True,
            "QtyOnHand": 2,
            "ReorderPoint": 1.5,
            "UnitPrice": 80,
            "IncomeAccountRef": {"value": "1"},
        }
    ],
    ("quickbooks", "accounts"): [
        {
            "Id": "1",
            "Name": "Bar",
            "FullyQualifiedName": "Sales:Bar",
            "AcctNum": "4000",
            "AccountSubType": "SalesOfProductIncome",
            "Classification": "Revenue",
            "AccountType": "Income",
            "Active": True,
            "CurrencyRef": {"value": "USD"},
        }
    ],
    ("quickbooks", "invoices"): [
        {
            "Id": "8",
            "MetaData": {"CreateTime": AT},
            "TxnDate": "2025-01-01",
            "DocNumber": "1007",
            "CurrencyRef": {"value": "USD"},
            "CustomerRef": {"value": "1"},
            "CustomerMemo": {"value": "Thank you"},
            "TotalAmt": 12,
            "Balance": 12,
        }
    ],
    ("quickbooks", "vendors"): [{"Id": "5", "DisplayName": "Brewery"}],
    ("quickbooks", "purchases"): [expense("10", EntityRef={"value": "5", "type": "Vendor"})],
    ("quickbooks", "bills"): [expense("11", VendorRef={"value": "5"}, PrivateNote="4")],
    ("quickbooks", "vendor_credits"): [
        expense("12", VendorRef={"value": "5"}),
        expense("13", None, VendorRef={"value": "5"}),
    ],
    ("mailchimp", "campaigns"): [
        {
            "id": "cam_1",
            "type": "regular",
            "create_time": AT,
            "send_time": AT,
            "status": "sent",
            "recipients": {"list_id": "l1"},
            "settings": {
                "title": "January",
                "subject_line": "What is on",
                "from_name": "The hall",
                "reply_to": "hall@mail.example",
            },
        }
    ],
    ("mailchimp", "reports"): [
        {
            "id": "cam_1",
            "campaign_title": "January",
            "subject_line": "What is on",
            "send_time": AT,
            "emails_sent": 1,
        }
    ],
    ("mailchimp", "members"): [
        {
            "id": "m1",
            "list_id": "l1",
            "contact_id": "c1",
            "email_address": "a@mail.example",
            "status": "subscribed",
            "full_name": "Ana Núñez",
            "sms_phone_number": "+1 555",
            "vip": True,
            "location": {"country_code": "us"},
            "timestamp_opt": AT,
            "last_changed": AT,
        }
    ],
}
"""By provider and stream bodies in which every mapped field stands."""


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> Warehouse:
    for venue_id in ("hall", "bar"):
        add_venue(warehouse.owner, venue_id)
        warehouse.land(
            venue_id,
            "customers",
            customer("cus_1", contact=" One@Hall.example ", vip="Yes", tables="4", tel="1"),
            customer("cus_2", contact="two@hall.example", vip="perhaps"),
            customer("cus_3"),
        )
        warehouse.land(venue_id, "customers", customer("cus_gone"), deleted_at=OBSERVED_AT)
        warehouse.land(
            venue_id,
            "customers",
            {
                "id": "SQ1",
                "email_address": "sq@default.example",
                "given_name": "Sq",
                "created_at": "2025-01-01T00:00:00Z",
            },
            provider="square",
        )
        price = {"amount": 300, "currency": "USD"}
        variation = {"item_id": "COFFEE", "name": "Cup", "price_money": price}
        warehouse.land(
            venue_id,
            "catalog",
            {"id": "COFFEE", "type": "ITEM", "item_data": {"name": "Coffee"}},
            {"id": "CUP", "type": "ITEM_VARIATION", "item_variation_data": variation},
            provider="square",
        )
        warehouse.land(
            venue_id,
            "inventory_counts",
            {
                "catalog_object_id": "CUP",
                "location_id": "BAR",
                "state": "IN_STOCK",
                "quantity": "2",
            },
            provider="square",
        )
    add_venue(warehouse.owner, "cafe")
    for (provider, stream), bodies in WHOLE.items():
        ids = [body.get("id") or body["Id"] for body in bodies]
        warehouse.land("cafe", stream, *bodies, provider=provider, ids=ids)
    rule(
        warehouse,
        "hall",
        provider="square",
        target_table="inventory_levels",
        target_field="alert_quantity",
        source_path="location_id",
        transforms=[{"do": "lookup", "table": {"BAR": 12.5}}],
    )
    rule(
        warehouse,
        "hall",
        **CUSTOMER,
        target_field="email",
        source_path="metadata.contact",
        transforms=[{"do": "trim"}, {"do": "case", "to": "lower"}],
    )
    rule(
        warehouse,
        "hall",
        **CUSTOMER,
        target_field="custom.is_vip",
        type="boolean",
        source_path="metadata.vip",
        transforms=[{"do": "boolean", "true": ["yes"], "false": ["no"]}],
        default=False,
    )
    rule(
        warehouse,
        "hall",
        **CUSTOMER,
        target_field="custom.tables",
        type="integer",
        source_path="metadata.tables",
    )
    assert not_passed(warehouse.build()) == {}
    return warehouse


def customers(warehouse: Warehouse, venue_id: str) -> dict[str, dict[str, Any]]:
    rows = warehouse.rows(
        "SELECT * FROM analytics.customers WHERE venue_id = :venue_id", venue_id=venue_id
    )
    return {row["source_id"]: row for row in rows}


def test_a_rule_fills_its_field_and_fields_of_the_venues_own(built: Warehouse) -> None:
    hall = customers(built, "hall")
    assert hall["cus_1"]["email"] == "one@hall.example"
    assert hall["cus_1"]["custom_fields"] == {"is_vip": True, "tables": 4}
    assert hall["cus_1"]["mapping_errors"] is None
    # A rule that finds nothing says so: it is not filled by what it replaces.
    assert hall["cus_3"]["email"] is None
    assert hall["cus_3"]["custom_fields"] == {"is_vip": False, "tables": None}
    assert hall["cus_3"]["name"] == "cus_3"


def test_a_value_that_fails_its_rule_is_named_and_left_out(built: Warehouse) -> None:
    row = customers(built, "hall")["cus_2"]
    assert row["mapping_errors"] == {"custom.is_vip": "is neither a yes nor a no"}
    assert row["custom_fields"] == {"tables": None}
    assert row["email"] == "two@hall.example"


def test_no_other_venue_or_provider_is_touched(built: Warehouse) -> None:
    for row in (*customers(built, "bar").values(), customers(built, "hall")["SQ1"]):
        assert row["email"].endswith("@default.example")
        assert row["custom_fields"] is row["mapping_errors"] is row["mapping_version"] is None


def test_a_number_is_one_in_its_column(built: Warehouse) -> None:
    rows = built.rows(
        "SELECT venue_id, alert_quantity, mapping_version FROM analytics.inventory_levels"
        " WHERE provider = 'square'"
    )
    found = {row["venue_id"]: (row["alert_quantity"], row["mapping_version"]) for row in rows}
    assert found == {"hall": (Decimal("12.5"), 1), "bar": (None, None)}


def test_a_row_says_by_which_version_of_the_rules_it_was_made(built: Warehouse) -> None:
    assert {row["mapping_version"] for row in customers(built, "hall").values()} == {1, None}
    rule(
        built,
        "hall",
        **CUSTOMER,
        target_field="custom.tables",
        type="integer",
        source_path="metadata.tables",
        default=0,
    )
    assert not_passed(built.build("hall")) == {}
    found = {id: row["mapping_version"] for id, row in customers(built, "hall").items()}
    assert found == {"cus_1": 2, "cus_2": 2, "cus_3": 2, "cus_gone": 2, "SQ1": None}


def test_a_changed_rule_holds_from_the_venues_next_build_on(built: Warehouse) -> None:
    before = customers(built, "bar")
    with built.owner.begin() as session:
        venue_scope(session, "hall")
        remove_rule(session, "stripe", "customers", "email")
    assert not_passed(built.build("hall")) == {}
    assert customers(built, "hall")["cus_1"]["email"] == "cus_1@default.example"
    assert customers(built, "hall")["cus_1"]["custom_fields"]["is_vip"] is True
    assert customers(built, "bar") == before


def quarantine(warehouse: Warehouse) -> dict[str, tuple[bool, dict[str, str]]]:
    rows = warehouse.rows("SELECT * FROM control.quarantine")
    assert {(row["venue_id"], row["target_table"], row["raw_table"]) for row in rows} <= {
        ("hall", "customers", "raw_stripe.customers")
    }
    return {row["raw_id"]: (row["kept_out"], row["errors"]) for row in rows}


CUSTOMERS = [("stripe", "customers")]
PHONE = {**CUSTOMER, "target_field": "phone", "source_path": "metadata.tel", "required": True}
UNREAD = {"custom.is_vip": "is neither a yes nor a no"}
UNDATED = {"name": "is not a date as it should be written"}
ABSENT = {"phone": "has no value, and is required"}


@pytest.fixture(scope="module")
def remapped(built: Warehouse) -> Warehouse:
    """With one rule more that fails where it is optional, and one where it is required."""
    assert quarantine(built) == {"cus_2": (False, UNREAD)}
    rule(
        built,
        "hall",
        **CUSTOMER,
        target_field="name",
        source_path="metadata.vip",
        transforms=[{"do": "date", "format": "%Y-%m-%d"}, {"do": "coalesce", "paths": ["id"]}],
    )
    rule(built, "hall", **PHONE)
    assert built.built("hall", streams=CUSTOMERS).refused == {}
    return built


def test_an_optional_field_whose_rule_fails_is_null_and_its_row_counted(
    remapped: Warehouse,
) -> None:
    row = customers(remapped, "hall")["cus_1"]
    assert row["name"] is None, "not what the rule replaces"
    assert row["mapping_errors"] == UNDATED
    assert quarantine(remapped)["cus_1"] == (False, UNDATED)


def test_a_row_without_what_is_required_is_quarantined_until_data_or_mapping_is_mended(
    remapped: Warehouse,
) -> None:
    bar = customers(remapped, "bar")
    # One that is deleted is not held to what is required.
    assert customers(remapped, "hall").keys() == {"cus_1", "cus_gone", "SQ1"}
    assert quarantine(remapped) == {
        "cus_1": (False, UNDATED),
        "cus_2": (True, UNREAD | UNDATED | ABSENT),
        "cus_3": (True, ABSENT),
    }
    with remapped.pipeline.connect() as session:
        counted = count_failures(session)
    assert [(each.field, each.rows, each.kept_out) for each in counted] == [
        ("phone", 2, 2),
        ("name", 2, 1),
        ("custom.is_vip", 1, 1),
    ]
    since = remapped.row("SELECT since FROM control.quarantine WHERE raw_id = 'cus_2'")

    with remapped.owner.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text(
                "UPDATE raw_stripe.customers SET payload = jsonb_set(payload, '{metadata,tel}',"
                " '\"3\"') WHERE id = 'cus_3'"
            )
        )
    assert remapped.built("hall", streams=CUSTOMERS).refused == {}
    assert customers(remapped, "hall")["cus_3"]["phone"] == "3"
    assert quarantine(remapped).keys() == {"cus_1", "cus_2"}

    rule(remapped, "hall", **PHONE | {"default": "unlisted"})
    assert remapped.built("hall", streams=CUSTOMERS).refused == {}
    assert customers(remapped, "hall")["cus_2"]["phone"] == "unlisted"
    assert quarantine(remapped) == {
        "cus_1": (False, UNDATED),
        "cus_2": (False, UNREAD | UNDATED),
    }
    assert since == remapped.row("SELECT since FROM control.quarantine WHERE raw_id = 'cus_2'")
    assert customers(remapped, "bar") == bar


DEFAULTS = {
    (table, provider, field): default_rule(provider, table, field)
    for table, target in TARGETS.items()
    for provider in target.streams
    for field in target.fields
}


def test_a_default_as_data_gives_what_its_model_makes(built: Warehouse) -> None:
    for (table, provider, field), default in DEFAULTS.items():
        made = f"FROM analytics.{table} AS made WHERE venue_id = 'cafe' AND provider = '{provider}'"
        if default is None:
            filled = built.row(f"SELECT count({field}) AS rows {made}")["rows"]
            assert not filled or (table, provider, field) in ELSEWHERE
            continue
        assert (table, provider, field) not in ELSEWHERE
        raw = " UNION ALL ".join(
            f"SELECT * FROM raw_{provider}.{stream}" for stream in default.streams
        )
        rows = built.rows(
            f"""
            SELECT to_jsonb(made.{field}) AS made, (
                SELECT control.map_value(raw.payload, CAST(:rule AS jsonb)) -> 'value'
                FROM ({raw}) AS raw
                WHERE (raw.venue_id, raw.account_id, raw.id)
                    = (made.venue_id, made.account_id, made.raw_id)
            ) AS told {made}
            """,
            rule=json.dumps(default.compiled()),
        )
        assert [row["told"] for row in rows] == [row["made"] for row in rows], default.target
        assert any(row["made"] is not None for row in rows), default.target


def test_a_documents_lines_are_mapped_by_its_payload_and_kept_out_and_counted_as_one(
    built: Warehouse,
) -> None:
    of_expenses = {"provider": "quickbooks", "target_table": "expenses"}
    rule(
        built,
        "cafe",
        **of_expenses,
        target_field="document_number",
        source_path="DocNumber",
        required=True,
    )
    vendor = of_expenses | {
        "target_field": "vendor_name",
        "source_path": "VendorRef.value",
        "transforms": [{"do": "coalesce", "paths": ["EntityRef.value"]}],
    }
    with built.pipeline.begin() as session:
        venue_scope(session, "cafe")
        seen = preview(session, read_rule(vendor))
    assert (seen.rows, seen.filled, seen.changed) == (4, 4, 4)
    assert {(each["id"], each["before"], each["after"]) for each in seen.examples} == {
        (id, "Brewery", "5") for id in ("10", "11", "12", "13")
    }
    rule(built, "cafe", **vendor)
    rule(
        built,
        "cafe",
        **of_expenses,
        target_field="custom.guests",
        type="integer",
        source_path="PrivateNote",
    )
    streams = [("quickbooks", stream) for stream in TARGETS["expenses"].streams["quickbooks"]]
    assert built.built("cafe", streams=streams).refused == {}
    rows = built.rows("SELECT * FROM analytics.expenses WHERE venue_id = 'cafe'")
    assert {
        (row["source_id"], row["line_id"], row["vendor_name"], row["custom_fields"]["guests"])
        for row in rows
        if row["custom_fields"]
    } == {("11", line, "5", 4) for line in ("1", "2", "tax")}
    assert {
        (row["document_type"], row["source_id"], row["line_id"], row["vendor_name"]) for row in rows
    } == {
        (document_type, id, line, "5")
        for document_type, id in (("purchase", "10"), ("bill", "11"), ("vendor_credit", "12"))
        for line in ("1", "2", "tax")
    }
    unread = {"custom.guests": "is not a whole number"}
    unnumbered = {"document_number": "has no value, and is required"}
    found = built.rows(
        "SELECT * FROM control.quarantine WHERE venue_id = 'cafe' ORDER BY source_id"
    )
    assert [(row["raw_table"], row["raw_id"], row["errors"], row["kept_out"]) for row in found] == [
        ("raw_quickbooks.purchases", "10", unread, False),
        ("raw_quickbooks.vendor_credits", "12", unread, False),
        ("raw_quickbooks.vendor_credits", "13", unread | unnumbered, True),
    ]
    with built.pipeline.begin() as session:
        venue_scope(session, "cafe")
        counted = count_failures(session, ["cafe"])
        analysts = found_by_analysts(session, "quickbooks", "expenses", "vendor_name")
    assert [(row.source_id, row.value) for row in analysts] == [
        (id, "5") for id in ("10", "11", "12")
    ]
    assert [(each.field, each.rows, each.kept_out) for each in counted] == [
        ("custom.guests", 3, 1),
        ("document_number", 1, 1),
    ]


def test_the_models_take_what_the_targets_name() -> None:
    for name, target in TARGETS.items():
        model = (PROJECT / "models" / "analytics" / f"{name}.sql").read_text()
        mapped = {part.split("'")[0].split(".")[1] for part in model.split("{{ mapped('")[1:]}
        assert mapped == set(target.fields), name
        declared = project().node(f"model.venue_integrations.{name}")["config"]["meta"]["mapped"]
        assert {
            provider: (given,) if isinstance(given, str) else tuple(given.values())
            for provider, given in declared.items()
        } == target.streams
        for field, type in target.fields.items():
            assert (f".{field}', 'boolean')" in model) == (type == "boolean")
    described = yaml.safe_load((PROJECT / "models" / "analytics" / "analytics.yml").read_text())
    for model in described["models"]:
        columns = {column["name"] for column in model["columns"]}
        for column in ("custom_fields", "mapping_errors", "mapping_version"):
            assert (column in columns) == (model["name"] in TARGETS)
