"""Runs of the real definitions: on the test's database, its own instance, and the sandbox."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Vault, save_connection
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.provider import Account
from integration_pipelines.core.settings import Settings
from integration_pipelines.definitions import defs
from integration_pipelines.defs.partitions import VENUES
from integration_pipelines.instance import open_instance
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.stripe import Key
from tests.canary import assert_nobody_is_named, every_row
from tests.conftest import NewDatabase

Hall = Callable[..., str]
Materialize = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=11) as running:
        yield running


@pytest.fixture(scope="session")
def new_database(new_warehouse: NewDatabase) -> NewDatabase:
    return new_warehouse


@pytest.fixture
def instance(
    settings: Settings,
    environment: dict[str, str],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dg.DagsterInstance]:
    """The instance as processes have it, with everything in the test's Postgres. Whatever a test
    did, nothing of it may name a person of the sandbox."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name, url in sandbox.environment.items():
        if name.endswith("_API_BASE"):
            monkeypatch.setenv(name, url)
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "DAGSTER_EVENT_BATCH_SIZE"):
        monkeypatch.setenv(name, "")  # What open_instance sets ends with the test.
    with open_instance(settings) as opened:
        yield opened
        dagster = create_engine(settings, Role.DAGSTER)
        assert_nobody_is_named(sandbox, every_row(dagster, "nowhere"))
        dagster.dispose()


@pytest.fixture
def hall(
    instance: dg.DagsterInstance,
    settings: Settings,
    pipeline_engine: Engine,
    sandbox: Sandbox,
    venue: Callable[..., str],
    request: pytest.FixtureRequest,
) -> Hall:
    """``hall(slug) -> venue_id``: a venue with its partition and a small Stripe account;
    ``api_key`` is the account's key, if it matters which."""

    def add(venue_id: str, *, api_key: str | None = None) -> str:
        slug = f"{venue_id}-{abs(hash(request.node.name))}"
        account = sandbox.stripe.create_account(slug, size=4, months=1)
        if api_key:
            sandbox.stripe.keys[api_key] = Key(account.id)
        stripe = PROVIDERS["stripe"]
        venue(venue_id)
        with pipeline_engine.begin() as session:
            venue_scope(session, venue_id)
            save_connection(
                session,
                Vault(settings),
                venue_id=venue_id,
                provider="stripe",
                account=Account(account.id, account.name, "USD", "US", livemode=False),
                credentials=stripe.credentials.model_validate(
                    {"api_key": api_key or account.api_key}
                ),
            )
        instance.add_dynamic_partitions(VENUES, [venue_id])
        return venue_id

    return add


@pytest.fixture
def locked_out(
    instance: dg.DagsterInstance, venue: Callable[..., str], connect: Callable[..., UUID]
) -> Hall:
    """``locked_out(slug) -> venue_id``: a venue connected to Stripe whose credential is gone."""

    def add(venue_id: str) -> str:
        connect(venue(venue_id), "stripe", f"acct_{venue_id}")
        instance.add_dynamic_partitions(VENUES, [venue_id])
        return venue_id

    return add


@pytest.fixture
def unconnected(instance: dg.DagsterInstance, venue: Callable[..., str]) -> Hall:
    """``unconnected(slug) -> venue_id``: a venue that uses no provider."""

    def add(venue_id: str) -> str:
        instance.add_dynamic_partitions(VENUES, [venue(venue_id)])
        return venue_id

    return add


@pytest.fixture
def materialize(instance: dg.DagsterInstance) -> Materialize:
    """``materialize(selection, first, last)``: what a click in the UI runs: a venue or a range."""

    def run(
        selection: list[str], first: str, last: str | None = None, **config: Any
    ) -> dg.ExecuteInProcessResult:
        whole_range = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        keys = [dg.AssetKey.from_user_string(name) for name in selection]
        return defs.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=keys,
            partition_key=None if last else first,
            tags={name: value for name, value in whole_range.items() if value and last},
            run_config={"ops": {"raw_stripe": {"config": config}}} if config else None,
            instance=instance,
            raise_on_error=False,
        )

    return run


@pytest.fixture
def recorded(instance: dg.DagsterInstance) -> Callable[[str], set[str]]:
    """``recorded(asset) -> venues`` that Dagster shows as materialized."""
    return lambda name: instance.get_materialized_partitions(dg.AssetKey.from_user_string(name))


@pytest.fixture
def said(instance: dg.DagsterInstance) -> Callable[[str, str], dg.AssetCheckEvaluation | None]:
    """``said(asset, check)``: what the check said last."""

    def last(asset: str, check: str) -> dg.AssetCheckEvaluation | None:
        key = dg.AssetCheckKey(dg.AssetKey.from_user_string(asset), check)
        record = instance.get_latest_asset_check_evaluation_record(key)
        return record.evaluation if record else None

    return last
