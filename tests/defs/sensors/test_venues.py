"""Partitions follow the table of venues."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from integration_pipelines.core.database import venue_scope
from integration_pipelines.definitions import defs
from integration_pipelines.defs.partitions import VENUES
from integration_pipelines.defs.resources import resources
from integration_pipelines.defs.sensors.venues import Changes, plan


@pytest.mark.parametrize(
    ("partitions", "venues", "changes"),
    [
        ([], ["b", "a"], Changes(["a", "b"], [])),
        (["a", "b"], ["b", "c"], Changes(["c"], ["a"])),
        (["a"], ["a"], Changes([], [])),
        (["a", "b"], [], Changes([], [])),
    ],
    ids=["new", "added and removed", "the same", "an empty read deletes nothing"],
)
def test_plan(partitions: list[str], venues: list[str], changes: Changes) -> None:
    assert plan(partitions, venues) == changes


def tick(instance: dg.DagsterInstance) -> Any:
    sensor = defs.get_repository_def().get_sensor_def("venue_partitions")
    with dg.build_sensor_context(instance=instance, resources=resources()) as context:
        return sensor(context)


def apply(instance: dg.DagsterInstance, result: Any) -> set[str]:
    """Do what the daemon does with a tick's requests."""
    for request in result.dynamic_partitions_requests:
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(VENUES, request.partition_keys)
        else:
            for key in request.partition_keys:
                instance.delete_dynamic_partition(VENUES, key)
    return set(instance.get_dynamic_partitions(VENUES))


def test_a_venue_gets_its_partition_and_a_removed_one_loses_it(
    instance: dg.DagsterInstance, venue: Callable[..., str], owner_engine: Engine
) -> None:
    venue("blue-room")
    venue("red-room")
    assert apply(instance, tick(instance)) == {"blue-room", "red-room"}
    assert isinstance(tick(instance), dg.SkipReason)
    with owner_engine.begin() as session:
        venue_scope(session, "red-room")
        session.execute(text("DELETE FROM control.venues WHERE venue_id = 'red-room'"))
    assert apply(instance, tick(instance)) == {"blue-room"}


def test_a_read_that_fails_fails_the_tick_and_is_no_empty_table(
    instance: dg.DagsterInstance, venue: Callable[..., str], owner_engine: Engine
) -> None:
    venue("blue-room")
    apply(instance, tick(instance))
    with owner_engine.begin() as session:
        session.execute(text("REVOKE SELECT ON control.venues FROM pipeline"))
    with pytest.raises(ProgrammingError, match="permission denied"):
        tick(instance)
    assert instance.get_dynamic_partitions(VENUES) == ["blue-room"]
