"""Webhook subscriptions of the application, and deliveries to them signed as Square signs them."""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from threading import Lock

import msgspec

from provider_sandbox.ledger import Json, decode, encode, token
from provider_sandbox.messages import Request, Response
from provider_sandbox.square.account import iso
from provider_sandbox.square.api import Refused
from provider_sandbox.square.endpoints import API_VERSION, EVENT_TYPES

HEADER = "x-square-hmacsha256-signature"
BASE = "/v2/webhooks/"
PATH, TYPES = f"{BASE}subscriptions", f"{BASE}event-types"
ENABLE = "/v2/events/enable"
MOST = 100
SETTABLE = frozenset({"name", "enabled", "event_types", "notification_url", "api_version"})


def signature(key: str, url: str, body: bytes) -> str:
    """What Square sends as ``HEADER``: of the URL and then the body."""
    made = hmac.new(key.encode(), url.encode() + body, hashlib.sha256)
    return b64encode(made.digest()).decode()


@dataclass(slots=True)
class Subscription:
    """One subscription, as the API shows it."""

    shown: Json

    def hears(self, event_type: str) -> bool:
        """Whether such an event is sent to it."""
        return bool(self.shown["enabled"]) and event_type in self.shown["event_types"]

    @property
    def url(self) -> str:
        found: str = self.shown["notification_url"]
        return found

    def sign(self, body: bytes, at: int) -> Mapping[str, str]:
        """The headers of a delivery."""
        return {HEADER: signature(self.shown["signature_key"], self.url, body)}


class Subscriptions:
    """All subscriptions, and the API below `/v2/webhooks/`: it opens to the application's
    ``access_token`` alone. The first one made gets the key ``first_key``."""

    def __init__(self, seed: int) -> None:
        self.all: dict[str, Subscription] = {}
        self._random = Random(f"{seed}/square/subscriptions")
        self.access_token = f"EAAA{token(self._random, 60)}"
        self.first_key = token(self._random, 22)
        self._lock = Lock()

    def answer(self, request: Request) -> Response:
        """Raises Refused."""
        if (request.method, request.path) == ("GET", TYPES):
            return Response(200, encode({"event_types": EVENT_TYPES}))
        if (request.method, request.path) == ("PUT", ENABLE):
            return Response(200, b"{}")
        id = request.path.removeprefix(PATH).lstrip("/")
        with self._lock:
            if id and id not in self.all:
                raise Refused(404, "NOT_FOUND", f"Webhook subscription {id} not found.")
            match (request.method, bool(id)):
                case ("GET", False):
                    shown = [one.shown for one in self.all.values()]
                    return Response(200, encode({"subscriptions": shown} if shown else {}))
                case ("GET", True):
                    return _told(self.all[id])
                case ("POST", False):
                    return self._created(request)
                case ("PUT", True):
                    self._set(self.all[id], _given(request))
                    return _told(self.all[id])
                case ("DELETE", True):
                    del self.all[id]
                    return Response(200, b"{}")
        raise Refused(
            405, "METHOD_NOT_ALLOWED", f"The method {request.method} is not allowed at this path."
        )

    def _created(self, request: Request) -> Response:
        if len(self.all) >= MOST:
            raise Refused(400, "BAD_REQUEST", f"An application has {MOST} subscriptions at most.")
        given = _given(request)
        for name in ("event_types", "notification_url"):
            if not given.get(name):
                raise Refused(
                    400, "MISSING_REQUIRED_PARAMETER", "Field must be set.",
                    field=f"subscription.{name}",
                )  # fmt: skip
        now = iso(int(time.time() * 1000))
        subscription = Subscription({
            "id": f"wbhk_{token(self._random, 32)}", "name": "", "enabled": True,
            "event_types": [], "notification_url": "", "api_version": API_VERSION,
            "signature_key": token(self._random, 22) if self.all else self.first_key,
            "created_at": now, "updated_at": now,
        })  # fmt: skip
        self._set(subscription, given)
        self.all[subscription.shown["id"]] = subscription
        return _told(subscription)

    def _set(self, subscription: Subscription, given: Json) -> None:
        for name, value in given.items():
            if name not in SETTABLE:
                raise Refused(
                    400, "BAD_REQUEST", "Unknown or read-only field.", field=f"subscription.{name}"
                )
            if name == "event_types" and not set(value) <= set(EVENT_TYPES):
                unknown = min(set(value) - set(EVENT_TYPES))
                raise Refused(
                    400, "INVALID_VALUE", f"`{unknown}` is not a valid event type.",
                    field="subscription.event_types",
                )  # fmt: skip
        subscription.shown |= {**given, "updated_at": iso(int(time.time() * 1000))}


def _given(request: Request) -> Json:
    try:
        body = decode(request.body)
        given = body["subscription"]
    except (msgspec.DecodeError, KeyError, TypeError):
        raise Refused(
            400, "MISSING_REQUIRED_PARAMETER", "Field must be set.", field="subscription"
        ) from None
    if unknown := body.keys() - {"subscription", "idempotency_key"}:
        raise Refused(400, "BAD_REQUEST", "Unknown field.", field=min(unknown))
    found: Json = given
    return found


def _told(subscription: Subscription) -> Response:
    return Response(200, encode({"subscription": subscription.shown}))
