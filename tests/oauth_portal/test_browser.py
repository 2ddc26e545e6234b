"""A venue manager in a real browser: signs in at the issuer, connects all four through their
screens, watches a first sync end, sees a broken token named, and reconnects."""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright
from sqlalchemy import Engine

from integration_pipelines.core.settings import Settings
from integration_pipelines.defs.dbt_build import build
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox
from tests.conftest import NewDatabase
from tests.faults.moments import Hold
from tests.oauth_portal.conftest import ADMIN, MANAGER, VIEWER, run_what_was_asked_for

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = os.environ.get("SCREENSHOTS")
"""A folder for pictures of the pages, if anybody wants to look."""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
)


@pytest.fixture(scope="session")
def new_database(new_warehouse: NewDatabase) -> NewDatabase:
    return new_warehouse


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        opened = context.new_page()
        opened.set_default_timeout(15_000)
        troubles: list[str] = []
        opened.on("pageerror", lambda error: troubles.append(str(error)))
        opened.on(
            "console",
            lambda said: troubles.append(said.text) if "Content Security" in said.text else None,
        )
        yield opened
        browser.close()
        assert troubles == []


def looked_at(page: Page, name: str) -> None:
    """Nothing serious hinders anybody; the page fits a phone; a picture, if asked for."""
    page.wait_for_load_state()
    found = Axe().run(page)
    serious = [
        f"{each['id']}: {each['help']}"
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == [], name
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.timeout(180)
def test_a_manager_connects_all_four_sees_a_broken_token_and_reconnects(
    page: Page,
    served: str,
    here: Settings,
    sandbox: Sandbox,
    pipeline_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = import_module("integration_pipelines.core.ingest.sync")
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.2)
    accounts = {
        name: getattr(sandbox, name).create_account("in-the-browser", name="Big Hall", size=5)
        for name in PROVIDERS
    }
    page.goto(served)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    looked_at(page, "sign-in")
    page.get_by_role("button", name="Sign in with").click()
    page.get_by_label("E-mail").fill(MANAGER)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hall")
    looked_at(page, "empty")

    for name, provider in PROVIDERS.items():
        page.get_by_role("link", name=f"Connect {provider.title}").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            f"Connect {provider.title} to Hall"
        )
        looked_at(page, f"connect-{name}")
        page.get_by_role("button", name=f"Continue to {provider.title}").click()
        page.locator(f"button[value='{accounts[name].id}']").click()
        expect(page.get_by_role("status").first).to_contain_text("is connected: Big Hall")
    looked_at(page, "waiting")

    hold = sandbox.faults.add(Hold(provider="square", path="/v2/team-members/search"))
    assert isinstance(hold, Hold)
    syncing = threading.Thread(target=run_what_was_asked_for, args=(here, pipeline_engine))
    syncing.start()
    # The cards count along, and turn by themselves.
    expect(page.locator("#card-square")).to_contain_text(
        re.compile(r"[1-9]\d* of 17 parts"), timeout=60_000
    )
    looked_at(page, "syncing")
    hold.release()
    syncing.join()
    expect(page.locator(".card.well")).to_have_count(4)
    looked_at(page, "well")
    page.get_by_role("link", name="History", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(5)
    looked_at(page, "history")

    page.get_by_role("link", name="Data", exact=True).click()
    streams = sum(len(provider.stream_names) for provider in PROVIDERS.values())
    expect(page.locator("tbody tr")).to_have_count(streams)
    looked_at(page, "data")

    sandbox.quickbooks.tokens.revoke(accounts["quickbooks"].id)
    page.get_by_role("link", name="Hall", exact=True).click()
    card = page.locator("#card-quickbooks")
    card.get_by_role("button", name="Sync now").click()
    expect(card).to_contain_text("about to begin")
    run_what_was_asked_for(here, pipeline_engine)
    expect(card).to_contain_text(re.compile("no longer accepts our access"))
    looked_at(page, "broken")
    card.get_by_role("link", name="Reconnect").click()
    page.get_by_role("button", name="Continue to QuickBooks").click()
    page.locator(f"button[value='{accounts['quickbooks'].id}']").click()
    run_what_was_asked_for(here, pipeline_engine)
    expect(page.locator(".card.well")).to_have_count(4)

    # With the keyboard alone, and in the dark.
    page.emulate_media(color_scheme="dark")
    page.reload()
    looked_at(page, "dark")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the page")).to_be_focused()
    page.get_by_role("link", name="Disconnect Mailchimp").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Disconnect Mailchimp from Hall?")
    looked_at(page, "disconnect")
    page.get_by_role("button", name="Disconnect Mailchimp").click()
    expect(page.get_by_text("One thing is left for you")).to_be_visible()
    expect(page.get_by_role("link", name="Connect Mailchimp")).to_be_visible()


@pytest.mark.timeout(180)
def test_an_administrator_divides_an_account_and_lets_people_and_programs_in(
    page: Page, served: str, here: Settings, sandbox: Sandbox
) -> None:
    group = sandbox.square.create_account("of-two", name="Two Houses", size=5, locations=3)
    page.goto(f"{served}/venues/hall/square/connect")
    page.get_by_label("E-mail").fill(ADMIN)
    page.get_by_role("button", name="Sign in for development").click()
    for venue in ("Hall", "Bar"):
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Connect Square to {venue}")
        page.get_by_role("button", name="Continue to Square").click()
        page.locator(f"button[value='{group.id}']").click()
        if venue == "Hall":
            page.goto(f"{served}/venues/bar/square/connect")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Which locations of Two Houses are whose?"
    )
    looked_at(page, "divide")
    page.get_by_label("Foyer Bar").select_option("Bar")
    page.get_by_role("button", name="Connect and divide").click()
    expect(page.get_by_role("status").first).to_contain_text("Square is connected: Two Houses")

    page.get_by_role("link", name="Access").click()
    page.get_by_label("E-mail address of whom you invite").fill("new@bar.example")
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_role("status").first).to_contain_text("new@bar.example can sign in now")
    page.get_by_label("What the API token is for").fill("dashboard")
    page.get_by_role("button", name="Issue an API token").click()
    token = page.locator("code.token").inner_text()
    assert token.startswith("vit_")
    looked_at(page, "access")
    page.reload()
    page.get_by_role("button", name="Revoke dashboard").click()
    expect(page.get_by_role("status").first).to_contain_text("opens nothing any more")
    page.get_by_role("button", name="Remove manager@bar.example").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody has to manage the venue")

    page.get_by_role("link", name="All venues").click()
    expect(page.get_by_role("region", name="Venues").locator("tbody tr")).to_have_count(2)
    looked_at(page, "administration")

    page.goto(served)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your venues")
    looked_at(page, "venues")
    page.goto(f"{served}/nowhere")
    expect(page.get_by_role("alert")).to_be_visible()
    looked_at(page, "error")
    other = sandbox.stripe.create_account("another", name="Another House", size=5)
    first = sandbox.stripe.create_account("the-first", name="First House", size=5)
    for account in (first, other):
        page.goto(f"{served}/venues/hall/stripe/connect")
        page.get_by_role("button", name="Continue to Stripe").click()
        page.locator(f"button[value='{account.id}']").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("That is another Stripe account")
    looked_at(page, "question")


