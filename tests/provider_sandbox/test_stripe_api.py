"""How the stand-in of Stripe answers: keys, lists, filters, refusals, and its official SDK."""

import time
from typing import Any

import pytest
import requests
import stripe

from provider_sandbox import Sandbox
from provider_sandbox.stripe import StripeAccount, signature_header
from provider_sandbox.stripe.endpoints import API_VERSION, BY_STREAM, ENDPOINTS, STREAMS

from .conftest import NOW, Get

LISTED = [stream for stream in STREAMS if stream != "subscription_items"]


def client_of(sandbox: Sandbox, account: StripeAccount) -> stripe.StripeClient:
    return stripe.StripeClient(
        account.api_key,
        base_addresses={"api": f"{sandbox.base_url}/stripe"},
        max_network_retries=0,
    )


@pytest.fixture(scope="module")
def client(read_sandbox: Sandbox, read_account: StripeAccount) -> stripe.StripeClient:
    return client_of(read_sandbox, read_account)


def service(client: stripe.StripeClient, stream: str) -> Any:
    if stream == "checkout_sessions":
        return client.v1.checkout.sessions
    return getattr(client.v1, {"invoiceitems": "invoice_items"}.get(stream, stream))


@pytest.mark.parametrize("stream", LISTED)
def test_the_official_sdk_lists_every_stream_as_the_ledger_has_it(
    client: stripe.StripeClient, read_account: StripeAccount, stream: str
) -> None:
    params = {"limit": 100, **({"status": "all"} if stream == "subscriptions" else {})}
    listed = list(service(client, stream).list(params).auto_paging_iter())
    assert [one.id for one in listed] == read_account.ids(stream)[::-1]
    for one in listed[:: max(len(listed) // 50, 1)]:
        assert one.to_dict(for_json=True) == read_account.find(stream, one.id)


def test_the_official_sdk_reads_single_objects_lines_and_the_account(
    client: stripe.StripeClient, read_account: StripeAccount
) -> None:
    assert client.v1.accounts.retrieve_current().id == read_account.id
    assert client.v1.accounts.retrieve(read_account.id).country == "DE"
    for stream in LISTED:
        id = read_account.ids(stream)[0]
        assert service(client, stream).retrieve(id).id == id
    longest = max(
        read_account.ids("invoices"), key=lambda id: len(read_account.lines("invoices", id))
    )
    lines = client.v1.invoices.line_items.list(longest, {"limit": 100}).auto_paging_iter()
    expected = [line["id"] for line in read_account.lines("invoices", longest)]
    assert [line.id for line in lines] == expected
    assert len(expected) > 100
    session = read_account.ids("checkout_sessions")[0]
    items = client.v1.checkout.sessions.line_items.list(session).auto_paging_iter()
    assert [item.id for item in items] == [
        item["id"] for item in read_account.lines("checkout_sessions", session)
    ]
    note = read_account.ids("credit_notes")[0]
    assert len(list(client.v1.credit_notes.line_items.list(note).auto_paging_iter())) == len(
        read_account.lines("credit_notes", note)
    )
    subscription = max(read_account.objects("subscription_items"), key=lambda item: item["id"])[
        "subscription"
    ]
    items = client.v1.subscription_items.list({"subscription": subscription})
    assert {item.id for item in items.auto_paging_iter()} == {
        item["id"]
        for item in read_account.objects("subscription_items")
        if item["subscription"] == subscription
    }


@pytest.mark.parametrize(
    ("key", "error", "code"),
    [
        ("sk_test_nonsense_nonsense", stripe.AuthenticationError, None),
        ("revoked", stripe.AuthenticationError, "api_key_expired"),
        ("restricted", stripe.PermissionError, None),
    ],
)
def test_the_official_sdk_tells_keys_that_open_nothing_apart(
    sandbox: Sandbox,
    account: StripeAccount,
    key: str,
    error: type[stripe.StripeError],
    code: str | None,
) -> None:
    if key == "revoked":
        key = sandbox.stripe.create_key(account.id)
        sandbox.stripe.revoke_key(key)
    if key == "restricted":
        key = sandbox.stripe.create_key(account.id, streams=["customers"])
    client = client_of(sandbox, account)
    with pytest.raises(error) as raised:
        client.v1.charges.list(options={"api_key": key})
    assert raised.value.json_body["error"].get("code") == code
    if error is stripe.PermissionError:
        assert client.v1.customers.list(options={"api_key": key}).data


def test_keys_are_taken_as_bearer_and_as_basic(get: Get, sandbox: Sandbox, account: Any) -> None:
    url = f"{sandbox.base_url}/stripe/v1/account"
    assert get("/v1/account").json()["id"] == account.id
    assert requests.get(url, auth=(account.api_key, ""), timeout=5).json()["id"] == account.id
    missing = requests.get(url, timeout=5)
    assert missing.status_code == 401
    assert "You did not provide an API key" in missing.json()["error"]["message"]
    assert missing.headers["WWW-Authenticate"] == 'Basic realm="Stripe"'


def test_a_platform_key_opens_the_account_that_is_named(sandbox: Sandbox, account: Any) -> None:
    platform = {"Authorization": f"Bearer {sandbox.stripe.create_key(None)}"}
    url = f"{sandbox.base_url}/stripe/v1/account"
    named = {**platform, "Stripe-Account": account.id}
    assert requests.get(url, headers=named, timeout=5).json()["id"] == account.id
    assert requests.get(url, headers=platform, timeout=5).status_code == 403
    other = {**platform, "Stripe-Account": "acct_unknown"}
    assert requests.get(url, headers=other, timeout=5).json()["error"]["code"] == "account_invalid"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.stream)
def test_unknown_parameters_are_refused(get: Get, account: Any, endpoint: Any) -> None:
    answered = get(endpoint.path, colour="red")
    assert answered.status_code == 400
    assert answered.json()["error"]["code"] == "parameter_unknown"
    assert answered.json()["error"]["param"] == "colour"
    for id in account.ids(endpoint.stream)[:1]:
        assert get(f"{endpoint.path}/{id}", colour="red").status_code == 400


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("/v1/charges", {"limit": 0}, "limit"),
        ("/v1/charges", {"limit": 101}, "limit"),
        ("/v1/charges", {"limit": "ten"}, "limit"),
        ("/v1/charges", {"starting_after": "ch_unknown"}, "starting_after"),
        ("/v1/charges", {"ending_before": "ch_unknown"}, "ending_before"),
        ("/v1/charges", {"created": "yesterday"}, "created"),
        ("/v1/charges", {"created[since]": 1}, "created[since]"),
        ("/v1/charges", {"created[gte]": "1.5"}, "created[gte]"),
        ("/v1/charges", {"expand[]": "data.magic"}, "expand"),
        ("/v1/charges", {"expand[]": "customer"}, "expand"),
        ("/v1/charges", {"expand": "data.customer"}, "expand"),
        ("/v1/checkout/sessions", {"expand[]": "line_items"}, "expand"),
        ("/v1/charges/ch_unknown", {}, "id"),
        ("/v1/invoices/in_unknown/lines", {}, "invoice"),
        ("/v1/prices", {"active": "yes"}, "active"),
        ("/v1/prices", {"recurring[flavour]": "x"}, "recurring[flavour]"),
        ("/v1/subscriptions", {"status": "not canceled"}, "status"),
        ("/v1/subscription_items", {}, "subscription"),
        ("/v1/products", {"ids": "prod_1"}, "ids"),
    ],
)
def test_what_the_api_does_not_allow_is_refused_by_name(
    get: Get, path: str, query: dict[str, Any], param: str
) -> None:
    answered = get(path, **query)
    assert answered.status_code == (404 if "unknown" in path else 400)
    error = answered.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


