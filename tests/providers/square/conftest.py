"""A venue whose Square account stands on some server, its syncs, and the ledger it is held to."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from integration_pipelines.providers.square import SquareCredentials
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.square import SquareAccount
from tests.connected import ConnectedVenue, connect_account

SQUARE = PROVIDERS["square"]

ConnectSquare = Callable[..., ConnectedVenue]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def connect_square(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]
) -> ConnectSquare:
    """``connect_square(api_base, token, venue_id=...)``: a venue connected to that server."""

    def connect(
        api_base: str, token: str = "EAAAany", venue_id: str = "moonlight-hall"
    ) -> ConnectedVenue:
        here = settings.model_copy(update={"square_api_base": api_base})
        credentials = SquareCredentials(access_token=SecretStr(token))
        return connect_account(here, pipeline_engine, SQUARE, credentials, venue(venue_id))

    return connect


@pytest.fixture
def connected(sandbox: Sandbox, connect_square: ConnectSquare) -> ConnectSquare:
    """``connected(account, token=...)``: a venue connected to an account of the sandbox."""

    def connect(account: SquareAccount, **options: Any) -> ConnectedVenue:
        token = options.pop("token", account.access_token)
        return connect_square(f"{sandbox.base_url}/square", token, **options)

    return connect


def truth(account: SquareAccount, stream: str) -> dict[str, Any]:
    """The ledger's objects of a stream, by the id that we give them."""
    objects = account.objects(stream)
    if stream == "payout_entries":
        return {f"{one['payout_id']}/{one['id']}": one for one in objects}
    return dict(zip(account.ids(stream), objects, strict=True))


VANISHING = ("customers", "invoices", "loyalty_accounts")
"""Streams whose deleted objects vanish without a word: only a full pass finds that out."""


def differences(
    venue: ConnectedVenue, account: SquareAccount, *, lingering: bool = False
) -> list[str]:
    """Where the raw tables and the ledger disagree; empty when they do not. With ``lingering``,
    what vanished without a word may still be here."""
    found = []
    for stream in SQUARE.stream_names:
        landed, true = venue.payloads(stream), truth(account, stream)
        excused = set(account.deleted(stream)) if lingering and stream in VANISHING else set()
        missing, excess = true.keys() - landed.keys(), landed.keys() - true.keys() - excused
        found += [f"{stream} {name} is missing" for name in missing]
        found += [f"{stream} {name} is too many" for name in excess]
        found += [
            f"{stream} {name} differs"
            for name in true.keys() & landed.keys()
            if landed[name] != true[name]
        ]
    return found
