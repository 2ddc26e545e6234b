"""Venues connect their accounts: by consent at all four, by key, and nothing that is not theirs."""

from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import Engine, text

from integration_pipelines.core import oauth
from integration_pipelines.core.credentials import Vault, load_credentials, open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import VaultError
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Bounds
from integration_pipelines.providers import PROVIDERS
from oauth_portal import create_app
from oauth_portal.portal import EXTENSION
from provider_sandbox import Fault, Sandbox
from provider_sandbox.faults import Reset, Slow, Truncated
from provider_sandbox.messages import Provider, Request, Response
from tests.oauth_portal.conftest import ADMIN, MANAGER, OTHER, VIEWER, Browser, SignIn


@pytest.fixture
def accounts(sandbox: Sandbox) -> dict[str, Any]:
    """One of each provider, made once."""
    made = {}
    for name in PROVIDERS:
        provider = getattr(sandbox, name)
        known = {account.slug: account for account in provider.accounts.values()}
        made[name] = known.get("hall") or provider.create_account("hall", size=5)
    return made


def held(engine: Engine, venue_id: str = "hall") -> dict[str, Any]:
    with engine.connect() as session:
        found = open_connections(session, venue_ids=[venue_id])
    return {one.provider: one for one in found}


def asked(engine: Engine) -> list[Any]:
    with engine.connect() as session:
        return list(session.execute(text("SELECT venue_id, provider FROM control.sync_queue")))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_consent_connects_the_account_and_asks_for_its_first_sync(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine, name: str
) -> None:
    browser, account = sign_in(), accounts[name]
    shown = unescape(browser.get(f"/venues/hall/{name}/connect").text)
    told = PROVIDERS[name].access
    for words in (*told.reads, told.writes, told.broader, told.ended_by, told.key_found):
        assert words in shown
    assert ("notification address" in shown) == (name in ("mailchimp", "stripe"))
    assert ("Webhook Endpoints: Write is optional" in shown) == (name == "stripe")
    done = browser.connects("hall", name, account)
    assert done.status_code == 303, done.text
    home = browser.get(done.headers["Location"]).text
    assert f"is connected: {account.name}" in home
    connection = held(pipeline_engine)[name]
    assert (connection.account_id, connection.status) == (account.id, "active")
    assert ("hall", name) in asked(pipeline_engine)
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        fields = load_credentials(session, Vault(browser.here), connection)
    assert PROVIDERS[name].credentials.model_validate(fields)
    assert {"mailchimp": "dc", "quickbooks": "realm_id", "square": "merchant_id"}.get(
        name, "stripe_user_id"
    ) in fields


@pytest.mark.parametrize("name", ["stripe", "mailchimp"])
def test_a_key_connects_the_account_and_a_wrong_one_is_not_repeated(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine, name: str
) -> None:
    browser, account = sign_in(), accounts[name]
    for wrong in ("canary-of-a-key-us21", "", "rk_test_canary0123456789"):
        refused = browser.post(f"/venues/hall/{name}/key", {"key": wrong})
        assert refused.status_code == 400
        assert "canary" not in refused.text
    assert held(pipeline_engine) == {}
    done = browser.post(f"/venues/hall/{name}/key", {"key": f" {account.api_key}\n"})
    assert done.status_code == 303, done.text
    assert held(pipeline_engine)[name].account_id == account.id


