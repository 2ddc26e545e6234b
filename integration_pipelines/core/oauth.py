"""OAuth as the core sees it: what a provider declares of its consent, and one call to its token
endpoint.

All four are confidential clients of the authorization code flow. PKCE would add nothing to a
client that has a secret, and turns Square's lasting refresh tokens into ones that end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from pydantic import BaseModel, SecretStr

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import (
    ConfigurationError,
    MalformedResponse,
    ProviderError,
)
from integration_pipelines.core.provider import Limits
from integration_pipelines.core.redaction import register_secret
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Bounds, Response, Transport, default_error

MakeTransport = Callable[..., Transport]
Answer = TypeVar("Answer", bound=Struct)

TOKEN_CALLS = Limits(rate=10, concurrency=2)
BOUNDS = Bounds(connect=10, read=30, total=30)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Application(NamedTuple):
    """Who we are to a provider: the settings hold it under the two names."""

    client_id: str
    client_secret: SecretStr


class Consent(NamedTuple):
    """What came back from the provider's screen. ``fields`` are all parameters of the redirect
    (QuickBooks names the company there); ``redirect_uri`` the one that was asked with."""

    code: SecretStr
    redirect_uri: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OAuth:
    """How a venue lets us in by consent.

    ``settings_names``: the settings that hold the application's id and secret. ``scopes``: what is
    asked for, the least that the streams need. ``authorize_url(settings, application, state,
    redirect_uri)``: where the browser goes. ``exchange(settings, application, consent,
    make_transport)``: credentials for a code. ``refresh(settings, application, credentials,
    make_transport)``: credentials with new tokens (None: they do not end). ``revoke``: the same
    for the end of our access (None: the provider has no way; its owner ends it by hand).

    ``renew_before``: how long before its end an access token is renewed; one whose end is not
    known is renewed at once. ``consent_lasts``: after so long the provider asks for consent again,
    whatever was renewed (None: never).
    """

    settings_names: tuple[str, str]
    scopes: tuple[str, ...]
    authorize_url: Callable[[Settings, Application, str, str], str]
    exchange: Callable[[Settings, Application, Consent, MakeTransport], BaseModel]
    refresh: Callable[[Settings, Application, Any, MakeTransport], BaseModel] | None = None
    revoke: Callable[[Settings, Application, Any, MakeTransport], None] | None = None
    renew_before: timedelta = timedelta(minutes=10)
    consent_lasts: timedelta | None = None

    def application(self, settings: Settings) -> Application:
        """The application of the settings. Raises ConfigurationError that names what is missing."""
        client_id, client_secret = (getattr(settings, name) for name in self.settings_names)
        if not client_id or not client_secret:
            names = " and ".join(name.upper() for name in self.settings_names)
            raise ConfigurationError(
                f"{names} are needed: set them to those of the application that is registered "
                "with the provider"
            )
        return Application(client_id, client_secret)

    def is_configured(self, settings: Settings) -> bool:
        """Whether the settings name an application at all."""
        return all(getattr(settings, name) for name in self.settings_names)


class _Error(Struct):
    error: str | None = None
    error_description: str | None = None


def call_token_endpoint(
    make_transport: MakeTransport,
    kind: type[Answer],
    *,
    provider: str,
    base_url: str,
    path: str,
    form: Mapping[str, str | None] | None = None,
    json: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    classify: Callable[[Response], ProviderError | None] | None = None,
) -> tuple[Answer, Response]:
    """One POST and what it answers. Never repeated by itself: a token may have been rotated though
    the answer was lost.

    Raises AccessRevoked where the grant is no longer good, ConfigurationError where the application
    is not, MalformedResponse where what ``kind`` needs is missing.
    """

    def parse(response: Response) -> tuple[Answer, Response]:
        return bodies.decode(_body(response, provider), kind, provider), response

    def error_of(response: Response) -> ProviderError | None:
        return classify(response) if classify else _classify(response, provider)

    content = None if form is None else {name: value for name, value in form.items() if value}
    with make_transport(
        base_url=base_url,
        headers={"Accept": "application/json", **(headers or {})},
        limits=TOKEN_CALLS,
        bounds=BOUNDS,
        classify=error_of,
    ) as transport:
        answer, response = transport.request(
            "POST", path, data=content, json=json, endpoint=f"POST {path}", parse=parse
        )
    return answer, response


def secret_of(value: str | None, what: str) -> SecretStr:
    """``value`` as a secret, masked from now on. Raises MalformedResponse where there is none."""
    if not value:
        raise MalformedResponse(f"the token endpoint answered without {what}")
    register_secret(value)
    return SecretStr(value)


def refused_application(provider: str, names: tuple[str, str]) -> ConfigurationError:
    """The provider does not know the application: no fault of the venue's."""
    return ConfigurationError(
        f"{provider} refuses the application: check {' and '.join(name.upper() for name in names)}"
    )


def _body(response: Response, provider: str) -> bytes:
    return bodies.compact(response.body.removeprefix(BYTE_ORDER_MARK) or b"{}", provider)


def _classify(response: Response, provider: str) -> ProviderError | None:
    """The error of RFC 6749. That the application is refused is no fault of the account's."""
    try:
        told = bodies.decode(_body(response, provider), _Error, provider)
    except MalformedResponse:
        told = _Error()
    if told.error in ("invalid_client", "unauthorized_client"):
        raise ConfigurationError(
            f"{provider} refuses the application ({told.error}): check its client id and secret"
        )
    return default_error(
        response,
        message=told.error_description or told.error or "",
        code=told.error,
        revoked=told.error == "invalid_grant",
    )
