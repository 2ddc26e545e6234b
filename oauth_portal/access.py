"""Who may what at a venue: its members, and the API tokens that its managers issued."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import delete, func, insert, select, update

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.tables import api_tokens, memberships, users
from integration_pipelines.core.users import invite
from oauth_portal.bearers import new_token
from oauth_portal.people import note
from oauth_portal.sessions import hashed

MOST_TOKENS = 100
LONGEST_LIFE = timedelta(days=366)


class NotDone(Exception):
    """Nothing was changed; the message says why, to whoever manages the venue."""


def tokens(session: Session) -> list[Any]:
    """The API tokens that are open, of the venue in scope, the newest first."""
    return list(
        session.execute(
            select(
                api_tokens.c.token_id,
                api_tokens.c.name,
                api_tokens.c.role,
                api_tokens.c.created_by,
                api_tokens.c.created_at,
                api_tokens.c.expires_at,
                api_tokens.c.last_used_at,
            )
            .where(api_tokens.c.revoked_at.is_(None), api_tokens.c.expires_at > func.now())
            .order_by(api_tokens.c.created_at.desc())
        )
    )


def issue(
    session: Session, venue_id: str, *, name: str, role: str, days: int, actor: str
) -> tuple[UUID, str]:
    """A new API token: its id, and the token itself, which nothing here keeps. Raises NotDone."""
    held = tokens(session)
    if len(held) >= MOST_TOKENS:
        raise NotDone(f"There are {MOST_TOKENS} API tokens already: revoke one first.")
    if any(each.name == name for each in held):
        raise NotDone(f"There is an API token {name} already: revoke it, or choose another name.")
    token = new_token()
    token_id: UUID = session.scalars(
        insert(api_tokens)
        .values(
            venue_id=venue_id,
            name=name,
            token_hash=hashed(token),
            role=role,
            created_by=actor,
            expires_at=datetime.now(UTC) + min(timedelta(days=days), LONGEST_LIFE),
        )
        .returning(api_tokens.c.token_id)
    ).one()
    note(session, venue_id, actor, f"issued the API token {name}", role=role)
    return token_id, token


def revoke(session: Session, venue_id: str, token_id: UUID, *, actor: str) -> None:
    """From now on it opens nothing. Raises NotDone where there is no such token."""
    name = session.scalar(
        update(api_tokens)
        .where(api_tokens.c.token_id == token_id, api_tokens.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(api_tokens.c.name)
    )
    if name is None:
        raise NotDone("There is no such API token.")
    note(session, venue_id, actor, f"revoked the API token {name}")


def members(session: Session) -> list[Any]:
    """Who may see the venue in scope, and as what."""
    return list(
        session.execute(
            select(
                users.c.user_id,
                users.c.email,
                users.c.name,
                memberships.c.role,
                memberships.c.created_at,
                users.c.subject.is_not(None).label("signed_in_before"),
            )
            .join(users, users.c.user_id == memberships.c.user_id)
            .where(users.c.disabled_at.is_(None))
            .order_by(users.c.email)
        )
    )


def admit(session: Session, venue_id: str, *, email: str, role: str, actor: str) -> UUID:
    """Invite someone, or give a member another role. Raises NotDone."""
    _hold_members(session)
    asked = email.strip().lower()
    changed = next((each for each in members(session) if each.email.lower() == asked), None)
    if changed is not None and role != "venue_admin":
        _refuse_last_manager(session, changed.user_id)
    try:
        user_id = invite(session, email, venue_id=venue_id, role=role)
    except ConfigurationError as error:
        raise NotDone(f"{str(error).capitalize()}.") from error
    note(session, venue_id, actor, f"made {email.strip()} {role}")
    return user_id


def dismiss(session: Session, venue_id: str, user_id: UUID, *, actor: str) -> None:
    """From now on they see nothing of the venue. Raises NotDone."""
    _hold_members(session)
    member = next((each for each in members(session) if each.user_id == user_id), None)
    if member is None:
        raise NotDone("There is no such member.")
    _refuse_last_manager(session, user_id)
    session.execute(delete(memberships).where(memberships.c.user_id == user_id))
    note(session, venue_id, actor, f"removed {member.email}")


def _hold_members(session: Session) -> None:
    """Two managers that dismiss each other at once would leave none."""
    session.execute(select(memberships.c.user_id).with_for_update())


def _refuse_last_manager(session: Session, user_id: UUID) -> None:
    managers = [each.user_id for each in members(session) if each.role == "venue_admin"]
    if managers == [user_id]:
        raise NotDone("Somebody has to manage the venue: make another member venue_admin first.")
