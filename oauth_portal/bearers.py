"""Who calls the API: a token that a venue's manager issued, or a JWT.

A JWT is ours (HS256 by JWT_SECRET, see `exchange`) or another issuer's (JWT_PUBLIC_KEY; the key's
type decides the one algorithm that is accepted). What either may is read from the database on each
request: a claim can lessen it and never add to it.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flask import abort, current_app, g, request
from sqlalchemy import ColumnElement, func, select, update

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import api_tokens, users, venues
from integration_pipelines.core.users import ROLES
from oauth_portal.people import Person, person
from oauth_portal.portal import portal
from oauth_portal.sessions import hashed

log = structlog.get_logger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

PREFIX = "vit_"
"""What an API token begins with, so that a scanner for leaked secrets can know it."""
LONGEST = 4096
SHORTEST_SECRET = 32
JWT_GOOD_FOR = timedelta(minutes=15)
LEEWAY = timedelta(seconds=30)
LONGEST_LIFE = timedelta(hours=24)
NOTED_EVERY = timedelta(minutes=1)
SUBJECT = "api-token/"
"""How the subject of a JWT begins that an API token was exchanged for; its id follows."""
EXTENSION = "verifier"


class Verifier(NamedTuple):
    """What JWTs are held against; ``issuer``: the only one that may have signed with ``key``."""

    key: Any
    algorithm: str
    audience: str
    issuer: str | None


def verifier(settings: Settings) -> Verifier | None:
    """How JWTs are verified; None: none is taken. Raises ConfigurationError."""
    audience = f"{settings.public_base_url}/api/v1"
    if settings.jwt_public_key:
        try:
            key = load_pem_public_key(settings.jwt_public_key.replace("\\n", "\n").encode())
        except ValueError:
            raise ConfigurationError(
                "JWT_PUBLIC_KEY is no public key: give PEM, -----BEGIN PUBLIC KEY-----…"
            ) from None
        for kind, algorithm in (
            (RSAPublicKey, "RS256"),
            (EllipticCurvePublicKey, "ES256"),
            (Ed25519PublicKey, "EdDSA"),
        ):
            if isinstance(key, kind):
                return Verifier(key, algorithm, audience, None)
        raise ConfigurationError("JWT_PUBLIC_KEY is of a kind that is not taken: RSA, EC, Ed25519")
    if settings.jwt_secret:
        secret = settings.jwt_secret.get_secret_value()
        if len(secret) < SHORTEST_SECRET:
            raise ConfigurationError(
                f"JWT_SECRET is shorter than {SHORTEST_SECRET} characters: `openssl rand -hex 32`"
            )
        return Verifier(secret, "HS256", audience, settings.public_base_url)
    return None


def caller() -> Person | None:
    """Who calls, with the roles they have now; None where the bearer opens nothing."""
    if "caller" not in g:
        g.caller = _caller(request.headers.get("Authorization", ""))
    return cast(Person | None, g.caller)


def require_caller() -> None:
    """Refuse who shows no bearer that opens something: before anything else is looked at."""
    if caller() is None:
        abort(401, "Send Authorization: Bearer with an API token or a JWT that is valid.")


def called_at_venue(role: str) -> Callable[[View], View]:
    """For who has this role at the venue of the path. One that is not theirs does not exist."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            who = caller()
            assert who is not None
            venue_id = kwargs["path"].venue_id
            if venue_id not in who.roles:
                abort(404, "There is no such venue.")
            if not who.may(venue_id, role):
                abort(403, f"This takes the role {role}.")
            return view(*args, **kwargs)

        return cast(View, guarded)

    return decorate


def called_by_administrators(view: View) -> View:
    """For administrators of all venues."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        who = caller()
        assert who is not None
        if not who.is_admin:
            abort(403, "This is for administrators.")
        return view(*args, **kwargs)

    return cast(View, guarded)


def new_token() -> str:
    """An API token nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


