"""The stand-in of QuickBooks against what Intuit published: its entity schema (XSD), its OAuth
answers, and an OpenAPI description by a connector project."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests
import yaml

from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.quickbooks import QuickBooksAccount
from provider_sandbox.quickbooks.endpoints import BY_STREAM, ENTITIES, REPORTS, STREAMS, Kind
from tests.quickbooks_schema import DATE_TIME, Schema, published

from .conftest import NOW


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=4, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["USD", "JPY"])
def account(sandbox: Sandbox, request: pytest.FixtureRequest) -> QuickBooksAccount:
    """A company of one currency, or of several, that has lived through every kind of change."""
    currencies = ("EUR", "USD") if request.param == "JPY" else ()
    account = sandbox.quickbooks.create_account(
        f"venue-{request.param}", size=250, currency=request.param, currencies=currencies
    )
    account.economy.mutate(200, step=30)
    return account


def get(sandbox: Sandbox, account: QuickBooksAccount, path: str, **query: Any) -> Any:
    token = sandbox.quickbooks.tokens.grant(account)["access_token"]
    got = requests.get(
        f"{sandbox.base_url}/quickbooks/v3/company/{account.id}/{path}", params=query, timeout=10,
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    )  # fmt: skip
    return json.loads(got.text, parse_float=Decimal)


@pytest.mark.parametrize("stream", STREAMS)
def test_every_body_is_what_the_schema_says_at_every_depth(
    schema: Schema, account: QuickBooksAccount, stream: str
) -> None:
    found = account.objects(stream)
    assert found
    name = BY_STREAM[stream].name
    wrong = {fault for body in found for fault in schema.faults(body, name, name)}
    assert wrong == set()
    assert all(body["domain"] == "QBO" and body["sparse"] is False for body in found)


def test_account_types_and_subtypes_are_published(
    schema: Schema, account: QuickBooksAccount
) -> None:
    for found in account.objects("accounts"):
        assert found["AccountType"] in schema.choices["AccountTypeEnum"]
        assert found["AccountSubType"] in schema.choices["AccountSubTypeEnum"]
        assert found["Classification"] in schema.choices["AccountClassificationEnum"]


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.stream)
def test_every_property_that_can_be_queried_is_published(schema: Schema, entity: Any) -> None:
    kinds = {
        Kind.ID: {"id"}, Kind.NUMBER: {"decimal"}, Kind.DATE: {"date"}, Kind.TIME: {"dateTime"},
        Kind.FLAG: {"boolean"}, Kind.REF: {"ReferenceType"},
    }  # fmt: skip
    for property, kind in entity.filters.items():
        type = entity.name
        for step in property.split("."):
            type, many = schema.fields[type][step]
            assert not many
        if kind is Kind.TEXT:
            assert type == "string" or schema.choices.get(type)
        else:
            assert type in kinds[kind]


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("split", ["Total", "Month"])
def test_every_report_is_what_the_schema_says(
    schema: Schema, sandbox: Sandbox, account: QuickBooksAccount, name: str, split: str
) -> None:
    body = get(sandbox, account, f"reports/{name}", summarize_column_by=split)
    assert list(schema.faults(body, "Report", name)) == []
    columns = len(body["Columns"]["Column"])

    def rows(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield row
        for inner in row.get("Rows", {}).get("Row", ()):
            yield from rows(inner)

    for top in body["Rows"]["Row"]:
        for row in rows(top):
            assert row["type"] == ("Data" if "ColData" in row else "Section")
            for cells in (row.get("ColData"), row.get("Summary", {}).get("ColData")):
                assert cells is None or len(cells) == columns


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("query", {}),
        ("query", {"query": "SELEKT"}),
        ("query", {"query": "SELECT * FROM Invoice MAXRESULTS 1001"}),
        ("query", {"query": "SELECT * FROM Invoice", "page": 2}),
        ("invoice/999999", {}),
        ("nothing", {}),
        ("cdc", {"entities": "TaxCode", "changedSince": "2026-09-01"}),
        ("cdc", {"entities": "Invoice", "changedSince": "2020-01-01"}),
        ("reports/ProfitAndLoss", {"start_date": "yesterday"}),
    ],
)
def test_every_refusal_is_a_published_fault(
    schema: Schema, sandbox: Sandbox, account: QuickBooksAccount, path: str, query: dict[str, Any]
) -> None:
    body = get(sandbox, account, path, **query)
    assert set(body) == {"Fault", "time"}
    assert list(schema.faults(body["Fault"], "Fault", "Fault")) == []
    assert DATE_TIME.fullmatch(body["time"])


def test_answers_agree_with_the_connector_projects_description(
    sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    text = published("ballerina_quickbooks.online.yaml").read_text().replace("\t", "")
    described = yaml.safe_load(text)
    schemas = described["components"]["schemas"]
    types = {
        "string": str, "boolean": bool, "number": (int, Decimal), "integer": int, "array": list,
        "object": dict,
    }  # fmt: skip
    checked = 0
    for path, methods in described["paths"].items():
        if not path.endswith("-id}") or "get" not in methods:
            continue
        name = path.split("/")[-2]
        stream = next(one.stream for one in ENTITIES if one.path == name)
        entity = BY_STREAM[stream].name
        properties = schemas[entity]["properties"]
        for id in account.ids(stream)[:20]:
            body = get(sandbox, account, f"{name}/{id}")[entity]
            for field in body.keys() & properties.keys():
                expected = properties[field].get("type", "object")
                assert isinstance(body[field], types[expected]), (entity, field, body[field])
                checked += 1
    assert checked > 300


def test_tokens_are_refreshed_with_the_published_answer(
    sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    name = "oauth/success_refreshtoken_response.json"
    example = json.loads(published(name).read_text("utf-8-sig"))
    tokens = sandbox.quickbooks.tokens
    got = requests.post(
        f"{sandbox.base_url}/quickbooks/oauth2/v1/tokens/bearer", timeout=10,
        auth=(tokens.client_id, tokens.client_secret),
        data={
            "grant_type": "refresh_token",
            "refresh_token": tokens.grant(account)["refresh_token"],
        },
    ).json()  # fmt: skip
    assert got.keys() == example.keys() - {"id_token"}
    assert {name: type(value) for name, value in got.items()} == {
        name: type(example[name]) for name in got
    }
    assert (got["token_type"], got["expires_in"]) == ("bearer", 3600)


def test_the_discovery_document_names_what_is_published(sandbox: Sandbox) -> None:
    example = json.loads(published("oauth/discovery.json").read_text("utf-8-sig"))
    url = f"{sandbox.base_url}/quickbooks/.well-known/openid_configuration"
    assert requests.get(url, timeout=10).json().keys() == example.keys()
