"""From all four providers' accounts to analysts' tables: nothing is lost or counted twice."""

import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from integration_pipelines.defs.dbt_build import project
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox, running_sandbox
from tests.dbt_mappings.conftest import Warehouse, not_passed

COUNTRIES = {"us-hall": "US", "jp-hall": "JP"}
LINES = {
    "stg_square__order_lines": ("square", "orders", "line_items"),
    "stg_quickbooks__invoice_lines": ("quickbooks", "invoices", "Line"),
    "stg_quickbooks__journal_lines": ("quickbooks", "journal_entries", "Line"),
    "stg_quickbooks__sales_receipt_lines": ("quickbooks", "sales_receipts", "Line"),
    "stg_quickbooks__bill_lines": ("quickbooks", "bills", "Line"),
    "stg_quickbooks__purchase_lines": ("quickbooks", "purchases", "Line"),
    "stg_quickbooks__deposit_lines": ("quickbooks", "deposits", "Line"),
    "stg_quickbooks__budget_lines": ("quickbooks", "budgets", "BudgetDetail"),
    "stg_mailchimp__email_events": ("mailchimp", "email_activity", "activity"),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=5) as running:
        yield running


@pytest.fixture(scope="module")
def accounts(sandbox: Sandbox, warehouse: Warehouse) -> dict[tuple[str, str], Any]:
    """Two venues' accounts at three providers, landed and built; by venue and provider."""
    made: dict[tuple[str, str], Any] = {}
    for venue_id, country in COUNTRIES.items():
        warehouse.add_venue(venue_id, timezone="America/New_York", day_starts_at="04:00")
        currency = {"US": "USD", "JP": "JPY"}[country]
        made |= {
            (venue_id, "square"): sandbox.square.create_account(
                venue_id, size=80, months=2, country=country
            ),
            (venue_id, "mailchimp"): sandbox.mailchimp.create_account(venue_id, size=40, months=2),
            (venue_id, "quickbooks"): sandbox.quickbooks.create_account(
                venue_id, size=80, months=2, currency=currency
            ),
        }
    for (venue_id, provider), account in made.items():
        for stream in PROVIDERS[provider].stream_names:
            if stream in sandbox_streams(sandbox, provider):
                bodies = json.loads(json.dumps(account.objects(stream), default=float))
                ids = [str(name) for name in account.ids(stream)]
                warehouse.land(venue_id, stream, *bodies, provider=provider, ids=ids)
    outcomes = warehouse.build()
    # Square lists no deleted customers, and what they bought stays.
    assert {name for name in not_passed(outcomes) if "_known_customers" not in name} == set()
    return made


def sandbox_streams(sandbox: Sandbox, provider: str) -> set[str]:
    return set(getattr(sandbox, provider).streams)


def test_each_object_is_a_row_of_its_streams_view(
    sandbox: Sandbox, accounts: dict[tuple[str, str], Any], warehouse: Warehouse
) -> None:
    for (venue_id, provider), account in accounts.items():
        for stream in PROVIDERS[provider].stream_names:
            if stream not in sandbox_streams(sandbox, provider):
                continue
            view = f"staging.stg_{provider}__{stream}"
            row = warehouse.row(
                f"SELECT count(*) AS rows FROM {view} WHERE venue_id = :venue", venue=venue_id
            )
            assert row["rows"] == len(account.ids(stream)), view


def test_each_line_is_a_row(accounts: dict[tuple[str, str], Any], warehouse: Warehouse) -> None:
    for view, (provider, stream, field) in LINES.items():
        for venue_id in COUNTRIES:
            bodies = accounts[venue_id, provider].objects(stream)
            row = warehouse.row(
                f"SELECT count(*) AS rows FROM staging.{view} WHERE venue_id = :venue",
                venue=venue_id,
            )
            assert row["rows"] == sum(len(body.get(field, ())) for body in bodies) > 0, view