def exchange(who: Person, settings: Settings) -> str | None:
    """A JWT of fifteen minutes for who called with an API token; None without JWT_SECRET."""
    if settings.jwt_secret is None or settings.jwt_public_key or who.token_id is None:
        return None
    now = datetime.now(UTC)
    ((venue_id, role),) = who.roles.items()
    claims = {
        "iss": settings.public_base_url,
        "aud": f"{settings.public_base_url}/api/v1",
        "sub": f"{SUBJECT}{who.token_id}",
        "iat": now,
        "exp": now + JWT_GOOD_FOR,
        "jti": secrets.token_urlsafe(12),
        "venue_id": venue_id,
        "role": role,
    }
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")


def _caller(header: str) -> Person | None:
    kind, _, bearer = header.partition(" ")
    if kind.lower() != "bearer" or not 0 < len(bearer) <= LONGEST or not bearer.isascii():
        return None
    if bearer.startswith(PREFIX):
        return _of_api_token(bearer)
    return _of_jwt(bearer)


def _of_api_token(bearer: str) -> Person | None:
    asked = hashed(bearer)
    with portal().engine.begin() as session:
        venue_id = session.scalar(select(func.control.venue_of_api_token(asked)))
    if venue_id is None:
        return None
    return _open_token(venue_id, api_tokens.c.token_hash == asked)


def _open_token(venue_id: str, condition: ColumnElement[bool]) -> Person | None:
    """What an API token of the venue opens, unless it is revoked or too old."""
    with portal().scoped(venue_id) as session:
        row = session.execute(
            select(api_tokens, venues.c.name.label("venue_name"))
            .join(venues, venues.c.venue_id == api_tokens.c.venue_id)
            .where(
                condition,
                api_tokens.c.revoked_at.is_(None),
                api_tokens.c.expires_at > func.now(),
            )
        ).one_or_none()
        if row is None:
            return None
        if row.last_used_at is None or datetime.now(UTC) - row.last_used_at > NOTED_EVERY:
            session.execute(
                update(api_tokens)
                .where(api_tokens.c.token_id == row.token_id)
                .values(last_used_at=func.now())
            )
    return Person(
        user_id=None,
        email=f"API token {row.name}",
        name=row.name,
        is_admin=False,
        roles={venue_id: row.role},
        venues={venue_id: row.venue_name},
        token_id=row.token_id,
    )


def _of_jwt(bearer: str) -> Person | None:
    held: Verifier | None = current_app.extensions[EXTENSION]
    if held is None:
        return None
    try:
        claims = jwt.decode(
            bearer,
            held.key,
            algorithms=[held.algorithm],
            audience=held.audience,
            issuer=held.issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        log.info("a JWT was refused", reason=type(error).__name__)
        return None
    if claims["exp"] - claims["iat"] > LONGEST_LIFE.total_seconds():
        log.info("a JWT was refused", reason="good for more than a day")
        return None
    venue_id, role = claims.get("venue_id"), claims.get("role")
    if not isinstance(venue_id, str | None) or not isinstance(role, str):
        return None
    who = _of_subject(held, str(claims["iss"]), str(claims["sub"]), venue_id)
    return None if who is None else _lessened(who, venue_id, role)


def _of_subject(held: Verifier, issuer: str, subject: str, venue_id: str | None) -> Person | None:
    if held.issuer is not None and subject.startswith(SUBJECT):
        try:
            token_id = UUID(subject.removeprefix(SUBJECT))
        except ValueError:
            return None
        if venue_id is None:
            return None
        return _open_token(venue_id, api_tokens.c.token_id == token_id)
    with portal().engine.begin() as session:
        user_id = session.scalar(
            select(users.c.user_id).where(users.c.issuer == issuer, users.c.subject == subject)
        )
    return None if user_id is None else person(user_id)


def _lessened(who: Person, venue_id: str | None, role: str) -> Person | None:
    """What is left of someone's roles by what their JWT is for: the one venue it names, or all of
    an administrator's where it claims to be that."""
    if venue_id is None:
        return who if who.is_admin and role == "admin" else None
    if venue_id not in who.roles or role not in ROLES:
        return None
    least = min(role, who.roles[venue_id], key=ROLES.index)
    return replace(
        who,
        is_admin=False,
        roles={venue_id: least},
        venues={venue_id: who.venues[venue_id]},
    )
