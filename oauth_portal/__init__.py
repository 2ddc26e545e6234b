"""The portal: where venues connect their accounts, and see how they stand.

gunicorn 'oauth_portal:create_app()'
"""

from datetime import UTC, datetime

from flask import Response, jsonify
from flask_openapi3.models.info import Info
from flask_openapi3.models.server import Server
from flask_openapi3.openapi import OpenAPI
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix

from integration_pipelines.core.credentials import Vault
from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.logs import configure_logging
from integration_pipelines.core.settings import Settings, load_settings
from integration_pipelines.providers import PROVIDERS
from oauth_portal import (
    administration,
    api,
    bearers,
    charts,
    letters,
    mappings,
    members,
    pages,
    security,
    sign_in,
)
from oauth_portal.portal import EXTENSION, PATIENCE, Portal, portal
from oauth_portal.schemas import Problem
from oauth_portal.sessions import PostgresSessions


def create_app(settings: Settings | None = None) -> OpenAPI:
    """The application, on the database as the role `portal`. Raises ConfigurationError."""
    settings = settings or load_settings()
    configure_logging(settings.app_env)
    app = OpenAPI(
        __name__,
        info=Info(title="Venue integrations", version="1", description=api.__doc__),
        security_schemes={"bearer": {"type": "http", "scheme": "bearer"}},
        servers=[Server(url=settings.public_base_url)],
        validation_error_callback=api.not_valid,
        validation_error_model=Problem,
        doc_ui=False,
    )
    proxies = settings.trusted_proxies
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    app.session_interface = PostgresSessions()
    engine = create_engine(
        settings, Role.PORTAL, application_name="portal", patience=PATIENCE.total_seconds()
    )
    app.extensions[EXTENSION] = Portal(settings, engine, Vault(settings), PROVIDERS)
    security.protect(app, settings)
    sign_in.register(app, settings)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(members.blueprint)
    app.register_blueprint(letters.blueprint)
    app.register_blueprint(mappings.blueprint)
    app.register_blueprint(administration.blueprint)
    app.extensions[bearers.EXTENSION] = bearers.verifier(settings)
    app.register_api(api.blueprint)
    app.add_url_rule("/api/v1/openapi.json", "api_document", view_func=lambda: jsonify(app.api_doc))
    app.add_url_rule("/health", view_func=_health)
    app.jinja_env.filters["ago"] = _ago
    app.jinja_env.globals["sparkline"] = charts.sparkline
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    return app


def _health() -> Response:
    """Whether the database answers."""
    with portal().engine.connect() as session:
        session.execute(text("SELECT 1"))
    return jsonify({"status": "ok"})


def _ago(at: datetime | None) -> str:
    """How long ago, in the unit that tells most."""
    if at is None:
        return "never"
    seconds = max(int((datetime.now(UTC) - at).total_seconds()), 0)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
