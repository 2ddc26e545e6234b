"""Events are done in the transaction that lands what they are about: both or neither."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection as Session
from sqlalchemy import Engine

from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.events import Event, store
from integration_pipelines.core.events.claims import Landing, claim, settle
from integration_pipelines.core.ingest import StreamResult
from integration_pipelines.core.ingest.batch import BatchItem, run_batch
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox, running_sandbox
from tests.connected import ConnectedVenue
from tests.providers.accounts import KINDS


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=4) as running:
        yield running


def statuses(here: ConnectedVenue) -> dict[str, str]:
    return dict(here.rows("SELECT event_id, status FROM control.integration_webhooks"))


def test_rows_and_events_are_committed_together_or_not_at_all(
    sandbox: Sandbox, settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]
) -> None:
    account = sandbox.stripe.create_account("hall", size=12)
    here = KINDS["stripe"].connect(settings, pipeline_engine, sandbox, account, venue("hall"))
    first, second = account.ids("customers")[:2]
    charge = account.ids("charges")[0]
    receiver = create_engine(settings, Role.RECEIVER)
    with receiver.begin() as session:
        for kind, id in (("customer", first), ("customer", second), ("charge", charge)):
            body = {"data": {"object": {"object": kind, "id": id}}}
            event = Event(id, f"{kind}.updated", account.id, None, body)
            store(session, "stripe", [event], request_id="r")
    receiver.dispose()
    with pipeline_engine.begin() as session:
        found = claim(session, PROVIDERS, limit=10, secrets_of=lambda connection: [])
    assert found.batch_id is not None
    landing = Landing(PROVIDERS, batch_id=found.batch_id, connection=here.connection)

    def dies_before_the_commit(session: Any, stream: str, ids: Any) -> None:
        landing(session, stream, ids)
        raise RuntimeError("the process ends here")

    objects = {"customers": [first, second]}
    with pytest.raises(RuntimeError, match="ends here"):
        here.sync(streams=[], objects=objects, on_landed=dies_before_the_commit)
    assert here.payloads("customers") == {}
    assert statuses(here) == dict.fromkeys((first, second, charge), "claimed")

    landing = Landing(PROVIDERS, batch_id=found.batch_id, connection=here.connection)
    here.sync(streams=[], objects=objects, on_landed=landing)
    assert set(here.payloads("customers")) == {first, second}
    assert statuses(here) == {first: "done", second: "done", charge: "claimed"}


@pytest.mark.parametrize("provider", ["stripe", "square"])
def test_11_what_is_told_to_be_deleted_before_it_is_told_to_exist_stays_deleted(
    sandbox: Sandbox,
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    provider: str,
) -> None:
    account = getattr(sandbox, provider).create_account("hall", size=12)
    account.clock.set(int(time.time()))
    account.clock.told = True
    here = KINDS[provider].connect(settings, pipeline_engine, sandbox, account, venue("hall"))
    webhooks = here.provider.webhooks
    assert webhooks is not None
    assert webhooks.listed is not None
    customer = account.ids("customers")[-1]
    here.sync(streams=[], objects={"customers": [customer]})
    begun = datetime.fromtimestamp(account.clock.now(), UTC)
    name = "name" if provider == "stripe" else "given_name"
    account.economy.update("customers", customer, {name: "About to go"})
    account.economy.delete("customers", customer)
    told = [
        replace(event, account_id=account.id)
        for event in webhooks.listed(here.client(), begun)
        if event.event_type in ("customer.updated", "customer.deleted")
    ]
    assert len(told) == 2
    for event in sorted(told, key=lambda event: event.event_type):
        assert work_on(here, event) == "done"
        assert customer not in here.payloads("customers")


def work_on(here: ConnectedVenue, event: Event) -> str:
    """Store the event and work on it alone; what became of it."""
    with here.engine.begin() as session:
        assert store(session, here.provider.name, [event], request_id="r") == 1
    with here.engine.begin() as session:
        found = claim(session, PROVIDERS, limit=10, secrets_of=lambda connection: [])
    batch_id = found.batch_id
    assert batch_id is not None

    def sync_one(item: BatchItem) -> list[StreamResult]:
        return list(here.sync(streams=item.streams, objects=item.objects).values())

    def settled(session: Session, item: BatchItem, results: list[StreamResult]) -> None:
        connection = item.connection
        settle(session, PROVIDERS, batch_id=batch_id, connection=connection, results=results)

    list(
        run_batch(here.engine, batch_id=batch_id, sync_one=sync_one, concurrency=1, settle=settled)
    )
    return statuses(here)[event.event_id]