def test_both_ends_of_a_page_cannot_be_given(get: Get, account: Any) -> None:
    first, second = account.ids("charges")[:2]
    assert get("/v1/charges", starting_after=first, ending_before=second).status_code == 400


def test_event_types_are_twenty_at_most_and_either_one_or_many(get: Get) -> None:
    twenty = {"types[]": ["charge.succeeded"] * 20}
    assert get("/v1/events", **twenty).status_code == 200
    assert get("/v1/events", **{"types[]": ["charge.succeeded"] * 21}).status_code == 400
    assert get("/v1/events", type="charge.succeeded", **twenty).status_code == 400


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v2/charges", "/v1", "/v1/charges/ch_1/colours", "/v1/charges/"]
)
def test_unknown_paths_are_refused(get: Get, path: str) -> None:
    answered = get(path)
    assert answered.status_code == 404


def test_only_reading_is_served(sandbox: Sandbox, account: Any) -> None:
    headers = {"Authorization": f"Bearer {account.api_key}"}
    url = f"{sandbox.base_url}/stripe/v1/customers"
    answered = requests.post(url, headers=headers, data={"name": "x"}, timeout=5)
    assert answered.status_code == 404
    assert "Unrecognized request URL (POST: /v1/customers)" in answered.json()["error"]["message"]


