"""What holds of every provider: the same tests over each of them."""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from integration_pipelines.core.errors import AccessRevoked
from integration_pipelines.core.ingest import CensusResult, take_census, unconnected_client
from integration_pipelines.core.provider import (
    Page,
    Record,
    State,
    StreamFailed,
    StreamPlan,
    period_of,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Response, RetryPolicy, default_error
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox
from provider_sandbox.faults import make_fault
from tests.connected import ConnectedVenue
from tests.providers.accounts import KINDS, Kind

REFERENCE = Path(
    os.environ.get(
        "PROVIDER_REFERENCE", Path(__file__).parents[3] / "shared" / "provider_reference"
    )
)
OPENAPI = REFERENCE / "square" / "openapi.json"
CUTS = 40
"""Cursors from which reading is taken up again, at most; of streams that have fewer, all."""


@pytest.fixture(params=list(PROVIDERS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Fails for a provider without an account to test it on."""
    return KINDS[request.param]


@pytest.fixture
def account(kind: Kind, sandbox: Sandbox) -> Any:
    return kind.open_account(sandbox, size=40)


@pytest.fixture
def hall(
    kind: Kind,
    settings: Settings,
    pipeline_engine: Engine,
    sandbox: Sandbox,
    account: Any,
    venue: Callable[..., str],
) -> ConnectedVenue:
    return kind.connect(settings, pipeline_engine, sandbox, account, venue("hall"))


def failures(results: dict[str, Any]) -> dict[str, str]:
    return {name: result.error for name, result in results.items() if result.error}


def test_reading_twice_gives_the_same_rows(kind: Kind, hall: ConnectedVenue, account: Any) -> None:
    assert failures(hall.sync()) == {}
    first = {name: hall.payloads(name) for name in kind.provider.stream_names}
    assert not [name for name, rows in first.items() if not rows], "a stream without a row"
    again = hall.sync()
    assert failures(again) == {}
    assert not [name for name, result in again.items() if result.changed]
    assert {name: hall.payloads(name) for name in kind.provider.stream_names} == first
    assert kind.all_differences(hall, account) == []


def test_every_cursor_on_the_way_resumes_to_the_same_rows(
    kind: Kind,
    settings: Settings,
    pipeline_engine: Engine,
    sandbox: Sandbox,
    venue: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = kind.open_account(sandbox, size=5, months=1)
    hall = kind.connect(settings, pipeline_engine, sandbox, small, venue("hall"))
    monkeypatch.setattr(kind.client, "PAGE_SIZE", 5)
    handed: dict[str, dict[str, Record]] = defaultdict(dict)
    cursors: dict[str, list[tuple[State, dict[str, Record]]]] = defaultdict(list)
    for page in read(hall, dict.fromkeys(kind.provider.stream_names)):
        handed[page.stream] |= {record.id: record for record in page.records}
        if page.state is not None and not page.cursor_at:
            cursors[page.stream].append((page.state, dict(handed[page.stream])))
    assert sum(map(len, cursors.values())) > len(kind.provider.streams)
    most = max(map(len, cursors.values()))
    for cut in range(0, most, max(1, most // CUTS)):
        taken = {name: each[cut] for name, each in cursors.items() if cut < len(each)}
        resumed = {name: dict(had) for name, (_, had) in taken.items()}
        for page in read(hall, {name: state for name, (state, _) in taken.items()}):
            resumed[page.stream] |= {record.id: record for record in page.records}
        differ = [name for name, rows in resumed.items() if rows != handed[name]]
        assert differ == []


def read(venue: ConnectedVenue, states: dict[str, State | None]) -> list[Page]:
    """Pages of streams from where their cursors stand."""
    plans = [StreamPlan(name, state, full=False) for name, state in states.items()]
    pages = list(venue.client().extract(plans))
    assert not [page for page in pages if isinstance(page, StreamFailed)]
    return [page for page in pages if isinstance(page, Page)]


def test_a_cursor_from_the_future_yields_nothing_and_breaks_nothing(
    kind: Kind, hall: ConnectedVenue, account: Any
) -> None:
    hall.sync()
    there = account.clock.now()
    account.clock.set(there - 20 * 86_400)
    early = hall.sync()
    assert failures(early) == {}
    assert not [name for name, result in early.items() if result.changed]
    account.clock.set(there)
    account.economy.advance(3_600, mutations=15)
    assert failures(hall.sync()) == {}
    assert failures(hall.sync(full=True, allow_deletes=True)) == {}
    assert kind.all_differences(hall, account) == []


@pytest.mark.parametrize("size", [1, 3, 17])
def test_any_page_size_gives_the_same_rows(
    kind: Kind,
    hall: ConnectedVenue,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(kind.client, "PAGE_SIZE", size)
    assert failures(hall.sync()) == {}
    assert kind.all_differences(hall, account) == []


def test_recent_months_are_counted_day_after_day_and_older_counts_stay(
    kind: Kind, hall: ConnectedVenue, account: Any, sandbox: Sandbox
) -> None:
    hall.sync()
    asked = sandbox.requests.total()
    whole = census(hall)
    needed = sandbox.requests.total() - asked
    known = counted(hall)
    since = datetime.fromtimestamp(account.clock.now(), UTC) - timedelta(days=35)
    assert min(period for _, period in known) < period_of(since)
    # Where every read is metered, a part would cost as much.
    asked_about = "" if kind.provider.metering else period_of(since)
    for _ in range(2):
        asked = sandbox.requests.total()
        recent = census(hall, since=since)
        assert sandbox.requests.total() - asked <= needed
        assert min(p.period for each in recent.found.values() for p in each) >= asked_about
        assert counted(hall) == known
    assert whole.missing == recent.missing == {}


def census(venue: ConnectedVenue, since: datetime | None = None) -> CensusResult:
    """What exists in its account; every stream could be counted."""
    taken = take_census(
        venue.engine,
        provider=venue.provider,
        connection=venue.connection,
        client=venue.client(),
        since=since,
    )
    assert taken.failed == {}
    return taken


def counted(venue: ConnectedVenue) -> dict[tuple[str, str], int]:
    """What was counted last, by stream and period."""
    rows = venue.rows("SELECT stream, period, expected FROM control.completeness")
    return {(row.stream, row.period): row.expected for row in rows}


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ({"kind": "rate_limited"}, {"rate_limited"}),
        ({"kind": "server_error"}, {"transient"}),
        ({"kind": "unauthorized"}, {"access_revoked"}),
        ({"kind": "html"}, {"malformed"}),
        ({"kind": "truncated"}, {"malformed", "transient"}),
        ({"kind": "cut"}, {"malformed", "transient"}),
        ({"kind": "reset"}, {"transient"}),
        ({"kind": "wrong_type"}, {"malformed"}),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else "",
)
def test_an_answer_that_is_none_is_an_error_by_name_and_never_an_empty_page(
    kind: Kind,
    hall: ConnectedVenue,
    sandbox: Sandbox,
    account: Any,
    fault: dict[str, Any],
    kinds: set[str],
) -> None:
    hall.retry = RetryPolicy(attempts=1)
    sandbox.faults.add(make_fault(**fault, provider=kind.name, times=None))
    name = kind.provider.stream_names[0]
    result = hall.sync(streams=[name])[name]
    assert result.error_kind in kinds
    assert hall.payloads(name) == {}
    assert hall.rows("SELECT state FROM control.sync_cursors") == []


def stripe(type: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"type": type, "code": code, "message": "words"}}


def square(category: str, code: str) -> dict[str, Any]:
    return {"errors": [{"category": category, "code": code, "detail": "words"}]}


def mailchimp(title: str, status: int) -> dict[str, Any]:
    return {"type": "https://mailchimp.com/…", "title": title, "status": status, "detail": "words"}


def quickbooks(code: str, type: str = "ValidationFault") -> dict[str, Any]:
    return {"Fault": {"Error": [{"Message": "words", "code": code}], "type": type}}


DOCUMENTED = {
    "stripe": [
        (400, stripe("invalid_request_error", "parameter_unknown"), "refused"),
        (401, stripe("invalid_request_error"), "access_revoked"),
        (401, stripe("invalid_request_error", "api_key_expired"), "access_revoked"),
        (402, stripe("card_error", "card_declined"), "refused"),
        (403, stripe("invalid_request_error", "account_invalid"), "access_revoked"),
        (403, stripe("invalid_request_error"), "refused"),
        (404, stripe("invalid_request_error", "resource_missing"), "not_found"),
        (409, stripe("idempotency_error"), "transient"),
        (429, stripe("invalid_request_error", "rate_limit"), "rate_limited"),
        (429, stripe("invalid_request_error", "lock_timeout"), "rate_limited"),
        *((status, stripe("api_error"), "transient") for status in (500, 502, 503, 504)),
    ],
    "square": [
        (400, square("INVALID_REQUEST_ERROR", "INVALID_CURSOR"), "refused"),
        (400, square("INVALID_REQUEST_ERROR", "VALUE_TOO_LONG"), "refused"),
        (401, square("AUTHENTICATION_ERROR", "UNAUTHORIZED"), "access_revoked"),
        (401, square("AUTHENTICATION_ERROR", "ACCESS_TOKEN_EXPIRED"), "access_revoked"),
        (401, square("AUTHENTICATION_ERROR", "ACCESS_TOKEN_REVOKED"), "access_revoked"),
        (403, square("AUTHENTICATION_ERROR", "CLIENT_DISABLED"), "access_revoked"),
        (403, square("AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES"), "refused"),
        (404, square("INVALID_REQUEST_ERROR", "NOT_FOUND"), "not_found"),
        (429, square("RATE_LIMIT_ERROR", "RATE_LIMITED"), "rate_limited"),
        (500, square("API_ERROR", "INTERNAL_SERVER_ERROR"), "transient"),
        (503, square("API_ERROR", "SERVICE_UNAVAILABLE"), "transient"),
        (504, square("API_ERROR", "GATEWAY_TIMEOUT"), "transient"),
    ],
    "mailchimp": [
        (400, mailchimp("BadRequest", 400), "refused"),
        (400, mailchimp("Invalid Resource", 400), "refused"),
        (401, mailchimp("API Key Missing", 401), "access_revoked"),
        (401, mailchimp("API Key Invalid", 401), "access_revoked"),
        (403, mailchimp("Forbidden", 403), "refused"),
        (403, mailchimp("User Disabled", 403), "access_revoked"),
        (403, mailchimp("Wrong Datacenter", 403), "access_revoked"),
        (403, mailchimp("WrongDatacenter", 403), "access_revoked"),
        (403, "<HTML><TITLE>Access Denied</TITLE></HTML>", "rate_limited"),
        (404, mailchimp("Resource Not Found", 404), "not_found"),
        (405, mailchimp("Method Not Allowed", 405), "refused"),
        (429, mailchimp("Too Many Requests", 429), "rate_limited"),
        (500, mailchimp("Internal Server Error", 500), "transient"),
        (503, mailchimp("Compliance Related", 503), "transient"),
    ],
    "quickbooks": [
        (400, quickbooks("4000"), "refused"),
        (400, quickbooks("610"), "not_found"),
        (400, quickbooks("5010"), "refused"),
        (400, quickbooks("6190"), "access_revoked"),
        (403, quickbooks("6190"), "access_revoked"),
        (200, quickbooks("6190"), "access_revoked"),
        (401, quickbooks("3200", "AUTHENTICATION"), "access_revoked"),
        (403, quickbooks("3100", "AuthorizationFault"), "access_revoked"),
        (403, quickbooks("3001", "SERVICE"), "rate_limited"),
        (429, quickbooks("003001", "THROTTLING"), "rate_limited"),
        (500, quickbooks("10000", "SystemFault"), "transient"),
        (503, {"fault": {"error": [{"message": "words"}], "type": "SERVICE"}}, "transient"),
        (200, quickbooks("4000"), "refused"),
        (200, quickbooks("", "SystemFault"), "transient"),
        (200, quickbooks("3200", "AUTHENTICATION"), "access_revoked"),
        (504, "<html>gateway</html>", "transient"),
    ],
}


@pytest.mark.parametrize(
    ("name", "status", "body", "expected"),
    [(name, *case) for name, cases in DOCUMENTED.items() for case in cases],
)
def test_every_documented_error_is_classified(
    name: str, status: int, body: dict[str, Any] | str, expected: str
) -> None:
    assert PROVIDERS.keys() == DOCUMENTED.keys()
    encoded = (body if isinstance(body, str) else json.dumps(body)).encode()
    response = Response(status, {}, encoded, datetime.now(UTC), name, "GET /things")
    error = KINDS[name].client.classify(response) or default_error(response)
    assert error is not None
    assert error.kind == expected
    assert isinstance(body, str) or "words" in str(error)


STATUS = {"API_ERROR": 500, "AUTHENTICATION_ERROR": 401, "RATE_LIMIT_ERROR": 429}
"""Of Square's categories of errors; of the others it is 400."""
OF_CATEGORY = {
    "API_ERROR": "transient",
    "AUTHENTICATION_ERROR": "access_revoked",
    "RATE_LIMIT_ERROR": "rate_limited",
}


@pytest.mark.skipif(not OPENAPI.is_file(), reason=f"Square's specification is not at {OPENAPI}")
def test_every_error_code_that_square_publishes_is_classified() -> None:
    published = json.loads(OPENAPI.read_text())["components"]["schemas"]["ErrorCode"]
    elements = published["x-enum-elements"]
    assert {each["name"] for each in elements} == set(published["enum"])
    assert len(elements) > 100
    for each in elements:
        code, category = each["name"], each["error-category"]
        status = STATUS.get(category, 404 if code == "NOT_FOUND" else 400)
        expected = OF_CATEGORY.get(category, "not_found" if code == "NOT_FOUND" else "refused")
        body = json.dumps(square(category, code)).encode()
        response = Response(status, {}, body, datetime.now(UTC), "square", "GET /things")
        error = KINDS["square"].client.classify(response)
        assert error is not None
        assert (error.kind, error.code) == (expected, code)
        assert "words" in str(error)


def test_what_only_a_new_connection_cures_says_what_it_takes() -> None:
    for name, body, cure in (
        ("mailchimp", mailchimp("Wrong Datacenter", 403), "moved to another data centre"),
        ("mailchimp", mailchimp("User Disabled", 403), "once Mailchimp has enabled it again"),
        ("quickbooks", quickbooks("6190"), "once its QuickBooks subscription is paid for again"),
    ):
        encoded = json.dumps(body).encode()
        response = Response(403, {}, encoded, datetime.now(UTC), name, "GET /things")
        error = KINDS[name].client.classify(response)
        assert isinstance(error, AccessRevoked)
        assert "reconnect the account" in str(error)
        assert cure in str(error)


@pytest.mark.parametrize(
    ("name", "sandboxed", "base"),
    [
        ("square", False, "https://connect.squareup.com"),
        ("square", True, "https://connect.squareupsandbox.com"),
        ("quickbooks", False, "https://quickbooks.api.intuit.com"),
        ("quickbooks", True, "https://sandbox-quickbooks.api.intuit.com"),
    ],
)
def test_a_setting_chooses_between_the_provider_and_its_own_sandbox(
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    name: str,
    sandboxed: bool,
    base: str,
) -> None:
    provider = PROVIDERS[name]
    given = {"access_token": "held", "refresh_token": "held", "realm_id": "9341"}
    wanted = {each: given[each] for each in KINDS[name].secrets}
    client: Any = unconnected_client(
        settings.model_copy(update={f"{name}_sandbox": sandboxed}),
        pipeline_engine,
        provider,
        provider.credentials.model_validate(wanted),
        venue("hall"),
    )
    assert client.transport.base_url == base
