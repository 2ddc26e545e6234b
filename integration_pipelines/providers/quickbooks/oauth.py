"""Renewing what opens a company: Intuit's tokens live an hour, and each renewal may rotate both."""

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlencode

from msgspec import Struct
from pydantic import SecretStr

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import (
    ConfigurationError,
    MalformedResponse,
    ProviderError,
)
from integration_pipelines.core.provider import Limits
from integration_pipelines.core.redaction import register_secret
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Response, Transport, default_error
from integration_pipelines.providers.quickbooks.client import BYTE_ORDER_MARK, NAME

OAUTH_BASE = "https://oauth.platform.intuit.com"
TOKEN_PATH = "/oauth2/v1/tokens/bearer"  # noqa: S105


class Tokens(NamedTuple):
    """What a renewal gave; times by the database's clock."""

    access_token: SecretStr
    refresh_token: SecretStr
    expires_at: datetime
    refresh_expires_at: datetime | None


class _Tokens(Struct):
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int = 3_600
    x_refresh_token_expires_in: int | None = None


class _Error(Struct):
    error: str = ""
    error_description: str = ""


def refresh(
    settings: Settings,
    refresh_token: SecretStr,
    make_transport: Callable[..., Transport],
    limits: Limits,
) -> Tokens:
    """New tokens for a refresh token. One request, never repeated by itself: Intuit may have
    rotated the token though its answer was lost.

    Raises AccessRevoked where the token is no longer good, ConfigurationError where the
    application's id and secret are not, and never returns less than both tokens.
    """
    if settings.quickbooks_client_id is None or settings.quickbooks_client_secret is None:
        raise ConfigurationError(
            "QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET are needed to renew a token: set "
            "them to those of the Intuit application"
        )
    from intuitlib.utils import get_auth_header

    authorization = get_auth_header(
        settings.quickbooks_client_id, settings.quickbooks_client_secret.get_secret_value()
    )
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.get_secret_value()}
    with make_transport(
        base_url=settings.quickbooks_oauth_base or OAUTH_BASE,
        headers={"Authorization": authorization, "Accept": "application/json"},
        limits=limits,
        classify=_classify,
    ) as transport:
        told, began = transport.request(
            "POST",
            TOKEN_PATH,
            data=urlencode(form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            endpoint=f"POST {TOKEN_PATH}",
            parse=_tokens,
        )
    for secret in (told.access_token, told.refresh_token):
        register_secret(secret)
    lasting = told.x_refresh_token_expires_in
    return Tokens(
        SecretStr(told.access_token),
        SecretStr(told.refresh_token),
        began + timedelta(seconds=told.expires_in),
        None if lasting is None else began + timedelta(seconds=lasting),
    )


def _tokens(response: Response) -> tuple[_Tokens, datetime]:
    """The answer, which may begin with a byte-order mark."""
    body = response.body.removeprefix(BYTE_ORDER_MARK)
    told = bodies.decode(bodies.compact(body, NAME), _Tokens, NAME)
    if not told.access_token or not told.refresh_token:
        raise MalformedResponse(f"{NAME} answered a renewal without both tokens")
    return told, response.started_at


def _classify(response: Response) -> ProviderError | None:
    """The token endpoint's own words. That the application is refused is no fault of the
    company's."""
    try:
        body = response.body.removeprefix(BYTE_ORDER_MARK)
        told = bodies.decode(bodies.compact(body, NAME), _Error, NAME)
    except MalformedResponse:
        told = _Error()
    if told.error == "invalid_client" or response.status == HTTPStatus.UNAUTHORIZED:
        raise ConfigurationError(
            "Intuit refuses the application: check QUICKBOOKS_CLIENT_ID and "
            "QUICKBOOKS_CLIENT_SECRET"
        )
    return default_error(
        response,
        message=told.error_description or told.error,
        code=told.error,
        revoked=told.error == "invalid_grant",
    )
