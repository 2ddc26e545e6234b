"""`every_event_came`: events that were lost on their way are found in the provider's list."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from integration_pipelines.core.events import gaps
from integration_pipelines.core.events.endpoints import ensure_application, ensure_connection
from integration_pipelines.core.settings import Settings
from integration_pipelines.definitions import defs
from provider_sandbox import Sandbox, running_sandbox
from tests.providers.accounts import KINDS

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One whose deliveries may be lost."""
    with running_sandbox(seed=5) as running:
        yield running


@pytest.fixture
def told(
    instance: dg.DagsterInstance,
    sandbox: Sandbox,
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Any]:
    """``told(provider) -> account`` whose venue's endpoint nobody answers at."""
    sandbox.outbox.set_mood(lost=1.0)
    here = settings.model_copy(update={"webhook_base_url": NOBODY})
    for name, value in (sandbox.environment | {"WEBHOOK_BASE_URL": NOBODY}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gaps, "STILL_COMING", gaps.STILL_COMING * 0)

    def connect(provider: str) -> Any:
        account = getattr(sandbox, provider).create_account(provider, size=12)
        account.clock.set(int(time.time()))
        account.clock.told = True
        found = KINDS[provider].connect(here, pipeline_engine, sandbox, account, venue(provider))
        if provider == "stripe":
            args = (found.settings, found.engine, found.vault, found.provider, found.connection)
            ensure_connection(*args)
        else:
            ensure_application(found.settings, found.provider, may_make=True)
        return account

    return connect


def inbox(engine: Engine) -> list[Any]:
    with engine.connect() as session:
        asked = "SELECT provider, account_id, event_type FROM control.integration_webhooks"
        return list(session.execute(text(f"{asked} ORDER BY provider")))


def test_what_was_lost_is_found_once_and_what_came_is_no_gap(
    told: Callable[[str], Any],
    instance: dg.DagsterInstance,
    said: Any,
    sandbox: Sandbox,
    pipeline_engine: Engine,
) -> None:
    stripe, square = told("stripe"), told("square")

    def look() -> Any:
        time.sleep(1)  # Seconds are all that Stripe's times have.
        ran = defs.resolve_job_def("find_missed_events").execute_in_process(instance=instance)
        assert ran.success
        return said("control/integration_webhooks", "every_event_came")

    assert look().passed
    stripe.economy.update("customers", stripe.ids("customers")[0], {"name": "Told to nobody"})
    square.economy.update("customers", square.ids("customers")[0], {"given_name": "Nor she"})
    assert sandbox.outbox.counts["lost"] == 2
    found = look()
    assert not found.passed
    assert found.metadata["missed"].value == 2
    assert inbox(pipeline_engine) == [
        ("square", square.id, "customer.updated"),
        ("stripe", stripe.id, "customer.updated"),
    ]
    again = look()
    assert again.passed, again.description
    assert again.metadata["listed"].value == 2, "what is listed late is looked for again"
    assert len(inbox(pipeline_engine)) == 2


def test_endpoints_that_a_provider_disabled_are_enabled_by_the_schedule(
    told: Callable[[str], Any], instance: dg.DagsterInstance, sandbox: Sandbox
) -> None:
    told("square")
    (subscription,) = sandbox.square.subscriptions.all.values()
    subscription.shown["enabled"] = False
    ran = defs.resolve_job_def("register_webhooks").execute_in_process(instance=instance)
    assert ran.success
    assert subscription.shown["enabled"]
