"""Webhooks as they come in: what a provider's folder has to say of them.

A provider's part is to tell whether a delivery is its own, which events are in it, and which
objects of which streams an event is about. What became of an object is never taken from an event:
the object is read again, so that late, doubled and contradictory events end in what is true now.
"""

import hashlib
import hmac
import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import SecretStr

TOLERANCE = timedelta(seconds=300)
"""How far a signed time may be from ours, either way."""
DEEPEST = 64
LONGEST_NAME = 255
"""Letters of an id or a type: an entry of an index has room for two, however they are encoded."""
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
REPLACED = "\N{REPLACEMENT CHARACTER}"


class Unauthentic(Exception):
    """The delivery is not the provider's; the message says why, and quotes nothing of it."""


class Unreadable(Exception):
    """The delivery is the provider's own, and not what it documents."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of a provider's, as it came. ``headers`` by lower-case name; ``url``: what the
    provider was told to send to."""

    body: bytes
    headers: Mapping[str, str]
    url: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a delivery. ``event_id`` tells it from the account's others, and is the same
    when it is sent again; ``account_id`` is None where only the path tells whose it is."""

    event_id: str
    event_type: str
    account_id: str | None
    created_at: datetime | None
    payload: Any


@dataclass(frozen=True, slots=True)
class Meaning:
    """What follows from an event: ``objects``, ids by stream, to be read again; ``streams`` that
    are to be brought up to date, where no id tells what changed; that our access was ``revoked``;
    or nothing, for the reason that ``ignored`` gives."""

    objects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    streams: Sequence[str] = ()
    revoked: bool = False
    ignored: str | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """One endpoint as it stands at the provider. ``place``: what it is told of, where that is less
    than the account (an audience of Mailchimp's); ``whole``: it is told of all that we apply, and
    is enabled; ``secret``: what it signs with, where the provider shows that."""

    hook_id: str
    url: str
    place: str = ""
    whole: bool = True
    secret: SecretStr | None = None


class Hooks(Protocol):
    """A provider's way to register endpoints: of one account, or of our application."""

    shows_secret_once: bool

    def places(self) -> Sequence[str]:
        """Each needs an endpoint of its own; [""] where one is for all."""
        ...

    def standing(self) -> Sequence[Hook]:
        """All that there are, ours or not."""
        ...

    def add(self, url: str, place: str) -> SecretStr | None:
        """Register one that is told of all that we apply; what it signs with, if it signs."""
        ...

    def mend(self, hook: Hook) -> None:
        """Make it whole again."""
        ...

    def remove(self, hook: Hook) -> None:
        """Remove it; one that is gone already is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Webhooks:
    """A provider's webhooks.

    ``secrets``: what deliveries to the application's one endpoint are signed with, several while
    one is being replaced; ``setting``: the variable that holds them. ``verify`` raises Unauthentic
    where ``delivery`` is signed with none of them; None: nothing is signed, and an unguessable path
    is all there is. ``signature``: the header that it reads. ``read`` raises Unreadable.

    ``of_application(settings)``: registers the application's endpoint (None: that is done by hand,
    as ``by_hand`` tells of the URL that it is formatted with); ``of_connection(client)``: registers
    a connection's own (None, of this one: the application's serves it). ``place_stream``: the
    stream of what has an endpoint each. ``listed(client, since)``: the account's events since then,
    of which the provider keeps a list; None where it keeps none.
    """

    secrets: Callable[[Any], Sequence[str]]
    verify: Callable[[Delivery, Sequence[str]], None] | None
    read: Callable[[Delivery], Sequence[Event]]
    meaning: Callable[[str, Any], Meaning]
    signature: str = ""
    setting: str = ""
    of_application: Callable[[Any], Hooks] | None = None
    of_connection: Callable[[Any], Hooks | None] | None = None
    by_hand: str = ""
    place_stream: str | None = None
    listed: Callable[[Any, datetime], Iterator[Event]] | None = None


def several(secret: Any) -> tuple[str, ...]:
    """Secrets out of a setting that names one or, separated by commas, several."""
    held = "" if secret is None else secret.get_secret_value()
    return tuple(part.strip() for part in held.split(",") if part.strip())


def signed_with(secrets: Sequence[str], message: bytes, signature: str) -> bool:
    """Whether ``signature`` is the base64 HMAC-SHA256 of ``message`` with one of the secrets."""
    found = False
    for secret in secrets:
        expected = b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest())
        found |= hmac.compare_digest(expected, signature.encode("utf-8", "replace"))
    return found


def read_json(body: bytes) -> Any:
    """JSON that means one thing: strict UTF-8, no NaN, no endless number, no name twice, not nested
    without end. What Postgres keeps in no text is replaced. Raises Unreadable."""
    try:
        read = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_refuse_constant
        )
        return _checked(read, DEEPEST)
    except UnicodeDecodeError as error:
        raise Unreadable("it is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        message = str(error) if isinstance(error, _Ambiguous) else "it is not JSON"
        raise Unreadable(message) from error


class _Ambiguous(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Ambiguous("it has a name twice in one object")
    return made


def _refuse_constant(name: str) -> Any:
    raise _Ambiguous("it has a number that JSON does not know")


def _checked(value: Any, depth: int) -> Any:
    if depth == 0:
        raise _Ambiguous(f"it is nested deeper than {DEEPEST}")
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _Ambiguous("it has a number that no float holds")
    if isinstance(value, list):
        return [_checked(each, depth - 1) for each in value]
    if isinstance(value, dict):
        return {
            _checked(name, depth - 1): _checked(each, depth - 1) for name, each in value.items()
        }
    return value


def storable(text: str) -> str:
    """``text`` as Postgres can keep it: each NUL and each half of a surrogate pair replaced."""
    return UNSTORABLE.sub(REPLACED, text)


def text_of(fields: Any, name: str) -> str:
    """The text ``name`` of an event. Raises Unreadable where there is none."""
    found = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(found, str) or not found or len(found) > LONGEST_NAME:
        raise Unreadable(f"it has no {name}")
    return found


def time_of(text: Any) -> datetime | None:
    """An ISO 8601 instant, None where it is none."""
    try:
        at = datetime.fromisoformat(_to_microseconds(text)) if isinstance(text, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


def _to_microseconds(text: str) -> str:
    """Some write nine digits of a second, of which Python takes six."""
    whole, point, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{whole}{point}{digits[:6]}{rest[len(digits) :]}" if point else text
