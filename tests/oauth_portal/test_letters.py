"""Failed messages: what a manager reads of them, and has worked on again."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from integration_pipelines.core.events.claims import CANNOT_TELL, claim
from integration_pipelines.providers import PROVIDERS
from oauth_portal.letters import CAUSES, in_words
from tests.canary import assert_unseen, make_canary
from tests.oauth_portal.conftest import ADMIN, OTHER, VIEWER, SignIn

AT = "/venues/hall/dead-letters"


def dead(engine: Engine) -> list[int]:
    asked = "SELECT webhook_id FROM control.integration_webhooks WHERE status = 'dead' ORDER BY 1"
    with engine.connect() as session:
        return list(session.scalars(text(asked)))


def test_a_manager_reads_why_and_what_was_held_masked(sign_in: SignIn, letters: list[int]) -> None:
    manager = sign_in()
    page = manager.get(AT).text
    assert "Square told us of a change, and we could not read it" in page
    assert "It was not signed as Square signs its messages" in page
    assert "Work on all 2 again" in page
    assert "M-bar" not in page and "Nobody had connected" not in page
    one = manager.get(f"{AT}/{letters[0]}").text
    assert "[e-mail]" in one and "ana@" not in one
    assert "payments: it is down" in one, "as it is on record"
    for other in (*letters[2:], 0, "x", "9" * 40, "-1"):
        assert manager.get(f"{AT}/{other}").status_code == 404


def test_a_manager_replays_one_and_all_that_a_filter_leaves_and_twice_does_no_harm(
    sign_in: SignIn, letters: list[int], pipeline_engine: Engine
) -> None:
    manager = sign_in()
    shown = manager.get(f"{AT}?reason=it is not authentic").text
    assert "refund.updated" in shown and "payment.updated" not in shown
    assert "No message is as you ask" in manager.get(f"{AT}?until=2026-01-01").text
    assert "refund.updated" in manager.get(f"{AT}?since=2026-01-01&before={letters[1] + 1}").text
    for _ in range(2):
        answer = manager.post(f"{AT}/replay", {"reason": "it is not authentic"})
        assert answer.headers["Location"] == AT
        assert dead(pipeline_engine) == [letters[0], *letters[2:]]
    assert "Nothing is left to work on again" in manager.get(AT).text
    manager.post(f"{AT}/replay", {"letter_id": str(letters[2])})
    assert dead(pipeline_engine) == [letters[0], *letters[2:]], "it is another venue's"
    manager.post(f"{AT}/replay", {"letter_id": str(letters[0])})
    assert dead(pipeline_engine) == letters[2:]
    page = manager.get(AT).text
    assert "1 message will be worked on again" in page and "There is none" in page
    assert "had a failed message worked on again" in manager.get("/venues/hall/history").text


def test_only_a_venues_managers_find_them_and_only_administrators_those_of_no_venue(
    sign_in: SignIn, letters: list[int], pipeline_engine: Engine
) -> None:
    for email, code in ((VIEWER, 403), (OTHER, 404)):
        browser = sign_in(email)
        assert browser.get(AT).status_code == code
        assert browser.get(f"{AT}/{letters[0]}").status_code == code
        assert browser.post(f"{AT}/replay").status_code == code
        assert browser.get("/admin/dead-letters").status_code == 404
        assert browser.post("/admin/dead-letters/replay").status_code == 404
    assert dead(pipeline_engine) == letters
    assert "Failed messages" not in sign_in(VIEWER).get("/venues/hall").text
    admin = sign_in(ADMIN)
    page = admin.get("/admin/dead-letters").text
    assert "M-nobody" in page and "M-hall" not in page
    assert "[e-mail]" in admin.get(f"/admin/dead-letters/{letters[3]}").text
    assert admin.get(f"/admin/dead-letters/{letters[0]}").status_code == 404
    assert admin.post("/admin/dead-letters/replay").headers["Location"] == "/admin/dead-letters"
    assert dead(pipeline_engine) == letters[:3]


def test_what_was_dropped_is_said_and_not_replayed(
    sign_in: SignIn, letters: list[int], pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session:
        session.execute(text("UPDATE control.integration_webhooks SET payload = NULL"))
    manager = sign_in()
    assert "That was dropped when its time was over" in manager.get(f"{AT}/{letters[0]}").text
    assert "too old" in manager.get(AT).text
    manager.post(f"{AT}/replay")
    assert dead(pipeline_engine) == letters


def test_every_reason_for_which_a_claim_gives_up_has_words(
    people: None, connect: Callable[..., UUID], pipeline_engine: Engine
) -> None:
    connect("hall", "square", "M1")
    add = (
        "INSERT INTO control.integration_webhooks (provider, account_id, event_id, event_type,"
        " payload, attempts, proof, received_at) VALUES ('square', :account, :id,"
        ' \'payment.updated\', \'{"data": {"id": "p"}}\', :attempts, CAST(:proof AS jsonb),'
        " now() - '2 days'::interval)"
    )
    proof = (
        '{"body": "{}", "signature": "x", "url": "u", "received_at": "2026-01-01T00:00:00+00:00"}'
    )
    rows: tuple[tuple[str, int, Any], ...] = (
        ("M1", 8, None),
        ("M1", 0, proof),
        ("M2", 0, None),
    )
    for secrets in (["a-secret"], []):
        with pipeline_engine.begin() as session:
            session.execute(text("DELETE FROM control.integration_webhooks"))
            for number, (account, attempts, held) in enumerate(rows):
                values = {"account": account, "id": f"e{number}", "attempts": attempts}
                session.execute(text(add), values | {"proof": held})
            claim(session, PROVIDERS, limit=9, secrets_of=lambda _, found=secrets: found)  # type: ignore[misc]
            asked = "SELECT last_error FROM control.integration_webhooks WHERE status = 'dead'"
            reasons = list(session.scalars(text(asked)))
        assert len(reasons) == 3
        known = [cause for cause in CAUSES for reason in reasons if cause.part in reason]
        assert len(known) == 3, reasons
        assert CANNOT_TELL in reasons or secrets
        assert all("We have been told" not in in_words(each, "Square") for each in reasons)


def test_24_no_secret_of_a_dead_letter_is_on_a_page(
    sign_in: SignIn, letters: list[int], pipeline_engine: Engine
) -> None:
    canary = make_canary("key")
    with pipeline_engine.begin() as session:
        session.execute(
            text(
                "UPDATE control.integration_webhooks SET last_error = 'refused: ' || :canary,"
                " payload = jsonb_build_object('id', :canary, 'a', jsonb_build_array(:canary),"
                " :canary, 1)"
            ),
            {"canary": canary},
        )
    manager = sign_in()
    assert_unseen(canary, manager.get(AT).text, manager.get(f"{AT}/{letters[0]}").text)
