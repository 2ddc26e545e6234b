"""The receiver: where providers send their webhooks. Stored first, and then acknowledged.

gunicorn -c python:webhook_receiver.server 'webhook_receiver:create_app()'

It needs its database, and nothing else: no provider, no vault.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import structlog
from flask import Flask, Response, current_app, jsonify, request
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, SQLAlchemyError
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.events import (
    Delivery,
    Endpoint,
    Unauthentic,
    Unreadable,
    endpoint_of,
    proof_of,
    store,
)
from integration_pipelines.core.logs import configure_logging
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import Settings, load_settings
from integration_pipelines.providers import PROVIDERS
from webhook_receiver.metrics import scrape
from webhook_receiver.places import AT_ONCE, PATIENCE, NoPlace, Places

log = structlog.get_logger(__name__)

EXTENSION = "receiver"
LARGEST = 1024 * 1024
"""Bytes of a body; the largest that any of the four documents is half of it."""
COME_BACK = "5"
LONGEST_PATH = 200
TOO_LATE = "the body did not come in time"


@dataclass(frozen=True, slots=True)
class Receiver:
    """What the views work with."""

    settings: Settings
    engine: Engine
    places: Places


def create_app(settings: Settings | None = None) -> Flask:
    """The application, on the database as the role `receiver`. Raises ConfigurationError."""
    settings = settings or load_settings()
    configure_logging(settings.app_env)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST
    engine = create_engine(
        settings,
        Role.RECEIVER,
        application_name="receiver",
        pool_size=AT_ONCE,
        max_overflow=0,
        patience=PATIENCE,
    )
    app.extensions[EXTENSION] = Receiver(settings, engine, Places())
    app.add_url_rule("/health", view_func=health)
    app.add_url_rule("/metrics", view_func=metrics)
    app.add_url_rule("/webhooks/<name>", view_func=receive, methods=["POST"])
    app.add_url_rule("/webhooks/<name>/<path>", "of_path", receive, methods=["POST"])
    app.add_url_rule("/webhooks/<name>/<path>", "validate", validate, methods=["GET"])
    app.register_error_handler(HTTPException, _told)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(_headers)
    return app


def health() -> Any:
    """Whether the database takes events."""
    try:
        with _receiver().engine.connect() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return _answer(503, "the database does not answer")
    return jsonify({"status": "ok"})


def metrics() -> Response:
    """How all venues together stand, for Prometheus."""
    return scrape(_receiver().engine, _receiver().settings, PROVIDERS)


def validate(name: str, path: str) -> Any:
    """Mailchimp asks for the URL before it takes it."""
    provider = PROVIDERS.get(name)
    if provider is None or _endpoint(provider, path) is None:
        return _answer(404, "there is no such endpoint")
    return _answer(200, "ok")


def receive(name: str, path: str | None = None) -> Any:
    """Authentic, readable, stored: then, and only then, acknowledged."""
    receiver, provider = _receiver(), PROVIDERS.get(name)
    webhooks = provider.webhooks if provider else None
    if provider is None or webhooks is None or (path is None and webhooks.verify is None):
        return _answer(404, "there is no such endpoint")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return _answer(415, "a body that is encoded is not taken")
    body = request.get_data(cache=False)
    if request.content_length is not None and len(body) < request.content_length:
        return _answer(408, TOO_LATE, {"Connection": "close"})
    request_id = uuid4().hex
    delivery = Delivery(
        body,
        {key.lower(): value for key, value in request.headers.items()},
        f"{receiver.settings.webhook_base_url or receiver.settings.public_base_url}{request.path}",
        datetime.now(UTC),
    )
    endpoint: Endpoint | None = None
    proof: dict[str, Any] | None = None
    if path is not None:
        endpoint = _endpoint(provider, path)
        if endpoint is None:
            return _answer(404, "there is no such endpoint")
        proof = proof_of(webhooks, delivery)
    elif webhooks.verify is not None:
        secrets = webhooks.secrets(receiver.settings)
        if not secrets:
            log.error("webhooks come in and no secret is set", provider=name)
            return _answer(503, f"{provider.title}'s webhooks are not set up here")
        try:
            webhooks.verify(delivery, secrets)
        except Unauthentic as error:
            log.warning("a delivery is not authentic", provider=name, reason=str(error))
            return _answer(401, str(error))
    try:
        events = webhooks.read(delivery)
    except Unreadable as error:
        log.warning("a delivery cannot be read", provider=name, reason=str(error))
        return _answer(400, str(error))
    accounts = {(name, endpoint.account_id if endpoint else each.account_id) for each in events}
    try:
        with receiver.places.taken(accounts), receiver.engine.begin() as session:
            new = store(
                session, name, events, request_id=request_id, endpoint=endpoint, proof=proof
            )
    except NoPlace as error:
        return _answer(error.status, str(error), {"Retry-After": COME_BACK})
    except DataError as error:
        # To be sent again would not help.
        log.error("a delivery cannot be kept", provider=name, kind=type(error).__name__)
        return _answer(400, "it holds what cannot be kept")
    except SQLAlchemyError as error:
        log.error("a delivery could not be stored", provider=name, kind=type(error).__name__)
        return _answer(503, "it could not be stored", {"Retry-After": COME_BACK})
    log.info("received", provider=name, events=len(events), new=new, request_id=request_id)
    return _answer(200, f"stored {new} of {len(events)}")


def _endpoint(provider: Provider, path: str) -> Endpoint | None:
    if len(path) > LONGEST_PATH:
        return None
    with _receiver().engine.connect() as session:
        return endpoint_of(session, provider.name, path)


def _receiver() -> Receiver:
    return cast(Receiver, current_app.extensions[EXTENSION])


def _answer(status: int, said: str, headers: dict[str, str] | None = None) -> Response:
    return Response(f"{said}\n", status, headers, mimetype="text/plain")


def _told(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _answer(413, f"a body has {LARGEST} bytes at most", {"Connection": "close"})
    if isinstance(error, ClientDisconnected):
        return _answer(408, TOO_LATE, {"Connection": "close"})
    return _answer(error.code or 500, error.name)


def _unexpected(error: Exception) -> Response:
    if isinstance(error, SQLAlchemyError):
        log.error("the database does not answer", kind=type(error).__name__)
        return _answer(503, "the database does not answer", {"Retry-After": COME_BACK})
    if isinstance(error, OSError):
        return _answer(408, TOO_LATE, {"Connection": "close"})
    log.error("a delivery failed", exc_info=error)
    return _answer(500, "something went wrong on our side")


def _headers(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response
