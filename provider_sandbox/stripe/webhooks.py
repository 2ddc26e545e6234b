"""Webhook endpoints, and deliveries to them signed as Stripe signs them."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from threading import Lock
from typing import Any

from provider_sandbox.ledger import Json, encode, token
from provider_sandbox.messages import Request, Response
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.api import Refused, parse_query

HEADER = "Stripe-Signature"
PATH = "/v1/webhook_endpoints"
MOST = 16
SETTABLE = frozenset(
    {"api_version", "connect", "description", "disabled", "enabled_events", "metadata", "url"}
)


def signature_header(payload: bytes, secrets: Sequence[str], *, at: int) -> str:
    """The Stripe-Signature of ``payload`` sent at Unix second ``at``: one v1 a secret, as while a
    secret is being rotated."""
    signed = f"{at}.".encode() + payload
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={digest}" for digest in digests)])


@dataclass(slots=True)
class Endpoint:
    """One endpoint. ``owner``: the account it belongs to, None for the platform; ``connect``: it is
    told of the platform's connected accounts. The secret is shown once."""

    owner: str | None
    connect: bool
    secret: str
    shown: Json

    def hears(self, event_type: str) -> bool:
        """Whether such an event is sent to it."""
        wanted = self.shown["enabled_events"]
        return self.shown["status"] == "enabled" and ("*" in wanted or event_type in wanted)

    def sign(self, body: bytes, at: int) -> Mapping[str, str]:
        """The headers of a delivery."""
        return {HEADER: signature_header(body, [self.secret], at=at)}


class Endpoints:
    """All endpoints, and the API below `/v1/webhook_endpoints`."""

    def __init__(self, seed: int, *, connect_secret: str) -> None:
        self.all: dict[str, Endpoint] = {}
        self._random = Random(f"{seed}/stripe/endpoints")
        self._connect_secret = connect_secret
        self._lock = Lock()

    def answer(self, request: Request, owner: str | None, created: int) -> Response:
        """Raises Refused."""
        id = request.path.removeprefix(PATH).lstrip("/")
        form = parse_query(request.body.decode())
        with self._lock:
            mine = {key: one.shown for key, one in self.all.items() if one.owner == owner}
            if id and id not in mine:
                raise Refused(
                    404,
                    f"No such webhook endpoint: '{id}'",
                    code="resource_missing",
                    param="webhook_endpoint",
                )
            match (request.method, bool(id)):
                case ("GET", False):
                    listed = list(reversed(mine.values()))
                    return _answer(shapes.listing(listed, PATH))
                case ("GET", True):
                    return _answer(mine[id])
                case ("POST", False):
                    return self._created(owner, form, created, len(mine))
                case ("POST", True):
                    self._set(self.all[id], form)
                    return _answer(mine[id])
                case ("DELETE", True):
                    del self.all[id]
                    return _answer({"id": id, "object": "webhook_endpoint", "deleted": True})
        raise Refused(404, f"Unrecognized request URL ({request.method}: {request.path}).")

    def told(self, account: str, event_type: str, *, connected: bool) -> list[Endpoint]:
        """The endpoints to which an event of this account is sent."""
        with self._lock:
            return [
                one
                for one in self.all.values()
                if one.hears(event_type)
                and (one.owner == account or (one.owner is None and one.connect and connected))
            ]

    def _created(self, owner: str | None, form: Json, created: int, number: int) -> Response:
        for name in ("enabled_events", "url"):
            if not form.get(name):
                raise Refused(
                    400, f"Missing required param: {name}.", code="parameter_missing", param=name
                )
        if number >= MOST:
            raise Refused(400, f"You have reached the maximum of {MOST} test webhook endpoints.")
        connect = form.get("connect") == "true"
        secret = self._connect_secret if connect else f"whsec_{token(self._random, 32)}"
        id = f"we_{token(self._random, 24)}"
        endpoint = Endpoint(owner, connect, secret, shapes.webhook_endpoint(id, created))
        self._set(endpoint, form)
        self.all[id] = endpoint
        return _answer({**endpoint.shown, "secret": secret})

    def _set(self, endpoint: Endpoint, form: Mapping[str, Any]) -> None:
        if unknown := form.keys() - SETTABLE:
            name = min(unknown)
            raise Refused(400, f"Received unknown parameter: {name}", param=name)
        url = form.get("url", endpoint.shown["url"])
        if not url.startswith(("https://", "http://")):
            raise Refused(400, "Invalid URL: An explicit scheme must be provided.", param="url")
        events = form.get("enabled_events", endpoint.shown["enabled_events"])
        endpoint.shown |= {"url": url, "enabled_events": events}
        for name in ("api_version", "description", "metadata"):
            if name in form:
                endpoint.shown[name] = form[name]
        if "disabled" in form:
            endpoint.shown["status"] = "disabled" if form["disabled"] == "true" else "enabled"


def _answer(body: Json) -> Response:
    return Response(200, encode(body))
