"""Signing in at an OpenID Connect issuer, and what must not let anybody in."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from integration_pipelines.core.settings import Settings
from oauth_portal import create_app
from oauth_portal.portal import EXTENSION
from provider_sandbox import Sandbox
from provider_sandbox.oidc import Issuer
from tests.oauth_portal.conftest import MANAGER, Browser


@pytest.fixture
def issuer(sandbox: Sandbox) -> Iterator[Issuer]:
    yield sandbox.issuer
    sandbox.issuer.claims, sandbox.issuer.verified = {}, True


@pytest.fixture
def browser(app: Flask, here: Settings) -> Browser:
    return Browser(app, here)


def returns(browser: Browser, email: str = MANAGER, **form: str) -> str:
    """Where the issuer sends the browser after they typed ``email`` there."""
    begun = browser.post("/sign-in", form)
    assert begun.status_code == 302, begun.text
    url = begun.headers["Location"]
    for part in ("code_challenge_method=S256", "nonce=", "state=", "scope=openid"):
        assert part in url
    back = requests.post(url, data={"email": email}, allow_redirects=False, timeout=10)
    return back.headers["Location"].removeprefix(browser.here.public_base_url)


def signs_in(browser: Browser, email: str = MANAGER, **form: str) -> TestResponse:
    return browser.get(returns(browser, email, **form))


def test_who_was_invited_signs_in_and_comes_back_to_where_they_were(
    browser: Browser, issuer: Issuer, owner_engine: Engine
) -> None:
    sent = browser.get("/venues/hall/history?provider=stripe")
    assert sent.headers["Location"] == "/sign-in?next=/venues/hall/history%3Fprovider%3Dstripe"
    done = signs_in(browser, next="/venues/hall/history?provider=stripe")
    assert done.status_code == 303
    assert done.headers["Location"] == "/venues/hall/history?provider=stripe"
    assert browser.get("/venues/hall").status_code == 200
    with owner_engine.connect() as session:
        asked = text("SELECT subject FROM control.users WHERE email = :email")
        assert session.scalar(asked, {"email": MANAGER}) == issuer.subject(MANAGER)


def test_a_person_is_their_subject_and_not_their_address(
    app: Flask, here: Settings, issuer: Issuer
) -> None:
    assert signs_in(Browser(app, here)).status_code == 303
    # Who has the address later is someone else; who has another address is the same.
    issuer.claims = {"sub": "somebody-else"}
    assert signs_in(Browser(app, here)).status_code == 403
    issuer.claims = {"sub": issuer.subject(MANAGER), "email": "married@hall.example"}
    assert signs_in(Browser(app, here)).status_code == 303


def test_an_address_that_nobody_verified_is_nobodys(browser: Browser, issuer: Issuer) -> None:
    issuer.verified = False
    assert signs_in(browser).status_code == 403
    assert browser.get("/venues/hall").status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-application"},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 3_600},
        {"nonce": "another-browser's"},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_an_id_token_that_is_not_ours_lets_nobody_in(
    browser: Browser, issuer: Issuer, claims: dict[str, Any]
) -> None:
    issuer.claims = claims
    refused = signs_in(browser)
    assert refused.status_code == 400
    assert browser.get("/venues/hall").status_code == 303


def test_a_way_back_is_good_once_and_in_its_own_browser(
    browser: Browser, app: Flask, here: Settings, issuer: Issuer
) -> None:
    back = returns(browser)
    assert Browser(app, here).get(back).status_code == 400
    assert browser.get(back).status_code == 303
    browser.post("/sign-out")
    assert browser.get(back).status_code == 400
    assert browser.get("/sign-in/callback?code=x&state=y").status_code == 400
    assert browser.get("/sign-in/callback?error=access_denied&state=y").status_code == 400


def test_an_issuer_that_is_away_is_told_and_not_a_server_error(
    here: Settings, people: None
) -> None:
    away = here.model_copy(update={"oidc_issuer": "http://127.0.0.1:9/oidc"})
    app = create_app(away)
    answer = Browser(app, away).post("/sign-in")
    assert answer.status_code == 502
    assert "not possible at the moment" in answer.text
    app.extensions[EXTENSION].engine.dispose()
