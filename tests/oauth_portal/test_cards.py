"""What a card says of a provider, on the page and by the API: how far a sync is, what is wrong, and
the one button that helps."""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import Engine, func, insert, text

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.status import status
from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.ingest.batch import request_sync
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import integration_health, sync_logs
from integration_pipelines.providers import PROVIDERS
from oauth_portal.access import issue
from oauth_portal.cards import CAUSES, OURS, cards
from oauth_portal.history import streams
from oauth_portal.portal import EXTENSION
from provider_sandbox import Sandbox
from tests.faults.moments import Hold, until
from tests.oauth_portal.conftest import SignIn, run_what_was_asked_for

LATE = "/v2/team-members/search"
"""What Square is asked for last."""

Told = Callable[..., tuple[str, dict[str, Any]]]


@pytest.fixture
def told(app: Flask, here: Settings, sign_in: SignIn) -> Told:
    """``told(provider)``: the card of the hall's, as its page shows it and as the API tells it."""
    browser = sign_in()
    portal = app.extensions[EXTENSION]
    with portal.scoped("hall") as session:
        _, token = issue(session, "hall", name="x", role="venue_admin", days=1, actor="test")
    bearer = {"Authorization": f"Bearer {token}"}

    def read(provider: str = "square") -> tuple[str, dict[str, Any]]:
        page = browser.get(f"/venues/hall/{provider}/card").text
        path = f"/api/v1/venues/hall/connections/{provider}"
        answer = app.test_client().get(path, headers=bearer, base_url=here.public_base_url)
        assert answer.status_code == 200, answer.text
        return page, answer.json

    return read


def test_parts_are_done_one_by_one_while_a_sync_is_under_way(
    sign_in: SignIn,
    sandbox: Sandbox,
    here: Settings,
    told: Told,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = import_module("integration_pipelines.core.ingest.sync")
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.2)
    account = sandbox.square.create_account("counted", size=5)
    sign_in().connects("hall", "square", account)
    hold = sandbox.faults.add(Hold(provider="square", path=LATE))
    assert isinstance(hold, Hold)
    syncing = threading.Thread(target=run_what_was_asked_for, args=(here, pipeline_engine))
    syncing.start()
    try:
        until(lambda: hold.struck, "the last part is being read")
        parts = len(PROVIDERS["square"].streams)

        def both_tell() -> int | None:
            page, stands = told()
            progress = stands["progress"]
            done: int = progress["streams_done"]
            assert progress["streams"] == parts
            shown = f"{done} of {parts} parts" in page and f'value="{done}" max="{parts}"' in page
            return done if shown and done else None

        assert 0 < until(both_tell, "some parts are done, and page and API say so") < parts
    finally:
        hold.release()
        sandbox.faults.clear()
        syncing.join()
    assert told()[1]["state"] == "well"


BUTTONS = {
    "reconnect": "Reconnect Square</a>",
    "confirm": "Yes, they are gone",
    "sync": "Sync now",
    None: "Test connection",
}


def shows(page: str, cure: str | None) -> bool:
    """Whether the page has this button, and none of the others that cure something."""
    others = [words for name, words in BUTTONS.items() if name not in (cure, None)]
    return BUTTONS[cure] in page and not any(words in page for words in others)


@pytest.fixture
def ended(
    people: None, connect: Callable[..., Any], pipeline_engine: Engine
) -> Callable[..., None]:
    """``ended(stream, outcome, kind, ago=minutes)``: a sync of one stream of the hall's Square."""
    connection_id = connect("hall", "square", "M1")

    def add(stream: str, outcome: str, kind: str | None = None, *, ago: int) -> None:
        began = func.now() - timedelta(minutes=ago)
        with pipeline_engine.begin() as session:
            venue_scope(session, "hall")
            session.execute(
                insert(sync_logs).values(
                    venue_id="hall",
                    sync_id=uuid4(),
                    stream=stream,
                    provider="square",
                    connection_id=connection_id,
                    account_id="M1",
                    mode="incremental",
                    outcome=outcome,
                    started_at=began,
                    finished_at=None if outcome == "running" else began,
                    error_kind=kind,
                    error=f"{kind} of {stream}" if kind else None,
                )
            )

    return add


