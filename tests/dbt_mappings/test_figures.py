"""From a figure down to what brought it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.figures import explain as command
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.mapping import read_rule, set_rule
from integration_pipelines.core.venues import add_venue
from integration_pipelines.defs import figures
from integration_pipelines.defs.dbt_build import project
from tests.dbt_mappings.conftest import Warehouse, not_passed

NOON = 1767268800  # 2026-01-01T12:00:00Z
NEXT_DAY = "ch_[/next_day]"


def charge(id: str, amount: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "charge",
        "created": NOON,
        "currency": "usd",
        "amount": amount,
        "amount_captured": amount,
        "captured": True,
        "paid": True,
        "status": "succeeded",
        "balance_transaction": None,
        "billing_details": {"email": "fan@example.com"},
    } | fields


CUSTOMER = {
    "id": "cus_1",
    "created": NOON,
    "name": "Ana Fan",
    "email": "ana@fan.example",
    "phone": "+49 30 1234567",
    "address": {"line1": "Allee 1", "city": "Ulm", "postal_code": "89073", "country": "DE"},
    "balance": -250,
    "currency": "eur",
    "metadata": {"seat": "by the bar"},
}
RULES = (
    {"target_table": "payments", "target_field": "description", "source_path": "metadata.gig"},
    {
        "target_table": "payments",
        "target_field": "custom.table",
        "source_path": "fields[label=Table].value",
        "type": "text",
    },
    {
        "target_table": "customers",
        "target_field": "custom.seat",
        "source_path": "metadata.seat",
        "type": "text",
    },
)


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> Warehouse:
    for venue_id in ("hall", "bar"):
        add_venue(warehouse.owner, venue_id)
        warehouse.land(
            venue_id,
            "charges",
            charge("ch_1", 1250, metadata={"gig": "Late show"}),
            charge("ch_2", 300),
            charge(NEXT_DAY, 77, created=NOON + 86400),
        )
        refund = {"id": "re_1", "object": "refund", "created": NOON, "currency": "usd"}
        warehouse.land(
            venue_id,
            "refunds",
            refund | {"amount": 250, "charge": "ch_1", "status": "succeeded"},
            refund | {"id": "re_2", "amount": 99, "charge": "ch_2", "status": "failed"},
        )
        warehouse.land(venue_id, "customers", CUSTOMER)
    with warehouse.owner.begin() as session:
        venue_scope(session, "hall")
        for given in RULES:
            rule = read_rule({"provider": "stripe"} | given)
            set_rule(session, "hall", rule, by="the manager", reason="What [/b] was on")
    assert not_passed(warehouse.build()) == {}
    return warehouse


def explain(warehouse: Warehouse, table: str, *, at_most: int = 9, **chosen: str) -> Any:
    analysts = create_engine(warehouse.settings, Role.ANALYST_ALL)
    with analysts.connect() as analyst, warehouse.pipeline.begin() as pipeline:
        venue_scope(pipeline, "hall")
        found = figures.explain(
            analyst, pipeline, table=table, venue_id="hall", chosen=chosen, at_most=at_most
        )
    analysts.dispose()
    return found


def test_a_days_revenue_leads_to_its_payments_refunds_and_their_payloads(built: Warehouse) -> None:
    (day,) = explain(built, "marts.daily_revenue", business_date="2026-01-01")
    assert day["row"]["gross_amount"] == Decimal("15.50")
    assert set(day["adds_up"].values()) == {True}
    payments, refunds = day["made_of"]
    assert (payments["table"], payments["rows"]) == ("analytics.payments", 2)
    assert payments["sums"]["gross_amount"] == Decimal("15.50")
    assert (refunds["rows"], refunds["sums"]["refund_amount"]) == (1, Decimal("2.50"))
    (one,) = [each for each in payments["examples"] if each["row"]["source_id"] == "ch_1"]
    assert one["row"]["description"] == "[personal]"
    _, rule = one["rules"]
    assert (rule["field"], rule["version"], rule["source_path"], rule["created_by"]) == (
        "description",
        1,
        "metadata.gig",
        "the manager",
    )
    (raw,) = one["raw"]
    assert (raw["table"], raw["id"], raw["is_as_built"]) == ("raw_stripe.charges", "ch_1", True)
    assert raw["payload"]["amount"] == 1250
    assert raw["payload"]["billing_details"] == {"email": "[e-mail]"}


def test_who_brought_a_row_is_the_sync_under_way_and_the_webhooks_done_with_it(
    built: Warehouse, connect: Any
) -> None:
    key = {"venue_id": "hall", "id": NEXT_DAY}
    (row,) = explain(built, "analytics.payments", source_id=NEXT_DAY)
    assert row["raw"][0]["brought_by"] is None
    with built.owner.begin() as session:
        venue_scope(session, "hall")
        connection_id = session.scalar(
            text(
                "INSERT INTO control.connections (venue_id, provider, account_id, account_name)"
                " VALUES ('hall', 'stripe', 'acct_1', 'Hall') RETURNING connection_id"
            )
        )
        session.execute(
            text(
                "INSERT INTO control.sync_logs (venue_id, sync_id, stream, provider, connection_id,"
                " account_id, mode, outcome, run_id, started_at, finished_at)"
                " SELECT 'hall', gen_random_uuid(), 'charges', 'stripe', :connection_id, 'acct_1',"
                " mode, 'succeeded', mode, last_changed_at + began, last_changed_at + ended"
                " FROM raw_stripe.charges, (VALUES"
                " ('load', interval '-1 h', interval '-1 s'), ('incremental', '-2 s', '1 s'),"
                " ('full', '1 s', '2 s')) AS sync (mode, began, ended)"
                " WHERE venue_id = :venue_id AND id = :id"
            ),
            key | {"connection_id": connection_id},
        )
        session.execute(
            text(
                "INSERT INTO control.integration_webhooks (provider, account_id, venue_id,"
                " connection_id, event_id, event_type, status, processed_at)"
                " SELECT 'stripe', 'acct_1', 'hall', :connection_id, event, 'charge.updated',"
                " status, last_changed_at + later FROM raw_stripe.charges, (VALUES"
                " ('evt_it', 'done', interval '0'), ('evt_later', 'done', '1 s'),"
                " ('evt_no', 'ignored', '0')) AS webhook (event, status, later)"
                " WHERE venue_id = :venue_id AND id = :id"
            ),
            key | {"connection_id": connection_id},
        )
    (row,) = explain(built, "analytics.payments", source_id=NEXT_DAY)
    brought = row["raw"][0]["brought_by"]
    assert brought["sync"]["mode"] == "incremental"
    assert [each["event_id"] for each in brought["webhooks"]] == ["evt_it"]


def test_rows_show_keys_amounts_times_and_kinds_and_nothing_personal(built: Warehouse) -> None:
    (customer,) = explain(built, "analytics.customers")
    assert customer["row"] == {
        "venue_id": "hall",
        "provider": "stripe",
        "account_id": "acct_1",
        "source_id": "cus_1",
        "created_at": datetime.fromtimestamp(NOON, UTC),
        "name": "[name]",
        "email": "[e-mail]",
        "phone": "[phone]",
        "address_line1": "[address]",
        "city": "[address]",
        "postal_code": "[address]",
        "country": "DE",
        "currency": "EUR",
        "balance_minor": -250,
        "balance": Decimal("-2.50"),
        "metadata": {"seat": "[personal]"},
        "custom_fields": {"seat": "[personal]"},
        "mapping_version": 1,
        "is_deleted": False,
    }
    (person,) = explain(built, "marts.customer_360")
    shown = {name: person["row"][name] for name in ("venue_id", "name", "emails", "phones")}
    assert shown == {
        "venue_id": "hall",
        "name": "[name]",
        "emails": ["[e-mail]"],
        "phones": ["[phone]"],
    }
    assert person["row"]["providers"] == ["stripe"]


def test_the_command_shows_rules_and_ids_as_they_are_written(built: Warehouse) -> None:
    application = Application()
    application.settings = built.settings
    asked = ["analytics.payments", "--venue", "hall", "--key", f"source_id={NEXT_DAY}"]
    told = CliRunner().invoke(command, asked, obj=application, catch_exceptions=False).output
    assert f"source_id {NEXT_DAY}" in told
    assert f"raw_stripe.charges {NEXT_DAY}, read " in told
    assert "description from metadata.gig, version 1 by the manager: What [/b] was on" in told
    assert "custom.table from fields[label=Table].value, version 1" in told


def test_a_payload_that_has_changed_since_the_build_is_said_to_have(built: Warehouse) -> None:
    with built.owner.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text("UPDATE raw_stripe.customers SET content_hash = :hash WHERE venue_id = 'hall'"),
            {"hash": uuid4().bytes},
        )
    (person,) = explain(built, "marts.customer_360")
    (record,) = person["made_of"][0]["examples"]
    (customer,) = record["made_of"]
    assert customer["table"] == "analytics.customers"
    assert [raw["is_as_built"] for raw in customer["examples"][0]["raw"]] == [False]


@pytest.mark.parametrize(
    ("table", "chosen", "named"),
    [
        ("marts.nothing", {}, "there is no table marts.nothing: there are analytics"),
        ("control.venues", {}, "there is no table control.venues"),
        ("marts.daily_revenue", {"da'y": "1"}, "marts.daily_revenue has no column da'y: it has"),
        ("marts.daily_revenue", {"business_date": "x'y"}, "business_date is a date"),
        ("marts.daily_revenue", {"venue_id": "bar"}, "venue_id is hall: a key cannot choose"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    built: Warehouse, table: str, chosen: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        explain(built, table, **chosen)


def test_every_mart_says_what_it_is_made_of(built: Warehouse) -> None:
    marts = [table for table in figures.explainable() if table.startswith("marts.")]
    for mart in marts:
        parts = figures.parts_of(mart)
        assert parts, mart
        for part in parts:
            ours, theirs = (
                {row["column_name"] for row in built.rows(COLUMNS, table=table)}
                for table in (mart, part.table)
            )
            assert ours >= {*part.by, *part.when, *part.sums}
            assert theirs >= {*part.by.values(), *part.sums.values()}
            built.rows(f"SELECT count(*) FROM {part.table} WHERE {part.where}")
    assert len(marts) == sum(node.endswith(".sql") for node in _marts())


COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema || '.' || table_name = :table
"""


def _marts() -> list[str]:
    nodes = project().manifest["nodes"].values()
    return [
        node["path"]
        for node in nodes
        if node["schema"] == "marts" and node["config"]["materialized"] == "candidate"
    ]
