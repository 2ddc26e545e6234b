"""The page on which a venue's managers say who may see it: people, and programs by API token."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from pydantic import ValidationError
from sqlalchemy import Connection as Session

from oauth_portal import access as rights
from oauth_portal.access import NotDone
from oauth_portal.people import at_venue, person_here, venue_page
from oauth_portal.portal import portal
from oauth_portal.schemas import Invitation, NewToken

blueprint = Blueprint("members", __name__, url_prefix="/venues/<venue_id>/access")


@blueprint.get("")
@at_venue("venue_admin")
def access(venue_id: str) -> Any:
    """Members and API tokens."""
    return _page(venue_id)


@blueprint.post("/members")
@at_venue("venue_admin")
def invite(venue_id: str) -> Any:
    """Invite someone, or give a member another role."""

    def change(session: Session) -> str:
        asked = Invitation.model_validate(_fields("email", "role"))
        rights.admit(
            session, venue_id, email=asked.email, role=asked.role, actor=person_here().email
        )
        return f"{asked.email} can sign in now and see this venue."

    return _changed(venue_id, change)


@blueprint.post("/members/<user_id>/remove")
@at_venue("venue_admin")
def remove(venue_id: str, user_id: str) -> Any:
    """From now on they see nothing of the venue."""

    def change(session: Session) -> str:
        rights.dismiss(session, venue_id, _uuid(user_id), actor=person_here().email)
        return "They see nothing of this venue any more."

    return _changed(venue_id, change)


@blueprint.post("/tokens")
@at_venue("venue_admin")
def issue(venue_id: str) -> Any:
    """A new API token, shown on this one page."""
    try:
        asked = NewToken.model_validate(_fields("name", "role", "days"))
        with portal().scoped(venue_id) as session:
            _, token = rights.issue(
                session,
                venue_id,
                name=asked.name,
                role=asked.role,
                days=asked.days,
                actor=person_here().email,
            )
    except (NotDone, ValidationError) as error:
        return _page(venue_id, why=_told(error)), 400
    return _page(venue_id, token=token)


@blueprint.post("/tokens/<token_id>/revoke")
@at_venue("venue_admin")
def revoke(venue_id: str, token_id: str) -> Any:
    """From now on it opens nothing."""

    def change(session: Session) -> str:
        rights.revoke(session, venue_id, _uuid(token_id), actor=person_here().email)
        return "That API token opens nothing any more."

    return _changed(venue_id, change)


def _page(venue_id: str, *, token: str | None = None, why: str | None = None) -> str:
    with portal().scoped(venue_id) as session:
        members, tokens = rights.members(session), rights.tokens(session)
    return render_template(
        "access.html",
        **venue_page(venue_id),
        members=members,
        tokens=tokens,
        token=token,
        why=why,
        api=f"{portal().settings.public_base_url}/api/v1",
    )


def _changed(venue_id: str, change: Callable[[Session], str]) -> Any:
    try:
        with portal().scoped(venue_id) as session:
            message = change(session)
    except (NotDone, ValidationError) as error:
        return _page(venue_id, why=_told(error)), 400
    flash(message)
    return redirect(url_for("members.access", venue_id=venue_id), 303)


def _fields(*names: str) -> dict[str, str]:
    return {name: request.form[name] for name in names if name in request.form}


def _told(error: NotDone | ValidationError) -> str:
    if isinstance(error, NotDone):
        return str(error)
    named = ", ".join(str(each["loc"][0]) for each in error.errors(include_input=False))
    return f"Nothing was changed: mend {named}."


def _uuid(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        abort(404)
