"""Whose account a key opens, asked through Stripe's own SDK over the shared transport."""

from collections.abc import Mapping
from typing import Any

import msgspec
import stripe

from integration_pipelines.core.errors import MalformedResponse, NotFound
from integration_pipelines.core.provider import Account
from integration_pipelines.core.transport import Response, Transport
from integration_pipelines.providers.stripe.client import Head, compact

UNNAMED = "default"
"""The account id where a Stripe-compatible server does not say whose account it is."""


class SdkTransport(stripe.HTTPClient):
    """Sends the SDK's requests through the one way out: its limits, retries and breaker hold."""

    name = "venue-integrations"

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """One request; what is refused is raised as this project's error, not the SDK's."""
        path = url.removeprefix(self._transport.base_url)
        response = self._transport.request(
            method.upper(),
            path,
            data=post_data,
            headers=dict(headers or {}),
            endpoint=f"{method.upper()} {path.partition('?')[0]}",
            parse=_checked,
        )
        return response.body.decode(), response.status, response.headers


def _checked(response: Response) -> Response:
    """``response``, if it is an object: the SDK has its own error for anything else, and quotes
    it."""
    try:
        msgspec.json.decode(compact(response.body), type=Head)
    except msgspec.DecodeError as error:
        raise MalformedResponse(f"Stripe's answer lacks what it documents: {error}") from error
    return response


def identify(transport: Transport, *, token: str, api_version: str, livemode: bool) -> Account:
    """Id, name, currency and country of the account. Raises AccessRevoked on a refused key.

    A server that speaks Stripe's language but has no `/v1/account` gives one unnamed account.
    """
    sdk = stripe.StripeClient(
        token,
        stripe_version=api_version,
        base_addresses={"api": transport.base_url},
        http_client=SdkTransport(transport),
        max_network_retries=0,
    )
    try:
        account = sdk.v1.accounts.retrieve_current()
    except NotFound:
        return Account(UNNAMED, "unnamed account", livemode=livemode)
    dashboard = (account.settings.dashboard if account.settings else None) or None
    profile = account.business_profile
    name = (dashboard and dashboard.display_name) or (profile and profile.name) or account.email
    return Account(
        account_id=account.id,
        name=name or account.id,
        currency=account.default_currency.upper() if account.default_currency else None,
        country=account.country,
        livemode=livemode,
    )
