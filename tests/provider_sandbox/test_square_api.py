"""How the stand-in of Square answers: tokens, lists, filters, cursors, refusals, and its official
SDK."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from square import Square as Client
from square.core.api_error import ApiError

from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.faults import make_fault
from provider_sandbox.square import SquareAccount
from provider_sandbox.square.endpoints import (
    CATALOG_TYPES,
    NESTED_CATALOG_TYPES,
    OPERATIONS,
    STREAMS,
    Operation,
)

pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")

NOW = 1_790_000_000
DAY = 86_400
Ask = Callable[..., requests.Response]


def client_of(sandbox: Sandbox, account: SquareAccount, **options: Any) -> Client:
    base_url = f"{sandbox.base_url}/square"
    return Client(**{"token": account.access_token, "base_url": base_url, **options})


@pytest.fixture(scope="module")
def read_sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=1, now=NOW) as sandbox:
        account = sandbox.square.create_account("blue-room", size=200, months=4, locations=12)
        account.economy.advance(7 * DAY, mutations=60)
        account.economy.do("pause_subscription")
        account.economy.do("add_invoice")
        yield sandbox


@pytest.fixture(scope="module")
def read_account(read_sandbox: Sandbox) -> SquareAccount:
    """An account of twelve locations, three of them inactive; nothing may change it."""
    return read_sandbox.square.account("blue-room")


@pytest.fixture(scope="module")
def client(read_sandbox: Sandbox, read_account: SquareAccount) -> Client:
    return client_of(read_sandbox, read_account)


@pytest.fixture
def account(sandbox: Sandbox) -> SquareAccount:
    """A small account that a test may change."""
    return sandbox.square.create_account("red-room", size=60, months=1)


def asker(sandbox: Sandbox, account: SquareAccount) -> Ask:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {account.access_token}"

    def ask(path: str, body: Any = None, **query: Any) -> requests.Response:
        method = "GET" if body is None else "POST"
        url = f"{sandbox.base_url}/square{path}"
        return session.request(method, url, json=body, params=query, timeout=10)

    return ask


@pytest.fixture(scope="module")
def read(read_sandbox: Sandbox, read_account: SquareAccount) -> Ask:
    """``read(path, body, **query)`` with the large account's token; POST where there is a body."""
    return asker(read_sandbox, read_account)


@pytest.fixture
def ask(sandbox: Sandbox, account: SquareAccount) -> Ask:
    """``ask(path, body, **query)`` with the small account's token."""
    return asker(sandbox, account)


