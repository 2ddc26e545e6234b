"""How the stand-in of QuickBooks answers: tokens, queries, CDC, refusals, and its official SDK."""

import importlib
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import quickbooks
import requests
from intuitlib.client import AuthClient
from intuitlib.exceptions import AuthClientError
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import ObjectNotFoundException, ValidationException

from provider_sandbox import Limit, Sandbox, running_sandbox
from provider_sandbox.faults import make_fault
from provider_sandbox.quickbooks import LIMIT, QuickBooksAccount
from provider_sandbox.quickbooks.endpoints import BY_STREAM, ENTITIES, STREAMS

from .conftest import NOW

Get = Callable[..., requests.Response]
DAY = 86_400
MODULES = {
    "classes": "trackingclass", "company_info": "company_info", "tax_agencies": "taxagency",
    "tax_codes": "taxcode", "tax_rates": "taxrate", "budgets": "budget",
}  # fmt: skip
"""Modules of the SDK's classes that are named otherwise."""
LISTS = [entity.stream for entity in ENTITIES if entity.has_active]


def sdk_class(stream: str) -> Any:
    name = BY_STREAM[stream].name
    module = importlib.import_module(f"quickbooks.objects.{MODULES.get(stream, name.lower())}")
    return getattr(module, name)


@pytest.fixture(autouse=True)
def over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def auth_client(sandbox: Sandbox, account: QuickBooksAccount, **tokens: str) -> AuthClient:
    app = sandbox.quickbooks.tokens
    base = f"{sandbox.base_url}/quickbooks"
    return AuthClient(
        app.client_id, app.client_secret, "http://localhost/callback",
        f"{base}/.well-known/openid_configuration", realm_id=account.id, **tokens,
    )  # fmt: skip


def client_of(
    sandbox: Sandbox, account: QuickBooksAccount, monkeypatch: pytest.MonkeyPatch
) -> quickbooks.QuickBooks:
    """The SDK's client, its tokens refreshed by Intuit's; only the address is another."""
    base = f"{sandbox.base_url}/quickbooks/v3"
    monkeypatch.setattr(quickbooks.QuickBooks, "api_url_v3", base)
    refresh_token = sandbox.quickbooks.tokens.grant(account)["refresh_token"]
    return quickbooks.QuickBooks(
        auth_client=auth_client(sandbox, account, refresh_token=refresh_token),
        refresh_token=refresh_token, company_id=account.id, minorversion=75, use_decimal=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def read_sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=1, now=NOW) as sandbox:
        sandbox.quickbooks.create_account("blue-room", size=300, months=4, currencies=("EUR",))
        yield sandbox


@pytest.fixture(scope="module")
def read_account(read_sandbox: Sandbox) -> QuickBooksAccount:
    """A company of two currencies that nothing may change."""
    return read_sandbox.quickbooks.account("blue-room")


@pytest.fixture
def account(sandbox: Sandbox) -> QuickBooksAccount:
    """A small company that a test may change."""
    return sandbox.quickbooks.create_account("red-room", size=60, months=1)


def getter(sandbox: Sandbox, account: QuickBooksAccount, session: requests.Session) -> Get:
    session.headers["Authorization"] = f"Bearer {account.credentials['access_token']}"
    session.headers["Accept"] = "application/json"
    base = f"{sandbox.base_url}/quickbooks/v3/company/{account.id}"

    def get(path: str, **query: object) -> requests.Response:
        return session.get(f"{base}/{path}", params=query, timeout=10)

    return get


@pytest.fixture
def get(sandbox: Sandbox, account: QuickBooksAccount) -> Iterator[Get]:
    """``get(path, **query)`` below the small company."""
    with requests.Session() as session:
        yield getter(sandbox, account, session)


@pytest.fixture
def read(read_sandbox: Sandbox, read_account: QuickBooksAccount) -> Iterator[Get]:
    """``read(path, **query)`` below the company for reading."""
    with requests.Session() as session:
        yield getter(read_sandbox, read_account, session)


def rows(get: Get, query: str) -> list[Any]:
    answered = get("query", query=query)
    assert answered.status_code == 200, answered.text
    response = json.loads(answered.text, parse_float=Decimal)["QueryResponse"]
    return next((value for value in response.values() if isinstance(value, list)), [])


