"""The stand-in against what Stripe published: its OpenAPI specification, its current fixtures, and
the types of its SDK."""

import importlib
import json
import os
import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from provider_sandbox.stripe import StripeAccount, api
from provider_sandbox.stripe.endpoints import BY_STREAM, ENDPOINTS, STREAMS, Kind

REFERENCE = Path(
    os.environ.get(
        "PROVIDER_REFERENCE",
        Path(__file__).resolve().parents[3] / "shared" / "provider_reference",
    )
)
OBJECTS = {
    "customers": "customer", "products": "product", "prices": "price",
    "payment_intents": "payment_intent", "charges": "charge", "refunds": "refund",
    "disputes": "dispute", "balance_transactions": "balance_transaction", "payouts": "payout",
    "invoices": "invoice", "invoiceitems": "invoiceitem", "subscriptions": "subscription",
    "subscription_items": "subscription_item", "coupons": "coupon",
    "promotion_codes": "promotion_code", "credit_notes": "credit_note",
    "checkout_sessions": "checkout.session", "events": "event", "account": "account",
}  # fmt: skip
SDK_CLASSES = {
    "customers": "Customer", "products": "Product", "prices": "Price",
    "payment_intents": "PaymentIntent", "charges": "Charge", "refunds": "Refund",
    "disputes": "Dispute", "balance_transactions": "BalanceTransaction", "payouts": "Payout",
    "invoices": "Invoice", "invoiceitems": "InvoiceItem", "subscriptions": "Subscription",
    "subscription_items": "SubscriptionItem", "coupons": "Coupon",
    "promotion_codes": "PromotionCode", "credit_notes": "CreditNote",
    "checkout_sessions": "checkout.Session", "account": "Account",
}  # fmt: skip
REMOVED_SINCE_2022 = {
    "charges": {"refunds"},
    "invoices": {"paid", "paid_out_of_band", "total_tax_amounts"},
    "subscriptions": {"current_period_end", "current_period_start"},
    "promotion_codes": {"coupon"},
    "credit_notes": {"tax_amounts"},
}
PARAMETERS_ADDED_SINCE_2022 = {
    "credit_notes": {"created"},
    "checkout_sessions": {"created", "customer", "payment_link", "status"},
    "invoiceitems": set[str](),
}
CHOICES_ADDED_SINCE_2022 = {"subscriptions": {"status": {"paused"}}}


def published(name: str) -> Any:
    path = REFERENCE / "stripe" / name
    if not path.exists():
        pytest.skip(f"{path} is absent: set PROVIDER_REFERENCE to the published material")
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def spec() -> Any:
    return published("spec3_2022-04-12.min.json")


@pytest.fixture(scope="session")
def fixtures() -> Any:
    return published("fixtures3.json")["resources"]


def objects(account: StripeAccount, stream: str) -> list[dict[str, Any]]:
    if stream == "account":
        return [account.as_api_object()]
    return account.objects(stream)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.stream)
def test_every_list_parameter_is_published(spec: Any, endpoint: Any) -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for parameter in spec["paths"][endpoint.path]["get"]["parameters"]
    }
    added = PARAMETERS_ADDED_SINCE_2022.get(endpoint.stream, set())
    assert set(api.PAGING) <= parameters.keys()
    for name, held in endpoint.filters.items():
        outer, _, inner = name.rstrip("]").partition("[")
        if outer in added:
            continue
        schema = parameters[outer]
        if inner:
            schema = schema["properties"][inner]
        match held.kind:
            case Kind.TEXT:
                assert schema["type"] == "string"
            case Kind.TEXTS:
                assert schema["type"] == "array"
            case Kind.FLAG:
                assert schema["type"] == "boolean"
            case Kind.RANGE:
                assert {one["type"] for one in schema["anyOf"]} == {"object", "integer"}
            case Kind.CHOICE:
                new = CHOICES_ADDED_SINCE_2022.get(endpoint.stream, {}).get(name, set())
                assert set(held.choices) - new == set(schema["enum"])
    for name in endpoint.required:
        parameter = next(
            one for one in spec["paths"][endpoint.path]["get"]["parameters"] if one["name"] == name
        )
        assert parameter["required"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.stream)
def test_every_list_parameter_is_in_the_sdk(endpoint: Any) -> None:
    name = {
        "invoiceitems": "InvoiceItem", "checkout_sessions": "checkout.Session", "events": "Event",
    }.get(endpoint.stream) or SDK_CLASSES[endpoint.stream]  # fmt: skip
    package, _, short = f"stripe.params.{name}".rpartition(".")
    known = getattr(importlib.import_module(package), f"{short}ListParams").__annotations__
    assert {name.partition("[")[0] for name in endpoint.filters} <= known.keys()


def test_every_path_is_published(spec: Any) -> None:
    gets = {path for path, methods in spec["paths"].items() if "get" in methods}
    shapes = {_shape(path) for path in gets}
    for endpoint in ENDPOINTS:
        assert endpoint.path in gets
        assert _shape(f"{endpoint.path}/{{id}}") in shapes
        for lines in endpoint.lines:
            assert _shape(f"{endpoint.path}/{{id}}/{lines}") in shapes
    assert {"/v1/account", "/v1/accounts/{account}"} <= gets