def at(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def all_rows(ask: Ask, path: str, items: str, body: Any = None, **query: Any) -> list[Any]:
    """Every row of a list, page by page."""
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        given = {**query, **cursor} if body is None else query
        page = ask(path, None if body is None else {**body, **cursor}, **given).json()
        assert "errors" not in page, page
        rows += page.get(items, [])
        if "cursor" not in page:
            return rows
        cursor = {"cursor": page["cursor"]}


def searched(search: Callable[..., Any], items: str, **query: Any) -> list[Any]:
    """Every row of a search by the official SDK, which pages no search by itself."""
    rows: list[Any] = []
    while True:
        page = search(**query)
        rows += getattr(page, items) or []
        if page.cursor is None:
            return rows
        query["cursor"] = page.cursor


def listed(client: Client, account: SquareAccount, stream: str) -> list[Any]:
    """Every object of a stream, as a client of the API finds them."""
    locations = account.ids("locations")
    tens = [locations[n : n + 10] for n in range(0, len(locations), 10)]
    begin = "2000-01-01T00:00:00Z"
    match stream:
        case "locations":
            return client.locations.list().locations or []
        case "catalog":
            return searched(
                client.catalog.search, "objects", object_types=list(CATALOG_TYPES), limit=1000
            )
        case "inventory_counts":
            return list(client.inventory.batch_get_counts(limit=50))
        case "customers":
            return list(client.customers.list())
        case "orders":
            return [
                row
                for ten in tens
                for row in searched(client.orders.search, "orders", location_ids=ten, limit=90)
            ]
        case "payments" | "payouts":
            pages = getattr(client, stream)
            return [row for id in locations for row in pages.list(location_id=id, begin_time=begin)]
        case "refunds":
            return list(client.refunds.list(begin_time=begin))
        case "disputes":
            return list(client.disputes.list())
        case "payout_entries":
            return [row for id in account.ids("payouts") for row in client.payouts.list_entries(id)]
        case "invoices":
            return [row for id in locations for row in client.invoices.list(location_id=id)]
        case "subscriptions":
            return searched(
                client.subscriptions.search, "subscriptions", include=["actions"], limit=4
            )
        case "loyalty_programs":
            return client.loyalty.programs.list().programs or []
        case "loyalty_accounts":
            return searched(client.loyalty.accounts.search, "loyalty_accounts", limit=7)
        case "loyalty_events":
            return searched(client.loyalty.search_events, "events")
        case "gift_cards":
            return list(client.gift_cards.list(limit=5))
        case "team_members":
            return searched(client.team_members.search, "team_members", limit=3)
        case _:
            return searched(client.events.search_events, "events")


def as_told(stream: str, found: Any) -> dict[str, Any]:
    """The SDK's object as the JSON it came from."""
    told: dict[str, Any] = found.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return told


def without_order(stream: str, row: dict[str, Any]) -> str:
    if stream == "inventory_counts":
        return f"{row['catalog_object_id']}:{row['location_id']}:{row['state']}"
    return str(row.get("id") or row["event_id"])


@pytest.mark.parametrize("stream", [*STREAMS, "events"])
def test_the_official_sdk_lists_every_stream_as_the_ledger_has_it(
    client: Client, read_account: SquareAccount, stream: str
) -> None:
    true = read_account.objects(stream)
    assert true
    found = [as_told(stream, row) for row in listed(client, read_account, stream)]
    assert len(found) == len(true)
    by_id = {without_order(stream, row): row for row in found}
    for row in true:
        assert by_id[without_order(stream, row)] == row


@pytest.mark.parametrize(
    ("token", "code"),
    [("nonsense", "UNAUTHORIZED"), ("revoked", "ACCESS_TOKEN_REVOKED"),
     ("expired", "ACCESS_TOKEN_EXPIRED"), ("narrow", "INSUFFICIENT_SCOPES")],
)  # fmt: skip
def test_the_official_sdk_tells_tokens_that_open_nothing_apart(
    sandbox: Sandbox, account: SquareAccount, token: str, code: str
) -> None:
    square = sandbox.square
    given = {
        "nonsense": "EAAAnonsense",
        "revoked": square.create_token(account.id),
        "expired": square.create_token(account.id, expires_in=10),
        "narrow": square.create_token(account.id, scopes=["CUSTOMERS_READ"]),
    }[token]
    client = client_of(sandbox, account, token=given)
    if token == "revoked":
        square.revoke_token(given)
    if token == "expired":
        assert client.locations.list().locations
        account.clock.set(NOW + 10)
    with pytest.raises(ApiError) as raised:
        client.locations.list()
    assert raised.value.status_code == (403 if token == "narrow" else 401)
    assert raised.value.body["errors"][0]["code"] == code
    assert raised.value.body["errors"][0]["category"] == "AUTHENTICATION_ERROR"
    if token == "narrow":
        assert client.customers.list().items


def test_a_token_tells_whose_it_is_and_what_it_may(
    sandbox: Sandbox, account: SquareAccount
) -> None:
    token = sandbox.square.create_token(account.id, scopes=["ORDERS_READ"], expires_in=100)
    client = client_of(sandbox, account, token=token)
    told = client.o_auth.retrieve_token_status()
    assert (told.merchant_id, told.scopes) == (account.id, ["ORDERS_READ"])
    assert told.expires_at == at(NOW + 100)
    sandbox.square.revoke_token(token)
    with pytest.raises(ApiError):
        client.o_auth.retrieve_token_status()


def test_requests_without_a_bearer_token_are_refused(sandbox: Sandbox) -> None:
    answered = requests.get(f"{sandbox.base_url}/square/v2/locations", timeout=5)
    assert answered.status_code == 401
    assert answered.json()["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("version", "status"), [("2024-01-18", 200), (None, 200), ("1.0", 400), ("2024-1-8", 400)]
)
def test_versions_are_well_formed(
    sandbox: Sandbox, account: SquareAccount, version: str | None, status: int
) -> None:
    headers = {"Authorization": f"Bearer {account.access_token}"}
    if version:
        headers["Square-Version"] = version
    url = f"{sandbox.base_url}/square/v2/locations"
    assert requests.get(url, headers=headers, timeout=5).status_code == status


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.method == "GET"], ids=lambda one: one.name
)
def test_unknown_parameters_are_refused(read: Ask, operation: Operation) -> None:
    answered = read(operation.path, colour="red")
    assert answered.status_code == 400
    assert answered.json()["errors"][0]["code"] == "UNKNOWN_QUERY_PARAMETER"
    assert answered.json()["errors"][0]["field"] == "colour"


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one.method == "POST" and one.body is not None],
    ids=lambda one: one.name,
)
def test_unknown_fields_are_refused_at_any_depth(read: Ask, operation: Operation) -> None:
    for body, where in (
        ({"colour": "red"}, "colour"),
        ({"query": {"colour": "red"}}, "query.colour" if "query" in operation.body else "query"),
    ):
        answered = read(operation.path, body)
        assert answered.status_code == 400
        error = answered.json()["errors"][0]
        assert (error["code"], error["field"]) == ("UNKNOWN_BODY_PARAMETER", where)


