"""Administrators see every venue, and switch a provider off for all or for one."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.settings import Settings
from tests.oauth_portal.conftest import ADMIN, MANAGER, OTHER, SignIn


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
    for page in ("9x", "-1", "0", "000001" + "0" * 5_000):
        assert sign_in(ADMIN).get(f"/admin?page={page}").status_code == 200


def test_a_provider_is_paused_and_resumed_for_all_and_for_one(
    sign_in: SignIn, connected: None, pipeline_engine: Engine
) -> None:
    admin, manager = sign_in(ADMIN), sign_in(MANAGER)
    admin.post("/admin/stripe", {"action": "pause", "venue_id": "hall", "reason": "stock\0taking"})
    assert due(pipeline_engine) == {"bar"}
    assert "Paused by an administrator: stocktaking" in manager.get("/venues/hall").text
    assert "switched to pause" in manager.get("/venues/hall/history").text
    admin.post("/admin/stripe", {"action": "disable"})
    assert due(pipeline_engine) == set()
    for person, venue_id in ((manager, "hall"), (sign_in(OTHER), "bar")):
        history = person.get(f"/venues/{venue_id}/history").text
        assert f"{ADMIN} switched to disable for all (Stripe)" in history
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


class TestWebhooks:
    """What an administrator is told of webhooks."""

    SECRET = "verifier-of-the-test"

    @pytest.fixture
    def here(self, here: Settings) -> Settings:
        return here.model_copy(
            update={
                "webhook_base_url": "https://hooks.example",
                "quickbooks_webhook_token": SecretStr(self.SECRET),
                "square_webhook_signature_key": None,
            }
        )

    def test_what_to_paste_and_whether_secrets_are_set_is_told_and_never_the_secret(
        self, sign_in: SignIn, letters: list[int]
    ) -> None:
        page = sign_in(ADMIN).get("/admin").text
        assert "paste https://hooks.example/webhooks/quickbooks as the endpoint URL" in page
        assert "<code>QUICKBOOKS_WEBHOOK_TOKEN</code> is set" in page
        assert "<code>SQUARE_WEBHOOK_SIGNATURE_KEY</code> is not set" in page
        assert "Nothing is signed" in page
        assert self.SECRET not in page
        assert "Failed messages of no venue</a>: 1." in page

    def test_each_venues_endpoints_are_shown_with_what_is_wrong(
        self, sign_in: SignIn, connect: Callable[..., object], pipeline_engine: Engine, people: None
    ) -> None:
        for number, (venue_id, checked, error) in enumerate(
            (
                ("hall", "now() - '3 hours'::interval", None),
                ("hall", "now()", "the audience is full"),
                ("bar", "NULL", None),
            )
        ):
            if number != 1:
                connect(venue_id, "mailchimp", f"dc-{venue_id}")
            with pipeline_engine.begin() as session:
                venue_scope(session, venue_id)
                session.execute(
                    text(
                        "INSERT INTO control.webhook_endpoints (venue_id, connection_id, path_hash,"
                        " provider, account_id, checked_at, error) SELECT venue_id, connection_id,"
                        f" '{number}', provider, account_id, {checked}, :error"
                        " FROM control.connections WHERE venue_id = :venue_id"
                    ),
                    {"venue_id": venue_id, "error": error},
                )
        page = sign_in(ADMIN).get("/admin").text
        assert "3 hours ago" in page and "the audience is full" in page
        shown = page.split('aria-label="Endpoints of single accounts"')[1].split("</table>")[0]
        assert shown.count("<th scope") == 2
        assert "never" in shown, "the bar's has not been looked at"