def _shape(path: str) -> str:
    return "/".join("*" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("stream", OBJECTS)
def test_every_field_of_a_body_is_published(
    spec: Any, fixtures: Any, read_account: StripeAccount, stream: str
) -> None:
    fixture = fixtures[OBJECTS[stream]]
    schema = spec["components"]["schemas"][OBJECTS[stream]]
    required = set(schema["required"]) - REMOVED_SINCE_2022.get(stream, set())
    found = objects(read_account, stream)
    assert found
    for body in found:
        assert body["object"] == OBJECTS[stream]
        assert body.keys() <= fixture.keys() | schema["properties"].keys()
        assert required <= body.keys()
        for name, value in body.items():
            assert value is None or any(_same_type(value, one) for one in _examples(
                name, fixture, schema
            )), f"{stream}.{name} is {value!r}"  # fmt: skip


def _examples(name: str, fixture: dict[str, Any], schema: dict[str, Any]) -> Iterator[type]:
    json_types = {
        "string": str, "integer": int, "number": float, "boolean": bool, "object": dict,
        "array": list,
    }  # fmt: skip
    if fixture.get(name) is not None:
        yield type(fixture[name])
    found = schema["properties"].get(name, {})
    for one in (found, *found.get("anyOf", ())):
        if "type" in one:
            yield json_types[one["type"]]
        elif "$ref" in one:
            yield dict
    if fixture.get(name) is None and not found:
        yield object


def _same_type(value: Any, expected: type) -> bool:
    if expected is float and type(value) is int:
        return True
    return expected is object or type(value) is expected


@pytest.mark.parametrize("stream", SDK_CLASSES)
def test_every_body_has_the_types_of_the_sdk_at_every_depth(
    read_account: StripeAccount, stream: str
) -> None:
    package, _, name = f"stripe.{SDK_CLASSES[stream]}".rpartition(".")
    expected = getattr(importlib.import_module(package), name)
    for body in objects(read_account, stream)[:300]:
        wrong = list(_mismatches(body, expected, stream))
        assert not wrong


def _hints(expected: type) -> dict[str, Any]:
    import stripe

    names = vars(stripe) | {"ListObject": stripe.ListObject}
    for package in ("checkout", "billing", "tax", "terminal"):
        names |= {package: importlib.import_module(f"stripe.{package}")}
    module = vars(importlib.import_module(expected.__module__))
    inner = {k: v for k, v in vars(expected).items() if isinstance(v, type)}
    hints: dict[str, Any] = {}
    for name, text in expected.__annotations__.items():
        if "ClassVar" in str(text):
            continue
        try:
            hints[name] = typing.get_type_hints(
                types.SimpleNamespace(__annotations__={name: text}),
                names | module, inner,
            )[name]  # fmt: skip
        except NameError:
            hints[name] = Any
    return hints


def _mismatches(value: Any, expected: Any, path: str) -> Iterator[str]:
    """Where a body is not what the SDK's annotations say."""
    import stripe

    origin, arguments = get_origin(expected), get_args(expected)
    if expected is Any or isinstance(expected, typing.TypeVar):
        return
    if origin in (typing.Union, types.UnionType):
        if not any(not list(_mismatches(value, one, path)) for one in arguments):
            detail = [
                list(_mismatches(value, one, path)) for one in arguments if one is not type(None)
            ]
            yield f"{path}: {value!r:.80} fits none of {expected}: {detail[:2]}"
    elif origin is Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is not among {arguments}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r:.80} is not a list"
            return
        for position, one in enumerate(value):
            yield from _mismatches(one, arguments[0], f"{path}[{position}]")
    elif origin is stripe.ListObject:
        if not isinstance(value, dict) or value.get("object") != "list":
            yield f"{path}: not a list object"
            return
        yield from _mismatches(value["data"], list[arguments[0]], f"{path}.data")
    elif isinstance(origin, type) and issubclass(origin, stripe.StripeObject):
        if not isinstance(value, dict):
            yield f"{path}: {value!r:.80} is not an object"
    elif isinstance(expected, type) and issubclass(expected, stripe.StripeObject):
        if not isinstance(value, dict):
            yield f"{path}: {value!r:.80} is not an object"
            return
        hints = _hints(expected)
        if not hints:
            return
        for name in value.keys() - hints.keys():
            yield f"{path}.{name} is unknown to {expected.__name__}"
        for name in value.keys() & hints.keys():
            yield from _mismatches(value[name], hints[name], f"{path}.{name}")
        for name in hints.keys() - value.keys():
            if type(None) not in get_args(hints[name]) and hints[name] is not Any:
                yield f"{path}.{name} is missing"
    elif expected is Decimal:
        if not isinstance(value, str):
            yield f"{path}: {value!r} is not a decimal in a text"
    elif expected is float:
        if type(value) not in (int, float):
            yield f"{path}: {value!r} is not a number"
    elif isinstance(expected, type) and type(value) is not expected:
        yield f"{path}: {value!r:.80} is not {expected.__name__}"


def test_line_objects_are_published(spec: Any, fixtures: Any, read_account: StripeAccount) -> None:
    for stream, name in (
        ("invoices", "line_item"), ("credit_notes", "credit_note_line_item"),
        ("checkout_sessions", "item"),
    ):  # fmt: skip
        known = fixtures[name].keys() | spec["components"]["schemas"][name]["properties"].keys()
        for id in read_account.ids(stream):
            for line in read_account.lines(stream, id):
                assert line.keys() <= known


def test_every_stream_is_held_to_the_specification() -> None:
    assert set(STREAMS) == OBJECTS.keys() - {"account"}
    assert set(STREAMS) == SDK_CLASSES.keys() - {"account"} | {"events"}
    assert BY_STREAM.keys() == set(STREAMS)