def test_pages_run_from_the_newest_and_back(get: Get, account: Any) -> None:
    newest_first = account.ids("charges")[::-1]
    first = get("/v1/charges").json()
    assert [one["id"] for one in first["data"]] == newest_first[:10]
    assert first["has_more"] is True
    assert first["url"] == "/v1/charges"
    second = get("/v1/charges", limit=7, starting_after=newest_first[9]).json()
    assert [one["id"] for one in second["data"]] == newest_first[10:17]
    back = get("/v1/charges", limit=5, ending_before=newest_first[10]).json()
    assert [one["id"] for one in back["data"]] == newest_first[5:10]
    assert back["has_more"] is True
    top = get("/v1/charges", limit=50, ending_before=newest_first[3]).json()
    assert [one["id"] for one in top["data"]] == newest_first[:3]
    assert top["has_more"] is False
    last = get("/v1/charges", starting_after=newest_first[-1]).json()
    assert last["data"] == []
    assert last["has_more"] is False


def test_a_deleted_row_is_no_place_to_go_on_from(get: Get, account: Any) -> None:
    gone = account.ids("customers")[3]
    account.economy.delete("customers", gone)
    answered = get("/v1/customers", starting_after=gone)
    assert answered.status_code == 400
    assert answered.json()["error"]["code"] == "resource_missing"
    assert get(f"/v1/customers/{gone}").json() == {
        "id": gone, "object": "customer", "deleted": True,
    }  # fmt: skip


@pytest.mark.parametrize("stream", ["products", "coupons", "prices"])
def test_other_deleted_objects_are_missing(get: Get, account: Any, stream: str) -> None:
    gone = account.ids(stream)[0]
    account.economy.delete(stream, gone)
    answered = get(f"{BY_STREAM[stream].path}/{gone}")
    assert answered.status_code == 404
    assert answered.json()["error"]["code"] == "resource_missing"
    assert gone in account.deleted(stream)


def test_created_is_compared_to_the_second(get: Get, account: Any) -> None:
    charges = account.objects("charges")
    at = charges[30]["created"]
    for operator, holds in {
        "gt": lambda c: c > at, "gte": lambda c: c >= at, "lt": lambda c: c < at,
        "lte": lambda c: c <= at,
    }.items():  # fmt: skip
        got = get("/v1/charges", limit=100, **{f"created[{operator}]": at}).json()["data"]
        expected = [one["id"] for one in charges if holds(one["created"])][::-1]
        assert [one["id"] for one in got] == expected
    exact = get("/v1/charges", created=at).json()["data"]
    assert {one["id"] for one in exact} == {one["id"] for one in charges if one["created"] == at}
    none = get("/v1/charges", **{"created[gte]": at, "created[lt]": at}).json()
    assert none["data"] == []


