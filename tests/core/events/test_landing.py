"""Events are done in the transaction that lands what they are about: both or neither."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.events import Event, store
from integration_pipelines.core.events.claims import Landing, claim
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