SOMEWHERE = {"location_ids": ["L"]}


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v2/orders/search", {"location_ids": []}, "ARRAY_EMPTY"),
        ("/v2/orders/search", {"location_ids": ["L"] * 11}, "ARRAY_LENGTH_TOO_LONG"),
        ("/v2/orders/search", {**SOMEWHERE, "limit": 1001}, "VALUE_TOO_HIGH"),
        (
            "/v2/orders/search",
            {**SOMEWHERE, "query": {"filter": {"date_time_filter": {"updated_at": {}}}}},
            "BAD_REQUEST",
        ),
        (
            "/v2/orders/search",
            {**SOMEWHERE, "query": {"sort": {"sort_field": "CLOSED_AT"}}},
            "BAD_REQUEST",
        ),
        ("/v2/orders/search", SOMEWHERE, "NOT_FOUND"),
        ("/v2/orders/batch-retrieve", {"order_ids": ["x"] * 101}, "ARRAY_LENGTH_TOO_LONG"),
        ("/v2/customers/search", {"limit": 101}, "VALUE_TOO_HIGH"),
        ("/v2/inventory/counts/batch-retrieve", {"limit": 1001}, "VALUE_TOO_HIGH"),
        ("/v2/loyalty/events/search", {"limit": 31}, "VALUE_TOO_HIGH"),
        ("/v2/loyalty/accounts/search", {"limit": 201}, "VALUE_TOO_HIGH"),
        (
            "/v2/loyalty/accounts/search",
            {"query": {"customer_ids": ["C"], "mappings": [{"phone_number": "+1"}]}},
            "CONFLICTING_PARAMETERS",
        ),
        ("/v2/team-members/search", {"limit": 201}, "VALUE_TOO_HIGH"),
        ("/v2/subscriptions/search", {"limit": 0}, "VALUE_TOO_LOW"),
        ("/v2/events", {"limit": 101}, "VALUE_TOO_HIGH"),
        (
            "/v2/invoices/search",
            {"query": {"filter": {"location_ids": ["L", "M"]}}},
            "ARRAY_LENGTH_TOO_LONG",
        ),
        (
            "/v2/catalog/search",
            {"include_deleted_objects": True, "include_category_path_to_root": True},
            "CONFLICTING_PARAMETERS",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(read: Ask, path: str, body: Any, code: str) -> None:
    answered = read(path, body)
    assert answered.status_code == (404 if code == "NOT_FOUND" else 400)
    assert answered.json()["errors"][0]["code"] == code


def test_a_location_must_be_named_for_invoices(read: Ask) -> None:
    assert read("/v2/invoices").json()["errors"][0]["code"] == "MISSING_REQUIRED_PARAMETER"


def test_payments_and_payouts_are_of_the_main_location_unless_told(
    read: Ask, read_account: SquareAccount
) -> None:
    for stream in ("payments", "payouts"):
        rows = all_rows(read, f"/v2/{stream}", stream)
        assert rows
        assert {row["location_id"] for row in rows} == {read_account.main_location}
        assert len(rows) < len(read_account.ids(stream))


def test_refunds_and_disputes_are_of_all_locations_unless_told(
    read: Ask, read_account: SquareAccount
) -> None:
    for stream in ("refunds", "disputes"):
        rows = all_rows(read, f"/v2/{stream}", stream)
        assert sorted(row["id"] for row in rows) == sorted(read_account.ids(stream))
        place = rows[0]["location_id"]
        some = all_rows(read, f"/v2/{stream}", stream, location_id=place)
        assert {row["location_id"] for row in some} == {place}


def test_inactive_locations_are_listed_and_have_a_history(
    read: Ask, read_account: SquareAccount
) -> None:
    locations = read("/v2/locations").json()["locations"]
    names = [one["name"] for one in locations]
    assert names == sorted(names)
    inactive = [one["id"] for one in locations if one["status"] == "INACTIVE"]
    assert len(inactive) == 3
    sold = all_rows(read, "/v2/orders/search", "orders", {"location_ids": inactive})
    assert {one["location_id"] for one in sold} == set(inactive)


def test_payments_older_than_a_year_are_hidden_even_where_they_changed_since(
    sandbox: Sandbox, account: SquareAccount, ask: Ask
) -> None:
    old = account.objects("payments")[0]
    account.clock.set(NOW + 380 * DAY)
    account.economy.update("payments", old["id"], {"note": "late"})
    where = {"location_id": old["location_id"], "updated_at_begin_time": at(NOW + DAY)}
    assert old["id"] not in [p["id"] for p in all_rows(ask, "/v2/payments", "payments", **where)]
    where["begin_time"] = "2000-01-01T00:00:00Z"
    assert old["id"] in [p["id"] for p in all_rows(ask, "/v2/payments", "payments", **where)]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize("field", ["CREATED_AT", "UPDATED_AT"])
def test_payments_come_in_the_order_that_is_asked_for(
    read: Ask, read_account: SquareAccount, field: str, order: str
) -> None:
    rows = all_rows(read, "/v2/payments", "payments", sort_field=field, sort_order=order, limit=7)
    times = [row[field.lower()] for row in rows]
    assert times == sorted(times, reverse=order == "DESC")
    here = {
        p["id"]
        for p in read_account.objects("payments")
        if p["location_id"] == read_account.main_location
    }
    assert {row["id"] for row in rows} == here


def test_payments_are_filtered_by_their_update_time(read: Ask, read_account: SquareAccount) -> None:
    since = at(NOW - 3 * DAY)
    window = {"updated_at_begin_time": since, "updated_at_end_time": at(NOW + 2 * DAY)}
    here = {
        p["id"]
        for p in read_account.objects("payments")
        if p["location_id"] == read_account.main_location
        and window["updated_at_begin_time"] <= p["updated_at"] < window["updated_at_end_time"]
    }
    assert here
    for field in ("CREATED_AT", "UPDATED_AT"):
        rows = all_rows(read, "/v2/payments", "payments", sort_field=field, **window)
        assert {row["id"] for row in rows} == here


def test_a_begin_is_included_and_an_end_is_not(read: Ask, read_account: SquareAccount) -> None:
    one = read_account.objects("refunds")[2]
    span = {"sort_field": "UPDATED_AT", "updated_at_begin_time": one["updated_at"]}
    assert one["id"] in [r["id"] for r in all_rows(read, "/v2/refunds", "refunds", **span)]
    span = {"sort_field": "UPDATED_AT", "updated_at_end_time": one["updated_at"]}
    assert one["id"] not in [r["id"] for r in all_rows(read, "/v2/refunds", "refunds", **span)]


def test_refunds_are_filtered_by_status_and_source(read: Ask, read_account: SquareAccount) -> None:
    payments = {p["id"]: p for p in read_account.objects("payments")}
    for status, source in (("COMPLETED", "CASH"), ("PENDING", "CARD"), ("COMPLETED", "CARD")):
        rows = all_rows(read, "/v2/refunds", "refunds", status=status, source_type=source)
        assert {row["id"] for row in rows} == {
            r["id"]
            for r in read_account.objects("refunds")
            if r["status"] == status and payments[r["payment_id"]]["source_type"] == source
        }


def test_a_limit_too_large_is_replaced_cut_or_ignored_as_documented(read: Ask) -> None:
    assert len(read("/v2/refunds", limit=500).json()["refunds"]) <= 100
    assert len(read("/v2/payments", limit=500).json()["payments"]) <= 100
    assert "errors" not in read("/v2/catalog/search", {"limit": 5000}).json()
    assert len(read("/v2/catalog/search", {"limit": 2}).json()["objects"]) == 2


def test_orders_are_searched_by_update_time_at_ten_locations_at_most(
    read: Ask, read_account: SquareAccount
) -> None:
    ten = read_account.ids("locations")[:10]
    since = at(NOW - 20 * DAY)
    body = {
        "location_ids": ten, "limit": 20,
        "query": {
            "filter": {"date_time_filter": {"updated_at": {"start_at": since}}},
            "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
        },
    }  # fmt: skip
    rows = all_rows(read, "/v2/orders/search", "orders", body)
    times = [row["updated_at"] for row in rows]
    assert times == sorted(times)
    assert {row["id"] for row in rows} == {
        one["id"]
        for one in read_account.objects("orders")
        if one["updated_at"] >= since and one["location_id"] in ten
    }
    entries = all_rows(read, "/v2/orders/search", "order_entries", {**body, "return_entries": True})
    assert [one["order_id"] for one in entries] == [row["id"] for row in rows]


def test_orders_are_filtered_by_state_customer_source_and_pickup(
    read: Ask, read_account: SquareAccount
) -> None:
    places = read_account.ids("locations")[:10]
    true = [one for one in read_account.objects("orders") if one["location_id"] in places]
    customer = next(one["customer_id"] for one in true if "customer_id" in one)
    cases: list[tuple[Any, Callable[[Any], bool]]] = [
        ({"state_filter": {"states": ["OPEN"]}}, lambda one: one["state"] == "OPEN"),
        (
            {"customer_filter": {"customer_ids": [customer]}},
            lambda one: one.get("customer_id") == customer,
        ),
        (
            {"source_filter": {"source_names": ["Web shop"]}},
            lambda one: one.get("source") == {"name": "Web shop"},
        ),
        (
            {"fulfillment_filter": {"fulfillment_types": ["PICKUP"]}},
            lambda one: "fulfillments" in one,
        ),
    ]
    for terms, holds in cases:
        body = {"location_ids": places, "query": {"filter": terms}}
        rows = all_rows(read, "/v2/orders/search", "orders", body)
        assert rows
        assert {row["id"] for row in rows} == {one["id"] for one in true if holds(one)}


def test_offline_orders_arrive_late_with_their_old_times(account: SquareAccount, ask: Ask) -> None:
    done = account.economy.do("sell_offline")
    assert done is not None
    order = account.find("orders", done["id"])
    assert order is not None
    hours = (NOW - datetime.fromisoformat(order["updated_at"]).timestamp()) / 3600
    assert 0.9 < hours < 72
    assert order["updated_at"] == order["created_at"] == order["closed_at"]
    payment = account.find("payments", order["tenders"][0]["payment_id"])
    assert payment is not None
    assert payment["offline_payment_details"]["client_created_at"] == order["created_at"]
    assert datetime.fromisoformat(payment["created_at"]).timestamp() >= NOW
    told = [e for e in account.objects("events") if e["data"]["id"] == order["id"]]
    assert all(datetime.fromisoformat(e["created_at"]).timestamp() >= NOW for e in told)
    where = {"location_id": order["location_id"]}
    rows = all_rows(ask, "/v2/payments", "payments", is_offline_payment="true", **where)
    assert payment["id"] in [row["id"] for row in rows]
    rows = all_rows(
        ask, "/v2/payments", "payments", offline_begin_time=order["created_at"],
        offline_end_time=order["created_at"], **where,
    )  # fmt: skip
    assert [row["id"] for row in rows] == [payment["id"]]


def test_cursors_go_with_their_query_their_account_and_five_minutes(
    sandbox: Sandbox, account: SquareAccount, ask: Ask
) -> None:
    cursor = ask("/v2/customers", limit=5).json()["cursor"]
    assert ask("/v2/customers", limit=3, cursor=cursor).status_code == 200
    refused = ask("/v2/customers", limit=5, cursor=cursor, sort_order="DESC")
    assert refused.json()["errors"][0]["code"] == "INVALID_CURSOR"
    other = sandbox.square.create_account("other", size=30)
    refused = asker(sandbox, other)("/v2/customers", limit=5, cursor=cursor)
    assert refused.json()["errors"][0]["code"] == "INVALID_CURSOR"
    account.clock.set(NOW + 300)
    assert ask("/v2/customers", limit=5, cursor=cursor).status_code == 200
    account.clock.set(NOW + 301)
    refused = ask("/v2/customers", limit=5, cursor=cursor)
    assert refused.json()["errors"][0]["code"] == "INVALID_CURSOR"


def test_a_list_without_rows_is_an_empty_object(account: SquareAccount, ask: Ask) -> None:
    assert ask("/v2/payments", begin_time="2001-01-01T00:00:00Z", end_time="2001-01-02T00:00:00Z"
               ).json() == {}  # fmt: skip
    body = {"query": {"filter": {"email_address": {"exact": "nobody@mail.example"}}}}
    assert ask("/v2/customers/search", body).json() == {}


def test_customers_without_public_information_are_in_no_list(
    read: Ask, read_account: SquareAccount
) -> None:
    hidden = [row.id for row in read_account.unlisted.sorted("created")]
    assert hidden
    assert not set(hidden) & set(read_account.ids("customers"))
    assert read(f"/v2/customers/{hidden[0]}").json()["customer"]["id"] == hidden[0]


def test_an_unlisted_customer_who_gets_a_name_is_listed(account: SquareAccount, ask: Ask) -> None:
    while not len(account.unlisted):
        account.economy.do("add_customer")
    id = account.unlisted.sorted("created")[0].id
    account.economy.update("customers", id, {"given_name": "Zoë"})
    assert id in account.ids("customers")
    assert id in [one["id"] for one in all_rows(ask, "/v2/customers", "customers")]


def test_customers_are_listed_by_name_and_searched_by_time(
    read: Ask, read_account: SquareAccount
) -> None:
    rows = all_rows(read, "/v2/customers", "customers", limit=30)
    names = [f"{r.get('given_name', '')}{r.get('family_name', '')}".casefold() for r in rows]
    assert names == sorted(names)
    assert read("/v2/customers", count="true").json()["count"] == len(rows)
    since = at(NOW - 30 * DAY)
    body = {
        "limit": 9,
        "query": {
            "filter": {"updated_at": {"start_at": since}},
            "sort": {"field": "CREATED_AT", "order": "DESC"},
        },
    }
    found = all_rows(read, "/v2/customers/search", "customers", body)
    assert found
    times = [one["created_at"] for one in found]
    assert times == sorted(times, reverse=True)
    assert {one["id"] for one in found} == {
        one["id"] for one in read_account.objects("customers") if one["updated_at"] >= since
    }


def test_nested_types_and_deleted_objects_of_the_catalog_are_hidden_unless_asked_for(
    read: Ask, read_account: SquareAccount
) -> None:
    true = read_account.objects("catalog")
    listed = all_rows(read, "/v2/catalog/list", "objects")
    assert {one["id"] for one in listed} == {
        one["id"] for one in true if one["type"] not in NESTED_CATALOG_TYPES
    }
    with_nested = all_rows(read, "/v2/catalog/list", "objects", types=",".join(CATALOG_TYPES))
    assert {one["id"] for one in with_nested} == {one["id"] for one in true}
    body = {"object_types": list(CATALOG_TYPES), "include_deleted_objects": True, "limit": 11}
    everything = all_rows(read, "/v2/catalog/search", "objects", body)
    gone = {one["id"] for one in everything if one["is_deleted"]}
    assert gone == set(read_account.deleted("catalog"))
    assert read(f"/v2/catalog/object/{gone.pop()}").status_code == 404


def test_the_catalog_is_searched_since_a_time_that_is_not_included(
    account: SquareAccount, ask: Ask
) -> None:
    latest = ask("/v2/catalog/search", {}).json()["latest_time"]
    body = {"object_types": list(CATALOG_TYPES), "begin_time": latest}
    assert "objects" not in ask("/v2/catalog/search", body).json()
    item = next(one for one in account.objects("catalog") if one["type"] == "ITEM")
    account.economy.delete("catalog", item["id"])
    assert "objects" not in ask("/v2/catalog/search", body).json()
    found = ask("/v2/catalog/search", {**body, "include_deleted_objects": True}).json()["objects"]
    parts = [one["id"] for one in item["item_data"]["variations"]]
    assert {one["id"] for one in found} == {item["id"], *parts}
    assert all(one["is_deleted"] and one["version"] > item["version"] for one in found)


def test_a_new_price_moves_the_variation_and_not_the_item_that_shows_it(
    account: SquareAccount, ask: Ask
) -> None:
    before = ask("/v2/catalog/search", {}).json()["latest_time"]
    done = account.economy.do("edit_price")
    assert done is not None
    body = {"begin_time": before, "object_types": ["ITEM"]}
    assert "objects" not in ask("/v2/catalog/search", body).json()
    body = {"begin_time": before, "object_types": ["ITEM_VARIATION"]}
    changed = ask("/v2/catalog/search", body).json()["objects"]
    assert [one["id"] for one in changed] == [done["id"]]
    item = ask(f"/v2/catalog/object/{changed[0]['item_variation_data']['item_id']}").json()
    assert changed[0] in item["object"]["item_data"]["variations"]


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        (
            {"exact_query": {"attribute_name": "name", "attribute_value": "draught"}},
            lambda data: "draught" in data["name"].lower(),
        ),
        (
            {"prefix_query": {"attribute_name": "name", "attribute_prefix": "house"}},
            lambda data: data["name"].lower().startswith("house"),
        ),
        (
            {"set_query": {"attribute_name": "name", "attribute_values": ["TOTE BAG", "crêpe"]}},
            lambda data: data["name"].lower() in ("tote bag", "crêpe"),
        ),
        ({"text_query": {"keywords": ["wine"]}}, lambda data: "wine" in data["name"].lower()),
    ],
)
def test_the_catalog_is_searched_by_text(
    sandbox: Sandbox, query: Any, holds: Callable[[Any], bool]
) -> None:
    account = sandbox.square.create_account("quiet-room", size=1, months=0.1, only={})
    body = {"object_types": ["ITEM"], "query": query}
    found = asker(sandbox, account)("/v2/catalog/search", body).json()["objects"]
    assert {one["id"] for one in found} == {
        one["id"]
        for one in account.objects("catalog")
        if one["type"] == "ITEM" and holds(one["item_data"])
    }


