"""A build touches the venues of its set alone, and what it leaves stays closed to other venues."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from integration_pipelines.core import database
from integration_pipelines.core.venues import add_venue, remove_venue
from integration_pipelines.defs.dbt_build import project
from tests.dbt_mappings.conftest import Warehouse, not_passed

VENUES = ("first-bar", "second-bar", "third-bar")
STREAMS = [("stripe", "customers"), ("stripe", "charges"), ("stripe", "refunds")]
"""What a build of these is made of takes less than the whole project."""

TABLES = ("analytics.customers", "analytics.payments", "analytics.refunds", "marts.daily_revenue")


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> Warehouse:
    for venue_id in VENUES:
        add_venue(warehouse.owner, venue_id)
        land_day(warehouse, venue_id)
    assert not_passed(warehouse.build(streams=STREAMS)) == {}
    return warehouse


def land_day(warehouse: Warehouse, venue_id: str, name: str = "1") -> None:
    warehouse.land(venue_id, "customers", {"id": f"cus_{name}", "created": 1735732800})
    charge: dict[str, Any] = {
        "id": f"ch_{name}",
        "created": 1735732800,
        "currency": "usd",
        "amount": 1000,
        "amount_captured": 1000,
        "captured": True,
        "status": "succeeded",
        "customer": f"cus_{name}",
    }
    warehouse.land(venue_id, "charges", charge)
    refund = {
        "id": f"re_{name}",
        "charge": charge["id"],
        "created": 1735732800,
        "currency": "usd",
        "amount": 100,
        "status": "succeeded",
    }
    warehouse.land(venue_id, "refunds", refund)


def versions(warehouse: Warehouse, table: str) -> dict[str, set[tuple[str, str]]]:
    """The place and the writing transaction of each row, by venue: new where a row was written."""
    found: dict[str, set[tuple[str, str]]] = {venue_id: set() for venue_id in VENUES}
    for row in warehouse.rows(f"SELECT venue_id, ctid::text, xmin::text FROM {table}"):
        found[row["venue_id"]].add((row["ctid"], row["xmin"]))
    return found


def count(warehouse: Warehouse, table: str, venue_id: str) -> int:
    query = f"SELECT count(*) AS rows FROM {table} WHERE venue_id = :venue_id"
    return int(warehouse.row(query, venue_id=venue_id)["rows"])


def test_a_build_of_one_venue_writes_its_rows_alone(built: Warehouse) -> None:
    before = {table: versions(built, table) for table in TABLES}
    land_day(built, "first-bar", "2")
    land_day(built, "second-bar", "2")
    assert not_passed(built.build("first-bar", streams=STREAMS)) == {}
    for table in TABLES:
        after = versions(built, table)
        assert after["second-bar"] == before[table]["second-bar"]
        assert after["third-bar"] == before[table]["third-bar"]
        assert not after["first-bar"] & before[table]["first-bar"]
    assert count(built, "analytics.payments", "first-bar") == 2
    assert count(built, "analytics.payments", "second-bar") == 1


def test_rows_gone_from_raw_are_gone(built: Warehouse) -> None:
    for stream in ("customers", "charges", "refunds"):
        built.remove("third-bar", stream)
    assert not_passed(built.build(streams=STREAMS)) == {}
    for table in TABLES:
        assert count(built, table, "third-bar") == 0
    assert count(built, "analytics.payments", "second-bar") == 2


def test_a_venue_of_the_set_without_raw_rows_ends_with_none(built: Warehouse) -> None:
    land_day(built, "third-bar")
    built.build("third-bar", streams=STREAMS)
    assert count(built, "marts.daily_revenue", "third-bar") == 1
    for stream in ("customers", "charges", "refunds"):
        built.remove("third-bar", stream)
    assert not_passed(built.build("third-bar", streams=STREAMS)) == {}
    for table in TABLES:
        assert count(built, table, "third-bar") == 0


def test_an_analyst_sees_their_own_venue_and_nothing_upstream(built: Warehouse) -> None:
    everyone = {row["venue_id"] for row in built.rows("SELECT venue_id FROM analytics.payments")}
    assert everyone >= {"first-bar", "second-bar"}
    for role, visible in [
        (database.analyst_role("first-bar"), {"first-bar"}),
        (database.analyst_role("third-bar"), set()),
        (database.Role.ANALYST_ALL, everyone),
    ]:
        engine = database.create_engine(built.settings, role)
        for table in TABLES:
            with engine.connect() as connection:
                found = set(connection.scalars(text(f"SELECT DISTINCT venue_id FROM {table}")))
            assert found == visible
        for closed in ("staging.stg_stripe__charges", "raw_stripe.charges", "control.venues"):
            with engine.connect() as connection, pytest.raises(ProgrammingError, match="denied"):
                connection.execute(text(f"SELECT 1 FROM {closed}"))
        with engine.connect() as connection, pytest.raises(ProgrammingError, match="denied"):
            connection.execute(text("DELETE FROM analytics.payments"))
        engine.dispose()


def test_every_table_is_closed_and_every_view_reads_as_its_reader(built: Warehouse) -> None:
    tables = built.rows(
        """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS is_closed
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('analytics', 'marts') AND c.relkind = 'r'
        """
    )
    assert len(tables) == len(project().tables)
    assert all(table["is_closed"] for table in tables)
    views = built.rows(
        """
        SELECT c.relname, 'security_invoker=true' = ANY(c.reloptions) AS reads_as_its_reader
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('staging', 'analytics', 'marts') AND c.relkind = 'v'
        """
    )
    assert len(views) == sum(
        view["resource_type"] == "model" and view["config"]["materialized"] == "view"
        for view in project().manifest["nodes"].values()
    )
    assert all(view["reads_as_its_reader"] for view in views)


def test_a_table_that_is_new_is_built_for_every_venue(built: Warehouse) -> None:
    with built.dbt.begin() as connection:
        connection.execute(text("DROP TABLE analytics.customers"))
    built.build("first-bar", streams=STREAMS)
    assert count(built, "analytics.customers", "second-bar") == 2


def test_a_table_follows_its_model_in_the_columns_it_has(built: Warehouse) -> None:
    with built.dbt.begin() as connection:
        connection.execute(
            text(
                "ALTER TABLE analytics.customers DROP COLUMN phone, ADD COLUMN fax text,"
                " ALTER COLUMN balance_minor TYPE text"
            )
        )
    land_day(built, "first-bar", "new")
    built.build("first-bar", streams=STREAMS)
    row = built.row("SELECT * FROM analytics.customers WHERE source_id = 'cus_new'")
    assert "phone" in row
    assert "fax" not in row
    assert count(built, "analytics.customers", "second-bar") == 2


def test_what_fails_keeps_the_rows_it_had_and_stops_no_other_venue(built: Warehouse) -> None:
    before = {table: versions(built, table) for table in TABLES}
    odd: dict[str, Any] = {
        "id": "ch_odd",
        "captured": "true",
        "status": "succeeded",
        "amount_captured": "ten",
        "created": [],
        "currency": {},
        "customer": 5,
        "payment_method_details": "card",
    }
    built.land("third-bar", "charges", odd)
    land_day(built, "second-bar", "3")
    made = built.built("second-bar", "third-bar", streams=STREAMS)
    assert made.published == ["second-bar"]
    assert "daily_revenue_is_complete: 1 rows" in made.refused["third-bar"]
    assert not made.broken
    assert count(built, "analytics.payments", "second-bar") == 3
    for table in TABLES:
        assert versions(built, table)["third-bar"] == before[table]["third-bar"]
    stale = built.row(STALE)
    assert stale["venue_id"] == "third-bar"
    assert "daily_revenue_is_complete: 1 rows" in stale["reasons"]

    # A build of some tables is held to their tests alone.
    some = built.built("third-bar", streams=[("stripe", "customers")])
    assert some.published == ["third-bar"]

    built.remove("third-bar", "charges")
    assert built.built("third-bar", streams=STREAMS).published == ["third-bar"]
    assert built.rows(STALE) == []


STALE = """
    SELECT venue_id, reasons FROM control.publications
    WHERE table_name = 'analytics.payments' AND stale_since IS NOT NULL
