"""Messages of providers that were given up: why, in words of whoever manages the venue, what they
held, masked, and their replay. Managers see their venue's; administrators those of no venue."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from sqlalchemy import Connection as Session

from integration_pipelines.core.events.claims import CANNOT_TELL
from integration_pipelines.core.events.letters import NO_VENUE, Asked, count, find, replay, show
from oauth_portal.cards import OURS
from oauth_portal.people import administrators_only, at_venue, note, person_here, venue_page
from oauth_portal.portal import portal

blueprint = Blueprint("letters", __name__)

LETTERS_A_PAGE = 30
DEAD = "dead"


class Cause(NamedTuple):
    """Why messages are given up: ``part`` of the reason that is on record, a ``label`` for it, and
    what it means."""

    part: str
    label: str
    words: str


CAUSES = (
    Cause(
        "given up after",
        "could not be read",
        "{title} told us of a change, and we could not read it, though we tried several times.",
    ),
    Cause(
        "it is not authentic",
        "not signed",
        "It was not signed as {title} signs its messages, so we did not trust it.",
    ),
    Cause(CANNOT_TELL, "not verified", "We could not verify in time that {title} had sent it."),
    Cause(
        "no venue has connected this account",
        "unknown account",
        "Nobody had connected the {title} account that it is about.",
    ),
)


def in_words(reason: str | None, title: str) -> str:
    """Why one was given up, for people."""
    for each in CAUSES:
        if each.part in (reason or ""):
            return each.words.format(title=title)
    return OURS


def replay_letters(
    session: Session, venue_id: str, asked: Asked, ids: list[int] | None = None, *, actor: str
) -> int:
    """Let the dead letters in scope that are as ``asked`` be worked on again, and note who did."""
    again = replay(session, asked, ids)
    if again and venue_id != NO_VENUE:
        what = "a failed message" if again == 1 else f"{again} failed messages"
        note(session, venue_id, actor, f"had {what} worked on again", asked.provider)
    return again


@blueprint.get("/venues/<venue_id>/dead-letters")
@at_venue("venue_admin")
def of_venue(venue_id: str) -> Any:
    """The venue's, a page at a time."""
    return _list(venue_id, **venue_page(venue_id))


@blueprint.get("/venues/<venue_id>/dead-letters/<letter_id>")
@at_venue("venue_admin")
def one_of_venue(venue_id: str, letter_id: str) -> Any:
    """One of the venue's, with what it held."""
    return _show(venue_id, letter_id, **venue_page(venue_id))


@blueprint.post("/venues/<venue_id>/dead-letters/replay")
@at_venue("venue_admin")
def replay_of_venue(venue_id: str) -> Any:
    """All of the venue's that the form's filters leave, or the one that it names."""
    return _replay(venue_id)


@blueprint.get("/admin/dead-letters")
@administrators_only
def of_no_venue() -> Any:
    """Those of accounts that nobody had connected."""
    return _list(NO_VENUE, providers=portal().providers)


@blueprint.get("/admin/dead-letters/<letter_id>")
@administrators_only
def one_of_no_venue(letter_id: str) -> Any:
    """One of these, with what it held."""
    return _show(NO_VENUE, letter_id, providers=portal().providers)


@blueprint.post("/admin/dead-letters/replay")
@administrators_only
def replay_of_no_venue() -> Any:
    """All of these that the form's filters leave, or the one that it names."""
    return _replay(NO_VENUE)


def _list(scope: str, **page: Any) -> Any:
    before = request.args.get("before", "")
    with portal().scoped(scope) as session:
        found = find(
            session,
            _asked(request.args),
            limit=LETTERS_A_PAGE + 1,
            before=_id(before) if before else None,
        )
        dead = count(session, _asked(request.args)).get(DEAD, 0)
    shown = found[:LETTERS_A_PAGE]
    filters = {name: value for name, value in request.args.items() if value and name != "before"}
    return render_template(
        "letters.html",
        **page,
        letters=shown,
        dead=dead,
        filters=filters,
        earlier=shown[-1]["webhook_id"] if len(found) > len(shown) else None,
        causes=CAUSES,
        in_words=in_words,
        here=_here(scope),
    )


def _show(scope: str, letter_id: str, **page: Any) -> Any:
    with portal().scoped(scope) as session:
        found = show(session, _id(letter_id), Asked(status=DEAD))
    if found is None:
        abort(404, "There is no such message, or it is being worked on again.")
    held = found["payload"]
    return render_template(
        "letter.html",
        **page,
        letter=found,
        held=None if held is None else json.dumps(held, indent=2, ensure_ascii=False),
        in_words=in_words,
        here=_here(scope),
    )


def _replay(scope: str) -> Any:
    named = request.form.get("letter_id")
    with portal().scoped(scope) as session:
        again = replay_letters(
            session,
            scope,
            _asked(request.form),
            None if named is None else [_id(named)],
            actor=person_here().email,
        )
    count = f"{again} message{'' if again == 1 else 's'}"
    flash(f"{count} will be worked on again." if again else "Nothing is left to work on again.")
    return redirect(_here(scope), 303)


def _here(scope: str) -> str:
    if scope == NO_VENUE:
        return url_for("letters.of_no_venue")
    return url_for("letters.of_venue", venue_id=scope)


def _asked(given: Any) -> Asked:
    """The dead letters that the fields of a form ask for; what makes no sense asks for nothing."""

    def said(name: str) -> str | None:
        text = given.get(name, "").replace("\0", "").strip()[:200]
        return text or None

    return Asked(
        status=DEAD,
        provider=said("provider"),
        event_type=said("type"),
        account_id=said("account"),
        reason=said("reason"),
        since=_day(said("since")),
        until=_day(said("until")),
    )


def _day(given: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(given or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _id(given: str) -> int:
    if not given.isascii() or not given.isdecimal() or len(given) > 18:
        abort(404)
    return int(given)
