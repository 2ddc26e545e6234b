"""Mailchimp's OAuth: tokens without end, for the data centre that its metadata endpoint names.

There are no scopes, and no call that ends a token. Source: Mailchimp's OAuth 2 guide.
"""

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from msgspec import Struct

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import AccessRevoked, MalformedResponse
from integration_pipelines.core.oauth import (
    TOKEN_CALLS,
    Application,
    Consent,
    MakeTransport,
    OAuth,
    call_token_endpoint,
    secret_of,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Response
from integration_pipelines.providers.mailchimp.client import DATA_CENTRE, NAME, OAUTH_BASE
from integration_pipelines.providers.mailchimp.credentials import MailchimpCredentials


class _Token(Struct):
    access_token: str = ""


class _Metadata(Struct):
    dc: str = ""
    error: str = ""


def authorize_url(
    settings: Settings, application: Application, state: str, redirect_uri: str
) -> str:
    """Where an account's owner consents."""
    url: str = prepare_grant_uri(
        f"{settings.mailchimp_oauth_base or OAUTH_BASE}/oauth2/authorize",
        application.client_id,
        "code",
        redirect_uri=redirect_uri,
        state=state,
    )
    return url


def exchange(
    settings: Settings, application: Application, consent: Consent, make_transport: MakeTransport
) -> MailchimpCredentials:
    """Credentials for a code, the data centre with them."""
    told, _ = call_token_endpoint(
        make_transport,
        _Token,
        provider=NAME,
        base_url=settings.mailchimp_oauth_base or OAUTH_BASE,
        path="/oauth2/token",
        form={
            "grant_type": "authorization_code",
            "client_id": application.client_id,
            "client_secret": application.client_secret.get_secret_value(),
            "code": consent.code.get_secret_value(),
            "redirect_uri": consent.redirect_uri,
        },
    )
    token = secret_of(told.access_token, "access_token")
    dc = data_centre(settings, token.get_secret_value(), make_transport)
    return MailchimpCredentials(access_token=token, dc=dc)


def data_centre(settings: Settings, token: str, make_transport: MakeTransport) -> str:
    """The data centre of a token, a strict label. Raises AccessRevoked on an invalid token, which
    is answered with status 200; MalformedResponse where the label is none."""

    def parse(response: Response) -> _Metadata:
        return bodies.decode(bodies.compact(response.body, NAME), _Metadata, NAME)

    with make_transport(
        base_url=settings.mailchimp_oauth_base or OAUTH_BASE,
        headers={"Authorization": f"OAuth {token}"},
        limits=TOKEN_CALLS,
    ) as transport:
        metadata = transport.request(
            "GET", "/oauth2/metadata", endpoint="GET /oauth2/metadata", parse=parse
        )
    if metadata.error:
        raise AccessRevoked(f"{NAME} refuses the token ({metadata.error}); reconnect the account")
    if not DATA_CENTRE.fullmatch(metadata.dc):
        raise MalformedResponse(f"{NAME} names no data centre for this token")
    return metadata.dc


OAUTH = OAuth(
    settings_names=("mailchimp_client_id", "mailchimp_client_secret"),
    scopes=(),
    authorize_url=authorize_url,
    exchange=exchange,
)
