"""The walls around every view: headers, hosts, forged forms, floods, and errors that tell nothing
to whom it does not concern."""

import hmac
import re
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from flask import Flask, Response, abort, g, jsonify, render_template, request
from flask.json.provider import DefaultJSONProvider
from flask_limiter import Limiter
from psycopg.errors import QueryCanceled
from sqlalchemy.exc import OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException, InternalServerError, SecurityError

from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.settings import AppEnv, Settings
from oauth_portal.bearers import caller
from oauth_portal.people import browser, current_person
from oauth_portal.portal import portal
from oauth_portal.sessions import UnreadSession

log = structlog.get_logger(__name__)

LARGEST_BODY = 64 * 1024
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
API = "/api/"
SELDOM = frozenset(
    {
        *("sign_in.begin", "sign_in.callback", "pages.give_key", "pages.test"),
        *("api.connect", "api.test", "api.token"),
    }
)
"""What is called ten times a minute at most: a guess at a secret, or a question to a provider."""
Answer = Response | tuple[str, int]
TOO_OFTEN = "This was asked for too often within a minute. Nothing was changed: wait a little."
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


class Json(DefaultJSONProvider):
    """As Flask reads it, where what nests too deep is as malformed as anything else."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Raises ValueError."""
        try:
            return super().loads(s, **kwargs)
        except RecursionError as error:
            raise ValueError("it nests too deep") from error


def protect(app: Flask, settings: Settings) -> None:
    """Put the walls up."""
    app.json = Json(app)
    public = urlsplit(settings.public_base_url)
    app.config.update(
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY,
        TRUSTED_HOSTS=_hosts(settings),
        SESSION_COOKIE_SECURE=public.scheme == "https",
        SESSION_COOKIE_NAME="__Host-session" if public.scheme == "https" else "session",
    )
    app.before_request(_begin)
    app.before_request(_refuse_forgeries)
    app.after_request(_headers)
    app.register_error_handler(SecurityError, lambda error: ("This host is not served.", 400))
    app.register_error_handler(HTTPException, _told)
    app.register_error_handler(Exception, _unexpected)
    app.jinja_env.globals["csrf_token"] = csrf_token
    app.context_processor(lambda: {"who": current_person()})
    Limiter(
        _who,
        app=app,
        default_limits=[_pace],
        storage_uri="memory://",
        strategy="moving-window",
        headers_enabled=True,
    )


def csrf_token() -> str:
    """What a form of this browser has to send with it: made of its cookie, and kept nowhere."""
    held = browser()
    if held.new:
        held.modified = True  # The cookie has to last until the form comes back.
    return _token_of(held.name)


def _token_of(name: str) -> str:
    return hmac.new(name.encode(), b"csrf", "sha256").hexdigest()


def request_id() -> str:
    """What this request is called in logs and in answers."""
    return str(g.get("request_id", ""))


def problem(status: int, title: str, detail: str | None = None, **more: Any) -> Response:
    """An error of the API (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "request_id": request_id()}
    if detail:
        body["detail"] = detail
    response = jsonify(body | more)
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response


def _hosts(settings: Settings) -> list[str]:
    public = urlsplit(settings.public_base_url).netloc
    local = [] if settings.app_env is AppEnv.PRODUCTION else ["127.0.0.1", "localhost"]
    return [public, *local]


def _who() -> str:
    """Whose requests are counted together."""
    if request.path.startswith(API):
        who = caller()
        return f"{who.user_id or who.token_id}" if who else str(request.remote_addr)
    return f"{browser().user_id or request.remote_addr}"


def _pace() -> str:
    return "10 per minute" if request.endpoint in SELDOM else "600 per minute"


def _begin() -> Answer | None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if isinstance(browser(), UnreadSession) and request.endpoint != "static":
        return _database_away()
    return None


def _refuse_forgeries() -> None:
    """A form that another site sends has neither our origin nor the browser's token."""
    if request.method not in UNSAFE or request.path.startswith(API):
        return
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        abort(403, "This form came from another site.")
    given = request.form.get("csrf_token") or request.headers.get("X-CSRF-Token", "")
    if not hmac.compare_digest(given.encode(), _token_of(browser().name).encode()):
        abort(403, "This page was open for too long: load it again, then try once more.")


def _headers(response: Response) -> Response:
    elsewhere = " ".join(sorted(_consent_origins()))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self'; form-action 'self' {elsewhere}; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    response.headers["X-Request-Id"] = request_id()
    if not request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"
    if portal().settings.public_base_url.startswith("https://"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return response


def _consent_origins() -> set[str]:
    """Where our forms lead to: a browser follows their redirects only there."""
    settings = portal().settings
    urls = [settings.oidc_issuer or ""]
    for provider in portal().providers.values():
        if provider.oauth and provider.oauth.is_configured(settings):
            application = provider.oauth.application(settings)
            urls.append(provider.oauth.authorize_url(settings, application, "-", "-"))
    parts = [urlsplit(url) for url in urls if url]
    return {f"{each.scheme}://{each.netloc}" for each in parts}


def _told(error: HTTPException) -> Answer:
    """An error that is the asker's, in the form they asked in."""
    if isinstance(error, InternalServerError) and error.original_exception is not None:
        return _unexpected(error.original_exception)
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    if request.path.startswith(API):
        answer = problem(status, error.name, error.description)
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        for name, value in error.get_headers():
            if name.lower() in ("allow", "retry-after", "www-authenticate"):
                answer.headers[name] = value
        return answer
    if status == 429:
        told = {"code": status, "name": "Not so fast", "description": TOO_OFTEN}
        return render_template("error.html", status=status, error=told), status
    return render_template("error.html", status=status, error=error), status


def _database_away() -> Answer:
    """Without the database nobody is known, and nothing is kept."""
    g.person = None
    browser().modified = False
    detail = (
        "Our database does not answer at the moment. Nothing of yours is lost. Try again in a "
        "minute."
    )
    if request.path.startswith(API):
        return problem(503, "The database does not answer", detail)
    told = {"code": 503, "name": "Back in a moment", "description": detail}
    return render_template("error.html", status=503, error=told), 503


def _took_too_long() -> Answer:
    detail = (
        "Our database was too long about this, and it was given up: nothing was changed. Try again "
        "in a few minutes. If it is the same then, ask for less at once, such as one provider, or "
        f"tell whoever runs this, with this number: {request_id()}."
    )
    if request.path.startswith(API):
        return problem(503, "It took too long", detail)
    told = {"code": 503, "name": "It took too long", "description": detail}
    return render_template("error.html", status=503, error=told), 503


def _unexpected(error: BaseException) -> Answer:
    """An error that is ours. What a person can do something about is told, the rest is logged."""
    if isinstance(error, OperationalError) and isinstance(error.orig, QueryCanceled):
        log.error("a statement took too long", endpoint=request.endpoint)
        return _took_too_long()
    if isinstance(error, OperationalError | TimeoutError):
        log.error("the database does not answer", reason=str(error).partition("\n")[0])
        return _database_away()
    if isinstance(error, IntegrationError):
        log.warning("request failed", kind=error.kind, exc_info=error)
        detail = "The provider or our own side could not do this now. Try again in a minute."
        status = 502
    else:
        log.error("request failed", exc_info=error)
        detail = "Something went wrong on our side. Try again in a minute."
        status = 500
    if request.path.startswith(API):
        return problem(status, "Something went wrong", detail)
    told = {"code": status, "name": "Something went wrong", "description": detail}
    return render_template("error.html", status=status, error=told), status
