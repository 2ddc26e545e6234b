"""Browser sessions, kept in Postgres: the cookie is a random name, known here by its hash alone."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.datastructures import CallbackDict

from integration_pipelines.core.tables import portal_sessions
from oauth_portal.portal import portal

log = structlog.get_logger(__name__)

LIFETIME = timedelta(hours=12)
USER = "user_id"


def hashed(secret: str) -> bytes:
    """By what the database knows a secret."""
    return hashlib.sha256(secret.encode()).digest()


class BrowserSession(CallbackDict[str, Any], SessionMixin):
    """What is kept of one browser. ``name`` is the cookie's value."""

    def __init__(self, initial: dict[str, Any] | None = None, *, name: str | None = None) -> None:
        def changed(_: object) -> None:
            self.modified = True

        super().__init__(initial, changed)
        self.new = name is None
        self.name = name or secrets.token_urlsafe(32)
        self.replaced: str | None = None
        self.modified = False

    @property
    def hash(self) -> bytes:
        """By what the database knows this browser."""
        return hashed(self.name)

    @property
    def user_id(self) -> UUID | None:
        """Who is signed in."""
        return UUID(self[USER]) if USER in self else None

    def begin_anew(self, user_id: UUID | None = None) -> None:
        """Forget everything, under another name: whoever knew the old one knows nothing."""
        self.replaced = self.replaced or self.name
        self.name = secrets.token_urlsafe(32)
        self.clear()
        if user_id is not None:
            self[USER] = str(user_id)
        self.modified = True


class UnreadSession(BrowserSession):
    """A browser of which nothing could be read: it is nobody's, and nothing is kept of it."""


class PostgresSessions(SessionInterface):
    """See flask.sessions."""

    null_session_class = UnreadSession  # type: ignore[assignment]

    def open_session(self, app: Flask, request: Request) -> BrowserSession | None:
        name = request.cookies.get(self.get_cookie_name(app), "")
        if not name:
            return BrowserSession()
        try:
            with portal().engine.begin() as session:
                row = session.execute(
                    select(portal_sessions.c.data, portal_sessions.c.user_id).where(
                        portal_sessions.c.session_hash == hashed(name),
                        portal_sessions.c.expires_at > func.now(),
                    )
                ).one_or_none()
        except SQLAlchemyError as error:
            log.error("a session could not be read", reason=str(error).partition("\n")[0])
            return None
        if row is None:
            return BrowserSession()
        user = {USER: str(row.user_id)} if row.user_id else {}
        return BrowserSession({**row.data, **user}, name=name)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, BrowserSession)
        if not session.modified:
            return
        until = datetime.now(UTC) + LIFETIME
        kept = {name: value for name, value in session.items() if name != USER}
        with portal().engine.begin() as transaction:
            if session.replaced is not None:
                transaction.execute(
                    delete(portal_sessions).where(
                        (portal_sessions.c.session_hash == hashed(session.replaced))
                        | (portal_sessions.c.expires_at < func.now())
                    )
                )
            add = insert(portal_sessions).values(
                session_hash=session.hash, user_id=session.user_id, data=kept, expires_at=until
            )
            transaction.execute(
                add.on_conflict_do_update(
                    index_elements=["session_hash"],
                    set_={"user_id": add.excluded.user_id, "data": add.excluded.data},
                )
            )
        response.set_cookie(
            self.get_cookie_name(app),
            session.name,
            max_age=LIFETIME,
            secure=self.get_cookie_secure(app),
            httponly=True,
            samesite="Lax",
        )