def ids(get: Get, query: str) -> list[str]:
    return [one["Id"] for one in rows(get, query)]


def error(answered: requests.Response) -> dict[str, Any]:
    assert answered.status_code == 400, answered.text
    return answered.json()["Fault"]["Error"][0]


# The official SDK


@pytest.mark.parametrize("stream", STREAMS)
def test_the_official_sdk_lists_every_stream_as_the_ledger_has_it(
    read_sandbox: Sandbox, read_account: QuickBooksAccount, stream: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    client = client_of(read_sandbox, read_account, monkeypatch)
    kind = sdk_class(stream)
    where = "Active IN (true,false)" if stream in LISTS else ""
    listed: list[Any] = []
    while True:
        page = kind.where(
            where, order_by="Id", start_position=len(listed) + 1, max_results=70, qb=client
        )
        listed += page
        if len(page) < 70:
            break
    expected = {one["Id"]: one for one in read_account.objects(stream)}
    assert sorted(one.Id for one in listed) == sorted(expected)
    assert kind.count(where, qb=client) == len(expected)
    for one in listed:
        found = expected[one.Id]
        assert one.SyncToken == found["SyncToken"]
        for name in ("TotalAmt", "Balance", "TxnDate", "DisplayName", "Name", "Active"):
            if name in found:
                assert getattr(one, name) == found[name]
        assert len(getattr(one, "Line", [])) == len(found.get("Line", []))


def test_the_official_sdk_filters_refetches_counts_and_reads_cdc(
    sandbox: Sandbox, account: QuickBooksAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(sandbox, account, monkeypatch)
    customers, invoices, items = (sdk_class(s) for s in ("customers", "invoices", "items"))
    for found in account.objects("customers"):
        # The SDK escapes no backslashes.
        if found["Active"] and "\\" not in found["DisplayName"]:
            (one,) = customers.filter(DisplayName=found["DisplayName"], qb=client)
            assert one.Id == found["Id"]
    assert {one.Id for one in items.all(qb=client)} == set(account.ids("items", active=True))
    with pytest.raises(ObjectNotFoundException):
        invoices.get("99999", qb=client)
    with pytest.raises(ValidationException, match="too large"):
        invoices.all(max_results=1001, qb=client)
    edited = account.economy.update("invoices", account.ids("invoices")[0], {"PrivateNote": "x"})
    gone = account.economy.do("remove", "time_activities") or account.economy.do("remove", "bills")
    assert gone
    since = account.time(account.clock.now() - 3)
    changes = change_data_capture([invoices, customers], since, qb=client)
    assert [one.Id for one in changes.Invoice] == [edited["Id"]]
    assert not hasattr(changes, "Customer")
    report = client.get_report("BalanceSheet", {"end_date": "2026-09-21"})
    assert report["Header"]["ReportName"] == "BalanceSheet"


# Tokens


def refresh(sandbox: Sandbox, token: str, **how: Any) -> requests.Response:
    app = sandbox.quickbooks.tokens
    return requests.post(
        f"{sandbox.base_url}/quickbooks/oauth2/v1/tokens/bearer",
        data={"grant_type": "refresh_token", "refresh_token": token},
        **{"auth": (app.client_id, app.client_secret), "timeout": 10, **how},
    )


def test_a_refresh_rotates_the_refresh_token_and_only_the_last_is_valid(
    sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    first = account.credentials["refresh_token"]
    second = refresh(sandbox, first).json()["refresh_token"]
    assert second != first
    again = refresh(sandbox, first)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert refresh(sandbox, second).status_code == 200
    wrong = refresh(sandbox, second, auth=("other", "application"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")


def test_a_refresh_token_can_stay_for_a_day_as_intuits_does(
    sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    sandbox.quickbooks.tokens.rotate_after = DAY
    token = account.credentials["refresh_token"]
    answers = [refresh(sandbox, token).json() for _ in range(2)]
    assert {one["refresh_token"] for one in answers} == {token}
    assert answers[0]["access_token"] != answers[1]["access_token"]
    account.clock.set(account.clock.now() + DAY)
    assert refresh(sandbox, token).json()["refresh_token"] != token


def test_token_answers_can_begin_with_a_byte_order_mark(
    sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    sandbox.quickbooks.tokens.byte_order_mark = True
    answered = refresh(sandbox, account.credentials["refresh_token"])
    assert answered.content.startswith(b"\xef\xbb\xbf{")
    assert json.loads(answered.content.decode("utf-8-sig"))["expires_in"] == 3600


def test_an_access_token_opens_its_company_for_an_hour(
    sandbox: Sandbox, account: QuickBooksAccount, get: Get
) -> None:
    account.clock.set(NOW + 3599)
    assert get("query", query="SELECT * FROM Term").status_code == 200
    account.clock.set(NOW + 3600)
    expired = get("query", query="SELECT * FROM Term")
    assert expired.status_code == 401
    fault = expired.json()["fault"]
    assert fault["type"] == "AUTHENTICATION"
    assert fault["error"][0]["code"] == "3200"
    assert fault["error"][0]["detail"].startswith("Token expired")
    assert "invalid_token" in expired.headers["WWW-Authenticate"]


def test_a_token_does_not_open_another_realm(
    sandbox: Sandbox, account: QuickBooksAccount, get: Get
) -> None:
    other = sandbox.quickbooks.create_account("green-room", size=5)
    refused = get(f"../{other.id}/query", query="SELECT * FROM Term")
    assert refused.status_code == 403
    assert refused.json()["fault"]["error"][0]["code"] == "3100"


def test_intuits_client_revokes_and_nothing_opens_any_more(
    sandbox: Sandbox, account: QuickBooksAccount, get: Get
) -> None:
    token = account.credentials["refresh_token"]
    client = auth_client(sandbox, account, refresh_token=token)
    assert client.revoke()
    assert get("companyinfo/1").status_code == 401
    with pytest.raises(AuthClientError):
        client.refresh()


# Queries


def test_inactive_objects_are_hidden_unless_a_query_asks_for_them(
    read: Get, read_account: QuickBooksAccount
) -> None:
    for stream in LISTS:
        name = BY_STREAM[stream].name
        active = read_account.ids(stream, active=True)
        inactive = read_account.ids(stream, active=False)
        assert inactive
        assert sorted(ids(read, f"SELECT * FROM {name}")) == sorted(active)
        assert sorted(ids(read, f"SELECT * FROM {name} WHERE Active = false")) == sorted(inactive)
        every = ids(read, f"select * from {name} where Active in (true, false) maxresults 1000")
        assert sorted(every) == sorted(active + inactive)
        for found in rows(read, f"SELECT * FROM {name} WHERE Active = false"):
            assert found.get("DisplayName", found.get("Name")).endswith(" (deleted)")


def test_pages_are_counted_from_one_and_a_hundred_long_by_default(
    read: Get, read_account: QuickBooksAccount
) -> None:
    every = read_account.ids("sales_receipts")
    assert len(every) > 200
    first = read("query", query="SELECT * FROM SalesReceipt ORDERBY Id").json()["QueryResponse"]
    assert (first["startPosition"], first["maxResults"]) == (1, 100)
    assert [one["Id"] for one in first["SalesReceipt"]] == every[:100]
    text = "SELECT * FROM SalesReceipt ORDER BY Id ASC STARTPOSITION 101 MAXRESULTS 1000"
    rest = read("query", query=text).json()["QueryResponse"]
    assert (rest["startPosition"], rest["maxResults"]) == (101, len(every) - 100)
    beyond = read("query", query="SELECT * FROM SalesReceipt STARTPOSITION 9999").json()
    assert beyond["QueryResponse"] == {}
    assert datetime.fromisoformat(beyond["time"]).utcoffset() is not None


def test_counting_counts_what_a_query_would_find(
    read: Get, read_account: QuickBooksAccount
) -> None:
    counted = read("query", query="select count(*) from Invoice where Balance > '0'").json()
    open_ones = [one for one in read_account.objects("invoices") if one["Balance"] > 0]
    assert counted["QueryResponse"] == {"totalCount": len(open_ones)}


def test_a_query_may_come_as_a_post_of_text(sandbox: Sandbox, account: QuickBooksAccount) -> None:
    url = f"{sandbox.base_url}/quickbooks/v3/company/{account.id}/query"
    headers = {
        "Authorization": f"Bearer {account.credentials['access_token']}",
        "Accept": "application/json", "Content-Type": "application/text",
    }  # fmt: skip
    found = account.objects("vendors")[1]
    text = f"SELECT * FROM Vendor WHERE DisplayName = '{found['DisplayName']}'".replace(
        "d'A", "d\\'A"
    )
    answered = requests.post(url, data=text.encode(), headers=headers, timeout=5).json()
    assert [one["Id"] for one in answered["QueryResponse"]["Vendor"]] == [found["Id"]]
    headers["Content-Type"] = "application/json"
    refused = requests.post(url, data=text.encode(), headers=headers, timeout=5)
    assert error(refused)["code"] == "1050"


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ("TotalAmt > '300'", lambda one: one["TotalAmt"] > 300),
        ("TotalAmt <= 300 AND Balance = '0'", lambda o: o["TotalAmt"] <= 300 and not o["Balance"]),
        ("TxnDate >= '2026-08-01' AND TxnDate < '2026-09-01'",
         lambda one: "2026-08-01" <= one["TxnDate"] < "2026-09-01"),
        ("DocNumber LIKE '10%1'", lambda o: o["DocNumber"][:2] + o["DocNumber"][-1] == "101"),
        ("DocNumber IN ('1003','1005')", lambda one: one["DocNumber"] in ("1003", "1005")),
        ("CustomerRef = '{customer}'", lambda one: one["CustomerRef"]["value"] == "{customer}"),
    ],
)  # fmt: skip
def test_conditions_let_pass_what_they_say(
    read: Get, read_account: QuickBooksAccount, where: str, fits: Any
) -> None:
    customer = read_account.objects("invoices")[0]["CustomerRef"]["value"]
    if "{customer}" in where:
        where, fits = where.format(customer=customer), (
            lambda one: one["CustomerRef"]["value"] == customer
        )  # fmt: skip
    expected = [one["Id"] for one in read_account.objects("invoices") if fits(one)]
    assert expected
    assert ids(read, f"SELECT * FROM Invoice WHERE {where} ORDERBY Id MAXRESULTS 1000") == expected


def test_times_are_compared_with_their_offset(read: Get, read_account: QuickBooksAccount) -> None:
    found = sorted(
        (datetime.fromisoformat(one["MetaData"]["LastUpdatedTime"]), int(one["Id"]))
        for one in read_account.objects("invoices")
    )
    at = found[len(found) // 2][0]
    assert at.utcoffset() is not None
    expected = [str(id) for time, id in found if time >= at]
    order = "ORDERBY MetaData.LastUpdatedTime, Id MAXRESULTS 1000"
    written = (at.isoformat(), at.astimezone(tz=None).isoformat(), at.replace(tzinfo=None))
    for text in (*written[:2], written[2].isoformat()):
        query = f"SELECT * FROM Invoice WHERE MetaData.LastUpdatedTime >= '{text}' {order}"
        assert ids(read, query) == expected


def test_rows_are_ordered_by_several_properties(read: Get, read_account: QuickBooksAccount) -> None:
    found = rows(read, "SELECT * FROM Bill ORDERBY VendorRef DESC, TotalAmt MAXRESULTS 1000")
    expected = sorted(read_account.objects("bills"), key=lambda one: one["TotalAmt"])
    expected.sort(key=lambda one: one["VendorRef"]["value"], reverse=True)
    assert found == expected


def test_transactions_without_an_order_come_last_updated_first_and_so_shift(
    get: Get, account: QuickBooksAccount
) -> None:
    before = ids(get, "SELECT * FROM Invoice MAXRESULTS 5")
    edited = account.ids("invoices")[0]
    assert edited not in before
    account.economy.update("invoices", edited, {"PrivateNote": "edited"})
    assert ids(get, "SELECT * FROM Invoice MAXRESULTS 5") == [edited, *before[:4]]


@pytest.mark.parametrize(
    ("query", "code", "detail"),
    [
        ("SELECT * FROM Invoice MAXRESULTS 1001", "4001", "value 1001 is too large"),
        ("SELECT * FROM Invoice STARTPOSITION 0", "4001", "value 0 is too small"),
        ("SELECT * FROM invoice", "4001", "Metadata not found for Entity: invoice"),
        ("SELECT * FROM Refund", "4001", "Metadata not found for Entity: Refund"),
        ("SELECT * FROM Invoice WHERE Foo = '1'", "4001", "Property Foo not found for Entity"),
        ("SELECT * FROM Invoice WHERE Line = '1'", "4001", "property 'Line' is not queryable"),
        ("SELECT * FROM Deposit WHERE TotalAmt > '1'", "4001", "'TotalAmt' is not queryable"),
        ("SELECT * FROM Invoice ORDERBY PrivateNote", "4001", "Property PrivateNote not found"),
        ("SELECT * FROM Invoice WHERE TxnDate > 'May'", "4001", "is not valid"),
        ("SELECT * FROM Invoice WHERE TotalAmt LIKE '1%'", "4001", "LIKE is not supported"),
        ("SELECT * FROM Invoice WHERE Id = '1' OR Id = '2'", "4000", 'Encountered " <IDENTIFIER>'),
        ("SELECT * FROM Invoice WHERE Id != '1'", "4000", "Lexical error"),
        ("SELECT * FROM Customer WHERE DisplayName = 'O'Brien'", "4000", "QueryParserError"),
        ("SELECT Id FROM Invoice", "4000", 'Encountered " <IDENTIFIER> " "Id "'),
        ("SELECT * FROM Invoice, Bill", "4000", 'Encountered ","'),
        ("SELECT * FROM Invoice MAXRESULTS 5 STARTPOSITION 2", "4000", "STARTPOSITION"),
        ("DELETE FROM Invoice", "4000", "DELETE"),
        ("", "4000", "<EOF>"),
    ],
)
def test_queries_that_the_language_does_not_allow_are_refused(
    read: Get, query: str, code: str, detail: str
) -> None:
    refusal = error(read("query", query=query))
    assert refusal["code"] == code
    assert detail in refusal["Detail"]


def test_paths_parameters_and_methods_that_do_not_exist_are_refused(
    sandbox: Sandbox, account: QuickBooksAccount, get: Get
) -> None:
    assert error(get("invoice/1", page="2"))["code"] == "2010"
    assert error(get("query", query="SELECT * FROM Term", minorversion="76"))["code"] == "2010"
    assert error(get("query"))["code"] == "2020"
    assert error(get("widget/1"))["code"] == "500"
    assert error(get("invoice"))["code"] == "500"
    assert error(get("reports/Horoscope"))["code"] == "500"
    assert error(get("reports/BalanceSheet", summarize_column_by="Mood"))["code"] == "2010"
    assert get("query", query="SELECT * FROM Term", minorversion=75, requestid="a").ok
    assert [one["status"] for one in sandbox.refused] == [400] * 7


def test_without_accepting_json_an_answer_is_xml(
    sandbox: Sandbox, account: QuickBooksAccount
) -> None:
    answered = requests.get(
        f"{sandbox.base_url}/quickbooks/v3/company/{account.id}/query", timeout=5,
        params={"query": "SELECT * FROM Customer MAXRESULTS 5"},
        headers={"Authorization": f"Bearer {account.credentials['access_token']}"},
    )  # fmt: skip
    assert answered.headers["Content-Type"].startswith("application/xml")
    space = "{http://schema.intuit.com/finance/v3}"
    response = ET.fromstring(answered.content).find(f"{space}QueryResponse")
    assert response is not None
    assert response.get("maxResults") == "5"
    names = [one.findtext(f"{space}DisplayName") for one in response]
    assert names == [one["DisplayName"] for one in account.objects("customers")[:5]]


def test_an_object_is_refetched_until_it_is_deleted(get: Get, account: QuickBooksAccount) -> None:
    entry = account.objects("journal_entries")[-1]
    found = get(f"journalentry/{entry['Id']}")
    assert json.loads(found.text, parse_float=Decimal)["JournalEntry"] == entry
    account.economy.delete("journal_entries", entry["Id"])
    gone = error(get(f"journalentry/{entry['Id']}"))
    assert (gone["code"], gone["Message"]) == ("610", "Object Not Found")
    assert entry["Id"] not in ids(get, "SELECT * FROM JournalEntry")
    company = get(f"companyinfo/{account.id}").json()["CompanyInfo"]
    assert (company["Id"], company["CompanyName"]) == ("1", "Red Room")


# Change data capture


def captured(get: Get, entities: str, since: str) -> dict[str, list[Any]]:
    answered = get("cdc", entities=entities, changedSince=since)
    assert answered.status_code == 200, answered.text
    (response,) = answered.json()["CDCResponse"]
    found: dict[str, list[Any]] = {}
    for block in response["QueryResponse"]:
        for name, value in block.items():
            if isinstance(value, list):
                assert (block["startPosition"], block["maxResults"]) == (1, len(value))
                found[name] = value
    assert len(response["QueryResponse"]) == len(entities.split(","))
    return found


def test_cdc_tells_what_changed_and_what_was_deleted(get: Get, account: QuickBooksAccount) -> None:
    every = ",".join(entity.name for entity in ENTITIES if entity.captured)
    since = account.time(account.clock.now())
    assert captured(get, every, since) == {}
    sale = account.economy.do("sell")
    voided = account.economy.do("void", "sales_receipts")
    bill = account.economy.do("remove", "purchases")
    left = account.economy.do("inactivate", "customers")
    assert sale and voided and bill and left
    found = captured(get, every, since)
    assert found.keys() == {"SalesReceipt", "Purchase", "Customer"}
    assert {one["Id"] for one in found["SalesReceipt"]} == {sale["Id"], voided["Id"]}
    (gone,) = found["Purchase"]
    assert gone.keys() == {"domain", "status", "Id", "MetaData"}
    assert (gone["status"], gone["Id"]) == ("Deleted", bill["Id"])
    (customer,) = found["Customer"]
    assert customer["Active"] is False


def test_cdc_reaches_thirty_days_back(get: Get, account: QuickBooksAccount) -> None:
    oldest = account.clock.now() - 30 * DAY
    assert captured(get, "Invoice", account.time(oldest))
    refused = error(get("cdc", entities="Invoice", changedSince=account.time(oldest - 1)))
    assert "older than" in refused["Detail"]
    assert error(get("cdc", entities="Invoice"))["code"] == "2020"
    assert error(get("cdc", entities="Invoice", changedSince="May"))["code"] == "2010"


@pytest.mark.parametrize(
    "entity", ["TaxCode", "TaxRate", "TaxAgency", "TimeActivity", "JournalCode", "Nothing"]
)
def test_cdc_refuses_entities_that_it_does_not_capture(read: Get, entity: str) -> None:
    refused = error(read("cdc", entities=f"Invoice,{entity}", changedSince="2026-09-20"))
    assert entity in refused["Detail"]


def test_cdc_answers_with_a_thousand_objects_at_most_and_does_not_say_so(
    sandbox: Sandbox,
) -> None:
    only = {"invoices": 900, "customers": 500}
    account = sandbox.quickbooks.create_account("big", months=0.5, only=only)
    with requests.Session() as session:
        get = getter(sandbox, account, session)
        found = captured(get, "Invoice,Customer,Payment", account.time(NOW - 29 * DAY))
    assert {name: len(value) for name, value in found.items()} == {"Invoice": 900, "Customer": 100}


# Limits, metering, faults, size


def test_throttling_has_the_documented_body_and_no_retry_after(
    sandbox: Sandbox, account: QuickBooksAccount, get: Get
) -> None:
    sandbox.limits.set(account.id, LIMIT)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get("companyinfo/1"), range(24)))
    refused = [one for one in answers if one.status_code == 429]
    assert 10 <= sum(one.ok for one in answers) < 24
    assert refused
    fault = refused[0].json()["Fault"]["Error"][0]
    assert "ThrottleExceeded; errorCode=003001; statusCode=429" in fault["Message"]
    assert "Retry-After" not in refused[0].headers
    assert sandbox.limited["quickbooks", account.id] == len(refused)


def test_a_minute_has_its_own_limit(sandbox: Sandbox, account: QuickBooksAccount, get: Get) -> None:
    sandbox.limits.set(account.id, Limit(per_minute=5))
    assert [get("companyinfo/1").status_code for _ in range(7)] == [200] * 5 + [429] * 2


def test_reads_are_counted_by_month_over_all_companies(
    sandbox: Sandbox, account: QuickBooksAccount, get: Get
) -> None:
    other = sandbox.quickbooks.create_account("green-room", size=5)
    sandbox.limits.set(other.id, None)
    for _ in range(3):
        get("query", query="SELECT * FROM Term")
    get("query", query="nonsense")
    with requests.Session() as session:
        getter(sandbox, other, session)("reports/BalanceSheet")
    refresh(sandbox, account.credentials["refresh_token"])
    assert dict(sandbox.quickbooks.reads) == {"2026-09": 4}
    stats = requests.get(f"{sandbox.base_url}/_sandbox/stats", timeout=5).json()
    assert stats["reads"] == {"quickbooks": {"2026-09": 4}}


def strike(sandbox: Sandbox, kind: str, **settings: Any) -> None:
    sandbox.faults.add(make_fault(kind, provider="quickbooks", path="*/query", **settings))


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("rate_limited", 429, "3001"), ("server_error", 500, "10000"), ("error_in_200", 200, "10000")],
)
def test_faults_speak_as_the_provider_does(
    sandbox: Sandbox, get: Get, kind: str, status: int, code: str
) -> None:
    strike(sandbox, kind)
    answered = get("query", query="SELECT * FROM Invoice")
    assert answered.status_code == status
    assert answered.json()["Fault"]["Error"][0]["code"] == code
    assert "QueryResponse" in get("query", query="SELECT * FROM Invoice").json()


def test_faults_of_lists_strike_queries(
    sandbox: Sandbox, get: Get, account: QuickBooksAccount
) -> None:
    query = "SELECT * FROM SalesReceipt ORDERBY Id"
    every = account.ids("sales_receipts")
    strike(sandbox, "unauthorized")
    assert get("query", query=query).status_code == 401
    strike(sandbox, "drop_row")
    assert len(ids(get, query)) == len(every) - 1
    strike(sandbox, "empty")
    assert get("query", query=query).json()["QueryResponse"] == {}
    strike(sandbox, "drop_page")
    assert ids(get, f"{query} MAXRESULTS 10") == every[10:20]
    strike(sandbox, "wrong_type")
    assert get("query", query=query).json()["QueryResponse"] is None
    strike(sandbox, "shift", count=2)
    assert ids(get, query)[: len(every)] == every
    assert len(account.ids("sales_receipts")) == len(every) + 2
    strike(sandbox, "shift", count=-3)
    assert len(ids(get, query)) == len(every) - 1


def test_a_page_of_a_thousand_among_many_rows_is_fast(sandbox: Sandbox) -> None:
    account = sandbox.quickbooks.create_account("big", only={"invoices": 30_000})
    with requests.Session() as session:
        get = getter(sandbox, account, session)
        query = "SELECT * FROM Invoice ORDERBY Id STARTPOSITION {} MAXRESULTS 1000"
        seen = [*ids(get, query.format(1))]
        times = []
        for start in (1001, 15_001, 29_001):
            began = time.perf_counter()
            page = get("query", query=query.format(start)).content
            times.append(time.perf_counter() - began)
            seen += [one["Id"] for one in json.loads(page)["QueryResponse"]["Invoice"]]
    assert len(set(seen)) == 4000
    assert min(times) < 0.1


# Control


def test_the_control_api_makes_and_changes_companies(sandbox: Sandbox) -> None:
    def control(method: str, path: str, **body: Any) -> Any:
        url = f"{sandbox.base_url}/_sandbox/quickbooks/{path}"
        answered = requests.request(method, url, json=body or None, timeout=10)
        assert answered.status_code == 200, answered.text
        return answered.json()

    made = control("POST", "accounts", slug="far", size=20, months=1, currency="JPY")
    assert made.keys() >= {"account_id", "access_token", "refresh_token", "realm_id", "expires_at"}
    told = control("GET", "accounts/far")
    assert told["streams"]["items"]["inactive"]
    assert told["streams"]["sales_receipts"]["count"] > 5
    done = control("POST", "accounts/far/mutations", count=3, kinds=["update"], step=5)
    assert [one["kind"] for one in done] == ["update"] * 3
    assert control("POST", "accounts/far/clock", advance=DAY)["now"] == NOW + 15 + DAY
    id = told["streams"]["customers"] and control("GET", "accounts/far/streams/customers")["ids"][0]
    changes = {"stream": "customers", "id": id, "changes": {"Notes": "new"}}
    assert control("POST", "accounts/far/mutations", update=changes)["Notes"] == "new"
    assert control("POST", "accounts/far/keys")["realm_id"] == made["realm_id"]
    assert control("DELETE", "accounts/far/keys") == {"revoked": 2}
    app = control("POST", "app", rotate_after=DAY)
    assert (app["client_id"], app["rotate_after"]) == (sandbox.quickbooks.tokens.client_id, DAY)