def test_every_stream_has_a_view_and_a_test_that_it_can_be_read() -> None:
    nodes = project().manifest["nodes"].values()
    views = {node["name"] for node in nodes if node["config"]["materialized"] == "view"}
    tested = {project().node(view)["name"] for view in project().tests_of_views.values()}
    for provider in PROVIDERS.values():
        for stream in provider.stream_names:
            name = f"stg_{provider.name}__{stream}"
            if stream in ("profit_and_loss", "balance_sheet", "cash_flow"):
                name = "stg_quickbooks__report_lines"
            assert name in views
            assert name in tested, name


def test_revenue_is_squares_payments_less_its_refunds_and_no_books(
    accounts: dict[tuple[str, str], Any], warehouse: Warehouse
) -> None:
    for venue_id in COUNTRIES:
        account = accounts[venue_id, "square"]
        true: dict[str, int] = defaultdict(int)
        for payment in account.objects("payments"):
            if payment["status"] == "COMPLETED":
                true["gross"] += payment["total_money"]["amount"]
                true["tip"] += payment.get("tip_money", {}).get("amount", 0)
                true["fee"] += sum(
                    fee["amount_money"]["amount"] for fee in payment.get("processing_fee", ())
                )
                true["payments"] += 1
        for refund in account.objects("refunds"):
            if refund["status"] in ("COMPLETED", "PENDING"):
                true["refund"] += refund["amount_money"]["amount"]
                true["refunds"] += 1
                true["fee"] += sum(
                    fee["amount_money"]["amount"] for fee in refund.get("processing_fee", ())
                )
        found = warehouse.row(
            "SELECT sum(gross_amount_minor) AS gross, sum(tip_amount_minor) AS tip,"
            " sum(fee_amount_minor) AS fee, sum(refund_amount_minor) AS refund,"
            " sum(payment_count) AS payments, sum(refund_count) AS refunds"
            " FROM marts.daily_revenue WHERE venue_id = :venue",
            venue=venue_id,
        )
        assert {name: int(value) for name, value in found.items()} == dict(true)


def test_tax_of_payments_adds_up_to_that_of_their_orders(
    accounts: dict[tuple[str, str], Any], warehouse: Warehouse
) -> None:
    for venue_id in COUNTRIES:
        account = accounts[venue_id, "square"]
        orders = {order["id"]: order for order in account.objects("orders")}
        paid: dict[str, int] = defaultdict(int)
        for payment in account.objects("payments"):
            if payment["status"] == "COMPLETED":
                paid[payment["order_id"]] += payment["total_money"]["amount"]
        whole = {
            name for name, amount in paid.items() if amount >= orders[name]["total_money"]["amount"]
        }
        true = sum(orders[name].get("total_tax_money", {}).get("amount", 0) for name in whole)
        found = warehouse.row(
            "SELECT coalesce(sum(p.tax_amount_minor), 0) AS tax FROM analytics.payments p"
            " JOIN staging.stg_square__payments s ON s.venue_id = p.venue_id"
            " AND s.payment_id = p.source_id"
            " WHERE p.venue_id = :venue AND s.order_id = ANY(:orders)",
            venue=venue_id,
            orders=list(whole),
        )
        assert found["tax"] == true


def test_quickbooks_invoices_keep_their_day_and_their_exact_amounts(
    accounts: dict[tuple[str, str], Any], warehouse: Warehouse
) -> None:
    for venue_id in COUNTRIES:
        truth = {
            str(body["Id"]): (body["TxnDate"], Decimal(str(body["TotalAmt"])))
            for body in accounts[venue_id, "quickbooks"].objects("invoices")
        }
        rows = warehouse.rows(
            "SELECT source_id, business_date::text AS day, total_amount FROM analytics.invoices"
            " WHERE venue_id = :venue AND provider = 'quickbooks'",
            venue=venue_id,
        )
        assert {row["source_id"]: (row["day"], row["total_amount"]) for row in rows} == truth


def test_mailing_lists_are_whole(
    accounts: dict[tuple[str, str], Any], warehouse: Warehouse
) -> None:
    for venue_id in COUNTRIES:
        members = accounts[venue_id, "mailchimp"].objects("members")
        rows = warehouse.rows(
            "SELECT email, status FROM analytics.audience_members WHERE venue_id = :venue",
            venue=venue_id,
        )
        assert sorted((row["email"], row["status"]) for row in rows) == sorted(
            (member["email_address"], member["status"]) for member in members
        )
