"""The definitions as a whole: they load, cheaply, and hang together."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import yaml

from integration_pipelines.definitions import defs
from integration_pipelines.defs.checks.every_row_mapped import QUARANTINE
from integration_pipelines.defs.checks.every_venue_published import PUBLICATIONS
from integration_pipelines.defs.dbt_build import project
from integration_pipelines.defs.fields import FIELDS
from integration_pipelines.defs.inbox import INBOX
from integration_pipelines.defs.suites import SUITES
from integration_pipelines.instance import ROOT, WORKSPACE
from integration_pipelines.providers import PROVIDERS

GRAPH = defs.resolve_asset_graph()
RAW = {
    dg.AssetKey([f"raw_{provider.name}", stream])
    for provider in PROVIDERS.values()
    for stream in provider.stream_names
}
BUILT = {dg.AssetKey(project().key(unique_id)) for unique_id in project().tables}


def test_they_can_be_loaded_as_the_workspace_names_them() -> None:
    dg.Definitions.validate_loadable(defs)
    (location,) = yaml.safe_load(WORKSPACE.read_text())["load_from"]
    assert location["python_module"]["module_name"] == "integration_pipelines.definitions"


def test_what_only_some_runs_need_is_not_imported_by_all() -> None:
    heavy = (
        *("dagster_dbt", "dbt.cli", "pandas", "matplotlib", "aws_encryption_sdk", "boto3"),
        "great_expectations",
    )
    code = (
        "import sys, integration_pipelines.definitions;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_assets_are_each_providers_streams_and_each_table_of_dbts() -> None:
    health = dg.AssetKey(["marts", "venue_health"])
    control = {INBOX.key, PUBLICATIONS.key, FIELDS.key, QUARANTINE.key}
    assert GRAPH.get_all_asset_keys() == RAW | BUILT | control | {health}
    assert "venue_health.sql" in GRAPH.get(health).metadata["model"]
    assert GRAPH.materializable_asset_keys == RAW | BUILT


def test_lineage_is_unbroken_from_api_to_mart() -> None:
    for key in BUILT:
        origins = {
            each for each in GRAPH.get(key).parent_keys | _ancestors(key) if not _parents(each)
        }
        assert origins
        assert origins <= RAW, f"{key.to_user_string()} comes from {origins - RAW}"
    revenue = dg.AssetKey(["marts", "daily_revenue"])
    assert _parents(revenue) == {
        dg.AssetKey(["analytics", "payments"]),
        dg.AssetKey(["analytics", "refunds"]),
    }
    assert dg.AssetKey(["raw_stripe", "charges"]) in _ancestors(revenue)


def test_every_asset_is_partitioned_by_venue_described_and_in_its_group() -> None:
    for key in RAW | BUILT:
        node = GRAPH.get(key)
        assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
        assert node.partitions_def.name == "venues"
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
        assert node.group_name == key.path[0]
        assert node.description, key
        assert "postgres" in node.kinds


def test_each_raw_asset_is_watched_and_each_test_of_dbts_is_a_check() -> None:
    checks = {(key.asset_key, key.name) for key in GRAPH.asset_check_keys}
    for check in ("every_venue_synced", "every_object_landed"):
        assert {key for key, name in checks if name == check} == RAW
    assert len(checks) == 2 * len(RAW) + len(project().tests) + len(SUITES) + 5
    assert {(INBOX.key, "no_event_waits_long"), (INBOX.key, "every_event_came")} <= checks
    expected = {key for key, name in checks if name == "meets_expectations"}
    assert expected == {dg.AssetKey(["analytics", suite.table]) for suite in SUITES}
    assert (dg.AssetKey(["marts", "daily_revenue"]), "daily_revenue_is_complete") in checks


def test_schedules_and_sensors_run_without_anyone_turning_them_on() -> None:
    repository = defs.get_repository_def()
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "incremental",
        "nightly_full",
        "daily_census",
        "token_renewal",
        "hourly_housekeeping",
        "webhook_registration",
        "missed_events",
        "field_watch",
        "daily_expectations",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "lost_runs",
        "requested_syncs",
        "venue_partitions",
        "webhook_events",
    }
    for schedule in repository.schedule_defs:
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    for sensor in repository.sensor_defs:
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_resources_show_which_provider_and_no_secret() -> None:
    resources = defs.get_repository_def().get_top_level_resources()
    assert set(resources) >= {"pipeline", *PROVIDERS}
    for name in PROVIDERS:
        shown = resources[name].configurable_resource_cls.to_config_schema()
        assert set(shown.as_field().config_type.fields) == {"provider"}


def test_no_module_reaches_into_dagsters_core() -> None:
    for path in (ROOT / "integration_pipelines").rglob("*.py"):
        assert "dagster._" not in Path(path).read_text(), path


def _parents(key: dg.AssetKey) -> set[dg.AssetKey]:
    return set(GRAPH.get(key).parent_keys)


def _ancestors(key: dg.AssetKey) -> set[dg.AssetKey]:
    parents = _parents(key)
    return parents.union(*(_ancestors(parent) for parent in parents))
