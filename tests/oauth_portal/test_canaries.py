"""Fault 24 at the portal: secrets that went in by consent, key, cookie and bearer are found in no
table, log, page, event or run configuration; and no customer in what Dagster keeps."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from flask import Flask
from sqlalchemy import Engine, text

from integration_pipelines.core.credentials import Vault, load_credentials, open_connections
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.settings import Settings
from integration_pipelines.definitions import defs
from integration_pipelines.defs.partitions import VENUES
from integration_pipelines.instance import open_instance
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox
from tests.canary import assert_nobody_is_named, assert_unseen, every_row, make_canary, people_of
from tests.conftest import NewDatabase
from tests.oauth_portal.conftest import SignIn

SHORTEST = 16
"""What is shorter is no secret: an account's id, say."""


@pytest.fixture(scope="session")
def new_database(new_warehouse: NewDatabase) -> NewDatabase:
    return new_warehouse


@pytest.fixture
def instance(
    here: Settings,
    environment: dict[str, str],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dg.DagsterInstance]:
    """Dagster as processes have it, with the providers in the sandbox."""
    for name, value in {**environment, **sandbox.environment}.items():
        monkeypatch.setenv(name, value)
    for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "DAGSTER_EVENT_BATCH_SIZE"):
        monkeypatch.setenv(name, "")  # What open_instance sets ends with the test.
    with open_instance(here) as opened:
        opened.add_dynamic_partitions(VENUES, ["hall"])
        yield opened


def opened(settings: Settings, engine: Engine) -> set[str]:
    """Everything that the vault holds now, opened."""
    found: set[str] = set()
    with engine.begin() as session:
        venue_scope(session, "hall")
        for connection in open_connections(session, venue_ids=["hall"]):
            held = load_credentials(session, Vault(settings), connection)
            model = PROVIDERS[connection.provider].credentials
            secret = [name for name, field in model.model_fields.items() if "Secret" in str(field)]
            found |= {str(held[name]) for name in secret if held.get(name)}
    return found


def test_24_no_secret_of_the_portal_is_found_anywhere(
    app: Flask,
    here: Settings,
    sign_in: SignIn,
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    pipeline_engine: Engine,
    owner_engine: Engine,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser = sign_in()
    secrets: set[str] = set()
    pages: list[str] = []

    def run(job: str, *assets: str) -> Any:
        if not assets:
            return defs.resolve_job_def(job).execute_in_process(
                instance=instance, raise_on_error=False
            )
        return defs.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey.from_user_string(name) for name in assets],
            partition_key="hall",
            instance=instance,
            raise_on_error=False,
        )

    # Everything that opens something, on its way in.
    cookie = browser.client.get_cookie("session", domain="127.0.0.1")
    assert cookie is not None
    secrets |= {cookie.value, browser.csrf_token()}
    accounts = {
        name: getattr(sandbox, name).create_account("of-canaries", size=4) for name in PROVIDERS
    }
    for name, account in accounts.items():
        back = browser.consents("hall", name, account)
        given = parse_qs(urlsplit(back).query)
        secrets |= {given["code"][0], given["state"][0]}
        assert browser.get(back).status_code == 303
        pages += [browser.get(back).text, browser.get("/venues/hall").text]
        application = PROVIDERS[name].oauth.application(here)  # type: ignore[union-attr]
        secrets.add(application.client_secret.get_secret_value())
    secrets |= opened(here, pipeline_engine)
    wrong = make_canary("key")
    secrets.add(wrong)
    pages.append(browser.post("/venues/hall/stripe/key", {"key": wrong}).text)

    # Syncs, renewals, refusals.
    assets = ["raw_square/customers", "raw_quickbooks/customers", "raw_mailchimp/members"]
    assert run("", *assets).success
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(text("UPDATE control.oauth_tokens SET expires_at = now()"))
    assert run("renew_tokens").success
    secrets |= opened(here, pipeline_engine)
    sandbox.square.revoke_grants(accounts["square"].id)
    sandbox.quickbooks.tokens.revoke(accounts["quickbooks"].id)
    assert not run("", *assets).success
    for name in PROVIDERS:
        answer = browser.post(f"/venues/hall/{name}/test")
        pages.append(browser.get(answer.headers.get("Location", "/")).text)

    # Programs.
    issued = browser.post("/venues/hall/access/tokens", {"name": "x", "role": "viewer"}).text
    token = issued.split('class="token">')[1].split("<")[0]
    secrets.add(token)
    client = app.test_client()
    for bearer in (token, f"{token}x"):
        told = client.get(
            "/api/v1/venues/hall/connections",
            headers={"Authorization": f"Bearer {bearer}"},
            base_url=here.public_base_url,
        )
        pages.append(told.text)
    for name in PROVIDERS:
        browser.post(f"/venues/hall/{name}/disconnect")

    dagster = create_engine(here, Role.DAGSTER)
    told_of_runs = every_row(dagster, "hall")
    stored = every_row(owner_engine, "hall") + told_of_runs
    dagster.dispose()
    for table in ("control.audit_log", "control.sync_logs", "dagster.event_logs"):
        assert table in stored
    out, err = capfd.readouterr()
    runs = [repr(each) + str(each.run_config) for each in instance.get_runs()]
    assert len(runs) >= 3
    # A run tells nobody's name either, whatever it landed or could not.
    tags = [str(each.tags) for each in instance.get_runs()]
    assert len(people_of(sandbox)) > 50
    assert_nobody_is_named(sandbox, told_of_runs, *runs, *tags)
    secrets = {each for each in secrets if len(each) >= SHORTEST}
    assert len(secrets) > 15
    csrf = browser.csrf_token()
    for secret in secrets:
        assert_unseen(secret, stored, out + err + caplog.text + ".", *runs)
        if secret != csrf:
            assert_unseen(secret, *pages)