CURED_BY = {
    **dict.fromkeys(CAUSES, "sync"),
    "access_revoked": "reconnect",
    "refused": "reconnect",
    "confirmation_needed": "confirm",
    "unexpected": "sync",
}


def test_the_worst_of_what_fails_is_named_with_its_cure(
    told: Told, ended: Callable[..., None]
) -> None:
    for minutes, kind in zip(range(60, 0, -3), CURED_BY, strict=False):
        ended("customers", "failed", kind, ago=minutes)
        # Later syncs, of other streams, hide nothing of it.
        ended("orders", "failed", "transient", ago=minutes - 1)
        ended("payments", "succeeded", ago=minutes - 2)
        page, stands = told()
        assert stands["state"] == "attention", kind
        assert stands["headline"] == CAUSES.get(kind, OURS).format(title="Square")
        assert (stands["cure"], shows(page, stands["cure"])) == (CURED_BY[kind], True), kind
        assert stands["reason"] == f"{kind} of customers"
        assert stands["reason"] in page


def test_a_sync_that_mends_what_failed_makes_the_card_well(
    told: Told, ended: Callable[..., None], sign_in: SignIn
) -> None:
    ended("customers", "failed", "refused", ago=3)
    ended("customers", "succeeded", ago=1)
    assert told()[1]["state"] != "attention"
    history = sign_in().get("/venues/hall/history").text
    assert "1 of 1 parts failed" in history
    assert "Usually a permission is missing" in history


def test_a_card_says_that_a_sync_is_under_way_or_the_provider_left_alone(
    told: Told, ended: Callable[..., None], pipeline_engine: Engine
) -> None:
    ended("customers", "failed", "refused", ago=3)
    health = {"venue_id": "hall", "provider": "square", "breaker": "open"}
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(insert(integration_health).values(health))
    page, stands = told()
    assert stands["headline"] == CAUSES["breaker_open"].format(title="Square")
    assert (stands["state"], stands["cure"]) == ("attention", None)
    assert shows(page, None)
    ended("orders", "running", ago=1)
    page, stands = told()
    assert (stands["state"], stands["headline"]) == ("syncing", "Reading from Square …")
    assert shows(page, None)
    assert "0 of 1 parts" in page


def test_who_manages_the_venue_says_that_what_vanished_is_gone(
    sign_in: SignIn, told: Told, sandbox: Sandbox, here: Settings, pipeline_engine: Engine
) -> None:
    account = sandbox.stripe.create_account("thinned-out", size=60)
    browser = sign_in()
    browser.connects("hall", "stripe", account)
    run_what_was_asked_for(here, pipeline_engine)
    browser.post("/venues/hall/stripe/deletions")
    assert "Nothing of Stripe waits for that" in browser.get("/venues/hall").text
    gone = account.ids("customers")[::2]
    with account.lock:
        for customer_id in gone:
            account.streams["customers"].remove(customer_id, account.clock.now())
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        (held,) = open_connections(session, venue_ids=["hall"])
        request_sync(session, held, requested_by="the night", full=True)
    run_what_was_asked_for(here, pipeline_engine)
    page, stands = told("stripe")
    assert stands["cure"] == "confirm"
    assert "Yes, they are gone" in page
    assert f"{len(gone)} of " in page

    assert browser.post("/venues/hall/stripe/deletions").status_code == 303
    run_what_was_asked_for(here, pipeline_engine)
    assert told("stripe")[1]["state"] == "well"
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        deleted = text("SELECT id FROM raw_stripe.customers WHERE deleted_at IS NOT NULL")
        assert set(session.scalars(deleted)) == set(gone)
    assert "confirmed that what vanished is gone" in browser.get("/venues/hall/history").text


