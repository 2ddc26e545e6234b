"""The application's webhook: what changes in all companies, gathered for a moment and signed."""

import hashlib
import hmac
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from threading import Lock
from uuid import UUID

from provider_sandbox.ledger import Json, encode, token
from provider_sandbox.outbox import Notice
from provider_sandbox.quickbooks.endpoints import BY_STREAM

HEADER = "intuit-signature"
GATHERED = 0.25
"""Seconds for which changes are gathered: one delivery may be about several companies."""
FORMATS = ("cloudevents", "eventNotifications")
OPERATIONS = {
    "created": "Create", "updated": "Update", "deleted": "Delete", "voided": "Void",
    "merged": "Merge",
}  # fmt: skip


def signature(verifier: str, body: bytes) -> str:
    """What Intuit sends as ``HEADER``."""
    return b64encode(hmac.new(verifier.encode(), body, hashlib.sha256).digest()).decode()


class Webhook:
    """``url``: where Intuit was told to send to, None: nowhere; ``format``: one of FORMATS;
    ``verifier``: the token that deliveries are signed with."""

    def __init__(self, random: Random, send: Callable[..., None]) -> None:
        self.url: str | None = None
        self.format = FORMATS[0]
        self.verifier = str(UUID(bytes=random.randbytes(16), version=4))
        self._source = token(random, 43)
        self._random = random
        self._send = send
        self._elements: list[tuple[str, Json]] = []
        self._lock = Lock()

    def tell(self, realm: str, stream: str, id: str, verb: str, at: int, lost: str = "") -> None:
        """Have the application told that an object was created, updated, deleted or voided, or that
        the ``lost`` one was merged into it."""
        if self.url is None:
            return
        name = BY_STREAM[stream].name
        time = datetime.fromtimestamp(at, UTC)
        with self._lock:
            if self.format == "cloudevents":
                element: Json = {
                    "specversion": "1.0", "id": str(UUID(bytes=self._random.randbytes(16))),
                    "source": f"intuit.{self._source}=", "datacontenttype": "application/json",
                    "type": f"qbo.{name.lower()}.{verb}.v1", "time": f"{time:%FT%TZ}",
                    "intuitentityid": id, "intuitaccountid": realm,
                    "data": {"deletedid": lost} if lost else {},
                }  # fmt: skip
            else:
                element = {
                    "name": name, "id": id, "operation": OPERATIONS[verb],
                    "lastUpdated": f"{time:%FT%T}.000Z", **({"deletedId": lost} if lost else {}),
                }  # fmt: skip
            self._elements.append((realm, element))
            if len(self._elements) > 1:
                return
        notice = Notice("quickbooks", realm, self.url, self._gathered, sign=self._sign)
        self._send(notice, wait=GATHERED)

    def _gathered(self) -> bytes:
        with self._lock:
            elements, self._elements = self._elements, []
        if self.format == "cloudevents":
            return encode([element for _, element in elements])
        by_realm: defaultdict[str, list[Json]] = defaultdict(list)
        for realm, element in elements:
            by_realm[realm].append(element)
        return encode({
            "eventNotifications": [
                {"realmId": realm, "dataChangeEvent": {"entities": changed}}
                for realm, changed in by_realm.items()
            ]
        })  # fmt: skip

    def _sign(self, body: bytes, at: int) -> Mapping[str, str]:
        return {HEADER: signature(self.verifier, body)}
