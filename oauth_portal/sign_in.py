"""Signing in and out: OpenID Connect, and outside production an address that is believed."""

from typing import Any
from urllib.parse import urlsplit

import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, abort, redirect, render_template, request
from joserfc.errors import JoseError
from requests import RequestException

from integration_pipelines.core.settings import AppEnv, Settings
from oauth_portal.people import admit, browser, current_person
from oauth_portal.portal import portal

log = structlog.get_logger(__name__)

blueprint = Blueprint("sign_in", __name__)
DEVELOPMENT_ISSUER = "development"
STRANGER = (
    "You are not a member of any venue here yet. Ask a colleague who manages the venue to invite "
    "this address."
)


def register(app: Flask, settings: Settings) -> None:
    """The routes, and the issuer's client where the settings name one."""
    oauth: Any = OAuth(app)
    if settings.oidc_issuer:
        secret = settings.oidc_client_secret
        oauth.register(
            "issuer",
            server_metadata_url=f"{settings.oidc_issuer}/.well-known/openid-configuration",
            client_id=settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256"},
        )
    app.extensions["sign_in"] = oauth
    app.register_blueprint(blueprint)


@blueprint.get("/sign-in")
def sign_in() -> Any:
    """The page to sign in on."""
    if current_person() is not None:
        return redirect("/", 303)
    settings = portal().settings
    return render_template(
        "sign_in.html",
        after=_inside(request.args.get("next")),
        issuer=urlsplit(settings.oidc_issuer).hostname if settings.oidc_issuer else None,
        development=_is_development(settings),
    )


@blueprint.post("/sign-in")
def begin() -> Any:
    """To the issuer."""
    client = _issuer()
    browser()["next"] = _inside(request.form.get("next"))
    callback = f"{portal().settings.public_base_url}/sign-in/callback"
    try:
        return client.authorize_redirect(callback)
    except (AuthlibBaseError, RequestException):
        log.exception("the issuer does not answer")
        return _failed("Signing in is not possible at the moment. Try again in a minute.", 502)


@blueprint.get("/sign-in/callback")
def callback() -> Any:
    """Back from the issuer: its ID token says who it is."""
    client = _issuer()
    try:
        claims = client.authorize_access_token()["userinfo"]
    except (
        AuthlibBaseError,
        JoseError,
        RequestException,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        log.warning("signing in failed", reason=type(error).__name__)
        return _failed("Signing in did not work, or took too long. Please begin again.", 400)
    return _admit(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        email=str(claims.get("email") or ""),
        email_verified=claims.get("email_verified") is True,
        name=claims.get("name"),
    )


@blueprint.post("/sign-in/development")
def development() -> Any:
    """Whoever says so, outside production."""
    if not _is_development(portal().settings):
        abort(404)
    browser()["next"] = _inside(request.form.get("next"))
    email = request.form.get("email", "").strip()
    return _admit(
        issuer=DEVELOPMENT_ISSUER,
        subject=email.lower(),
        email=email,
        email_verified=True,
        name=None,
    )


@blueprint.post("/sign-out")
def sign_out() -> Any:
    """Forget this browser."""
    browser().begin_anew()
    return redirect("/sign-in", 303)


def _admit(**claims: Any) -> Any:
    user_id = admit(**claims)
    if user_id is None:
        return _failed(STRANGER, 403)
    after = _inside(browser().get("next"))
    browser().begin_anew(user_id)
    return redirect(after, 303)


def _failed(why: str, status: int) -> Any:
    settings = portal().settings
    return render_template(
        "sign_in.html",
        why=why,
        after="/",
        issuer=urlsplit(settings.oidc_issuer).hostname if settings.oidc_issuer else None,
        development=_is_development(settings),
    ), status


def _issuer() -> Any:
    from flask import current_app

    client = current_app.extensions["sign_in"].create_client("issuer")
    if client is None:
        abort(404)
    return client


def _is_development(settings: Settings) -> bool:
    return settings.app_env is not AppEnv.PRODUCTION


def _inside(path: Any) -> str:
    """A path of this portal; anything else is the first page."""
    path = str(path or "/")
    parts = urlsplit(path)
    plain = path.startswith("/") and path.isprintable() and "\\" not in path
    return path if plain and not path.startswith("//") and not parts.netloc else "/"