def test_filters_give_what_the_ledger_has(read_sandbox: Sandbox, read_account: Any) -> None:
    def listed(path: str, **query: Any) -> list[dict[str, Any]]:
        url = f"{read_sandbox.base_url}/stripe{path}"
        got = requests.get(
            url, params={"limit": 100, **query}, auth=(read_account.api_key, ""), timeout=10
        )
        assert got.status_code == 200, got.text
        return list(got.json()["data"])

    def expected(stream: str, holds: Any) -> list[dict[str, Any]]:
        return [one for one in read_account.objects(stream)[::-1] if holds(one)][:100]

    charge = next(one for one in read_account.objects("charges") if one["amount_refunded"])
    refund = read_account.objects("refunds")[0]
    session = next(one for one in read_account.objects("checkout_sessions") if one["customer"])
    product = read_account.objects("products")[0]
    ids = [one["id"] for one in read_account.objects("products")[:3]]
    cases: list[tuple[str, str, dict[str, Any], Any]] = [
        ("charges", "/v1/charges", {"payment_intent": charge["payment_intent"]},
         lambda one: one["payment_intent"] == charge["payment_intent"]),
        ("refunds", "/v1/refunds", {"charge": refund["charge"]},
         lambda one: one["charge"] == refund["charge"]),
        ("customers", "/v1/customers", {"email": "guest.2@mail.example"},
         lambda one: one["email"] == "guest.2@mail.example"),
        ("prices", "/v1/prices", {"active": "false"}, lambda one: not one["active"]),
        ("prices", "/v1/prices", {"recurring[interval]": "year", "type": "recurring"},
         lambda one: one["recurring"] and one["recurring"]["interval"] == "year"),
        ("prices", "/v1/prices", {"product": product["id"]},
         lambda one: one["product"] == product["id"]),
        ("products", "/v1/products", {"ids[]": ids}, lambda one: one["id"] in ids),
        ("invoices", "/v1/invoices", {"status": "open"}, lambda one: one["status"] == "open"),
        ("invoices", "/v1/invoices", {"collection_method": "send_invoice", "status": "paid"},
         lambda one: (one["collection_method"], one["status"]) == ("send_invoice", "paid")),
        ("balance_transactions", "/v1/balance_transactions", {"type": "refund"},
         lambda one: one["type"] == "refund"),
        ("payouts", "/v1/payouts", {"status": "failed"}, lambda one: one["status"] == "failed"),
        ("checkout_sessions", "/v1/checkout/sessions", {"customer": session["customer"]},
         lambda one: one["customer"] == session["customer"]),
        ("events", "/v1/events", {"type": "invoice.*"},
         lambda one: one["type"].startswith("invoice.")),
        ("events", "/v1/events", {"types[0]": "refund.created", "types[1]": "customer.updated"},
         lambda one: one["type"] in ("refund.created", "customer.updated")),
        ("events", "/v1/events", {"delivery_success": "false"}, lambda one: False),
        ("invoiceitems", "/v1/invoiceitems", {"pending": "true"},
         lambda one: one["invoice"] is None),
    ]  # fmt: skip
    for stream, path, query, holds in cases:
        assert listed(path, **query) == expected(stream, holds), (stream, query)


def test_a_payout_lists_the_transactions_that_it_paid_out(get: Get, account: Any) -> None:
    payout = account.objects("payouts")[0]
    found = get("/v1/balance_transactions", payout=payout["id"], limit=100).json()["data"]
    assert sum(one["net"] for one in found) == 0
    assert payout["balance_transaction"] in [one["id"] for one in found]


def test_canceled_subscriptions_are_hidden_unless_asked_for(
    read_sandbox: Sandbox, read_account: Any
) -> None:
    def count(**query: Any) -> set[str]:
        url = f"{read_sandbox.base_url}/stripe/v1/subscriptions"
        got = requests.get(
            url, params={"limit": 100, **query}, auth=(read_account.api_key, ""), timeout=5
        )
        return {one["id"] for one in got.json()["data"]}

    everything = read_account.objects("subscriptions")
    canceled = {one["id"] for one in everything if one["status"] == "canceled"}
    assert canceled
    assert count(status="all") == {one["id"] for one in everything}
    assert count(status="canceled") == count(status="ended") == canceled
    assert count() == {one["id"] for one in everything} - canceled


