"""Whose account a token opens, asked through Square's own SDK over the shared transport."""

import httpx
from square import Square
from square.types.location import Location
from square.types.merchant import Merchant

from integration_pipelines.core.errors import ConfigurationError, MalformedResponse
from integration_pipelines.core.provider import Account
from integration_pipelines.core.transport import Response, Transport
from integration_pipelines.providers.square.client import Head, decode, fields_of


class SdkTransport(httpx.BaseTransport):
    """Sends the SDK's requests through the one way out: its limits, retries and breaker hold, and
    what is refused is raised as this project's error, not the SDK's."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        url = str(request.url)
        path = url.removeprefix(self._transport.base_url)
        response = self._transport.request(
            request.method,
            path,
            data=request.read() or None,
            headers={name: request.headers[name] for name in PASSED_ON if name in request.headers},
            endpoint=f"{request.method} {path.partition('?')[0]}",
            parse=_checked,
        )
        headers = {"Content-Type": "application/json"}
        return httpx.Response(response.status, headers=headers, content=response.body)


PASSED_ON = ("authorization", "square-version", "content-type")


KINDS = {"merchant": Head, "locations": list[Head]}
"""What the answers hold; the SDK would take anything."""


def _checked(response: Response) -> Response:
    """``response``, if it holds what is documented."""
    fields = fields_of(response)
    known = [name for name in KINDS if name in fields]
    if not known:
        raise MalformedResponse(f"Square's answer lacks {' or '.join(KINDS)}")
    for name in known:
        decode(fields[name], KINDS[name])
    return response


def identify(
    transport: Transport, *, token: str, api_version: str, livemode: bool, merchant_id: str | None
) -> Account:
    """Id, name, currency, country and locations of the merchant. Raises AccessRevoked on a refused
    token, ConfigurationError where it opens another account than ``merchant_id``."""
    with httpx.Client(transport=SdkTransport(transport)) as sender:
        sdk = Square(
            token=token, base_url=transport.base_url, version=api_version, httpx_client=sender
        )
        merchant = sdk.merchants.get(merchant_id="me").merchant
        locations = sdk.locations.list().locations or []
    if not isinstance(merchant, Merchant) or not isinstance(merchant.id, str):
        raise MalformedResponse("Square's answer to `GET /v2/merchants/me` lacks the merchant")
    if merchant_id is not None and merchant.id != merchant_id:
        raise ConfigurationError(
            f"the access token opens Square's account {merchant.id}, not the merchant_id given: "
            "give that account's token, or leave merchant_id out"
        )
    return Account(
        account_id=merchant.id,
        name=merchant.business_name or merchant.id,
        currency=str(merchant.currency) if merchant.currency else None,
        country=str(merchant.country) if merchant.country else None,
        livemode=livemode,
        details={
            "main_location_id": merchant.main_location_id,
            "locations": [_told(location) for location in locations],
        },
        locations={location.id: location.name or "" for location in locations if location.id},
    )


def _told(location: Location) -> dict[str, str | None]:
    names = ("id", "name", "status", "currency", "timezone")
    return {name: getattr(location, name) for name in names}