"""


def test_rows_that_break_a_model_are_refused_alone(built: Warehouse) -> None:
    for name in ("1", "2"):
        huge = {
            "id": f"ch_huge_{name}",
            "created": 1735732800,
            "currency": "usd",
            "amount_captured": 9 * 10**18,
            "captured": True,
            "status": "succeeded",
        }
        built.land("third-bar", "charges", huge)
    land_day(built, "second-bar", "4")
    made = built.built(streams=STREAMS)
    assert made.published == ["first-bar", "second-bar"]
    assert set(made.refused["third-bar"]) == {
        "marts.daily_revenue: bigint out of range",
        "marts.sales_to_books: bigint out of range",
    }
    assert not made.broken
    assert count(built, "analytics.payments", "second-bar") == 4
    built.remove("third-bar", "charges")
    assert built.built("third-bar", streams=STREAMS).refused == {}


def test_what_a_killed_build_left_is_no_hindrance(built: Warehouse) -> None:
    with built.dbt.begin() as connection:
        connection.execute(text("CREATE TABLE candidates.payments (odd text)"))
    with built.pipeline.begin() as connection:
        connection.execute(text("INSERT INTO control.dbt_build_venues VALUES ('second-bar', true)"))
    before = count(built, "analytics.payments", "second-bar")
    land_day(built, "second-bar", "5")
    assert built.built("first-bar").published == ["first-bar", "second-bar"]
    assert count(built, "analytics.payments", "second-bar") == before + 1
    assert built.rows("SELECT * FROM control.dbt_build_venues") == []


def test_a_removed_venue_leaves_no_row(built: Warehouse) -> None:
    remove_venue(built.owner, "second-bar")
    for table in TABLES:
        assert count(built, table, "second-bar") == 0
