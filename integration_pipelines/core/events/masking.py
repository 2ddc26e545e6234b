"""What an event held, as people may see it: its shape, and nothing personal or secret.

Shown is what is known to be harmless, ids, times, amounts, kinds and statuses; of any other text
there is but what kind of text it is.
"""

import re
from typing import Any

from integration_pipelines.core.redaction import is_secret_name, redact

UNTOLD = "[text]"
"""In place of text of which no more can be said."""

_WORD = re.compile(r"(?:[A-Z]+(?![a-z])|[A-Z]?[a-z]+)\d*")
_PLAIN_NAME = re.compile(r"[\w.\-\[\] ]{1,80}")

_PERSONAL = {
    "name": (
        "name fname lname firstname lastname given surname family nickname company title greeting"
        " cardholder holder contact recipient"
    ),
    "phone": "phone mobile telephone fax sms",
    "e-mail": "email",
    "address": (
        "address addr addresses street city town locality sublocality postal postcode zip line1"
        " line2 line3 latitude longitude lat lng coordinates geo district county"
    ),
    "personal": (
        "birth birthday birthdate dob gender ssn vat ein last4 exp expiry fingerprint bin"
        " iban bic routing ip merges metadata note notes memo description comment comments message"
        " reference evidence custom attributes attribute answer answers passport"
    ),
}
"""Words of a name in the payload by which what it holds is personal, however deep that is."""
_KINDS_OF_WORD = {word: kind for kind, words in _PERSONAL.items() for word in words.split()}

_CODES = {
    "type", "status", "state", "object", "currency", "country", "operation", "action", "event",
    "mode", "brand", "specversion",
}  # fmt: skip
_AMOUNTS = {
    "amount", "total", "subtotal", "balance", "quantity", "count", "fee", "rate", "price", "cost",
}  # fmt: skip

_ID = re.compile(r"(?=.*\d)[A-Za-z0-9](?:[A-Za-z0-9_.:|-]{0,98}[A-Za-z0-9])?")
_TYPED_ID = re.compile(r"(?=.*\d)[a-z]{2,6}_(?:test_|live_)?[A-Za-z0-9]{14,64}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE
)
_CODE = re.compile(r"[A-Za-z0-9]+(?:[_.:-][A-Za-z0-9]+)*")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?")
_PHONE = re.compile(r"\+?[\d(][\d\s()./-]{5,}\d")


def masked(payload: Any) -> Any:
    """``payload`` with every value that may be personal or a secret replaced by what kind of value
    it was, such as "[e-mail]"; names, lists and the order of things are as they were."""
    return _masked("", payload, None)


def _masked(name: str, value: Any, kind: str | None) -> Any:
    if isinstance(value, dict):
        return {
            masked_name(key): _masked(
                key, held, kind or (None if _is_amount(key, held) else _kind(key))
            )
            for key, held in value.items()
        }
    if isinstance(value, list):
        return [_masked(name, each, kind) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if kind is not None:
        return f"[{kind}]" if value != "" else value
    if isinstance(value, int | float):
        return value
    return _text(name, value)


def _kind(name: str) -> str | None:
    """Of what is held by this name: None where that shows from each value."""
    if is_secret_name(name):
        return "secret"
    if "tax" in _words(name) and name.lower().endswith(("id", "ids", "number", "identifier")):
        return "personal"
    for word in _words(name):
        if word in _KINDS_OF_WORD:
            return _KINDS_OF_WORD[word]
    return None


def _text(name: str, value: str) -> str:
    words = set(_words(name))
    if (
        value == ""
        or _TIME.fullmatch(value)
        or _UUID.fullmatch(value)
        or (name.rstrip("]").lower().endswith(("id", "ids")) and _ID.fullmatch(value))
        or (words & _CODES and _CODE.fullmatch(value))
        or _is_amount(name, value)
        or _TYPED_ID.fullmatch(value)
    ):
        return redact(value)
    if "@" in value:
        return "[e-mail]"
    if "://" in value:
        return "[link]"
    return "[phone]" if _PHONE.fullmatch(value) else UNTOLD


def _is_amount(name: str, value: Any) -> bool:
    if _AMOUNTS.isdisjoint(_words(name)):
        return False
    return isinstance(value, int | float) or (
        isinstance(value, str) and _NUMBER.fullmatch(value) is not None
    )


def masked_name(name: str) -> str:
    """The name of a field, masked: some keep there what people typed."""
    return redact(name) if _PLAIN_NAME.fullmatch(name) else UNTOLD


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
