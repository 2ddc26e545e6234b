"""The portal on the test's database, with the sandbox in the providers' and the issuer's place."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, insert
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from development.processes import free_port
from integration_pipelines.core.credentials import Connection, Vault
from integration_pipelines.core.ingest import StreamResult, open_client
from integration_pipelines.core.ingest.batch import (
    BatchItem,
    claim_requests,
    run_batch,
    sync_item,
)
from integration_pipelines.core.provider import Client
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import integration_webhooks
from integration_pipelines.core.users import invite
from integration_pipelines.providers import PROVIDERS
from oauth_portal import create_app
from oauth_portal.portal import EXTENSION
from provider_sandbox import Sandbox, running_sandbox
from tests.connected import UNHURRIED
from tests.providers.accounts import pointed_at

MANAGER, VIEWER, OTHER, ADMIN = (
    "manager@hall.example",
    "viewer@hall.example",
    "manager@bar.example",
    "admin@all.example",
)

SignIn = Callable[..., "Browser"]

LETTERS = (
    ("hall", "M-hall", "payment.updated", "given up after 8 attempts: payments: it is down"),
    ("hall", "M-hall", "refund.updated", "it is not authentic: no signature fits"),
    ("bar", "M-bar", "payment.updated", "given up after 8 attempts: payments: it is down"),
    (None, "M-nobody", "payment.updated", "no venue has connected this account"),
)
"""Dead letters of Square's: venue, account, type, and why."""


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=21) as running:
        yield running


@pytest.fixture
def here(settings: Settings, sandbox: Sandbox) -> Settings:
    port = free_port()
    return pointed_at(settings, sandbox).model_copy(
        update={"public_base_url": f"http://127.0.0.1:{port}"}
    )


@pytest.fixture
def people(venue: Callable[..., str], owner_engine: Engine) -> None:
    """Two venues; a manager of each, a viewer of one, and an administrator."""
    for slug in ("hall", "bar"):
        venue(slug)
    for email, venue_id, role in (
        (MANAGER, "hall", "venue_admin"),
        (VIEWER, "hall", "viewer"),
        (OTHER, "bar", "venue_admin"),
        (ADMIN, None, "venue_admin"),
    ):
        with owner_engine.begin() as session:
            invite(session, email, venue_id=venue_id, role=role, is_admin=email == ADMIN)


@pytest.fixture
def letters(people: None, connect: Callable[..., UUID], pipeline_engine: Engine) -> list[int]:
    """LETTERS, by their ids."""
    ids = {slug: connect(slug, "square", f"M-{slug}") for slug in ("hall", "bar")}
    made = []
    payload = {
        "merchant_id": "M-1",
        "data": {"id": "p1", "object": {"buyer_email_address": "ana@mail.example", "note": "Hi"}},
    }
    for venue_id, account, kind, reason in LETTERS:
        with pipeline_engine.begin() as session:
            made.append(
                session.execute(
                    insert(integration_webhooks)
                    .values(
                        provider="square",
                        venue_id=venue_id,
                        connection_id=ids.get(venue_id or ""),
                        account_id=account,
                        event_id=f"e{len(made)}",
                        event_type=kind,
                        payload=payload,
                        status="dead",
                        attempts=8,
                        processed_at=func.now(),
                        last_error=reason,
                    )
                    .returning(integration_webhooks.c.webhook_id)
                ).scalar_one()
            )
    return made


@pytest.fixture
def app(here: Settings, people: None) -> Iterator[Flask]:
    made = create_app(here)
    yield made
    made.extensions[EXTENSION].engine.dispose()


@pytest.fixture
def served(app: Flask, here: Settings) -> Iterator[str]:
    """The portal's URL, served on a port of this machine."""
    port = urlsplit(here.public_base_url).port
    server = make_server("127.0.0.1", port or 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield here.public_base_url
    server.shutdown()
    thread.join()
    server.server_close()


class Browser:
    """A browser without a screen: it keeps cookies and sends forms with their tokens."""

    def __init__(self, app: Flask, here: Settings) -> None:
        self.client: FlaskClient = app.test_client()
        self.here = here

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, base_url=self.here.public_base_url, **options)

    def post(self, path: str, form: dict[str, str] | None = None, **options: Any) -> TestResponse:
        sent = {"csrf_token": self.csrf_token(), **(form or {})}
        return self.client.post(path, data=sent, base_url=self.here.public_base_url, **options)

    def csrf_token(self) -> str:
        # Any page has one: of who is signed in the header's, else the sign-in form's.
        page = self.get("/health-of-nothing").text + self.get("/sign-in").text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found is not None
        return found[1]

    def consents(self, venue_id: str, provider: str, account: Any) -> str:
        """Begin to connect, and let ``account`` allow it (None: nobody): where that leads back."""
        begun = self.post(f"/venues/{venue_id}/{provider}/connect")
        assert begun.status_code == 303, begun.text
        chosen = {"account": "" if account is None else account.id}
        url = begun.headers["Location"]
        back = requests.post(url, data=chosen, allow_redirects=False, timeout=10)
        assert back.status_code == 302
        return back.headers["Location"].removeprefix(self.here.public_base_url)

    def connects(self, venue_id: str, provider: str, account: Any) -> TestResponse:
        """Connect by consent; what the browser is shown at the end."""
        return self.get(self.consents(venue_id, provider, account))


@pytest.fixture
def sign_in(app: Flask, here: Settings) -> SignIn:
    """``sign_in(email)``: a browser in which they are signed in."""

    def signed_in(email: str = MANAGER) -> Browser:
        browser = Browser(app, here)
        answer = browser.post("/sign-in/development", {"email": email})
        assert answer.status_code == 303, answer.text
        return browser

    return signed_in


def run_what_was_asked_for(settings: Settings, engine: Engine) -> None:
    """As the sensor and its run do."""
    with engine.begin() as session:
        claimed = claim_requests(session, limit=100)
    assert claimed is not None
    vault = Vault(settings)

    def sync_one(item: BatchItem) -> list[StreamResult]:
        provider = PROVIDERS[item.connection.provider]

        def opened(connection: Connection) -> Client:
            return open_client(settings, engine, vault, provider, connection, limits=UNHURRIED)

        return sync_item(engine, item, provider=provider, open_client=opened)

    list(run_batch(engine, batch_id=claimed, sync_one=sync_one, concurrency=4))