def test_a_no_connects_nothing_and_says_so(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    shown = sign_in().connects("hall", "square", None)
    assert shown.status_code == 400
    assert "You did not allow it" in shown.text
    assert held(pipeline_engine) == {}


def test_21_a_state_is_good_once(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    browser = sign_in()
    back = browser.consents("hall", "square", accounts["square"])
    assert browser.get(back).status_code == 303
    again = browser.get(back)
    assert again.status_code == 400
    assert "used already" in again.text


def test_21_a_state_of_another_browser_venue_or_provider_stores_nothing(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    browser = sign_in()
    back = browser.consents("hall", "square", accounts["square"])
    assert sign_in().get(back).status_code == 400, "the same person in another browser"
    assert sign_in(OTHER).get(back).status_code == 400, "another venue's manager"
    mixed_up = back.replace("/square/", "/mailchimp/")
    assert browser.get(mixed_up).status_code == 400, "another provider"
    assert browser.get("/oauth/square/callback?code=x&state=").status_code == 400
    assert browser.get("/oauth/square/callback?code=x&state=invented").status_code == 400
    assert held(pipeline_engine) == held(pipeline_engine, "bar") == {}
    # None of these has used it up.
    assert browser.get(back).status_code == 303


def test_21_a_state_is_good_for_ten_minutes(
    sign_in: SignIn, accounts: dict[str, Any], owner_engine: Engine, pipeline_engine: Engine
) -> None:
    browser = sign_in()
    back = browser.consents("hall", "square", accounts["square"])
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(text("UPDATE control.oauth_states SET expires_at = now()"))
        (stored,) = session.execute(text("SELECT state_hash FROM control.oauth_states")).scalars()
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert state.encode() not in bytes(stored), "a state is kept by its hash alone"
    assert browser.get(back).status_code == 400
    assert held(pipeline_engine) == {}


def test_21_a_code_that_was_used_stores_nothing(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    browser = sign_in()
    first = browser.consents("hall", "square", accounts["square"])
    code = parse_qs(urlsplit(first).query)["code"][0]
    assert browser.get(first).status_code == 303
    second = browser.consents("hall", "square", accounts["square"])
    state = parse_qs(urlsplit(second).query)["state"][0]
    replayed = f"/oauth/square/callback?{urlencode({'code': code, 'state': state})}"
    refused = browser.get(replayed)
    assert refused.status_code == 400
    assert code not in refused.text


@dataclass(slots=True)
class InvalidGrant(Fault):
    """The code is no longer good."""

    kind = "invalid_grant"

    def before(self, provider: Provider, request: Request) -> Response:
        return Response(400, b'{"error": "invalid_grant"}')


def test_a_token_endpoint_that_is_slow_lost_or_says_no_connects_nothing_and_says_so(
    sign_in: SignIn,
    accounts: dict[str, Any],
    sandbox: Sandbox,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oauth, "BOUNDS", Bounds(connect=1, read=0.3, total=1))
    browser, tokens = sign_in(), {"provider": "quickbooks", "path": "/oauth2/v1/tokens/bearer"}
    again = "did not answer properly just now"
    for fault, said in (
        (Slow(**tokens, seconds=1), again),
        (Reset(**tokens), again),
        (Truncated(**tokens), again),
        (InvalidGrant(**tokens), "did not confirm what you allowed"),
    ):
        sandbox.faults.add(fault)
        refused = browser.connects("hall", "quickbooks", accounts["quickbooks"])
        sandbox.faults.clear()
        assert (refused.status_code, said in refused.text) == (400, True), fault.kind
        assert "Nothing was connected" in refused.text
        assert held(pipeline_engine) == {}
    monkeypatch.undo()
    assert browser.connects("hall", "quickbooks", accounts["quickbooks"]).status_code == 303


def test_another_account_is_asked_about_and_the_old_ones_rows_stay_apart(
    sign_in: SignIn, accounts: dict[str, Any], sandbox: Sandbox, pipeline_engine: Engine
) -> None:
    browser = sign_in()
    browser.connects("hall", "square", accounts["square"])
    other = sandbox.square.create_account(f"other-{len(sandbox.square.accounts)}", size=5)
    question = browser.connects("hall", "square", other)
    assert question.status_code == 200
    assert f"Switch to {other.name}" in question.text
    assert held(pipeline_engine)["square"].account_id == accounts["square"].id
    pending = question.text.split('name="pending_id" value="')[1].split('"')[0]
    assert sign_in().post("/venues/hall/switch", {"pending_id": pending}).status_code == 400
    # Another browser's attempt has used nothing up.
    done = browser.post("/venues/hall/switch", {"pending_id": pending})
    assert done.status_code == 303
    assert held(pipeline_engine)["square"].account_id == other.id
    assert browser.post("/venues/hall/switch", {"pending_id": pending}).status_code == 400


def test_an_account_that_another_venue_has_is_refused_without_naming_the_venue(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    sign_in(OTHER).connects("bar", "quickbooks", accounts["quickbooks"])
    refused = sign_in().connects("hall", "quickbooks", accounts["quickbooks"])
    assert refused.status_code == 400
    assert "another venue" in refused.text
    assert "bar" not in refused.text.lower().replace("scrollbar", "")
    assert held(pipeline_engine) == {}


def test_what_the_new_account_gives_is_kept_before_the_old_one_goes(
    sign_in: SignIn,
    accounts: dict[str, Any],
    sandbox: Sandbox,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browser = sign_in()
    browser.connects("hall", "square", accounts["square"])
    other = sandbox.square.create_account(f"other-{len(sandbox.square.accounts)}", size=5)
    question = browser.connects("hall", "square", other)

    def closed(*_: object, **__: object) -> None:
        raise VaultError("KMS does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "seal", closed)
        form = {"pending_id": pending_of(question.text)}
        assert browser.post("/venues/hall/switch", form).status_code >= 400
    assert held(pipeline_engine)["square"].account_id == accounts["square"].id
    assert browser.post("/venues/hall/square/test").status_code < 400


def test_a_question_of_another_kind_cannot_be_answered_by_switching(
    sign_in: SignIn, group: Any, pipeline_engine: Engine
) -> None:
    admin = sign_in(ADMIN)
    admin.connects("bar", "square", group)
    question = admin.connects("hall", "square", group)
    refused = admin.post("/venues/hall/switch", {"pending_id": pending_of(question.text)})
    assert refused.status_code == 400
    assert "connected to another venue" in refused.text
    assert "--location" not in refused.text
    assert held(pipeline_engine) == {}


def test_20_an_answer_to_no_question_connects_nothing(sign_in: SignIn) -> None:
    for answer in ("switch", "divide"):
        refused = sign_in().post(f"/venues/hall/{answer}", {"pending_id": "\0"})
        assert refused.status_code == 400


@pytest.fixture
def group(sandbox: Sandbox) -> Any:
    """A Square account with three locations."""
    name = f"group-{len(sandbox.square.accounts)}"
    return sandbox.square.create_account(name, size=10, locations=3)


def pending_of(page: str) -> str:
    return page.split('name="pending_id" value="')[1].split('"')[0]


def owned(engine: Engine, venue_id: str) -> tuple[list[str], bool]:
    connection = held(engine, venue_id)["square"]
    return list(connection.location_ids or ("all",)), connection.is_primary


def test_one_account_at_two_venues_asks_which_locations_go_where(
    sign_in: SignIn, group: Any, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    admin = sign_in(ADMIN)
    one, two, three = sorted(group.ids("locations"))
    admin.connects("hall", "square", group)
    question = admin.connects("bar", "square", group)
    assert question.status_code == 200
    assert question.text.count("<select") == 4
    assert held(pipeline_engine, "bar") == {}
    form = {"pending_id": pending_of(question.text), "primary": "bar"}
    chosen = {f"location.{one}": "hall", f"location.{two}": "bar", f"location.{three}": ""}
    done = admin.post("/venues/bar/divide", form | chosen)
    assert done.status_code == 303, done.text
    assert owned(pipeline_engine, "hall") == ([one], False)
    assert owned(pipeline_engine, "bar") == ([two], True)
    assert sorted(asked(pipeline_engine)) == [("bar", "square"), ("hall", "square")]
    assert admin.post("/venues/bar/divide", form | chosen).status_code == 400
    # To connect again asks nothing, and leaves it as it stands.
    assert admin.connects("hall", "square", group).status_code == 303
    assert owned(pipeline_engine, "hall") == ([one], False)


def test_a_manager_gets_what_is_free_and_nothing_of_a_venue_that_is_not_theirs(
    sign_in: SignIn, group: Any, pipeline_engine: Engine
) -> None:
    one, two, three = sorted(group.ids("locations"))
    admin, manager = sign_in(ADMIN), sign_in()
    admin.connects("bar", "square", group)
    refused = manager.connects("hall", "square", group)
    assert (refused.status_code, "manages both venues" in refused.text) == (400, True)
    question = admin.connects("hall", "square", group)
    chosen = {f"location.{one}": "bar", f"location.{two}": "hall"}
    admin.post("/venues/hall/divide", {"pending_id": pending_of(question.text)} | chosen)
    manager.post("/venues/hall/square/disconnect")
    assert owned(pipeline_engine, "bar") == ([one], False)
    question = manager.connects("hall", "square", group)
    assert question.text.count("another venue") > 0
    greedy = {f"location.{each}": "hall" for each in (one, two, three)}
    foreign = {f"location.{three}": "bar", "primary": "bar"}
    pending = {"pending_id": pending_of(question.text)}
    done = manager.post("/venues/hall/divide", pending | greedy | foreign)
    assert done.status_code == 303, done.text
    assert owned(pipeline_engine, "bar")[0] == [one]
    assert owned(pipeline_engine, "hall")[0] == [two]


@pytest.mark.parametrize("chosen", [{}, {"location.L-unknown": "hall"}, {"all": "bar"}])
def test_an_answer_that_leaves_a_venue_nothing_changes_nothing(
    sign_in: SignIn, group: Any, pipeline_engine: Engine, chosen: dict[str, str]
) -> None:
    admin = sign_in(ADMIN)
    admin.connects("hall", "square", group)
    question = admin.connects("bar", "square", group)
    if "all" in chosen:
        chosen = {f"location.{each}": "bar" for each in group.ids("locations")}
    refused = admin.post("/venues/bar/divide", {"pending_id": pending_of(question.text)} | chosen)
    assert refused.status_code == 400
    assert held(pipeline_engine, "bar") == {}
    assert owned(pipeline_engine, "hall") == (["all"], True)


def test_disconnecting_ends_our_access_there_and_destroys_what_is_held_here(
    sign_in: SignIn, accounts: dict[str, Any], sandbox: Sandbox, pipeline_engine: Engine
) -> None:
    browser = sign_in()
    browser.connects("hall", "square", accounts["square"])
    assert "stays" in browser.get("/venues/hall/square/disconnect").text
    done = browser.post("/venues/hall/square/disconnect")
    assert done.status_code == 303
    assert held(pipeline_engine) == {}
    with pipeline_engine.connect() as session:
        assert session.scalar(text("SELECT count(*) FROM control.oauth_tokens")) == 0
    mine = [one for one in sandbox.square.grants.values() if one.account == accounts["square"].id]
    assert mine and all(one.revoked for one in mine)
    browser.connects("hall", "mailchimp", accounts["mailchimp"])
    shown = browser.get(browser.post("/venues/hall/mailchimp/disconnect").headers["Location"])
    assert "One thing is left for you" in shown.text
    assert "Connected sites and apps" in shown.text


def test_a_connection_is_tested_by_asking_the_provider(
    sign_in: SignIn, accounts: dict[str, Any], sandbox: Sandbox, pipeline_engine: Engine
) -> None:
    browser = sign_in()
    browser.connects("hall", "square", accounts["square"])
    shown = browser.get(browser.post("/venues/hall/square/test").headers["Location"]).text
    assert f"this is the account {accounts['square'].name}" in shown
    sandbox.square.revoke_grants(accounts["square"].id)
    shown = browser.get(browser.post("/venues/hall/square/test").headers["Location"]).text
    assert "does not let us in any more" in shown


def test_15_nothing_is_connected_while_nothing_can_be_sealed(
    here: Settings, people: None, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    arn = "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000000"
    away = here.model_copy(update={"kms_key_id": arn, "aws_endpoint_url_kms": "http://127.0.0.1:9"})
    app = create_app(away)
    browser = Browser(app, away)
    browser.post("/sign-in/development", {"email": MANAGER})
    key = accounts["stripe"].api_key
    by_key = browser.post("/venues/hall/stripe/key", {"key": key})
    by_consent = browser.connects("hall", "square", accounts["square"])
    for refused in (by_key, by_consent):
        assert refused.status_code == 400
        assert "cannot be locked away safely at the moment" in refused.text
        assert key not in refused.text
    assert held(pipeline_engine) == {}
    assert asked(pipeline_engine) == []
    app.extensions[EXTENSION].engine.dispose()


def test_23_a_data_centre_that_is_no_label_gets_no_token(
    sign_in: SignIn,
    accounts: dict[str, Any],
    sandbox: Sandbox,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browser, before = sign_in(), len(sandbox.requests)
    for told in ("x@evil", "169.254.169.254#", "us1/../x", "us1.evil.example", ""):
        label = {"dc": told}
        monkeypatch.setattr("provider_sandbox.mailchimp.shapes.metadata", lambda _, say=label: say)
        refused = browser.connects("hall", "mailchimp", accounts["mailchimp"])
        assert refused.status_code == 400, told
        by_key = browser.post("/venues/hall/mailchimp/key", {"key": f"{'a' * 32}-{told}"})
        assert by_key.status_code == 400, told
    asked_since = list(sandbox.requests)[before:]
    assert [path for (*_, path) in asked_since if "/3.0" in path] == []
    assert held(pipeline_engine) == {}


def test_a_viewer_sees_and_changes_nothing(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    sign_in().connects("hall", "square", accounts["square"])
    viewer = sign_in(VIEWER)
    assert accounts["square"].name in viewer.get("/venues/hall").text
    for way in ("connect", "sync", "test", "disconnect"):
        assert viewer.post(f"/venues/hall/square/{way}").status_code == 403
    assert held(pipeline_engine)["square"].status == "active"


def test_an_administrator_manages_every_venue(sign_in: SignIn, accounts: dict[str, Any]) -> None:
    admin = sign_in(ADMIN)
    assert {"/venues/hall", "/venues/bar"} <= set(admin.get("/").text.split('"'))
    assert admin.connects("bar", "stripe", accounts["stripe"]).status_code == 303


def test_a_second_sync_is_not_queued_while_one_waits(
    sign_in: SignIn, accounts: dict[str, Any], pipeline_engine: Engine
) -> None:
    browser = sign_in()
    browser.connects("hall", "square", accounts["square"])
    for _ in range(3):
        assert browser.post("/venues/hall/square/sync").status_code == 303
    assert asked(pipeline_engine) == [("hall", "square")]
    card = browser.get("/venues/hall/square/card").text
    assert "about to begin" in card
    assert 'hx-trigger="every 2s"' in card
    assert "connected" in browser.get("/venues/hall/history").text
