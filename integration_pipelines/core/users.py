"""People: who may sign in at the portal, and as what at which venue."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection as Session
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.tables import memberships, users

ROLES = ("viewer", "venue_admin")
"""Each may do what those before it may."""


def invite(
    session: Session,
    email: str,
    *,
    venue_id: str | None = None,
    role: str = "venue_admin",
    is_admin: bool = False,
    name: str | None = None,
) -> UUID:
    """Let who has this address sign in; at ``venue_id`` as ``role``, or everywhere. Someone who is
    known already is given this besides. Raises ConfigurationError for what is no address."""
    local, _, domain = email.strip().partition("@")
    if not local or ("." not in domain and domain != "localhost") or not email.isprintable():
        raise ConfigurationError(f"{email!r} is not an e-mail address")
    user_id = session.scalar(
        select(users.c.user_id).where(func.lower(users.c.email) == email.strip().lower())
    )
    if user_id is None:
        add = insert(users).values(email=email.strip(), name=name, is_admin=is_admin)
        user_id = session.scalars(add.returning(users.c.user_id)).one()
    elif is_admin:
        session.execute(update(users).where(users.c.user_id == user_id).values(is_admin=True))
    if venue_id is not None:
        venue_scope(session, venue_id)
        member = insert(memberships).values(venue_id=venue_id, user_id=user_id, role=role)
        session.execute(
            member.on_conflict_do_update(
                index_elements=["venue_id", "user_id"], set_={"role": member.excluded.role}
            )
        )
    return UUID(str(user_id))


def remove(session: Session, email: str) -> bool:
    """Nobody with this address may sign in any more, at any venue; False where nobody could."""
    done = session.execute(delete(users).where(func.lower(users.c.email) == email.strip().lower()))
    return done.rowcount > 0


def list_users(session: Session, venue_ids: list[str]) -> list[dict[str, Any]]:
    """Everybody, with their roles by venue of ``venue_ids``."""
    roles: dict[UUID, list[str]] = {}
    for venue_id in venue_ids:
        venue_scope(session, venue_id)
        for row in session.execute(select(memberships)):
            roles.setdefault(row.user_id, []).append(f"{row.venue_id} ({row.role})")
    return [
        {
            "email": row.email,
            "administrator": row.is_admin,
            "venues": ", ".join(roles.get(row.user_id, [])),
            "signed_in_before": row.subject is not None,
        }
        for row in session.execute(select(users).order_by(users.c.email))
    ]