def test_related_objects_are_those_that_the_page_names(read: Ask) -> None:
    body = {"object_types": ["ITEM"], "include_related_objects": True, "limit": 1}
    page = read("/v2/catalog/search", body).json()
    data = page["objects"][0]["item_data"]
    related = {one["id"]: one["type"] for one in page["related_objects"]}
    assert set(data["tax_ids"]) | set(data["image_ids"]) <= related.keys()
    assert {one["id"] for one in data["categories"]} <= related.keys()


def test_counts_are_newest_first_and_filtered(read: Ask, read_account: SquareAccount) -> None:
    path = "/v2/inventory/counts/batch-retrieve"
    rows = all_rows(read, path, "counts", {"limit": 20})
    times = [row["calculated_at"] for row in rows]
    assert times == sorted(times, reverse=True)
    middle = times[len(times) // 2]
    later = all_rows(read, path, "counts", {"updated_after": middle})
    assert len(later) == sum(time > middle for time in times)
    wasted = all_rows(read, path, "counts", {"states": ["WASTE"]})
    assert wasted == [row for row in rows if row["state"] == "WASTE"]
    place, variation = rows[0]["location_id"], rows[0]["catalog_object_id"]
    some = all_rows(
        read, path, "counts", {"location_ids": [place], "catalog_object_ids": [variation]}
    )
    assert rows[0] in some
    assert {(r["location_id"], r["catalog_object_id"]) for r in some} == {(place, variation)}
    assert all_rows(read, f"/v2/inventory/{variation}", "counts", location_ids=place) == some


def test_subscriptions_show_their_actions_only_where_asked(
    read: Ask, read_account: SquareAccount
) -> None:
    with_actions = [one for one in read_account.objects("subscriptions") if "actions" in one]
    assert with_actions
    rows = all_rows(read, "/v2/subscriptions/search", "subscriptions", {})
    assert not any("actions" in row for row in rows)
    id = with_actions[0]["id"]
    assert "actions" not in read(f"/v2/subscriptions/{id}").json()["subscription"]
    shown = read(f"/v2/subscriptions/{id}", include="actions").json()["subscription"]
    assert shown == with_actions[0]


def test_subscriptions_of_two_locations_come_location_by_location(
    read: Ask, read_account: SquareAccount
) -> None:
    places = sorted({one["location_id"] for one in read_account.objects("subscriptions")})[:3]
    body = {"query": {"filter": {"location_ids": places}}, "limit": 1}
    rows = all_rows(read, "/v2/subscriptions/search", "subscriptions", body)
    keys = [(row["location_id"], row["created_at"]) for row in rows]
    assert keys == sorted(keys)
    assert {row["location_id"] for row in rows} == set(places)


def test_loyalty_and_gift_cards_and_staff_are_filtered(
    read: Ask, read_account: SquareAccount
) -> None:
    member = read_account.objects("loyalty_accounts")[0]
    path = "/v2/loyalty/accounts/search"
    for query in (
        {"customer_ids": [member["customer_id"]]},
        {"mappings": [{"phone_number": member["mapping"]["phone_number"]}]},
    ):
        assert read(path, {"query": query}).json()["loyalty_accounts"] == [member]
    terms = {
        "loyalty_account_filter": {"loyalty_account_id": member["id"]},
        "type_filter": {"types": ["ACCUMULATE_POINTS"]},
    }
    events = all_rows(
        read, "/v2/loyalty/events/search", "events", {"query": {"filter": terms}, "limit": 2}
    )
    assert {one["id"] for one in events} == {
        one["id"]
        for one in read_account.objects("loyalty_events")
        if one["loyalty_account_id"] == member["id"] and one["type"] == "ACCUMULATE_POINTS"
    }
    cards = all_rows(read, "/v2/gift-cards", "gift_cards", state="ACTIVE", type="DIGITAL")
    assert {one["id"] for one in cards} == {
        one["id"]
        for one in read_account.objects("gift_cards")
        if (one["state"], one["type"]) == ("ACTIVE", "DIGITAL")
    }
    body = {"query": {"filter": {"is_owner": True, "status": "ACTIVE"}}}
    assert [m["is_owner"] for m in read("/v2/team-members/search", body).json()["team_members"]]


def test_the_program_and_the_main_location_have_names_of_their_own(
    read: Ask, read_account: SquareAccount
) -> None:
    program = read_account.ids("loyalty_programs")[0]
    assert read("/v2/loyalty/programs/main").json()["program"]["id"] == program
    main = read("/v2/locations/main").json()["location"]
    assert main["id"] == read_account.main_location
    assert read("/v2/merchants/me").json()["merchant"]["main_location_id"] == main["id"]
    assert read("/v2/merchants").json()["merchant"][0]["id"] == read_account.id


def test_every_object_with_a_path_of_its_own_is_found_there(
    read: Ask, read_account: SquareAccount
) -> None:
    for operation in OPERATIONS:
        if operation.limit is None and operation.path.endswith("}") and operation.stream:
            path = operation.path[: operation.path.index("{")]
            id = read_account.ids(operation.stream)[-1]
            query = {"include": "actions"} if operation.stream == "subscriptions" else {}
            shown = read(f"{path}{id}", **query).json()[operation.answer]
            assert shown == read_account.find(operation.stream, id)
            assert read(f"{path}nothing").status_code == 404


def test_batches_ignore_what_is_unknown(read: Ask, read_account: SquareAccount) -> None:
    ids = read_account.ids("orders")[5:8]
    body = {"order_ids": [*ids, "nothing", ids[0]]}
    assert [one["id"] for one in read("/v2/orders/batch-retrieve", body).json()["orders"]] == ids


def test_events_are_kept_for_28_days(account: SquareAccount, ask: Ask) -> None:
    done = account.economy.do("add_customer")
    assert done is not None
    body = {"query": {"filter": {"event_types": ["customer.created"]}}}
    first = ask("/v2/events", body).json()
    assert first["events"][0]["data"]["id"] == done["id"]
    assert first["metadata"][0]["event_id"] == first["events"][0]["event_id"]
    account.clock.set(NOW + 29 * DAY)
    assert ask("/v2/events", body).json() == {}


@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_a_list_that_grows_while_it_is_read_loses_nothing_of_before(
    sandbox: Sandbox, account: SquareAccount, ask: Ask, order: str
) -> None:
    before = set(account.ids("customers"))
    sandbox.faults.add(
        make_fault("shift", provider="square", path="/v2/customers", skip=1, count=4)
    )
    rows = all_rows(ask, "/v2/customers", "customers", limit=4, sort_order=order)
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert before <= set(ids)
    assert set(account.ids("customers")) > before


def test_an_update_while_payments_are_read_newest_first_is_seen_by_the_next_reader_only(
    account: SquareAccount, ask: Ask
) -> None:
    place = account.main_location
    query = {"location_id": place, "sort_field": "UPDATED_AT", "limit": 3}
    first = ask("/v2/payments", **query).json()
    seen = {row["id"] for row in first["payments"]}
    last = min(
        (p for p in account.objects("payments") if p["location_id"] == place),
        key=lambda p: p["updated_at"],
    )
    account.economy.update("payments", last["id"], {"note": "moved"})
    rest = all_rows(ask, "/v2/payments", "payments", **query, cursor=first["cursor"])
    assert last["id"] not in seen | {row["id"] for row in rest}
    assert ask("/v2/payments", **query).json()["payments"][0]["id"] == last["id"]


@pytest.mark.parametrize("kind", ["loop", "duplicates", "drop_row", "drop_page", "empty"])
def test_faults_spoil_pages(sandbox: Sandbox, account: SquareAccount, ask: Ask, kind: str) -> None:
    true = all_rows(ask, "/v2/customers", "customers", limit=4)
    sandbox.faults.add(make_fault(kind, provider="square", path="/v2/customers"))
    first = ask("/v2/customers", limit=4).json()
    if kind == "loop":
        again = ask("/v2/customers", limit=4, cursor=first["cursor"]).json()
        assert again == first
    elif kind == "duplicates":
        second = ask("/v2/customers", limit=4, cursor=first["cursor"]).json()
        assert second["customers"][0] == first["customers"][-1]
    elif kind == "drop_row":
        assert len(first["customers"]) == 3
    elif kind == "drop_page":
        assert first["customers"] == true[4:8]
    else:
        assert first == {}


@pytest.mark.parametrize("variant", ["null_data", "object_data", "no_data", "row", "list"])
def test_wrong_types_are_valid_json(
    sandbox: Sandbox, ask: Ask, account: SquareAccount, variant: str
) -> None:
    sandbox.faults.add(make_fault("wrong_type", provider="square", variant=variant))
    shown = ask("/v2/customers").json()
    assert not isinstance(shown, dict) or not all(
        isinstance(row, dict) for row in shown.get("customers") or [0]
    )


def control(sandbox: Sandbox, method: str, order: str, /, **body: Any) -> Any:
    answered = requests.request(
        method, f"{sandbox.base_url}/_sandbox/{order}", json=body or None, timeout=30
    )
    assert answered.status_code == 200, answered.text
    return answered.json()


def test_accounts_are_made_changed_and_read_over_http(sandbox: Sandbox) -> None:
    made = control(sandbox, "POST", "square/accounts", slug="club", size=30, months=1, country="JP")
    base = "square/accounts/club"
    done = control(sandbox, "POST", f"{base}/mutations", count=3, kinds=["customer"], step=5)
    assert len(done) == 3
    payments = control(sandbox, "GET", f"{base}/streams/payments?objects=true")
    assert payments["sums"] == {
        "JPY": sum(one["total_money"]["amount"] for one in payments["objects"])
    }
    paid = next(p for p in payments["objects"] if p["status"] == "COMPLETED")
    order = {"do": "refund", "arguments": [paid["id"], 1]}
    assert control(sandbox, "POST", f"{base}/mutations", **order)["stream"] == "refunds"
    update = {"stream": "customers", "id": "", "changes": {"note": "x"}}
    update["id"] = control(sandbox, "GET", f"{base}/streams/customers")["ids"][0]
    assert control(sandbox, "POST", f"{base}/mutations", update=update)["note"] == "x"
    gone = {"stream": "customers", "id": update["id"]}
    control(sandbox, "POST", f"{base}/mutations", delete=gone)
    assert gone["id"] in control(sandbox, "GET", f"{base}/streams/customers")["deleted"]
    assert control(sandbox, "POST", f"{base}/clock", advance=3600)["now"] > NOW
    narrow = control(sandbox, "POST", f"{base}/keys", scopes=["ORDERS_READ"])["access_token"]
    assert narrow.startswith("EAAA")
    assert control(sandbox, "DELETE", f"{base}/keys") == {"revoked": 2}
    url = f"{sandbox.base_url}/square/v2/locations"
    headers = {"Authorization": f"Bearer {made['access_token']}"}
    assert requests.get(url, headers=headers, timeout=5).status_code == 401


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"slug": "x", "country": "KW"}, "KW"),
        ({"slug": "x", "locations": 0}, "locations"),
        ({"slug": "x", "locations": 2, "inactive": 2}, "inactive"),
        ({"slug": "x", "only": {"refunds": 1}}, "refunds"),
        ({"size": 1}, "slug"),
    ],
)
def test_wrong_orders_are_refused_by_name(sandbox: Sandbox, body: Any, named: str) -> None:
    url = f"{sandbox.base_url}/_sandbox/square/accounts"
    answered = requests.post(url, json=body, timeout=10)
    assert answered.status_code == 400
    assert named in answered.json()["error"]
