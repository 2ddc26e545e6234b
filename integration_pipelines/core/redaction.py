"""Redaction: no secret leaves through a log line or an error message.

Two nets: values registered when a credential is opened, and the shapes that secrets have.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from threading import Lock
from typing import Any
from urllib.parse import quote

MASK = "[redacted]"

SHORTEST_SECRET = 8
"""A shorter value is not masked by value: it would blot out ordinary words."""

MOST_VALUES = 10_000

_FIELDS = (
    r"(?:access|refresh|id|session|bearer|auth|verifier)_?token|token|client_?secret|app_?secret"
    r"|secret(?:_?key)?|password|passwd|pwd|api_?key|apikey|private_?key|authorization"
    r"|proxy-authorization|cookie|set-cookie|code_verifier|signature_key|x-api-key"
)
_FIELD_NAME = re.compile(rf"(?:\w+_)?(?:{_FIELDS})", re.IGNORECASE)

# Each can begin only where a word does or is bounded in length, so that time grows with the text.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]*:)[^\s/]+@", re.IGNORECASE), rf"\1{MASK}@"),
    (
        re.compile(
            r"""((?:authorization|cookie)\\?["']?\s*:\s*\\?["']?)[^\r\n"'\\]+""", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(basic\s+)[\w+/-]{16,}=*", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(?:[sr]k_(?:live|test)_|whsec_)[\w+/=-]+"), MASK),
    (re.compile(r"\b(?:EAAA|sq0(?:atp|csp|idp)-)[\w-]{16,}"), MASK),
    (re.compile(r"\b[0-9a-f]{32}-[a-z]{2}\d{1,3}\b"), MASK),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}"), MASK),
    (
        re.compile(
            rf"""(\b(?:\w+_)?(?:{_FIELDS})\\?["']?\s*[:=]\s*)"""
            r"""(?!\\?["']?\[redacted\]|(?:bearer|basic)\s)"""
            r"""(?:\\"(?:[^\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&}\])"']+)""",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)

_values: OrderedDict[str, None] = OrderedDict()
_values_lock = Lock()


def register_secret(value: str | None) -> None:
    """Mask ``value``, as it is and as URLs spell it, in everything redacted from now on.

    Kept in this process only, at most 10,000 values, those registered last.
    """
    if value is None or len(value) < SHORTEST_SECRET:
        return
    with _values_lock:
        for spelling in {value, quote(value, safe="")}:
            _values[spelling] = None
            _values.move_to_end(spelling)
        while len(_values) > MOST_VALUES:
            _values.popitem(last=False)


def redact(text: str) -> str:
    """``text`` with every registered value and everything shaped like a secret masked."""
    with _values_lock:
        known = [value for value in _values if value in text]
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, MASK)
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    return _FIELD_NAME.fullmatch(name) is not None


def redact_value(value: Any) -> Any:
    """``value`` redacted however deep: strings inside mappings and lists, bytes as text; a field
    named like a secret is masked whatever it holds."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        return redact(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return {
            redact_value(key): MASK
            if item and isinstance(key, str) and is_secret_name(key)
            else redact_value(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: the event dictionary, redacted. The last one before the renderer."""
    redacted: MutableMapping[str, Any] = redact_value(event)
    return redacted


def redact_line(_: Any, __: str, line: str) -> str:
    """structlog processor: the rendered line, redacted. After the renderer: whatever it made."""
    return redact(line)
