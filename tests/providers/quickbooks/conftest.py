"""A venue whose QuickBooks company stands on some server, and its syncs."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from integration_pipelines.providers.quickbooks import QuickBooksCredentials
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.quickbooks import QuickBooksAccount
from tests.connected import ConnectedVenue, connect_account

QUICKBOOKS = PROVIDERS["quickbooks"]
ENTITIES = tuple(stream.name for stream in QUICKBOOKS.streams if not stream.is_report)  # type: ignore[attr-defined]

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
    return account


def differences(venue: ConnectedVenue, account: QuickBooksAccount, *streams: str) -> list[str]:
    """Where the raw tables and the ledger disagree; empty when they do not."""
    found = []
    for stream in streams or ENTITIES:
        landed = venue.payloads(stream)
        truth = {
            name: json.loads(json.dumps(body, default=float))
            for name, body in zip(account.ids(stream), account.objects(stream), strict=True)
        }
        found += [f"{stream} {name} is missing" for name in truth.keys() - landed.keys()]
        found += [f"{stream} {name} is too many" for name in landed.keys() - truth.keys()]
        found += [
            f"{stream} {name} differs: {_fields(landed[name], truth[name])}"
            for name in truth.keys() & landed.keys()
            if landed[name] != truth[name]
        ]
    return found


def _fields(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
