"""From a figure down to what brought it."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.mapping import read_rule, set_rule
from integration_pipelines.core.venues import add_venue
from integration_pipelines.defs import figures
from integration_pipelines.defs.dbt_build import project
from tests.dbt_mappings.conftest import Warehouse, not_passed

NOON = 1767268800  # 2026-01-01T12:00:00Z


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


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> Warehouse:
    for venue_id in ("hall", "bar"):
        add_venue(warehouse.owner, venue_id)
        warehouse.land(
            venue_id,
            "charges",
            charge("ch_1", 1250, metadata={"gig": "Late show"}),
            charge("ch_2", 300),
            charge("ch_next_day", 77, created=NOON + 86400),
        )
        refund = {"id": "re_1", "object": "refund", "created": NOON, "currency": "usd"}
        warehouse.land(
            venue_id,
            "refunds",
            refund | {"amount": 250, "charge": "ch_1", "status": "succeeded"},
            refund | {"id": "re_2", "amount": 99, "charge": "ch_2", "status": "failed"},
        )
        warehouse.land(venue_id, "customers", {"id": "cus_1", "created": NOON, "name": "A fan"})
    rule = {"provider": "stripe", "target_table": "payments", "target_field": "description"}
    with warehouse.owner.begin() as session:
        venue_scope(session, "hall")
        set_rule(
            session,
            "hall",
            read_rule(rule | {"source_path": "metadata.gig"}),
            by="the manager",
            reason="What was on",
        )
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
    assert one["row"]["description"] == "Late show"
    (rule,) = one["rules"]
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
    key = {"venue_id": "hall", "id": "ch_next_day"}
    (row,) = explain(built, "analytics.payments", source_id="ch_next_day")
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
    (row,) = explain(built, "analytics.payments", source_id="ch_next_day")
    brought = row["raw"][0]["brought_by"]
    assert brought["sync"]["mode"] == "incremental"
    assert [each["event_id"] for each in brought["webhooks"]] == ["evt_it"]


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
