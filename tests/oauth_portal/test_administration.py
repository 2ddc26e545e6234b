"""Administrators see every venue, and switch a provider off for all or for one."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from integration_pipelines.core.credentials import open_connections
from tests.oauth_portal.conftest import ADMIN, MANAGER, SignIn


@pytest.fixture
def connected(connect: Callable[..., object], people: None) -> None:
    for venue_id in ("hall", "bar"):
        connect(venue_id, "stripe", f"acct_{venue_id}")


def due(engine: Engine) -> set[str]:
    with engine.connect() as session:
        return {connection.venue_id for connection in open_connections(session, due=True)}


def test_every_venue_is_shown_with_each_provider(sign_in: SignIn, connected: None) -> None:
    page = sign_in(ADMIN).get("/admin").text
    assert page.count("not connected") == 6
    assert page.count(">waiting<") == 2
    assert sign_in(ADMIN).get("/admin?page=9x").status_code == 200


def test_a_provider_is_paused_and_resumed_for_all_and_for_one(
    sign_in: SignIn, connected: None, pipeline_engine: Engine
) -> None:
    admin, manager = sign_in(ADMIN), sign_in(MANAGER)
    admin.post("/admin/stripe", {"action": "pause", "venue_id": "hall", "reason": "stocktaking"})
    assert due(pipeline_engine) == {"bar"}
    assert "Paused by an administrator: stocktaking" in manager.get("/venues/hall").text
    assert "switched to pause" in manager.get("/venues/hall/history").text
    admin.post("/admin/stripe", {"action": "disable"})
    assert due(pipeline_engine) == set()
    admin.post("/admin/stripe", {"action": "enable"})
    assert due(pipeline_engine) == {"bar"}
    admin.post("/admin/stripe", {"action": "resume", "venue_id": "hall"})
    assert due(pipeline_engine) == {"hall", "bar"}


def test_only_administrators_find_the_switches(
    sign_in: SignIn, connected: None, pipeline_engine: Engine
) -> None:
    manager = sign_in(MANAGER)
    assert manager.get("/admin").status_code == 404
    assert manager.post("/admin/stripe", {"action": "disable"}).status_code == 404
    admin = sign_in(ADMIN)
    for form in ({"action": "explode"}, {"action": "pause", "venue_id": "nowhere"}, {}):
        assert admin.post("/admin/stripe", form).status_code == 400
    assert admin.post("/admin/nothing", {"action": "pause"}).status_code == 404
    assert due(pipeline_engine) == {"hall", "bar"}
