"""A venue's rules fill its own rows of the canonical model at its next build, and no one else's."""

from decimal import Decimal
from typing import Any

import pytest
import yaml

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.mapping import TARGETS, read_rule, remove_rule, set_rule
from integration_pipelines.core.venues import add_venue
from tests.dbt_mappings.conftest import PROJECT, Warehouse, not_passed

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


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> Warehouse:
    for venue_id in ("hall", "bar"):
        add_venue(warehouse.owner, venue_id)
        warehouse.land(
            venue_id,
            "customers",
            customer("cus_1", contact=" One@Hall.example ", vip="Yes", tables="4"),
            customer("cus_2", contact="two@hall.example", vip="perhaps"),
            customer("cus_3"),
        )
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
    assert found == {"cus_1": 2, "cus_2": 2, "cus_3": 2, "SQ1": None}


def test_a_changed_rule_holds_from_the_venues_next_build_on(built: Warehouse) -> None:
    before = customers(built, "bar")
    with built.owner.begin() as session:
        venue_scope(session, "hall")
        remove_rule(session, "stripe", "customers", "email")
    assert not_passed(built.build("hall")) == {}
    assert customers(built, "hall")["cus_1"]["email"] == "cus_1@default.example"
    assert customers(built, "hall")["cus_1"]["custom_fields"]["is_vip"] is True
    assert customers(built, "bar") == before


def test_the_models_take_what_the_targets_name() -> None:
    for name, target in TARGETS.items():
        model = (PROJECT / "models" / "analytics" / f"{name}.sql").read_text()
        mapped = {part.split("'")[0].split(".")[1] for part in model.split("{{ mapped('")[1:]}
        assert mapped == set(target.fields), name
        for provider, stream in target.streams.items():
            assert f"'{provider}': '{stream}'" in model
        for field, type in target.fields.items():
            assert (f".{field}', 'boolean')" in model) == (type == "boolean")
    described = yaml.safe_load((PROJECT / "models" / "analytics" / "analytics.yml").read_text())
    for model in described["models"]:
        columns = {column["name"] for column in model["columns"]}
        for column in ("custom_fields", "mapping_errors", "mapping_version"):
            assert (column in columns) == (model["name"] in TARGETS)