@pytest.mark.timeout(180)
def test_a_manager_looks_at_failed_messages_and_has_them_worked_on_again(
    page: Page, served: str, letters: list[int]
) -> None:
    page.goto(f"{served}/venues/hall")
    page.get_by_label("E-mail").fill(MANAGER)
    page.get_by_role("button", name="Sign in for development").click()
    page.get_by_role("link", name="Failed messages").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Failed messages of Hall")
    expect(page.locator("tbody tr")).to_have_count(2)
    looked_at(page, "failed-messages")
    page.get_by_text("Choose among them").click()
    page.get_by_label("Why it failed").select_option("not signed")
    page.get_by_role("button", name="Show these").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Square: refund.updated").click()
    expect(page.get_by_role("region", name="What it held")).to_contain_text("[e-mail]")
    looked_at(page, "failed-message")
    page.get_by_role("button", name="Work on it again").click()
    expect(page.get_by_role("status")).to_have_text("1 message will be worked on again.")
    page.get_by_role("button", name="Work on it again").click()
    expect(page.get_by_text("There is none: all that came was worked on.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{served}/admin/dead-letters")
    page.get_by_label("E-mail").fill(ADMIN)
    page.get_by_role("button", name="Sign in for development").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    looked_at(page, "failed-messages-of-no-venue")


@pytest.mark.timeout(180)
def test_a_manager_maps_fields_of_their_own_and_sees_what_analysts_find_and_what_is_kept_out(
    page: Page, served: str, here: Settings, sandbox: Sandbox, pipeline_engine: Engine
) -> None:
    account = sandbox.stripe.create_account("mapped", name="Big Hall", size=20)
    page.goto(f"{served}/venues/hall/stripe/connect")
    page.get_by_label("E-mail").fill(MANAGER)
    page.get_by_role("button", name="Sign in for development").click()
    page.get_by_role("button", name="Continue to Stripe").click()
    page.locator(f"button[value='{account.id}']").click()
    run_what_was_asked_for(here, pipeline_engine)
    page.get_by_role("link", name="Mappings", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mappings of Hall")
    looked_at(page, "mappings")

    new = page.get_by_role("link", name="Add a field of your own to customers")
    new.click()
    page.get_by_label("Name of the field").fill("is_vip")
    page.get_by_label("Kind of value").select_option("yes or no")
    page.get_by_label("Where the value stands").select_option("metadata.vip")
    page.get_by_label("What is done to it then").select_option("Read it as yes or no")
    page.get_by_role("button", name="Add this step").click()
    expect(page.get_by_role("group", name="Step 1: read it as yes or no")).to_be_visible()
    expect(page).to_have_url(re.compile("/customers/new$"))
    page.get_by_label("Where there is nothing, put").fill("no")
    page.get_by_label("Where there is nothing, put").press("Enter")
    expect(page.get_by_role("heading", name="What it would change")).to_be_focused()
    preview = page.get_by_role("region", name="Before and after")
    expect(preview.get_by_role("cell", name="yes", exact=True).first).to_be_visible()
    looked_at(page, "mapping-preview")
    page.get_by_label("Why").fill("the door asks")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved as version 1")
    expect(page.get_by_role("region", name="Versions")).to_contain_text("the door asks")

    # The same as plain forms, for whoever has no JavaScript.
    browser = page.context.browser
    assert browser is not None
    plain = browser.new_context(
        java_script_enabled=False, storage_state=page.context.storage_state()
    ).new_page()
    plain.goto(f"{served}/venues/hall/mappings/stripe/customers/new")
    plain.get_by_label("Name of the field").fill("seat")
    plain.get_by_label("Where the value stands").select_option("metadata.seat")
    plain.get_by_label("What is done to it then").select_option("Take blanks off its ends")
    plain.get_by_role("button", name="Add this step").click()
    plain.get_by_label("Required").check()
    plain.get_by_role("button", name="Preview").click()
    expect(plain.get_by_text("kept out, until it is mended")).to_be_visible()
    plain.get_by_label("Why").fill("every guest is seated")
    plain.get_by_role("button", name="Save").click()
    expect(plain.get_by_role("status").first).to_contain_text("Saved as version 1")
    plain.context.close()

    run_what_was_asked_for(here, pipeline_engine)
    build(here, pipeline_engine, venue_ids=["hall"], streams=[("stripe", "customers")])
    page.reload()
    found = page.get_by_role("region", name="What analysts find")
    expect(found.get_by_role("cell", name="yes", exact=True).first).to_be_visible()
    looked_at(page, "mapping")
    page.get_by_role("link", name="Hall", exact=True).click()
    card = page.locator("#card-stripe")
    expect(card).to_contain_text("some rows lack what your mappings require")
    expect(card).to_contain_text(re.compile(r"Kept out\s*\d+ rows"))
    looked_at(page, "kept-out")
    card.get_by_role("link", name=re.compile(r"rows of Stripe, why$")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Quarantine of Hall")
    expect(page.get_by_role("region", name="What fails")).to_contain_text("seat of customers")
    looked_at(page, "quarantine")
    page.get_by_role("link", name="Stripe: seat of customers").click()
    page.emulate_media(color_scheme="dark")
    looked_at(page, "mapping-dark")
    page.get_by_label("What is to hold again").select_option("none: remove this field")
    page.get_by_label("Why", exact=True).last.fill("not every guest is")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status").first).to_contain_text("Your rule is removed")

    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{served}/venues/hall/mappings/stripe/customers/email")
    page.get_by_label("E-mail").fill(VIEWER)
    page.get_by_role("button", name="Sign in for development").click()
    expect(page.get_by_role("region", name="What your rows hold")).to_contain_text("[e-mail]")
    expect(page.get_by_role("button", name="Preview")).to_have_count(0)
    looked_at(page, "mapping-of-a-viewer")