FORESEEN = {
    "a hundred days without use": (
        "quickbooks",
        "UPDATE control.oauth_tokens SET refresh_expires_at = now() + interval '5 days'",
    ),
    "five years": (
        "quickbooks",
        "UPDATE control.connections SET connected_at = now() - interval '1820 days'",
    ),
    "nothing to renew with": (
        "square",
        "UPDATE control.oauth_tokens SET refresh_token = NULL, expires_at = now() + interval '5 d'",
    ),
    "a renewal that does not come": (
        "square",
        "UPDATE control.oauth_tokens SET expires_at = now() + interval '5 days'",
    ),
}


@pytest.mark.parametrize("provider", ["quickbooks", "square"])
def test_the_end_of_a_consent_is_told_with_a_link_before_it_comes(
    sign_in: SignIn,
    told: Told,
    sandbox: Sandbox,
    here: Settings,
    pipeline_engine: Engine,
    provider: str,
) -> None:
    account = getattr(sandbox, provider).create_account("foreseen", size=5)
    browser, application = sign_in(), Application()
    application.settings = here
    link = f"{here.public_base_url}/venues/hall/{provider}/connect"

    def change(statement: str) -> None:
        with pipeline_engine.begin() as session:
            venue_scope(session, "hall")
            session.execute(text(statement))

    def reconnect() -> None:
        assert browser.connects("hall", provider, account).status_code == 303
        change("UPDATE control.sync_queue SET done_at = now()")

    def is_told() -> bool:
        page, stands = told(provider)
        said = CliRunner().invoke(status, obj=application).stdout.replace("\n", "")
        (by_all,) = {
            stands["cure"] == "reconnect",
            bool(re.search(r"ends on \d+ \w+ 20\d\d. Reconnect before that", page)),
            "Reconnect before that" in stands["headline"] and stands["portal_url"] == link,
            f"connect again before that: {link}" in said,
        }
        return by_all

    reconnect()
    assert not is_told()
    for why in (why for why, (whose, _) in FORESEEN.items() if whose == provider):
        change(FORESEEN[why][1])
        assert is_told(), why
        reconnect()
        assert not is_told(), why
    # A renewal that was due yesterday may still come.
    oauth = PROVIDERS[provider].oauth
    assert oauth is not None
    due = f"now() - interval '1 day' + interval '{oauth.renew_before.total_seconds()} s'"
    change(f"UPDATE control.oauth_tokens SET expires_at = {due}")
    assert not is_told()


READ = text(
    "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_all_tables"
    " WHERE schemaname = 'control' AND relname = 'sync_logs'"
)


def test_pages_look_up_the_latest_syncs_and_read_no_log_of_years(
    app: Flask,
    here: Settings,
    sandbox: Sandbox,
    sign_in: SignIn,
    pipeline_engine: Engine,
    owner_engine: Engine,
) -> None:
    sign_in().connects("hall", "square", sandbox.square.create_account("aged", size=2))
    run_what_was_asked_for(here, pipeline_engine)
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text(
                "INSERT INTO control.sync_logs (venue_id, sync_id, stream, provider, connection_id,"
                " account_id, mode, outcome, repaired, started_at, finished_at)"
                " SELECT venue_id, gen_random_uuid(), stream, provider, connection_id, account_id,"
                " mode, outcome, repaired, started_at - hours * interval '1 h',"
                " finished_at - hours * interval '1 h'"
                " FROM control.sync_logs, generate_series(1, 500) AS hours"
            )
        )
    with owner_engine.begin() as session:
        session.execute(text("ANALYZE control.sync_logs"))
    portal = app.extensions[EXTENSION]
    kinds = len(PROVIDERS["square"].stream_names)
    for page in (lambda session: cards(portal, session, "hall"), streams):
        with portal.scoped("hall") as session:
            assert page(session)
            assert kinds <= session.scalar(READ) <= 5 * kinds
