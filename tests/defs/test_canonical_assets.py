"""Canonical assets: one venue from API to mart, and tests on their own."""

from typing import Any

import dagster as dg

from integration_pipelines.definitions import defs
from integration_pipelines.defs.canonical_assets import canonical
from integration_pipelines.defs.resources import resources
from integration_pipelines.providers import PROVIDERS

RAW = [f"raw_stripe/{stream}" for stream in PROVIDERS["stripe"].stream_names]
BUILT = [
    key.to_user_string()
    for key in defs.resolve_asset_graph().materializable_asset_keys
    if not key.path[0].startswith("raw_")
]


def test_one_venue_goes_from_api_to_mart_in_one_run(
    hall: Any, materialize: Any, recorded: Any, said: Any, instance: dg.DagsterInstance
) -> None:
    hall("blue-room")
    hall("red-room")
    result = materialize([*RAW, *BUILT], "blue-room")
    assert result.success
    assert recorded("raw_stripe/charges") == {"blue-room"}
    assert recorded("marts/daily_revenue") == {"blue-room"}
    event = instance.get_latest_materialization_event(dg.AssetKey(["analytics", "customers"]))
    assert event is not None
    assert event.asset_materialization is not None
    landed = instance.get_latest_materialization_event(dg.AssetKey(["raw_stripe", "customers"]))
    assert landed is not None
    assert landed.asset_materialization is not None
    assert (
        event.asset_materialization.metadata["dagster/partition_row_count"].value
        == landed.asset_materialization.metadata["inserted"].value
    )
    assert said("analytics/customers", "customers_have_unique_keys").passed

    assert materialize(["analytics/customers"], "red-room").success
    assert recorded("analytics/customers") == {"blue-room", "red-room"}
    assert recorded("analytics/payments") == {"blue-room"}

    asked = dg.AssetCheckKey(dg.AssetKey(["analytics", "customers"]), "customers_are_complete")
    tested = dg.materialize(
        [canonical],
        selection=dg.AssetSelection.checks(asked),
        resources=resources(),
        instance=instance,
    )
    (evaluation,) = tested.get_asset_check_evaluations()
    assert evaluation.asset_check_key == asked
    assert evaluation.metadata["venues_tested"].value == 2, "a test alone looks at every venue"
