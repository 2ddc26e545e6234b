"""A venue whose QuickBooks company stands on some server, and its syncs."""

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import Engine

from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from integration_pipelines.providers.quickbooks import QuickBooksCredentials
from integration_pipelines.providers.quickbooks.client import next_month
from integration_pipelines.providers.quickbooks.extract import months_between
from integration_pipelines.providers.quickbooks.streams import BASES, STREAMS
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.messages import Request
from provider_sandbox.quickbooks import QuickBooksAccount, reports
from tests.connected import ConnectedVenue, connect_account
from tests.faults.moments import Meanwhile

QUICKBOOKS = PROVIDERS["quickbooks"]
ENTITIES = tuple(stream.name for stream in STREAMS if not stream.is_report)
REPORTS = {stream.name: stream.entity for stream in STREAMS if stream.is_report}

ConnectQuickBooks = Callable[..., ConnectedVenue]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def connect_quickbooks(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str], sandbox: Sandbox
) -> ConnectQuickBooks:
    """``connect_quickbooks(credentials, venue_id=...)``: a venue connected to the sandbox."""

    def connect(credentials: dict[str, Any], venue_id: str = "moonlight-hall") -> ConnectedVenue:
        base = f"{sandbox.base_url}/quickbooks"
        here = settings.model_copy(
            update={"quickbooks_api_base": base, "quickbooks_oauth_base": base}
        )
        given = QuickBooksCredentials.model_validate(credentials)
        return connect_account(here, pipeline_engine, QUICKBOOKS, given, venue(venue_id))

    return connect


def open_account(sandbox: Sandbox, slug: str = "hall", **options: Any) -> QuickBooksAccount:
    """A company whose time is its own, told in the Date header, and whose tokens last."""
    account = sandbox.quickbooks.create_account(slug, now=1_790_000_000, **options)
    account.clock.told = True
    token = account.credentials["access_token"]
    grant = sandbox.quickbooks.tokens.of(token)
    assert grant is not None
    grant.access_tokens[token] = 2**40
    return account


def differences(
    venue: ConnectedVenue, account: QuickBooksAccount, *streams: str, lingering: bool = False
) -> list[str]:
    """Where the raw tables and the ledger disagree; empty when they do not. With ``lingering``
    apart from what QuickBooks changes in silence, which a full pass brings."""
    silent = {(change.stream, change.id) for change in account.silent_changes}
    silent |= {("time_activities", id) for id in account.deleted("time_activities")}
    found = []
    for stream in streams or ENTITIES:
        landed = venue.payloads(stream)
        truth = {
            name: json.loads(json.dumps(body, default=float))
            for name, body in zip(account.ids(stream), account.objects(stream), strict=True)
        }
        if lingering:
            for name in {name for of, name in silent if of == stream}:
                landed.pop(name, None)
                truth.pop(name, None)
        found += [f"{stream} {name} is missing" for name in truth.keys() - landed.keys()]
        found += [f"{stream} {name} is too many" for name in landed.keys() - truth.keys()]
        found += [
            f"{stream} {name} differs: {_fields(landed[name], truth[name])}"
            for name in truth.keys() & landed.keys()
            if landed[name] != truth[name]
        ]
    return found


def report_differences(
    venue: ConnectedVenue, account: QuickBooksAccount, *, months: int | None = None
) -> list[str]:
    """Where the landed reports and the books disagree; of the last ``months``, or of all."""
    today = date.fromisoformat(account.date(account.clock.now()))
    started = date.fromisoformat(account.objects("company_info")[0]["CompanyStartDate"])
    posted = (date.fromisoformat(entry.date) for entry in account.books.basis("Accrual"))
    opened = min([started, *posted])
    found = []
    for stream, name in REPORTS.items():
        landed = venue.payloads(stream)
        truth = {}
        for month in list(months_between(opened, today))[-(months or 0) :]:
            for basis in BASES:
                asked = {
                    "start_date": month.isoformat(),
                    "end_date": (next_month(month) - timedelta(days=1)).isoformat(),
                    "accounting_method": basis,
                }
                body = reports.report(account, name, asked, "")
                del body["Header"]["Time"]
                truth[f"{basis}/{month:%Y-%m}"] = body
        if months is None and landed.keys() != truth.keys():
            found.append(f"{stream}: {sorted(landed.keys() ^ truth.keys())}")
        found += [f"{stream} {id} differs" for id, body in truth.items() if landed.get(id) != body]
    return found


def failures(results: dict[str, Any]) -> dict[str, str]:
    """What went wrong, by stream."""
    return {name: result.error_kind for name, result in results.items() if result.error_kind}


def asked_for(sandbox: Sandbox) -> list[str]:
    """Grows by each request from now on: its query, or its path where it has none."""
    asked: list[str] = []

    def note(request: Request) -> None:
        given = dict(parse_qsl(request.query))
        asked.append(given.get("query", request.path))

    sandbox.faults.add(Meanwhile(provider="quickbooks", times=None, happens=note))
    return asked


def _fields(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
