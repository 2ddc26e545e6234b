"""Square's OAuth: access tokens of 30 days, renewed after a week as Square asks, and a refresh
token that neither ends nor changes. Source: ObtainToken, RevokeToken.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from msgspec import Struct

from integration_pipelines.core.errors import AccessRevoked, ProviderError
from integration_pipelines.core.oauth import (
    Application,
    Consent,
    MakeTransport,
    OAuth,
    call_token_endpoint,
    refused_application,
    secret_of,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Response
from integration_pipelines.providers.square.client import (
    API_BASE,
    API_VERSION,
    SANDBOX_BASE,
    classify,
)
from integration_pipelines.providers.square.credentials import SquareCredentials

NAME = "Square"
SETTINGS = ("square_app_id", "square_app_secret")
SCOPES = (
    "MERCHANT_PROFILE_READ",
    "ITEMS_READ",
    "INVENTORY_READ",
    "CUSTOMERS_READ",
    "ORDERS_READ",
    "PAYMENTS_READ",
    "DISPUTES_READ",
    "PAYOUTS_READ",
    "INVOICES_READ",
    "SUBSCRIPTIONS_READ",
    "LOYALTY_READ",
    "GIFTCARDS_READ",
    "EMPLOYEES_READ",
)


class _Tokens(Struct):
    access_token: str = ""
    refresh_token: str = ""
    merchant_id: str = ""
    expires_at: datetime | None = None


class _Ended(Struct):
    success: bool = False


def authorize_url(
    settings: Settings, application: Application, state: str, redirect_uri: str
) -> str:
    """Where a seller consents; in production they sign in again, whoever this browser was."""
    url: str = prepare_grant_uri(
        f"{_base(settings)}/oauth2/authorize",
        application.client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=" ".join(SCOPES),
        state=state,
        session=None if settings.square_sandbox else "false",
    )
    return url


def exchange(
    settings: Settings, application: Application, consent: Consent, make_transport: MakeTransport
) -> SquareCredentials:
    """Credentials for a code."""
    asked = {
        "grant_type": "authorization_code",
        "code": consent.code.get_secret_value(),
        "redirect_uri": consent.redirect_uri,
    }
    return _granted(settings, application, asked, make_transport)


def refresh(
    settings: Settings,
    application: Application,
    credentials: SquareCredentials,
    make_transport: MakeTransport,
) -> SquareCredentials:
    """Credentials with a new access token. Raises AccessRevoked where the seller has taken access
    away."""
    assert credentials.refresh_token is not None
    asked = {
        "grant_type": "refresh_token",
        "refresh_token": credentials.refresh_token.get_secret_value(),
    }
    return _granted(settings, application, asked, make_transport)


def revoke(
    settings: Settings,
    application: Application,
    credentials: SquareCredentials,
    make_transport: MakeTransport,
) -> None:
    """End every token that the seller's consent gave this application."""
    call_token_endpoint(
        make_transport,
        _Ended,
        provider=NAME,
        base_url=_base(settings),
        path="/oauth2/revoke",
        json={
            "client_id": application.client_id,
            "access_token": credentials.access_token.get_secret_value(),
        },
        headers={
            "Authorization": f"Client {application.client_secret.get_secret_value()}",
            "Square-Version": API_VERSION,
        },
        classify=classify,
    )


def _granted(
    settings: Settings,
    application: Application,
    asked: Mapping[str, str],
    make_transport: MakeTransport,
) -> SquareCredentials:
    told, _ = call_token_endpoint(
        make_transport,
        _Tokens,
        provider=NAME,
        base_url=_base(settings),
        path="/oauth2/token",
        json={
            **asked,
            "client_id": application.client_id,
            "client_secret": application.client_secret.get_secret_value(),
        },
        headers={"Square-Version": API_VERSION},
        classify=_classify,
    )
    return SquareCredentials(
        access_token=secret_of(told.access_token, "access_token"),
        refresh_token=secret_of(told.refresh_token, "refresh_token"),
        expires_at=told.expires_at,
        merchant_id=told.merchant_id or None,
    )


def _classify(response: Response) -> ProviderError | None:
    """As of any other call, but that 401 may speak of the application."""
    error = classify(response)
    if isinstance(error, AccessRevoked) and "client" in str(error):
        raise refused_application(NAME, SETTINGS)
    return error


def _base(settings: Settings) -> str:
    return settings.square_api_base or (SANDBOX_BASE if settings.square_sandbox else API_BASE)


OAUTH = OAuth(
    settings_names=SETTINGS,
    scopes=SCOPES,
    authorize_url=authorize_url,
    exchange=exchange,
    refresh=refresh,
    revoke=revoke,
    renew_before=timedelta(days=23),
)
