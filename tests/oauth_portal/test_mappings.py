"""The mapping editor: what a manager reads, tries, saves and takes back; and what nobody may."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, text

from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.mapping import TARGETS, default_rule, read_rule, set_rule
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import quarantine, raw_table
from oauth_portal.drafts import MOST_STEPS, STEPS, draft_of, is_said_by_form, rule_of
from tests.canary import assert_unseen, make_canary
from tests.oauth_portal.conftest import MANAGER, OTHER, VIEWER, Browser, SignIn

AT = "/venues/hall/mappings/stripe/customers"
FORM = {"name": "table", "type": "integer", "source": "metadata.table"}


@pytest.fixture
def rows(settings: Settings, people: None) -> None:
    """Three customers of the hall's and one of the bar's, as landed."""
    engine = create_engine(settings, Role.PIPELINE)
    for venue_id, tables in (("hall", ("4", "x", None)), ("bar", ("7",))):
        bodies = [
            {
                "email": f"{n}@mail.example",
                "name": f"N{n}",
                "metadata": {"table": table, "zone": "A"},
            }
            for n, table in enumerate(tables)
        ]
        with engine.begin() as session:
            venue_scope(session, venue_id)
            session.execute(
                insert(raw_table("stripe", "customers")),
                [
                    {
                        "venue_id": venue_id,
                        "account_id": "acct",
                        "id": f"cus_{place}",
                        "payload": body,
                        "observed_at": datetime.now(UTC),
                        "content_hash": b"",
                    }
                    for place, body in enumerate(bodies)
                ],
            )
    engine.dispose()


def previewed(page: str) -> str:
    """The rule that the page offers to save, as its form sends it."""
    found = re.search(r'name="rule" value="([^"]*)"', page)
    assert found is not None, page
    return found[1].replace("&#34;", '"').replace("&amp;", "&").replace("&lt;", "<")


def saves(browser: Browser, field: str, form: dict[str, str], reason: str = "seats") -> Any:
    page = browser.post(f"{AT}/{field}/draft", {**form, "press": "preview"}).text
    return browser.post(f"{AT}/{field}/save", {"rule": previewed(page), "reason": reason})


def test_a_manager_reads_what_fills_each_field_and_what_could(sign_in: SignIn, rows: None) -> None:
    manager = sign_in()
    page = manager.get("/venues/hall/mappings?provider=square").text
    assert "given_name, joined with family_name, or else company_name, or else nickname" in page
    assert "the name of its item in the catalog" in page
    assert "nothing: it stays empty" in page
    page = manager.get(f"{AT}/email").text
    assert 'value="email" selected' in page
    assert "metadata.table — 4, x (2 of 3 rows)" in page
    assert "0@mail.example" in page
    assert "No row has a value yet" in page
    for unknown in ("customers/source_id", "customers/custom.none", "venues/name", "orders/name"):
        assert manager.get(f"/venues/hall/mappings/stripe/{unknown}").status_code == 404
    assert manager.get("/venues/hall/mappings/nobody/customers/name").status_code == 404


def test_an_expense_is_filled_from_the_documents_of_all_three_kinds(
    sign_in: SignIn, people: None, owner_engine: Engine
) -> None:
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        for stream, note in (("purchases", "Ice"), ("bills", "Rent"), ("vendor_credits", "Kegs")):
            session.execute(
                insert(raw_table("quickbooks", stream)).values(
                    venue_id="hall",
                    account_id="realm",
                    id=stream,
                    payload={"PrivateNote": note},
                    observed_at=datetime.now(UTC),
                    content_hash=b"",
                )
            )
    manager = sign_in()
    note = "/venues/hall/mappings/quickbooks/expenses/note"
    assert (
        "the display name of its vendor"
        in manager.get("/venues/hall/mappings?provider=quickbooks").text
    )
    page = manager.get(note).text
    assert re.search(r"PrivateNote — (\w+, ){2}\w+ \(3 of 3 rows\)", page)
    assert all(word in page for word in ("Ice", "Rent", "Kegs"))
    form = {"source": "PrivateNote", "press": "preview"}
    form |= {"step-0-do": "case", "step-0-to": "upper"}
    page = manager.post(f"{note}/draft", form).text
    assert "3 of your latest 3 rows change" in page
    assert all(word in page for word in ("ICE", "RENT", "KEGS"))
    saved = manager.post(f"{note}/save", {"rule": previewed(page), "reason": "loud"})
    assert saved.status_code == 303
    assert manager.get("/venues/hall/mappings/quickbooks/order_lines/note").status_code == 404


def test_a_field_is_built_step_by_step_previewed_saved_changed_and_rolled_back(
    sign_in: SignIn, rows: None
) -> None:
    manager = sign_in()
    first = manager.post(f"{AT}/new/draft", {**FORM, "press": "preview"}).text
    assert "1 of your latest 3 rows change" not in first
    assert "2 of your latest 3 rows change" in first
    assert "In 1 row it is not a whole number: empty there" in first
    assert manager.get("/venues/hall/mappings").text.count("yours") == 0, "nothing was saved"

    stepped = manager.post(f"{AT}/new/draft", {**FORM, "press": "add", "step": "lookup"}).text
    assert "Step 1: look it up in a list" in stepped
    step = {"step-0-do": "lookup", "step-0-table": "x = 0\n4 = 4", "step-0-otherwise": ""}
    assert (
        "Step 1" not in manager.post(f"{AT}/new/draft", {**FORM, **step, "press": "remove-0"}).text
    )
    page = manager.post(f"{AT}/new/draft", {**FORM, **step, "press": "preview"}).text
    assert "metadata.table, looked up: x → 0, 4 → 4, anything else → nothing" in page
    refused = manager.post(f"{AT}/new/save", {"rule": previewed(page), "reason": " "})
    assert refused.status_code == 400
    assert "Why: write a few words" in refused.text
    saved = saves(manager, "new", {**FORM, **step})
    assert saved.headers["Location"] == f"{AT}/custom.table"

    page = manager.get(f"{AT}/custom.table").text
    assert "Saved as version 1" in page and MANAGER in page and "seats" in page
    assert "the next sync brings it" in page
    assert "(custom_fields -&gt;&gt; &#39;table&#39;)::bigint as table" in page
    again = manager.post(f"{AT}/new/draft", {**FORM, **step, "press": "preview"})
    assert 'name="rule"' not in again.text
    assert "there is table already" in again.text

    required = {**FORM, "required": "on", "default": ""}
    page = manager.post(f"{AT}/custom.table/draft", {**required, "press": "preview"}).text
    assert "In 1 row it has no value, and is required: kept out" in page
    assert saves(manager, "custom.table", required, "only seated").status_code == 303
    back = manager.post(f"{AT}/custom.table/rollback", {"to": "1", "reason": "as before"})
    assert back.status_code == 303
    page = manager.get(f"{AT}/custom.table").text
    assert "Version 1 holds again, as version 3." in page
    assert all(why in page for why in ("seats", "only seated", "as before"))
    for form in ({"to": "1"}, {"to": "9", "reason": "x"}, {"to": "x", "reason": "x"}):
        assert manager.post(f"{AT}/custom.table/rollback", form).status_code == 400
    manager.post(f"{AT}/custom.table/rollback", {"to": "0", "reason": "no longer seated"})
    assert "yours" not in manager.get("/venues/hall/mappings").text
    assert "removed the rule of customers.custom.table" in manager.get("/venues/hall/history").text

    saves(manager, "email", {"source": "metadata.zone"})
    assert 'value="metadata.zone" selected' in manager.get(f"{AT}/email").text
    manager.post(f"{AT}/email/rollback", {"to": "0", "reason": "as it ships"})
    assert 'value="email" selected' in manager.get(f"{AT}/email").text, "the default again"


CANNOT_BE: list[tuple[dict[str, str], str]] = [
    ({"name": "Table 1"}, "is not custom. and then a small letter"),
    ({"path": "a'); DROP TABLE x--"}, "Where the value stands: path"),
    ({"source": ""}, "Where the value stands: path"),
    (
        {"step-0-do": "split", "step-0-separator": "", "step-0-part": "1"},
        "Step 1, What stands between the parts: String should have at least 1 character",
    ),
    (
        {"step-0-do": "split", "step-0-separator": "-", "step-0-part": "x"},
        "Which part: 1 is the first, -1 the last: write a whole number",
    ),
    ({"step-0-do": "lookup", "step-0-table": "red"}, "“red” has no = between"),
    ({"default": "\0"}, "Where there is nothing: has a character that nothing can hold"),
    ({"step-0-do": "constant", "step-0-value": "\0"}, "Step 1, What: has a character"),
    ({"step-0-do": "lookup", "step-0-table": "\0 = 1"}, "one a line: red = 1."),
    (
        {"step-0-do": "date", "step-0-format": "%Y", "step-0-zone": "UTC"},
        "Step 1: format has to have %Y, %m and %d",
    ),
]


def test_25_what_cannot_be_is_told_by_field_and_cure(sign_in: SignIn, rows: None) -> None:
    manager = sign_in()
    for change, said in CANNOT_BE:
        page = manager.post(f"{AT}/new/draft", {**FORM, **change, "press": "preview"}).text
        (told,) = re.findall(r'role="alert"[^>]*>([^<]*)<', page)
        assert said in told
        assert 'name="rule"' not in page


def test_20_no_name_and_no_place_of_a_step_makes_an_error_of_ours(
    sign_in: SignIn, rows: None
) -> None:
    manager = sign_in()
    for field in ("custom.%00", "custom.A", f"custom.{'x' * 49}", "%00"):
        assert manager.get(f"{AT}/{field}").status_code == 404
        assert manager.post(f"{AT}/{field}/draft", FORM).status_code == 404
        assert manager.post(f"{AT}/{field}/rollback", {"to": "0", "reason": "x"}).status_code == 404
    step = {"step-0-do": "trim"}
    for place in ("9" * 5_000, "1", "-1", ""):
        page = manager.post(f"{AT}/new/draft", {**FORM, **step, "press": f"remove-{place}"})
        assert page.status_code == 200
        assert "Step 1" in page.text


def test_what_fails_on_every_row_cannot_be_saved(sign_in: SignIn, rows: None) -> None:
    manager = sign_in()
    page = manager.post(
        f"{AT}/new/draft", {**FORM, "source": "metadata.zone", "press": "preview"}
    ).text
    assert "Nothing can be saved like this: it is not a whole number, in all of the 3" in page
    assert 'name="rule"' not in page
    rule = json.dumps(
        {
            "provider": "stripe",
            "target_table": "customers",
            "target_field": "custom.table",
            "type": "integer",
            "source_path": "metadata.zone",
        }
    )
    forced = manager.post(f"{AT}/new/save", {"rule": rule, "reason": "x"})
    assert forced.status_code == 400
    assert "Nothing can be saved like this" in forced.text
    assert "yours" not in manager.get("/venues/hall/mappings").text
    for wrong in (
        *("", "{", "[]", rule.replace("customers", "products")),
        *(
            rule.replace("}", f', "default": {held}}}')
            for held in ("NaN", "9" * 5_000, r'"\ud800"')
        ),
        rule.replace("metadata.zone", r"metadata.\"\udc00\""),
        "[" * 20_000,
    ):
        assert manager.post(f"{AT}/new/save", {"rule": wrong, "reason": "x"}).status_code == 400


def test_a_viewer_sees_rules_and_no_persons_data_and_the_bar_nothing_of_the_halls(
    sign_in: SignIn, rows: None
) -> None:
    viewer = sign_in(VIEWER)
    page = viewer.get(f"{AT}/email").text
    assert "@mail.example" not in page and "[e-mail]" in page
    assert "<form" not in page.partition("<main")[2]
    assert viewer.get(f"{AT}/new").status_code == 200
    other = sign_in(OTHER)
    assert "7 (1 of 1 rows)" in other.get(f"{AT}/email".replace("hall", "bar")).text
    saves(sign_in(), "new", FORM)
    assert other.get(f"{AT}/custom.table".replace("hall", "bar")).status_code == 404


def test_24_no_secret_in_a_payload_is_on_the_page(
    sign_in: SignIn, rows: None, owner_engine: Engine
) -> None:
    canary = make_canary("key")
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text(
                "UPDATE raw_stripe.customers"
                " SET payload = jsonb_build_object('note', CAST(:canary AS text))"
            ),
            {"canary": f"Bearer {canary}"},
        )
    manager = sign_in()
    pages = [manager.get(f"{AT}/name").text]
    pages.append(manager.post(f"{AT}/name/draft", {"path": "note", "press": "preview"}).text)
    assert "[redacted]" in pages[1]
    assert_unseen(canary, *pages)


def test_quarantined_rows_are_named_on_card_and_page_with_where_to_mend_them(
    sign_in: SignIn, rows: None, connect: Callable[..., UUID], owner_engine: Engine
) -> None:
    connect("hall", "stripe")
    manager = sign_in()
    assert "There is none: every row can be read." in manager.get("/venues/hall/quarantine").text
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        for place, kept_out in ((1, True), (2, False)):
            session.execute(
                insert(quarantine).values(
                    venue_id="hall",
                    target_table="customers",
                    provider="stripe",
                    account_id="acct",
                    source_id=f"cus_{place}",
                    raw_table="raw_stripe.customers",
                    raw_id=f"cus_{place}",
                    raw_content_hash=b"",
                    errors={"email": "has no value, and is required"},
                    mapping_version=1,
                    kept_out=kept_out,
                )
            )
    for email in (MANAGER, VIEWER):
        page = sign_in(email).get("/venues/hall/quarantine?provider=stripe").text
        assert "Stripe: email of customers" in page and f"{AT}/email" in page
        assert "raw_stripe.customers, account acct" in page and "cus_1" in page
    assert "1 row kept out" in manager.get("/venues/hall/mappings").text
    told = " ".join(manager.get(f"{AT}/email").text.split())
    assert "In 2 rows it has no value, and is required; 1 of them are kept out." in told
    assert re.search(r"<dt>Kept out</dt><dd><a [^>]*>1 row<", manager.get("/venues/hall").text)
    assert "cus_1" not in manager.get("/venues/hall/quarantine?provider=square").text


def test_every_transform_goes_through_the_form_and_back() -> None:
    steps: list[dict[str, Any]] = [
        {"do": "trim"},
        {"do": "case", "to": "upper"},
        {"do": "split", "separator": ", ", "part": 0},
        {"do": "split", "separator": "-", "part": -2},
        {"do": "join", "separator": " ", "paths": ["a.b", 'c."d e"']},
        {"do": "coalesce", "paths": ["a"]},
        {"do": "constant", "value": "x"},
        {"do": "number", "decimal": ",", "group": " "},
        {"do": "date", "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"},
        {"do": "minor_units", "digits": 3},
        {"do": "major_units", "digits": 0},
        {"do": "lookup", "table": {"a b": "1", "c": None}, "otherwise": None},
        {"do": "boolean", "true": ["yes"], "false": ["no", "0"]},
    ]
    assert {step["do"] for step in steps} == STEPS.keys()
    rule = read_rule(
        {
            "provider": "stripe",
            "target_table": "customers",
            "target_field": "custom.x",
            "type": "text",
            "source_path": "a",
            "transforms": steps,
            "default": "none",
            "required": True,
        }
    )
    assert rule_of(draft_of(rule), "stripe", "customers") == rule


OWN = {
    "provider": "stripe",
    "target_table": "customers",
    "target_field": "custom.table",
    "type": "text",
    "source_path": "metadata.table",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transforms": [{"do": "lookup", "table": {"a=b": 1}}]}, False),
        ({"transforms": [{"do": "lookup", "table": {" x ": "1"}}]}, False),
        ({"transforms": [{"do": "lookup", "table": {"x": " 1"}}]}, False),
        ({"transforms": [{"do": "lookup", "table": {"": 1}}]}, False),
        ({"transforms": [{"do": "lookup", "table": {"x": 4, "y": True}, "otherwise": -1}]}, True),
        ({"transforms": [{"do": "constant", "value": ""}]}, False),
        ({"transforms": [{"do": "constant", "value": 10**40}, {"do": "number"}]}, False),
        ({"transforms": [{"do": "constant", "value": 1.5}]}, False),
        ({"transforms": [{"do": "boolean", "true": ["a,b"], "false": ["no"]}]}, False),
        ({"transforms": [{"do": "boolean", "true": [" yes "], "false": ["no"]}]}, True),
        ({"transforms": [{"do": "join", "separator": "\n", "paths": ["a"]}]}, False),
        ({"transforms": [{"do": "coalesce", "paths": ['a."x\u2028y"']}]}, False),
        ({"transforms": [{"do": "trim"}] * MOST_STEPS}, True),
        ({"default": ""}, False),
        ({"default": "a\nb"}, False),
        ({"default": True}, False),
        ({"default": True, "type": "boolean"}, True),
        ({"default": "yes", "type": "boolean"}, False),
        ({"default": 7, "type": "integer"}, True),
    ],
)
def test_a_rule_is_said_by_the_form_or_edited_elsewhere(change: dict[str, Any], said: bool) -> None:
    assert is_said_by_form(read_rule(OWN | change)) is said


def test_every_rule_that_ships_is_said_by_the_form() -> None:
    shipped = [
        rule
        for table, target in TARGETS.items()
        for provider in target.streams
        for field in target.fields
        if (rule := default_rule(provider, table, field)) is not None
    ]
    assert shipped
    assert all(map(is_said_by_form, shipped))


def test_a_rule_that_the_form_cannot_say_is_shown_and_taken_back_and_not_edited(
    sign_in: SignIn, rows: None, settings: Settings
) -> None:
    lost = [{"do": "lookup", "table": {"a=b": 1, " x ": True}}]
    engine = create_engine(settings, Role.PIPELINE)
    with engine.begin() as session:
        venue_scope(session, "hall")
        for transforms in ([], lost):
            rule = read_rule(OWN | {"transforms": transforms})
            set_rule(session, "hall", rule, by="ana", reason="seats")
    engine.dispose()
    manager = sign_in()
    page = manager.get(f"{AT}/custom.table").text
    assert "This form cannot say all of this rule" in page
    assert "looked up:  x  → yes, a=b → 1, anything else → nothing" in page
    assert 'name="required"' not in page
    assert "remove this field" in page
    back = manager.post(f"{AT}/custom.table/rollback", {"to": "1", "reason": "by hand"})
    assert back.status_code == 303
    assert 'name="required"' in manager.get(f"{AT}/custom.table").text


def test_of_payments_nothing_is_required(sign_in: SignIn, rows: None) -> None:
    manager, at = sign_in(), AT.replace("customers", "payments")
    assert 'name="required"' not in manager.get(f"{at}/description").text
    form = {"source": "description", "required": "on", "press": "preview"}
    page = manager.post(f"{at}/description/draft", form).text
    assert "give a default, or leave the field empty" in page
    assert 'name="rule"' not in page


def test_a_step_more_than_a_rule_may_have_is_refused_in_words(sign_in: SignIn, rows: None) -> None:
    manager = sign_in()
    steps = {f"step-{place}-do": "trim" for place in range(MOST_STEPS)}
    page = manager.post(f"{AT}/new/draft", {**FORM, **steps, "press": "add", "step": "trim"}).text
    assert "A rule has at most 20 steps: take one away first" in page
    assert "Step 20" in page and "Step 21" not in page
    more = steps | {f"step-{MOST_STEPS}-do": "trim"}
    page = manager.post(f"{AT}/new/draft", {**FORM, **more, "press": "preview"}).text
    assert "Step 21" in page and "Steps: List should have at most 20 items" in page