def test_objects_are_expanded_where_the_api_allows(get: Get, account: Any) -> None:
    charge = next(one for one in account.objects("charges") if one["amount_refunded"])
    query = {"expand[]": ["balance_transaction", "refunds", "payment_intent.latest_charge"]}
    found = get(f"/v1/charges/{charge['id']}", **query).json()
    transaction = account.find("balance_transactions", charge["balance_transaction"])
    assert found["balance_transaction"] == transaction
    assert sum(one["amount"] for one in found["refunds"]["data"]) == charge["amount_refunded"]
    assert found["payment_intent"]["latest_charge"]["id"] == charge["id"]
    page = get("/v1/checkout/sessions", limit=100, **{"expand[]": "data.line_items"}).json()
    for session in page["data"]:
        lines = account.lines("checkout_sessions", session["id"])
        assert session["line_items"]["data"] == lines[:10]
        assert session["line_items"]["has_more"] == (len(lines) > 10)
    prices = get("/v1/prices", limit=100, **{"expand[]": "data.tiers"}).json()["data"]
    tiered = [one for one in prices if one["billing_scheme"] == "tiered"]
    assert tiered
    assert all(len(one["tiers"]) == 2 for one in tiered)
    assert all("tiers" not in one for one in prices if one["billing_scheme"] != "tiered")
    paid = next(one for one in account.objects("invoices") if account.payments(one["id"]))
    found = get(f"/v1/invoices/{paid['id']}", **{"expand[]": "payments"}).json()
    assert found["payments"]["data"] == account.payments(paid["id"])
    sources = get("/v1/balance_transactions", limit=100, **{"expand[]": "data.source"}).json()
    kinds = {one["source"]["object"] for one in sources["data"]}
    assert {"charge", "payout"} <= kinds


def test_answers_carry_stripes_headers(get: Get, sandbox: Sandbox, account: Any) -> None:
    answered = get("/v1/charges")
    assert answered.headers["Request-Id"].startswith("req_")
    assert answered.headers["Stripe-Version"] == API_VERSION == stripe.api_version
    assert answered.text.startswith('{\n  "object": "list",\n  "url": "/v1/charges",')
    headers = {
        "Authorization": f"Bearer {account.api_key}", "Stripe-Version": "2022-11-15",
        "Idempotency-Key": "k-1",
    }  # fmt: skip
    url = f"{sandbox.base_url}/stripe/v1/charges"
    echoed = requests.get(url, headers=headers, timeout=5).headers
    assert (echoed["Stripe-Version"], echoed["Idempotency-Key"]) == ("2022-11-15", "k-1")
    wrong = requests.get(url, headers=headers | {"Stripe-Version": "latest"}, timeout=5)
    assert wrong.status_code == 400


def test_the_date_can_follow_the_accounts_clock(get: Get, account: Any) -> None:
    assert "2026" in get("/v1/account").headers["Date"] or time.gmtime().tm_year != 2026
    account.clock.told = True
    assert get("/v1/account").headers["Date"] == "Mon, 21 Sep 2026 14:13:20 GMT"
    account.economy.advance(86_400)
    assert get("/v1/charges").headers["Date"] == "Tue, 22 Sep 2026 14:13:20 GMT"
    assert account.clock.now() == NOW + 86_400


def test_time_makes_balances_available_without_an_event(get: Get, account: Any) -> None:
    account.economy.mutate(10, kinds=["create"])
    pending = [
        one["id"] for one in account.objects("balance_transactions") if one["status"] == "pending"
    ]
    assert pending
    account.clock.set(account.clock.now() + 4 * 86_400)
    for id in pending:
        assert get(f"/v1/balance_transactions/{id}").json()["status"] == "available"
    silent = {change.id for change in account.silent_changes}
    assert set(pending) <= silent


def test_signed_webhooks_are_accepted_by_the_official_sdk() -> None:
    payload = b'{"id":"evt_1","object":"event"}'
    at = int(time.time())
    header = signature_header(payload, ["whsec_old", "whsec_new"], at=at)
    for secret in ("whsec_old", "whsec_new"):
        stripe.Webhook.construct_event(payload, header, secret)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(payload, header, "whsec_other")
