"""Who asks, and what they may: read again on each request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

from flask import abort, g, redirect, request, session
from sqlalchemy import Connection as Session
from sqlalchemy import func, insert, select, update

from integration_pipelines.core.tables import audit_log, users
from integration_pipelines.core.users import ROLES
from oauth_portal.portal import portal
from oauth_portal.sessions import BrowserSession

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: someone who is signed in, or an API token. ``roles``: by venue, of all venues for
    an administrator; ``email``: what the audit log calls them."""

    user_id: UUID | None
    email: str
    name: str
    is_admin: bool
    roles: Mapping[str, str]
    venues: Mapping[str, str]
    token_id: UUID | None = None

    def may(self, venue_id: str, role: str) -> bool:
        """Whether they have this role, or more, at the venue."""
        held = self.roles.get(venue_id)
        return held is not None and ROLES.index(held) >= ROLES.index(role)


def browser() -> BrowserSession:
    """The session of this browser."""
    return cast(BrowserSession, session._get_current_object())  # type: ignore[attr-defined]


def current_person() -> Person | None:
    """Who is signed in, if they still may be."""
    if "person" not in g:
        user_id = browser().user_id
        g.person = None if user_id is None else person(user_id)
    return cast(Person | None, g.person)


def person_here() -> Person:
    """Who is signed in, on a page that only they reach."""
    who = current_person()
    assert who is not None
    return who


def venue_page(venue_id: str) -> dict[str, Any]:
    """What every page of a venue is told."""
    who = person_here()
    return {
        "venue_id": venue_id,
        "venue_name": who.venues[venue_id],
        "manages": who.may(venue_id, "venue_admin"),
        "providers": portal().providers,
    }


def person(user_id: UUID) -> Person | None:
    """A user who is not disabled, with roles and names of their venues."""
    with portal().engine.begin() as session:
        row = session.execute(
            select(users).where(users.c.user_id == user_id, users.c.disabled_at.is_(None))
        ).one_or_none()
        if row is None:
            return None
        found = func.control.venues_of_user(user_id).table_valued("venue_id", "name", "role")
        held = session.execute(select(found)).all()
    return Person(
        row.user_id,
        row.email,
        row.name or row.email,
        row.is_admin,
        {each.venue_id: each.role for each in held},
        {each.venue_id: each.name for each in held},
    )


def signed_in(view: View) -> View:
    """For whoever is signed in; anybody else is sent to sign in and comes back."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if current_person() is None:
            if request.headers.get("HX-Request"):
                return "", 401, {"HX-Redirect": "/sign-in"}
            here = request.full_path.rstrip("?") if request.method == "GET" else "/"
            return redirect(f"/sign-in?next={quote(here)}", 303)
        return view(*args, **kwargs)

    return cast(View, guarded)


def at_venue(role: str) -> Callable[[View], View]:
    """For who has this role at the venue of the URL. One that is not theirs does not exist."""

    def decorate(view: View) -> View:
        @wraps(view)
        @signed_in
        def guarded(*args: Any, venue_id: str, **kwargs: Any) -> Any:
            who = current_person()
            assert who is not None
            if venue_id not in who.roles:
                abort(404)
            if not who.may(venue_id, role):
                abort(403)
            return view(*args, venue_id=venue_id, **kwargs)

        return cast(View, guarded)

    return decorate


def administrators_only(view: View) -> View:
    """For administrators of all venues."""

    @wraps(view)
    @signed_in
    def guarded(*args: Any, **kwargs: Any) -> Any:
        who = current_person()
        assert who is not None
        if not who.is_admin:
            abort(404)
        return view(*args, **kwargs)

    return cast(View, guarded)


def admit(
    *, issuer: str, subject: str, email: str, email_verified: bool, name: str | None
) -> UUID | None:
    """The user that an issuer's claims are of: known by issuer and subject, or by a verified
    address that was invited and belongs to no other subject. None: a stranger."""
    with portal().engine.begin() as session:
        found = session.execute(
            select(users.c.user_id, users.c.disabled_at).where(
                users.c.issuer == issuer, users.c.subject == subject
            )
        ).one_or_none()
        if found is not None:
            return None if found.disabled_at else cast(UUID, found.user_id)
        if not email_verified or not email:
            return None
        admitted: UUID | None = session.scalar(
            update(users)
            .where(
                func.lower(users.c.email) == email.lower(),
                users.c.subject.is_(None),
                users.c.disabled_at.is_(None),
            )
            .values(issuer=issuer, subject=subject, name=func.coalesce(users.c.name, name))
            .returning(users.c.user_id)
        )
        return admitted


def note(
    session: Session, venue_id: str, actor: str, action: str, provider: str | None = None,
    **details: Any,
) -> None:  # fmt: skip
    """Write down who did what, in the transaction that does it."""
    session.execute(
        insert(audit_log).values(
            venue_id=venue_id, actor=actor, action=action, provider=provider, details=details
        )
    )
