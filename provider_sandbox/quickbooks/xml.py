"""Answers as XML, which a request gets that does not ask for JSON."""

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from provider_sandbox.ledger import decode
from provider_sandbox.messages import Response

CONTENT_TYPE = "application/xml;charset=UTF-8"
NAMESPACE = "http://schema.intuit.com/finance/v3"


def answer(response: Response) -> None:
    """Turn an answer in JSON into one in XML."""
    response.headers["Content-Type"] = CONTENT_TYPE
    page = response.page
    if page is None:
        response.body = as_xml(response.body)
    else:
        json = page.encode
        page.encode = lambda rows, has_more: as_xml(json(rows, has_more))


def as_xml(body: bytes) -> bytes:
    """The JSON of an answer as the XML of the published schema: keys in lower case are attributes,
    ``value`` is an element's text."""
    found = decode(body)
    time = found.pop("time", "")
    inner = "".join(_element(name, value) for name, value in found.items())
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    response = f"<IntuitResponse xmlns={quoteattr(NAMESPACE)} time={quoteattr(time)}>"
    return f"{head}{response}{inner}</IntuitResponse>".encode()


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    if not isinstance(value, dict):
        return f"<{name}>{escape(_plain(value))}</{name}>"
    attributes = "".join(
        f" {key}={quoteattr(_plain(one))}"
        for key, one in value.items()
        if key[0].islower() and key != "value"
    )
    inner = escape(_plain(value.get("value", "")))
    inner += "".join(_element(key, one) for key, one in value.items() if key[0].isupper())
    return f"<{name}{attributes}>{inner}</{name}>"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
