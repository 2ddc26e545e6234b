"""Stripe Connect's OAuth: a token of a standard account, which reads only and does not end.

Source: Stripe's Connect OAuth reference.
"""

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from msgspec import Struct

from integration_pipelines.core.oauth import (
    Application,
    Consent,
    MakeTransport,
    OAuth,
    call_token_endpoint,
    secret_of,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers.stripe.credentials import StripeCredentials

NAME = "Stripe"
CONNECT_BASE = "https://connect.stripe.com"
SCOPE = "read_only"


class _Token(Struct):
    access_token: str = ""
    stripe_user_id: str | None = None


class _Ended(Struct):
    stripe_user_id: str | None = None


def authorize_url(
    settings: Settings, application: Application, state: str, redirect_uri: str
) -> str:
    """Where an account's owner consents."""
    url: str = prepare_grant_uri(
        f"{settings.stripe_api_base or CONNECT_BASE}/oauth/authorize",
        application.client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=SCOPE,
        state=state,
    )
    return url


def exchange(
    settings: Settings, application: Application, consent: Consent, make_transport: MakeTransport
) -> StripeCredentials:
    """Credentials for a code."""
    told, _ = call_token_endpoint(
        make_transport,
        _Token,
        provider=NAME,
        base_url=settings.stripe_api_base or CONNECT_BASE,
        path="/oauth/token",
        form={"grant_type": "authorization_code", "code": consent.code.get_secret_value()},
        headers=_authorization(application),
    )
    return StripeCredentials(
        access_token=secret_of(told.access_token, "access_token"),
        stripe_user_id=told.stripe_user_id,
    )


def revoke(
    settings: Settings,
    application: Application,
    credentials: StripeCredentials,
    make_transport: MakeTransport,
) -> None:
    """End our access to the account, if it came by consent: a key is its owner's to roll."""
    if credentials.access_token is None or credentials.stripe_user_id is None:
        return
    call_token_endpoint(
        make_transport,
        _Ended,
        provider=NAME,
        base_url=settings.stripe_api_base or CONNECT_BASE,
        path="/oauth/deauthorize",
        form={
            "client_id": application.client_id,
            "stripe_user_id": credentials.stripe_user_id,
        },
        headers=_authorization(application),
    )


def _authorization(application: Application) -> dict[str, str]:
    return {"Authorization": f"Bearer {application.client_secret.get_secret_value()}"}


OAUTH = OAuth(
    settings_names=("stripe_client_id", "stripe_secret_key"),
    scopes=(SCOPE,),
    authorize_url=authorize_url,
    exchange=exchange,
    revoke=revoke,
)
