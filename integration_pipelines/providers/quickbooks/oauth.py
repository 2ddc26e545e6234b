"""Intuit's OAuth: access tokens of an hour, each renewal of which may rotate the refresh token.

A refresh token that is not used for 100 days is no longer good, and five years after the consent
none is. Source: Intuit's OAuth 2.0 reference.
"""

from collections.abc import Mapping
from datetime import timedelta

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from msgspec import Struct
from pydantic import SecretStr

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.oauth import (
    Application,
    Consent,
    MakeTransport,
    OAuth,
    call_token_endpoint,
    secret_of,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Response
from integration_pipelines.providers.quickbooks.client import NAME
from integration_pipelines.providers.quickbooks.credentials import QuickBooksCredentials

AUTHORIZE_BASE = "https://appcenter.intuit.com"
OAUTH_BASE = "https://oauth.platform.intuit.com"
REVOKE_BASE = "https://developer.api.intuit.com"
SCOPE = "com.intuit.quickbooks.accounting"
"""There is none that reads only."""


class _Tokens(Struct):
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int = 3_600
    x_refresh_token_expires_in: int | None = None


class _Nothing(Struct):
    pass


def authorize_url(
    settings: Settings, application: Application, state: str, redirect_uri: str
) -> str:
    """Where a company's owner consents; the redirect carries its `realmId`."""
    base = settings.quickbooks_oauth_base or AUTHORIZE_BASE
    url: str = prepare_grant_uri(
        f"{base}/connect/oauth2",
        application.client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=SCOPE,
        state=state,
    )
    return url


def exchange(
    settings: Settings, application: Application, consent: Consent, make_transport: MakeTransport
) -> QuickBooksCredentials:
    """Credentials for a code. Raises ConfigurationError where the redirect names no company."""
    realm_id = consent.fields.get("realmId", "")
    if not realm_id:
        raise ConfigurationError(
            "Intuit named no company (realmId): connect again and choose a QuickBooks company"
        )
    asked = {
        "grant_type": "authorization_code",
        "code": consent.code.get_secret_value(),
        "redirect_uri": consent.redirect_uri,
    }
    return _granted(settings, application, asked, realm_id, make_transport)


def refresh(
    settings: Settings,
    application: Application,
    credentials: QuickBooksCredentials,
    make_transport: MakeTransport,
) -> QuickBooksCredentials:
    """Credentials with both tokens of a renewal. Raises AccessRevoked where the refresh token is
    no longer good."""
    assert credentials.refresh_token is not None
    asked = {
        "grant_type": "refresh_token",
        "refresh_token": credentials.refresh_token.get_secret_value(),
    }
    return _granted(settings, application, asked, credentials.realm_id, make_transport)


def revoke(
    settings: Settings,
    application: Application,
    credentials: QuickBooksCredentials,
    make_transport: MakeTransport,
) -> None:
    """End the whole grant."""
    held: SecretStr = credentials.refresh_token or credentials.access_token
    call_token_endpoint(
        make_transport,
        _Nothing,
        provider=NAME,
        base_url=settings.quickbooks_oauth_base or REVOKE_BASE,
        path="/v2/oauth2/tokens/revoke",
        json={"token": held.get_secret_value()},
        headers=_authorization(application),
    )


def _granted(
    settings: Settings,
    application: Application,
    asked: Mapping[str, str],
    realm_id: str,
    make_transport: MakeTransport,
) -> QuickBooksCredentials:
    told, response = call_token_endpoint(
        make_transport,
        _Tokens,
        provider=NAME,
        base_url=settings.quickbooks_oauth_base or OAUTH_BASE,
        path="/oauth2/v1/tokens/bearer",
        form=asked,
        headers=_authorization(application),
    )
    return _credentials(told, response, realm_id)


def _credentials(told: _Tokens, response: Response, realm_id: str) -> QuickBooksCredentials:
    began, lasting = response.started_at, told.x_refresh_token_expires_in
    return QuickBooksCredentials(
        access_token=secret_of(told.access_token, "access_token"),
        refresh_token=secret_of(told.refresh_token, "refresh_token"),
        expires_at=began + timedelta(seconds=told.expires_in),
        refresh_expires_at=None if lasting is None else began + timedelta(seconds=lasting),
        realm_id=realm_id,
    )


def _authorization(application: Application) -> dict[str, str]:
    # The SDK takes a while to import, and only these calls need it.
    from intuitlib.utils import get_auth_header

    secret = application.client_secret.get_secret_value()
    return {"Authorization": get_auth_header(application.client_id, secret)}


OAUTH = OAuth(
    settings_names=("quickbooks_client_id", "quickbooks_client_secret"),
    scopes=(SCOPE,),
    authorize_url=authorize_url,
    exchange=exchange,
    refresh=refresh,
    revoke=revoke,
    renew_before=timedelta(minutes=10),
    consent_lasts=timedelta(days=5 * 365),
)
