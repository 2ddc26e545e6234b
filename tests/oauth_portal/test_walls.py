"""Who reaches what: every page the portal has, other venues, forged forms, hosts and headers."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from pydantic import SecretStr
from sqlalchemy import Engine, func, insert, text

from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.core.tables import TENANT_TABLES, pending_connections
from oauth_portal import create_app
from oauth_portal.access import issue, members
from oauth_portal.portal import EXTENSION
from oauth_portal.sessions import hashed
from tests.oauth_portal.conftest import MANAGER, OTHER, VIEWER, Browser, SignIn

OPEN = {"/health", "/sign-in", "/sign-in/callback", "/sign-in/development", "/sign-out"}
"""What anybody may ask for; static files besides."""


def ways(app: Flask, **values: str) -> list[tuple[str, str]]:
    """Method and path of every page, with ``values`` in its places."""
    found = []
    values = {"target_table": "customers", "target_field": "name"} | values
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or rule.rule.startswith("/api/"):
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: values.get(name[1], "square"), rule.rule)
        found += [(method, path) for method in rule.methods or () if method in ("GET", "POST")]
    return found


def test_nobody_reaches_anything_without_signing_in(app: Flask, here: Settings) -> None:
    browser = Browser(app, here)
    asked = [way for way in ways(app, venue_id="hall") if way[1] not in OPEN]
    assert len(asked) > 12
    for method, path in asked:
        answer = browser.get(path) if method == "GET" else browser.post(path)
        assert answer.status_code == 303, (method, path)
        assert answer.headers["Location"].startswith("/sign-in"), (method, path)


def test_22_another_venue_does_not_exist(
    app: Flask, sign_in: SignIn, pipeline_engine: Engine
) -> None:
    browser = sign_in(OTHER)
    asked = [way for way in ways(app, venue_id="hall") if "/hall" in way[1]]
    assert len(asked) > 10
    for method, path in asked:
        theirs = browser.get(path) if method == "GET" else browser.post(path)
        invented = path.replace("/hall", "/invented")
        unknown = browser.get(invented) if method == "GET" else browser.post(invented)
        assert theirs.status_code == unknown.status_code == 404, (method, path)
        told, of_none = (re.sub(r'value="[^"]+"', "", page.text) for page in (theirs, unknown))
        assert told == of_none, (method, path)
    with pipeline_engine.connect() as session:
        for table in ("sync_queue", "connections", "audit_log"):
            assert session.scalar(text(f"SELECT count(*) FROM control.{table}")) == 0


def test_22_what_another_venue_has_is_unknown_under_ones_own(
    app: Flask, sign_in: SignIn, owner_engine: Engine
) -> None:
    browser = sign_in(OTHER)
    cookie = browser.client.get_cookie("session", domain="127.0.0.1")
    assert cookie is not None
    with app.extensions[EXTENSION].scoped("hall") as session:
        token_id, _ = issue(session, "hall", name="x", role="viewer", days=1, actor="test")
        member = next(each for each in members(session) if each.email == VIEWER)
        session.execute(
            insert(pending_connections).values(
                venue_id="hall",
                pending_id="of-hall",
                # As if it were the same browser's: the venue alone stands between.
                session_hash=hashed(cookie.value),
                provider="square",
                account={},
                credentials=b"sealed",
                key_id="k",
                expires_at=func.now() + timedelta(minutes=10),
            )
        )

    def rows() -> str:
        with owner_engine.begin() as session:
            venue_scope(session, "hall")
            tables = ("api_tokens", "memberships", "pending_connections", "connections")
            return str([session.execute(text(f"SELECT * FROM control.{t}")).all() for t in tables])

    def told(path: str, form: dict[str, str]) -> tuple[int, str]:
        answer = browser.post(f"/venues/bar/{path}", form)
        return answer.status_code, re.sub(r'value="[^"]+"', "", answer.text)

    before = rows()
    for theirs, unknown, form in (
        (f"access/tokens/{token_id}/revoke", f"access/tokens/{uuid4()}/revoke", {}),
        (f"access/members/{member.user_id}/remove", f"access/members/{uuid4()}/remove", {}),
        ("switch", "switch", {"pending_id": "of-hall"}),
        ("divide", "divide", {"pending_id": "of-hall", "location.L1": "bar"}),
    ):
        refused = told(theirs, form)
        assert refused == told(unknown, {**form, "pending_id": "of-nobody"})
        assert refused[0] == 400
    assert rows() == before


def test_a_viewer_sees_seven_pages_of_the_venue_and_may_do_nothing(
    app: Flask, sign_in: SignIn
) -> None:
    viewer = sign_in(VIEWER)
    mappings = ("/mappings", "/mappings/square/customers/name", "/quarantine")
    looks = ("", "/square/card", "/history", "/data", *mappings)
    pages = {f"/venues/hall{page}" for page in looks}
    asked = [way for way in ways(app, venue_id="hall") if way[1] not in OPEN | {"/"}]
    assert {path for method, path in asked if method == "GET"} > pages
    for method, path in asked:
        answer = viewer.get(path) if method == "GET" else viewer.post(path)
        if "/venues/hall" in path:
            assert answer.status_code == (200 if path in pages else 403), (method, path)
        else:
            assert answer.status_code in (400, 404), (method, path)


def test_the_portals_role_sees_no_venue_without_a_scope(app: Flask, here: Settings) -> None:
    engine = create_engine(here, Role.PORTAL)
    with engine.connect() as session:
        bypasses = "SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user"
        assert session.scalar(text(bypasses)) is False
        for table in TENANT_TABLES:
            may = text("SELECT has_table_privilege(:name, 'SELECT')")
            if session.scalar(may, {"name": f"control.{table.name}"}):
                assert session.execute(table.select()).all() == [], table.name
        venue_scope(session, "hall")
        assert session.scalar(text("SELECT count(*) FROM control.venues")) == 1
        session.rollback()
        assert session.scalar(text("SELECT count(*) FROM control.venues")) == 0
    engine.dispose()


def test_a_form_without_the_browsers_token_is_refused(
    app: Flask, sign_in: SignIn, here: Settings
) -> None:
    browser = sign_in()
    asked = [path for method, path in ways(app, venue_id="hall") if method == "POST"]
    for path in asked:
        for form in ({}, {"csrf_token": "x"}, {"csrf_token": sign_in().csrf_token()}):
            answer = browser.client.post(path, data=form, base_url=here.public_base_url)
            assert answer.status_code == 403, path
    foreign = browser.post("/venues/hall/square/sync", headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403


def test_every_page_has_its_walls(sign_in: SignIn) -> None:
    browser = sign_in()
    for path in ("/venues/hall", "/sign-in", "/health", "/nowhere", "/venues/hall/square/connect"):
        headers = browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"])
    page = browser.get("/venues/hall/square/connect").text
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=|javascript:", page)


def test_a_host_that_is_not_ours_is_refused(app: Flask, here: Settings) -> None:
    client = app.test_client()
    assert client.get("/sign-in", base_url="http://evil.example").status_code == 400
    assert client.get("/sign-in", base_url=here.public_base_url).status_code == 200


def test_a_cookie_is_a_name_that_changes_with_who_is_signed_in(
    sign_in: SignIn, app: Flask, here: Settings, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    browser = Browser(app, here)
    browser.get("/sign-in")
    before = browser.client.get_cookie("session", domain="127.0.0.1")
    signed = browser.post("/sign-in/development", {"email": MANAGER})
    (cookie,) = signed.headers.getlist("Set-Cookie")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    after = browser.client.get_cookie("session", domain="127.0.0.1")
    assert before is not None and after is not None
    assert before.value != after.value
    with owner_engine.connect() as session:
        rows = str(session.execute(text("SELECT * FROM control.portal_sessions")).all())
    assert after.value not in rows
    browser.post("/sign-out")
    stolen = app.test_client()
    stolen.set_cookie("session", after.value, domain="127.0.0.1")
    assert stolen.get("/venues/hall", base_url=here.public_base_url).status_code == 303


def test_who_loses_a_membership_loses_the_venue_at_once(
    sign_in: SignIn, owner_engine: Engine
) -> None:
    browser = sign_in()
    assert browser.get("/venues/hall").status_code == 200
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(text("DELETE FROM control.memberships"))
    assert browser.get("/venues/hall").status_code == 404
    with owner_engine.begin() as session:
        session.execute(text("UPDATE control.users SET disabled_at = now()"))
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("cookie", [None, "a-browser-of-before"])
def test_without_the_database_every_way_answers_that_it_is_away(
    here: Settings, people: None, cookie: str | None
) -> None:
    away = here.model_copy(
        update={"database_url": SecretStr("postgresql://owner:none@127.0.0.1:9/nowhere")}
    )
    app = create_app(away)
    client = app.test_client()
    if cookie:
        client.set_cookie("session", cookie, domain="127.0.0.1")
    bearer = {"Authorization": "Bearer vit_" + "x" * 43}
    asked = ["/sign-in", "/health", "/api/v1/health", "/api/v1/venues/hall/connections"]
    for path in (*asked, *(["/venues/hall", "/nowhere"] if cookie else [])):
        answer = client.get(path, headers=bearer, base_url=here.public_base_url)
        assert answer.status_code == 503, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if path.startswith("/api/"):
            assert answer.mimetype == "application/problem+json"
            assert answer.json["title"] == "The database does not answer"
        else:
            assert "Nothing of yours is lost" in answer.text
            assert "Try again</a>" in answer.text
    style = client.get("/static/portal.css", base_url=here.public_base_url)
    assert style.status_code == 200
    app.extensions[EXTENSION].engine.dispose()


def test_a_statement_that_takes_too_long_is_given_up_and_says_what_to_do(
    here: Settings, people: None, owner_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oauth_portal.PATIENCE", timedelta(seconds=1))
    app = create_app(here)
    browser = Browser(app, here)
    browser.post("/sign-in/development", {"email": MANAGER})
    with owner_engine.begin() as session:
        session.execute(text("LOCK TABLE control.field_mappings IN ACCESS EXCLUSIVE MODE"))
        page = browser.get("/venues/hall/mappings")
    assert page.status_code == 503
    assert "It took too long" in page.text and "Try again in a few minutes" in page.text
    assert f"{MANAGER}" in page.text, "still signed in"
    assert browser.get("/venues/hall/mappings").status_code == 200
    app.extensions[EXTENSION].engine.dispose()


def test_who_guesses_keys_is_told_to_wait_and_sees_everything_else(sign_in: SignIn) -> None:
    browser = sign_in()
    form = {"key": "rk_test_guessed", "csrf_token": browser.csrf_token()}
    base = browser.here.public_base_url
    answers = [
        browser.client.post("/venues/hall/mailchimp/key", data=form, base_url=base)
        for _ in range(11)
    ]
    assert [each.status_code for each in answers] == [400] * 10 + [429]
    assert "too often within a minute" in answers[-1].text
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert browser.get("/venues/hall").status_code == 200
    another = {"key": "rk_test_guessed"}
    assert sign_in(OTHER).post("/venues/bar/mailchimp/key", another).status_code == 400


def test_strangers_are_not_let_in(app: Flask, here: Settings) -> None:
    refused = Browser(app, here).post("/sign-in/development", {"email": "who@else.example"})
    assert refused.status_code == 403
    assert "not a member" in refused.text


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/\n/evil", ""],
)
def test_signing_in_leads_nowhere_else(app: Flask, here: Settings, path: str) -> None:
    browser = Browser(app, here)
    signed = browser.post("/sign-in/development", {"email": MANAGER, "next": path})
    assert signed.headers["Location"] == "/"


def test_in_production_nobody_is_simply_believed(
    here: Settings, people: None, tmp_path: Any
) -> None:
    key = tmp_path / "vault.key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    live = here.model_copy(
        update={
            "app_env": AppEnv.PRODUCTION,
            "public_base_url": "https://portal.example",
            "local_key_file": key,
        }
    )
    app = create_app(live)
    client = app.test_client()
    page = client.get("/sign-in", base_url="https://portal.example")
    assert page.status_code == 200
    assert "development" not in page.text
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    (cookie,) = page.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-session=") and "Secure" in cookie
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf_token": token[1], "email": MANAGER}
    refused = client.post("/sign-in/development", data=form, base_url="https://portal.example")
    assert refused.status_code == 404
    app.extensions[EXTENSION].engine.dispose()
