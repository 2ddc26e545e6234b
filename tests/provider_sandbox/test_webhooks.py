"""Webhooks of the stand-ins, made and verified by the providers' own SDKs."""

import hashlib
import hmac
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
import pytest
import stripe
from mailchimp_marketing import Client as MailchimpClient  # type: ignore[import-untyped]
from mailchimp_marketing.api_client import ApiClientError  # type: ignore[import-untyped]
from square.client import Square
from square.core.api_error import ApiError
from square.utils.webhooks_helper import verify_signature

from provider_sandbox import Sandbox
from provider_sandbox.ledger import Json


class Sent(NamedTuple):
    """One delivery that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        found: Json = msgspec.json.decode(self.body)
        return found


class Listener(NamedTuple):
    """Who takes deliveries; the first ``refusals`` of them are answered 500."""

    url: str
    came: list[Sent]
    refusals: list[int]

    def wait(self, enough: Callable[[list[Sent]], bool]) -> list[Sent]:
        deadline = time.monotonic() + 15
        while not enough(list(self.came)):
            assert time.monotonic() < deadline, f"{len(self.came)} deliveries came"
            time.sleep(0.02)
        return list(self.came)


@pytest.fixture
def listener() -> Iterator[Listener]:
    came: list[Sent] = []
    refusals = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path != "/closed" else 404)
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append(Sent(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            refusals[0] -= 1
            self.send_response(500 if refusals[0] >= 0 else 200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Listener(f"http://127.0.0.1:{server.server_port}", came, refusals)
    server.shutdown()
    server.server_close()


def stripe_client(sandbox: Sandbox, key: str) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": f"{sandbox.base_url}/stripe"})


def test_an_account_s_own_endpoint_is_told_of_what_it_asked_for(
    sandbox: Sandbox, listener: Listener
) -> None:
    account = sandbox.stripe.create_account("hall", size=40)
    client = stripe_client(sandbox, account.api_key)
    made = client.v1.webhook_endpoints.create(
        {"url": f"{listener.url}/own", "enabled_events": ["customer.updated"]}
    )
    assert made.secret
    listed = client.v1.webhook_endpoints.list().data
    assert [one.id for one in listed] == [made.id]
    assert "secret" not in listed[0]
    customer = account.ids("customers")[0]
    account.economy.update("customers", customer, {"name": "Nobody"})
    (sent,) = listener.wait(lambda came: len(came) == 1)
    event = stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
        sent.body, sent.headers["stripe-signature"], made.secret
    )
    assert (sent.path, event.type, event.data.object["id"]) == (
        "/own",
        "customer.updated",
        customer,
    )
    assert "account" not in sent.json
    client.v1.webhook_endpoints.update(made.id, {"disabled": True})
    account.economy.update("customers", customer, {"name": "Somebody"})
    client.v1.webhook_endpoints.delete(made.id)
    assert client.v1.webhook_endpoints.list().data == []
    assert sandbox.outbox.waiting == 0
    assert len(listener.came) == 1


def test_a_platform_is_told_of_connected_accounts_alone(
    sandbox: Sandbox, listener: Listener
) -> None:
    account = sandbox.stripe.create_account("hall", size=40)
    sandbox.stripe.create_account("other", size=40)
    platform = stripe_client(sandbox, sandbox.stripe.consent.client_secret)
    platform.v1.webhook_endpoints.create(
        {"url": f"{listener.url}/connect", "enabled_events": ["*"], "connect": True}
    )
    sandbox.stripe.connected.add(account.id)
    for slug in ("hall", "other"):
        held = sandbox.stripe.account(slug)
        held.economy.update("customers", held.ids("customers")[0], {"name": "Nobody"})
    sandbox.stripe.deauthorize("hall")
    came = listener.wait(lambda came: len(came) == 2)
    assert {sent.json["account"] for sent in came} == {account.id}
    assert {sent.json["type"] for sent in came} == {
        "customer.updated",
        "account.application.deauthorized",
    }
    for sent in came:
        stripe.Webhook.construct_event(  # type: ignore[no-untyped-call]
            sent.body, sent.headers["stripe-signature"], sandbox.stripe.webhook_secret
        )


def test_the_application_s_subscription_is_told_of_every_merchant(
    sandbox: Sandbox, listener: Listener
) -> None:
    merchants = [sandbox.square.create_account(slug, size=20) for slug in ("hall", "bar")]
    with pytest.raises(ApiError):
        Square(
            token=merchants[0].access_token, base_url=f"{sandbox.base_url}/square"
        ).webhooks.subscriptions.list()
    client = Square(
        token=sandbox.square.subscriptions.access_token, base_url=f"{sandbox.base_url}/square"
    )
    url = f"{listener.url}/square"
    made = client.webhooks.subscriptions.create(
        subscription={"name": "v", "event_types": ["customer.updated"], "notification_url": url}
    ).subscription
    assert made is not None
    assert made.signature_key == sandbox.environment["SQUARE_WEBHOOK_SIGNATURE_KEY"]
    with pytest.raises(ApiError):
        client.webhooks.subscriptions.update(
            made.id or "", subscription={"event_types": ["customer.sneezed"]}
        )
    for merchant in merchants:
        merchant.economy.update("customers", merchant.ids("customers")[0], {"note": "x"})
    came = listener.wait(lambda came: len(came) == 2)
    assert {sent.json["merchant_id"] for sent in came} == {one.id for one in merchants}
    for sent in came:
        assert verify_signature(
            request_body=sent.body.decode(),
            signature_header=sent.headers["x-square-hmacsha256-signature"],
            signature_key=made.signature_key or "",
            notification_url=url,
        )


def test_an_audience_s_webhook_is_validated_and_told_in_forms(
    sandbox: Sandbox, listener: Listener
) -> None:
    account = sandbox.mailchimp.create_account("hall", size=40)
    client = MailchimpClient()
    client.set_config({"api_key": account.api_key, "server": account.dc})
    client.api_client.host = f"{sandbox.base_url}/mailchimp/3.0"
    list_id = account.ids("lists")[0]
    events = dict.fromkeys(
        ("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign"), True
    )
    told = {"events": events, "sources": {"user": True, "admin": True, "api": True}}
    with pytest.raises(ApiClientError) as refused:
        client.lists.create_list_webhook(list_id, {**told, "url": f"{listener.url}/closed"})
    assert "connect to the provided URL" in refused.value.text
    client.lists.create_list_webhook(list_id, {**told, "url": f"{listener.url}/secret"})
    member = next(
        id
        for id in account.ids("members", list_id)
        if (account.find("members", id) or {})["status"] == "subscribed"
    )
    moved = account.economy.do("change_email", member, "new@people.example")
    account.economy.do("archive", moved["id"])
    came = listener.wait(lambda came: len(came) == 2)
    forms = [
        {name: value[0] for name, value in parse_qs(sent.body.decode()).items()} for sent in came
    ]
    assert {form["type"] for form in forms} == {"upemail", "unsubscribe"}
    assert all(form["data[list_id]"] == list_id for form in forms)


@pytest.mark.parametrize("written", ["cloudevents", "eventNotifications"])
def test_one_delivery_may_be_about_several_companies(
    sandbox: Sandbox, listener: Listener, written: str
) -> None:
    companies = [sandbox.quickbooks.create_account(slug, size=20) for slug in ("hall", "bar")]
    sandbox.quickbooks.webhook.url = f"{listener.url}/books"
    sandbox.quickbooks.webhook.format = written
    for company in companies:
        company.economy.do("inactivate", "customers", company.ids("customers")[0])
    (sent,) = listener.wait(lambda came: len(came) == 1)
    key = sandbox.environment["QUICKBOOKS_WEBHOOK_TOKEN"].encode()
    expected = b64encode(hmac.new(key, sent.body, hashlib.sha256).digest()).decode()
    assert sent.headers["intuit-signature"] == expected
    body = msgspec.json.decode(sent.body)
    if written == "cloudevents":
        realms = {element["intuitaccountid"] for element in body}
        assert {element["type"] for element in body} == {"qbo.customer.updated.v1"}
    else:
        realms = {one["realmId"] for one in body["eventNotifications"]}
    assert realms == {company.id for company in companies}


def test_what_is_refused_comes_again_and_moods_double_and_lose_it(
    sandbox: Sandbox, listener: Listener
) -> None:
    account = sandbox.stripe.create_account("hall", size=40)
    client = stripe_client(sandbox, account.api_key)
    client.v1.webhook_endpoints.create({"url": f"{listener.url}/own", "enabled_events": ["*"]})
    customer = account.ids("customers")[0]

    def change() -> None:
        account.economy.update("customers", customer, {"name": "Nobody"})

    listener.refusals[0] = 1
    change()
    first, second = listener.wait(lambda came: len(came) == 2)
    assert first.body == second.body
    sandbox.outbox.set_mood(twice=1.0)
    change()
    listener.wait(lambda came: len(came) == 4)
    sandbox.outbox.set_mood(lost=1.0)
    change()
    sandbox.outbox.set_mood(held=True)
    change()
    assert sandbox.outbox.told() == {"waiting": 1, "taken": 3, "refused": 1, "lost": 1}
    sandbox.outbox.set_mood()
    listener.wait(lambda came: len(came) == 5)
