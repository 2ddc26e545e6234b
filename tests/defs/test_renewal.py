"""`renew_tokens`: what ends soon is renewed, whoever is paused or refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from integration_pipelines.core.settings import Settings
from integration_pipelines.definitions import defs
from integration_pipelines.defs.resources import resources
from provider_sandbox import Sandbox
from tests.connected import connect_account
from tests.providers.accounts import KINDS, pointed_at

QUICKBOOKS = KINDS["quickbooks"].provider


@pytest.fixture
def companies(
    instance: dg.DagsterInstance,
    settings: Settings,
    pipeline_engine: Engine,
    sandbox: Sandbox,
    venue: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """One company whose token ends in five minutes, one whose consent was taken away, and one
    whose token lasts for the hour."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    made = {}
    for slug, minutes in (("soon", 5), ("gone", 5), ("fresh", 55)):
        account = sandbox.quickbooks.create_account(f"renewal-{slug}", size=5)
        ends = datetime.now(UTC) + timedelta(minutes=minutes)
        credentials = QUICKBOOKS.credentials.model_validate(
            {**account.credentials, "expires_at": ends}
        )
        here = pointed_at(settings, sandbox)
        connect_account(here, pipeline_engine, QUICKBOOKS, credentials, venue(slug))
        made[slug] = account
    sandbox.quickbooks.tokens.revoke(made["gone"].id)
    return made


def tick(instance: dg.DagsterInstance) -> bool:
    schedule = defs.get_repository_def().get_schedule_def("token_renewal")
    with dg.build_schedule_context(instance=instance, resources=resources()) as context:
        return bool(schedule.evaluate_tick(context).run_requests)


def test_what_ends_soon_is_renewed_and_a_refusal_is_its_own(
    instance: dg.DagsterInstance, companies: dict[str, Any], pipeline_engine: Engine
) -> None:
    assert tick(instance)
    ran = defs.resolve_job_def("renew_tokens").execute_in_process(instance=instance)
    assert ran.success
    with pipeline_engine.connect() as session:
        rows = session.execute(
            text(
                "SELECT venue_id, version, status, status_reason FROM control.oauth_tokens"
                " JOIN control.connections USING (venue_id, connection_id)"
            )
        )
        held = {row.venue_id: row for row in rows}
    assert {name: row.version for name, row in held.items()} == {"soon": 2, "gone": 1, "fresh": 1}
    assert (held["soon"].status, held["gone"].status) == ("active", "revoked")
    assert "invalid_grant" in held["gone"].status_reason
    # Nobody is due any more: the one that is refused waits for its owner.
    assert not tick(instance)
