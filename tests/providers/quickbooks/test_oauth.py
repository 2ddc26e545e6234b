"""Renewing a company's tokens, against the stand-in and with the answers that Intuit published."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from integration_pipelines.core.errors import (
    AccessRevoked,
    ConfigurationError,
    MalformedResponse,
    Refused,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import open_transport
from integration_pipelines.providers.quickbooks import LIMITS
from integration_pipelines.providers.quickbooks.oauth import Tokens, refresh
from provider_sandbox import Sandbox
from tests.providers.quickbooks.conftest import open_account
from tests.quickbooks_schema import published

Renew = Callable[..., Tokens]


@pytest.fixture
def renew(settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]) -> Renew:
    """``renew(base, client_id, client_secret, refresh_token)``: the tokens that came of it."""
    venue_id = venue()

    def make(base: str, client_id: str, client_secret: str, refresh_token: str) -> Tokens:
        here = settings.model_copy(
            update={
                "quickbooks_oauth_base": base,
                "quickbooks_client_id": client_id,
                "quickbooks_client_secret": SecretStr(client_secret),
            }
        )
        make_transport = partial(
            open_transport,
            pipeline_engine,
            venue_id=venue_id,
            provider="quickbooks",
            account_id=None,
        )
        return refresh(here, SecretStr(refresh_token), make_transport, LIMITS)

    return make


@pytest.mark.parametrize("marked", [False, True], ids=["plain", "byte-order mark"])
def test_a_renewal_gives_both_tokens_and_their_ends(
    renew: Renew, sandbox: Sandbox, marked: bool
) -> None:
    account = open_account(sandbox)
    tokens = sandbox.quickbooks.tokens
    tokens.byte_order_mark = marked
    held = account.credentials["refresh_token"]
    new = renew(f"{sandbox.base_url}/quickbooks", tokens.client_id, tokens.client_secret, held)
    grant = tokens.of(new.access_token.get_secret_value())
    assert grant is not None
    assert grant.refresh_token == new.refresh_token.get_secret_value() != held
    assert new.refresh_expires_at is not None
    assert new.refresh_expires_at - new.expires_at == timedelta(days=101, hours=-1)


def test_a_token_that_was_rotated_away_is_no_longer_good(renew: Renew, sandbox: Sandbox) -> None:
    account = open_account(sandbox)
    tokens = sandbox.quickbooks.tokens
    held = account.credentials["refresh_token"]
    application = (f"{sandbox.base_url}/quickbooks", tokens.client_id, tokens.client_secret)
    renew(*application, held)
    with pytest.raises(AccessRevoked) as refused:
        renew(*application, held)
    assert held not in str(refused.value)


def test_an_application_that_is_refused_is_no_fault_of_the_company(
    renew: Renew, sandbox: Sandbox
) -> None:
    account = open_account(sandbox)
    base, held = f"{sandbox.base_url}/quickbooks", account.credentials["refresh_token"]
    with pytest.raises(ConfigurationError, match="QUICKBOOKS_CLIENT_ID"):
        renew(base, sandbox.quickbooks.tokens.client_id, "of another application", held)


PUBLISHED = {
    "success_token_response": "refresh_token",
    "success_refreshtoken_response": "L311478109728uVoOkDSUCl4s8FDRvjHR6kUKz0RHe3WtZQuBq",
}


@pytest.mark.parametrize("name", [*PUBLISHED, "failure_token_response", "half"])
def test_what_intuit_published_is_read_as_it_is(renew: Renew, name: str) -> None:
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
    base = f"http://127.0.0.1:{server.server_port}"
    if name in PUBLISHED:
        new = renew(base, "client", "of the application", "of the company")
        assert new.refresh_token.get_secret_value() == PUBLISHED[name]
        assert new.refresh_expires_at is not None
        assert new.refresh_expires_at - new.expires_at == timedelta(days=180, hours=-1)
    else:
        with pytest.raises(Refused if body != half else MalformedResponse):
            renew(base, "client", "of the application", "of the company")
    # Never asked twice: the first may have rotated the token.
    assert asked == ["/oauth2/v1/tokens/bearer"]
    server.shutdown()
    server.server_close()
