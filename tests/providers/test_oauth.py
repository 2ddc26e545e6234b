"""Consent at each provider: its screen, its token endpoint, renewal and the end of access."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from pydantic import BaseModel, SecretStr
from sqlalchemy import Engine

from integration_pipelines.core.errors import (
    AccessRevoked,
    ConfigurationError,
    IntegrationError,
    MalformedResponse,
    Refused,
)
from integration_pipelines.core.ingest import unconnected_client
from integration_pipelines.core.oauth import Consent, MakeTransport, OAuth
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import open_transport
from provider_sandbox import Sandbox
from tests.providers.accounts import KINDS, Kind, pointed_at
from tests.quickbooks_schema import published

CALLBACK = "http://127.0.0.1:8080/oauth/callback"
STATE = "the-state-of-this-browser"


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    assert isinstance(request.param, Kind)
    return request.param


@pytest.fixture
def account(kind: Kind, sandbox: Sandbox) -> Any:
    return kind.open_account(sandbox, size=10)


@pytest.fixture
def here(settings: Settings, sandbox: Sandbox) -> Settings:
    return pointed_at(settings, sandbox)


@pytest.fixture
def oauth(kind: Kind) -> OAuth:
    assert kind.provider.oauth is not None
    return kind.provider.oauth


@pytest.fixture
def make_transport(pipeline_engine: Engine, venue: Callable[..., str], kind: Kind) -> MakeTransport:
    return partial(
        open_transport,
        pipeline_engine,
        venue_id=venue(),
        provider=kind.name,
        account_id=None,
    )


def consent(oauth: OAuth, here: Settings, account: Any, *, state: str = STATE) -> Consent:
    """What comes back when the owner of ``account`` (None: nobody) allows it in a browser."""
    url = oauth.authorize_url(here, oauth.application(here), state, CALLBACK)
    shown = requests.get(url, timeout=10)
    assert shown.status_code == 200, shown.text
    assert account is None or account.name in shown.text
    chosen = {"account": "" if account is None else account.id}
    answer = requests.post(url, data=chosen, allow_redirects=False, timeout=10)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{CALLBACK}?")
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    fields = {name: values[0] for name, values in query.items()}
    assert fields["state"] == state
    return Consent(SecretStr(fields.get("code", "")), CALLBACK, fields)


def exchange(
    oauth: OAuth, here: Settings, given: Consent, make_transport: MakeTransport
) -> BaseModel:
    return oauth.exchange(here, oauth.application(here), given, make_transport)


def test_a_consent_opens_the_account_that_gave_it(
    kind: Kind,
    oauth: OAuth,
    here: Settings,
    sandbox: Sandbox,
    account: Any,
    make_transport: MakeTransport,
    pipeline_engine: Engine,
) -> None:
    credentials = exchange(oauth, here, consent(oauth, here, account), make_transport)
    client = unconnected_client(here, pipeline_engine, kind.provider, credentials, "moonlight-hall")
    assert client.identify().account_id == account.id
    assert oauth.refresh is None or getattr(credentials, "expires_at", None) is not None


def test_what_is_asked_for_is_enough_for_every_stream(
    kind: Kind,
    oauth: OAuth,
    here: Settings,
    sandbox: Sandbox,
    account: Any,
    make_transport: MakeTransport,
    pipeline_engine: Engine,
) -> None:
    credentials = exchange(oauth, here, consent(oauth, here, account), make_transport)
    hall = kind.connect(here, pipeline_engine, sandbox, account, "moonlight-hall", credentials)
    results = hall.sync()
    assert {name: result.error for name, result in results.items() if result.error} == {}


def test_a_code_is_good_once_and_for_its_own_redirect_uri(
    oauth: OAuth, here: Settings, account: Any, make_transport: MakeTransport, kind: Kind
) -> None:
    given = consent(oauth, here, account)
    exchange(oauth, here, given, make_transport)
    other = consent(oauth, here, account)._replace(redirect_uri="http://127.0.0.1:8080/elsewhere")
    # Stripe does not ask for it again.
    for refused in [given, *([other] if kind.name != "stripe" else [])]:
        with pytest.raises(AccessRevoked) as error:
            exchange(oauth, here, refused, make_transport)
        assert given.code.get_secret_value() not in str(error.value)


def test_an_application_that_is_refused_is_no_fault_of_the_venue(
    oauth: OAuth, here: Settings, account: Any, make_transport: MakeTransport
) -> None:
    wrong = oauth.application(here)._replace(client_secret=SecretStr("of-another-application"))
    with pytest.raises(ConfigurationError, match="application"):
        oauth.exchange(here, wrong, consent(oauth, here, account), make_transport)
    unset = here.model_copy(update=dict.fromkeys(oauth.settings_names))
    assert oauth.is_configured(here)
    assert not oauth.is_configured(unset)
    with pytest.raises(ConfigurationError, match=oauth.settings_names[0].upper()):
        oauth.application(unset)


def test_a_no_comes_back_as_one(oauth: OAuth, here: Settings, account: Any) -> None:
    fields = consent(oauth, here, None).fields
    assert fields["error"] == "access_denied"
    assert "code" not in fields


def test_only_registered_redirect_uris_are_sent_to(
    kind: Kind, oauth: OAuth, here: Settings, sandbox: Sandbox, account: Any
) -> None:
    sandbox.consents[kind.name].redirect_uris = (CALLBACK,)
    consent(oauth, here, account)
    for elsewhere in (f"{CALLBACK}/", "https://evil.example/", f"{CALLBACK}?to=evil"):
        url = oauth.authorize_url(here, oauth.application(here), STATE, elsewhere)
        assert requests.post(url, data={"account": account.id}, timeout=10).status_code == 400


@pytest.mark.parametrize("kind", [KINDS["square"], KINDS["quickbooks"]], ids=lambda one: one.name)
def test_a_renewal_gives_a_new_token_and_keeps_what_the_old_one_opened(
    kind: Kind,
    oauth: OAuth,
    here: Settings,
    account: Any,
    make_transport: MakeTransport,
    pipeline_engine: Engine,
) -> None:
    first = exchange(oauth, here, consent(oauth, here, account), make_transport)
    assert oauth.refresh is not None
    second = oauth.refresh(here, oauth.application(here), first, make_transport)
    told, before = second.model_dump(), first.model_dump()
    assert told["access_token"] != before["access_token"]
    assert (told["refresh_token"] == before["refresh_token"]) is (kind.name == "square")
    for name in ("merchant_id", "realm_id"):
        assert told.get(name) == before.get(name)
    client = unconnected_client(here, pipeline_engine, kind.provider, second, "moonlight-hall")
    assert client.identify().account_id == account.id


@pytest.mark.parametrize(
    "kind",
    [KINDS["square"], KINDS["quickbooks"], KINDS["stripe"]],
    ids=lambda one: one.name,
)
def test_what_is_revoked_opens_nothing_and_cannot_be_renewed(
    kind: Kind,
    oauth: OAuth,
    here: Settings,
    account: Any,
    make_transport: MakeTransport,
    pipeline_engine: Engine,
) -> None:
    application = oauth.application(here)
    credentials = exchange(oauth, here, consent(oauth, here, account), make_transport)
    assert oauth.revoke is not None
    oauth.revoke(here, application, credentials, make_transport)
    with pytest.raises(AccessRevoked):
        unconnected_client(
            here, pipeline_engine, kind.provider, credentials, "moonlight-hall"
        ).identify()
    if oauth.refresh is not None:
        with pytest.raises(AccessRevoked):
            oauth.refresh(here, application, credentials, make_transport)


def test_where_access_cannot_be_ended_by_us_its_owner_is_told_where(kind: Kind) -> None:
    assert kind.provider.access.ended_by
    assert kind.provider.access.reads
    assert kind.provider.oauth is not None
    if kind.provider.oauth.revoke is None:
        assert "nobody else" in kind.provider.access.ended_by


QUICKBOOKS = KINDS["quickbooks"]
PUBLISHED = {
    "success_token_response": "refresh_token",
    "success_refreshtoken_response": "L311478109728uVoOkDSUCl4s8FDRvjHR6kUKz0RHe3WtZQuBq",
}


@pytest.mark.parametrize("kind", [QUICKBOOKS], ids=["quickbooks"])
def test_bodies_that_begin_with_a_byte_order_mark_are_read(
    oauth: OAuth, here: Settings, sandbox: Sandbox, account: Any, make_transport: MakeTransport
) -> None:
    sandbox.quickbooks.tokens.byte_order_mark = True
    first = exchange(oauth, here, consent(oauth, here, account), make_transport)
    assert oauth.refresh is not None
    second = oauth.refresh(here, oauth.application(here), first, make_transport)
    with pytest.raises(AccessRevoked, match="invalid refresh token"):
        oauth.refresh(here, oauth.application(here), first, make_transport)
    told = second.model_dump()
    assert told["refresh_expires_at"] - told["expires_at"] == timedelta(days=101, hours=-1)


@pytest.mark.parametrize("kind", [QUICKBOOKS], ids=["quickbooks"])
@pytest.mark.parametrize("name", [*PUBLISHED, "failure_token_response", "half"])
def test_what_intuit_published_is_read_as_it_is(
    oauth: OAuth, here: Settings, make_transport: MakeTransport, name: str
) -> None:
    half = b'{"access_token": "a", "token_type": "bearer"}'
    body = half if name == "half" else published(f"oauth/{name}.json").read_bytes()
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(400 if name == "failure_token_response" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = here.model_copy(
        update={"quickbooks_oauth_base": f"http://127.0.0.1:{server.server_port}"}
    )
    held = QUICKBOOKS.provider.credentials.model_validate(
        {"access_token": "-", "refresh_token": "of the company", "realm_id": "9130"}
    )
    assert oauth.refresh is not None

    def renew() -> dict[str, Any]:
        assert oauth.refresh is not None
        new = oauth.refresh(there, oauth.application(there), held, make_transport)
        return new.model_dump()

    if name in PUBLISHED:
        told = renew()
        assert told["refresh_token"].get_secret_value() == PUBLISHED[name]
        assert told["refresh_expires_at"] - told["expires_at"] == timedelta(days=180, hours=-1)
        assert told["expires_at"] > datetime.now(UTC) + timedelta(minutes=59)
    else:
        error: type[IntegrationError] = MalformedResponse if name == "half" else Refused
        with pytest.raises(error):
            renew()
    # Never asked twice: the first may have rotated the token.
    assert asked == ["/oauth2/v1/tokens/bearer"]
    server.shutdown()
    server.server_close()
