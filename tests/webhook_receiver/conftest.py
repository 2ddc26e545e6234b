"""A receiver in processes of its own, and deliveries as the providers send them."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, text

from development.processes import free_port
from provider_sandbox.stripe.webhooks import signature_header
from tests.faults.moments import until

STRIPE, SQUARE, QUICKBOOKS = "whsec_of_the_test", "square-key-of-the-test", "verifier-of-the-test"
SECRET_PATH = "a-path-that-nobody-guesses-0123456789"


@pytest.fixture
def receiver(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The URL of a receiver in processes of its own; its log is `receiver.log`. KMS is down all the
    while (fault 15): what is taken in needs no key."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    here = environment | {
        "PUBLIC_BASE_URL": url,
        "STRIPE_WEBHOOK_SECRET": f"whsec_older,{STRIPE}",
        "SQUARE_WEBHOOK_SIGNATURE_KEY": SQUARE,
        "QUICKBOOKS_WEBHOOK_TOKEN": QUICKBOOKS,
        "KMS_KEY_ID": "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000000",
        "AWS_ENDPOINT_URL_KMS": "http://127.0.0.1:9",
    }
    command = [
        str(Path(sys.executable).with_name("gunicorn")),
        *("-c", "python:webhook_receiver.server", "--bind", f"127.0.0.1:{port}"),
        "webhook_receiver:create_app()",
    ]
    with (tmp_path / "receiver.log").open("w") as log:
        process = subprocess.Popen(command, env=here, stdout=log, stderr=log)
        try:
            until(lambda: _is_up(url), "the receiver is up")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def sign(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


def stripe_event(number: int = 1, *, account: str = "acct_1") -> bytes:
    charge = {"id": f"ch_{number}", "object": "charge"}
    event = {
        "id": f"evt_{number}",
        "type": "charge.succeeded",
        "account": account,
        "created": 1_772_000_000,
        "data": {"object": charge},
    }
    return json.dumps(event).encode()


def send(
    url: str,
    name: str,
    body: bytes,
    *,
    path: str = "",
    at: int | None = None,
    session: requests.Session | None = None,
    **options: Any,
) -> requests.Response:
    """A delivery, signed as the provider does."""
    target = f"{url}/webhooks/{name}{path}"
    headers = {
        "stripe": lambda: {
            "Stripe-Signature": signature_header(body, [STRIPE], at=at or int(time.time()))
        },
        "square": lambda: {"x-square-hmacsha256-signature": sign(SQUARE, target.encode() + body)},
        "quickbooks": lambda: {"intuit-signature": sign(QUICKBOOKS, body)},
        "mailchimp": lambda: {"Content-Type": "application/x-www-form-urlencoded"},
    }[name]()
    headers |= options.pop("headers", {})
    post = session.post if session else requests.post
    return post(target, data=body, headers=headers, timeout=60, **options)


def stored(engine: Engine) -> list[Any]:
    with engine.connect() as session:
        return list(
            session.execute(text("SELECT * FROM control.integration_webhooks ORDER BY webhook_id"))
        )
