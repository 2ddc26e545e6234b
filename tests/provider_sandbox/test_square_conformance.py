"""The stand-in against what Square published: its OpenAPI specification and its example events."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from provider_sandbox import Limit, Sandbox, running_sandbox
from provider_sandbox.faults import make_fault
from provider_sandbox.square import SquareAccount
from provider_sandbox.square.endpoints import (
    EVENT_TYPES,
    NESTED_CATALOG_TYPES,
    OPERATIONS,
    STREAMS,
    Field,
    Kind,
    Operation,
)

NOW = 1_790_000_000
REFERENCE = Path(
    os.environ.get(
        "PROVIDER_REFERENCE",
        Path(__file__).resolve().parents[3] / "shared" / "provider_reference",
    )
)
SCHEMAS = {
    "locations": "Location", "catalog": "CatalogObject", "inventory_counts": "InventoryCount",
    "customers": "Customer", "orders": "Order", "payments": "Payment", "refunds": "PaymentRefund",
    "disputes": "Dispute", "payouts": "Payout", "payout_entries": "PayoutEntry",
    "invoices": "Invoice", "subscriptions": "Subscription", "loyalty_programs": "LoyaltyProgram",
    "loyalty_accounts": "LoyaltyAccount", "loyalty_events": "LoyaltyEvent",
    "gift_cards": "GiftCard", "team_members": "TeamMember", "events": "Event",
}  # fmt: skip
JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list,), "object": (dict,),
}  # fmt: skip
SPEC_TYPES = {
    Kind.TEXT: "string", Kind.INTEGER: "integer", Kind.FLAG: "boolean", Kind.TIME: "string",
    Kind.CHOICE: "string", Kind.LIST: "array", Kind.OBJECT: "object",
}  # fmt: skip


def published(name: str) -> Any:
    path = REFERENCE / "square" / name
    if not path.exists():
        pytest.skip(f"{path} is absent: set PROVIDER_REFERENCE to the published material")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def spec() -> Any:
    return published("openapi.json")


@pytest.fixture(scope="module")
def schemas(spec: Any) -> Any:
    return spec["components"]["schemas"]


@pytest.fixture(scope="module")
def examples() -> Any:
    return published("official_event_examples.json")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=1, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["US", "JP", "AU"])
def account(request: pytest.FixtureRequest, sandbox: Sandbox) -> SquareAccount:
    """An account after its history, random changes and three more weeks."""
    found = sandbox.square.create_account(
        f"venue-{request.param.lower()}", size=250, country=request.param, locations=5
    )
    found.economy.mutate(150, step=60)
    found.economy.advance(21 * 86_400, mutations=80)
    return found


def wrong(value: Any, schema: Any, schemas: Any, path: str) -> Iterator[str]:
    """Where a value is not what its schema says; a field that the schema lacks is wrong too."""
    if "$ref" in schema:
        yield from wrong(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, path)
        return
    expected = JSON_TYPES[schema.get("type", "object")]
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        yield f"{path}: {value!r:.80} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not among {schema['enum'][:9]}"
    if isinstance(value, str) and not (
        schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 30)
    ):
        yield f"{path}: {value!r} is too short or too long"
    if isinstance(value, int | float) and not (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
    ):
        yield f"{path}: {value!r} is out of bounds"
    if isinstance(value, list):
        for position, one in enumerate(value):
            yield from wrong(one, schema["items"], schemas, f"{path}[{position}]")
    if isinstance(value, dict) and "properties" in schema:
        for name in set(schema.get("required", ())) - value.keys():
            yield f"{path}.{name} is missing"
        for name, held in value.items():
            if name not in schema["properties"]:
                yield f"{path}.{name} is unknown"
            else:
                yield from wrong(held, schema["properties"][name], schemas, f"{path}.{name}")
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for name, held in value.items():
            yield from wrong(held, schema["additionalProperties"], schemas, f"{path}.{name}")


def complaints(value: Any, name: str, schemas: Any) -> list[str]:
    return list(wrong(value, {"$ref": name}, schemas, name))


@pytest.mark.parametrize("stream", SCHEMAS)
def test_every_body_is_published_at_every_depth(
    schemas: Any, account: SquareAccount, stream: str
) -> None:
    found = [row.object for row in account.table(stream)]
    assert found
    for body in found:
        assert complaints(body, SCHEMAS[stream], schemas) == []


def test_every_stream_is_held_to_the_specification() -> None:
    assert SCHEMAS.keys() == {*STREAMS, "events"}


def test_merchant_and_unlisted_customers_are_published(
    schemas: Any, sandbox: Sandbox, account: SquareAccount
) -> None:
    shown = ask(sandbox, account, "GET", "/v2/merchants/me").json()
    assert complaints(shown, "RetrieveMerchantResponse", schemas) == []
    for row in account.unlisted.sorted("created"):
        assert complaints(row.object, "Customer", schemas) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_is_published(spec: Any, operation: Operation) -> None:
    described = spec["paths"][operation.path][operation.method.lower()]
    assert described["operationId"] == operation.name
    scopes = [scope for one in described["security"] for scope in one.get("oauth2", ())]
    if operation.stream.startswith("payout"):
        assert f"set `{operation.scope}`" in described["description"]
    else:
        assert scopes == ([operation.scope] if operation.scope else [])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_parameters_and_body_fields_are_those_published(
    spec: Any, schemas: Any, operation: Operation
) -> None:
    described = spec["paths"][operation.path][operation.method.lower()]
    parameters = {
        one["name"]: {**one["schema"], "mandatory": one.get("required", False)}
        for one in described.get("parameters", ())
        if one["in"] == "query"
    }
    assert parameters.keys() == operation.query.keys()
    for name, held in operation.query.items():
        assert held.required == parameters[name]["mandatory"]
        check_field(held, parameters[name], schemas, in_query=True)
    if operation.body is None:
        assert "requestBody" not in described
        return
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    check_field(Field(Kind.OBJECT, fields=operation.body), schema, schemas)


def check_field(held: Field, schema: Any, schemas: Any, *, in_query: bool = False) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if in_query and held.kind is Kind.LIST:
        assert schema["type"] == "string"
        return
    assert schema.get("type", "object") == SPEC_TYPES[held.kind]
    if held.kind is Kind.CHOICE and "enum" in schema:
        assert set(held.choices) == set(schema["enum"])
    if held.kind is Kind.INTEGER:
        for bound, stated in (("least", "minimum"), ("most", "maximum")):
            if stated in schema:
                assert getattr(held, bound) == schema[stated]
    if held.kind is Kind.TEXT:
        assert held.least == schema.get("minLength")
        assert held.most == schema.get("maxLength")
    if held.kind is Kind.LIST and held.items is not None:
        check_field(held.items, schema["items"], schemas)
    if held.kind is Kind.OBJECT and held.served:
        assert held.fields.keys() == schema["properties"].keys()
        for name, one in held.fields.items():
            check_field(one, schema["properties"][name], schemas)
            if name in schema.get("required", ()):
                assert one.required


def ask(
    sandbox: Sandbox, account: SquareAccount, method: str, path: str, body: Any = None,
    **query: Any,
) -> requests.Response:  # fmt: skip
    return requests.request(
        method, f"{sandbox.base_url}/square{path}", json=body, params=query, timeout=10,
        headers={"Authorization": f"Bearer {account.access_token}"},
    )  # fmt: skip


def test_every_answer_is_published(spec: Any, sandbox: Sandbox, account: SquareAccount) -> None:
    """Each operation is asked once, with an id that exists."""
    location = account.main_location
    bodies: dict[str, Any] = {
        "SearchOrders": {"location_ids": [location]},
        "BatchRetrieveOrders": {"order_ids": account.ids("orders")[:3]},
        "BatchRetrieveCatalogObjects": {
            "object_ids": account.ids("catalog"), "include_related_objects": True,
        },
        "SearchInvoices": {"query": {"filter": {"location_ids": [location]}}},
        "SearchCatalogObjects": {
            "include_related_objects": True, "include_deleted_objects": True,
            "object_types": ["ITEM", *NESTED_CATALOG_TYPES],
        },
        "SearchCustomers": {"count": True, "query": {"sort": {"field": "CREATED_AT"}}},
        "SearchSubscriptions": {"include": ["actions"]},
    }  # fmt: skip
    for operation in OPERATIONS:
        ids = {"locations": [location], "": ["me"]}.get(operation.stream) or account.ids(
            operation.stream if "payout-entries" not in operation.path else "payouts"
        )
        if operation.name == "RetrieveInventoryCount":
            ids = [ids[0].partition(":")[0]]
        path = "/".join(ids[-1] if "{" in part else part for part in operation.path.split("/"))
        query = {"location_id": location} if operation.name == "ListInvoices" else {}
        body = bodies.get(operation.name, {}) if operation.method == "POST" else None
        answered = ask(sandbox, account, operation.method, path, body, **query)
        assert answered.status_code == 200, answered.text
        described = spec["paths"][operation.path][operation.method.lower()]
        schema = described["responses"]["200"]["content"]["application/json"]["schema"]
        shown = answered.json()
        assert list(wrong(shown, schema, spec["components"]["schemas"], operation.name)) == []
        if operation.answer:
            assert shown[operation.answer]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v2/payments?colour=red", None, 400, "UNKNOWN_QUERY_PARAMETER"),
        ("POST", "/v2/payments?colour=red", None, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v2/weather", None, 404, "NOT_FOUND"),
        ("GET", "/v2/payments/nothing", None, 404, "NOT_FOUND"),
        ("POST", "/v2/orders/search", {}, 400, "MISSING_REQUIRED_PARAMETER"),
        ("POST", "/v2/orders/search", {"colour": 1}, 400, "UNKNOWN_BODY_PARAMETER"),
        ("POST", "/v2/orders/search", {"location_ids": 1}, 400, "EXPECTED_ARRAY"),
        ("POST", "/v2/orders/search", [], 400, "EXPECTED_JSON_BODY"),
        ("GET", "/v2/payments?begin_time=yesterday", None, 400, "INVALID_TIME"),
        ("GET", "/v2/payments?sort_order=UP", None, 400, "INVALID_ENUM_VALUE"),
        ("GET", "/v2/customers?limit=101", None, 400, "VALUE_TOO_HIGH"),
        ("GET", "/v2/customers?limit=0", None, 400, "VALUE_TOO_LOW"),
        ("GET", "/v2/customers?limit=many", None, 400, "EXPECTED_INTEGER"),
        ("GET", "/v2/customers?cursor=abc", None, 400, "INVALID_CURSOR"),
        ("GET", "/v2/catalog/list?catalog_version=5", None, 501, "NOT_IMPLEMENTED"),
    ],
)
def test_every_refusal_is_published(
    schemas: Any, sandbox: Sandbox, account: SquareAccount, method: str, path: str, body: Any,
    status: int, code: str,
) -> None:  # fmt: skip
    answered = ask(sandbox, account, method, path, body)
    assert answered.status_code == status
    assert [one["code"] for one in answered.json()["errors"]] == [code]
    assert complaints(answered.json(), "ListPaymentsResponse", schemas) == []


@pytest.mark.parametrize("status", [401, 429, 500, 502, 503, 504])
def test_trouble_is_told_as_published(
    schemas: Any, sandbox: Sandbox, account: SquareAccount, status: int
) -> None:
    kind = {401: "unauthorized", 429: "rate_limited"}.get(status, "server_error")
    settings = {"status": status} if kind == "server_error" else {}
    sandbox.faults.add(make_fault(kind, provider="square", **settings))
    answered = ask(sandbox, account, "GET", "/v2/payments")
    assert answered.status_code == status
    assert "Retry-After" not in answered.headers
    assert complaints(answered.json(), "ListPaymentsResponse", schemas) == []


def test_a_limit_is_told_as_published(sandbox: Sandbox, account: SquareAccount) -> None:
    sandbox.limits.set(account.id, Limit(rate=1))
    answers = [ask(sandbox, account, "GET", "/v2/locations") for _ in range(2)]
    sandbox.limits.set(account.id, None)
    assert [one.status_code for one in answers] == [200, 429]
    error = answers[1].json()["errors"][0]
    assert (error["category"], error["code"]) == ("RATE_LIMIT_ERROR", "RATE_LIMITED")
    assert "Retry-After" not in answers[1].headers


def test_events_are_shaped_as_the_official_examples(examples: Any, account: SquareAccount) -> None:
    assert set(EVENT_TYPES) <= examples.keys()
    seen = set()
    merges = 0
    for _ in range(3):
        account.economy.do("merge_customers")
    for event in account.objects("events"):
        example = examples[event["type"]]
        seen.add(event["type"])
        assert event.keys() - {"location_id"} == example.keys() - {"location_id"}
        assert event["data"]["type"] == example["data"]["type"]
        assert event["data"].keys() == example["data"].keys()
        if "object" in example["data"]:
            # No example is of a merge, which alone has a context.
            context = event["data"]["object"].pop("event_context", None)
            merges += context is not None
            assert event["data"]["object"].keys() == example["data"]["object"].keys()
    assert seen <= set(EVENT_TYPES)
    assert len(seen) > 15
    assert merges >= 3
