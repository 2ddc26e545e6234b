"""One account over several venues: each location's rows in one place, the rest in one other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from integration_pipelines.core.credentials import (
    Vault,
    disconnect,
    open_connections,
    save_connection,
)
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.ingest import claim, unconnected_client
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers.square import SquareCredentials
from integration_pipelines.providers.square.streams import BY_NAME
from provider_sandbox import Sandbox
from provider_sandbox.square import SquareAccount
from tests.connected import ConnectedVenue
from tests.providers.square.conftest import SQUARE, truth

Claim = Callable[..., ConnectedVenue]

BOUND = [name for name, stream in BY_NAME.items() if stream.bound]
"""Streams whose rows are at a location."""


@pytest.fixture
def account(sandbox: Sandbox) -> SquareAccount:
    account = sandbox.square.create_account(
        "group", size=80, locations=3, inactive=1, now=1_790_000_000
    )
    account.clock.told = True
    return account


@pytest.fixture
def claimed(
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    sandbox: Sandbox,
    account: SquareAccount,
) -> Claim:
    """``claimed(venue_id, *locations, primary=False)``: a venue connected to a part of it."""
    here = settings.model_copy(update={"square_api_base": f"{sandbox.base_url}/square"})
    vault = Vault(here)
    known: set[str] = set()

    def connect(venue_id: str, *locations: str, primary: bool = False) -> ConnectedVenue:
        if venue_id not in known:
            known.add(venue(venue_id))
        credentials = SquareCredentials(access_token=SecretStr(account.access_token))
        told = unconnected_client(here, pipeline_engine, SQUARE, credentials, venue_id).identify()
        with pipeline_engine.begin() as session:
            venue_scope(session, venue_id)
            saved = save_connection(
                session,
                vault,
                venue_id=venue_id,
                provider="square",
                account=told,
                credentials=credentials,
            )
            owner = claim(session, SQUARE, saved, told, location_ids=locations, primary=primary)
        return ConnectedVenue(here, pipeline_engine, vault, SQUARE, owner)

    return connect


def landed(*venues: ConnectedVenue) -> dict[str, list[dict[str, Any]]]:
    return {name: [venue.payloads(name) for venue in venues] for name in SQUARE.stream_names}


def differences(account: SquareAccount, *venues: ConnectedVenue) -> list[str]:
    """Where the venues together do not hold the whole account, each row once and in its place."""
    found = []
    for name, parts in landed(*venues).items():
        whole = truth(account, name)
        if sum(len(part) for part in parts) != len(whole):
            found.append(f"{name}: {[len(part) for part in parts]} of {len(whole)}")
        if {id: row for part in parts for id, row in part.items()} != whole:
            found.append(f"{name} differs")
        for venue, part in zip(venues, parts, strict=True):
            ours = venue.connection.location_ids
            if name not in BOUND and part and not venue.connection.is_primary:
                found.append(f"{name} is at {venue.connection.venue_id}")
            for row in part.values():
                place = row.get("location_id")
                if name in BOUND and ours is not None and place is not None and place not in ours:
                    found.append(f"{name} of {place} is at {venue.connection.venue_id}")
    return found


def again(venue: ConnectedVenue) -> ConnectedVenue:
    """The venue as it stands in the database now."""
    with venue.engine.connect() as session:
        venue_scope(session, venue.connection.venue_id)
        (found,) = open_connections(session, venue_ids=[venue.connection.venue_id])
    venue.connection = found
    return venue


def outcomes(results: dict[str, Any]) -> set[str]:
    return {result.outcome for result in results.values()}


def test_each_locations_rows_go_to_its_venue_and_the_rest_to_the_primary_one(
    claimed: Claim, account: SquareAccount
) -> None:
    one, two, three = account.ids("locations")
    hall, bar = claimed("hall", one), claimed("bar", two, three)
    assert (hall.connection.is_primary, bar.connection.is_primary) == (True, False)
    for venue in (hall, bar):
        assert outcomes(venue.sync()) == {"succeeded"}
    assert differences(account, hall, bar) == []
    account.economy.advance(3_600, mutations=25)
    for venue in (hall, bar):
        venue.sync()
        venue.sync(full=True, allow_deletes=True)
    assert differences(account, hall, bar) == []


def test_an_account_is_divided_afterwards_and_nothing_stays_behind(
    claimed: Claim, account: SquareAccount
) -> None:
    one, two, three = account.ids("locations")
    hall = claimed("hall")
    hall.sync()
    with pytest.raises(ConfigurationError, match="is hall's as a whole: connect that venue again"):
        claimed("bar", two)
    hall = claimed("hall", one, three)
    with pytest.raises(ConfigurationError, match=f"location {three} is hall's"):
        claimed("bar", two, three)
    with pytest.raises(ConfigurationError, match="shared with hall: name each --location of bar"):
        claimed("bar")
    bar = claimed("bar", two)
    assert outcomes(hall.sync()) | outcomes(bar.sync()) == {"succeeded"}
    assert differences(account, hall, bar) == []


def test_what_belongs_to_no_location_moves_with_the_primary_venue(
    claimed: Claim, account: SquareAccount
) -> None:
    one, two, three = account.ids("locations")
    hall, bar = claimed("hall", one), claimed("bar", two, three)
    hall.sync()
    bar.sync()
    bar = claimed("bar", two, three, primary=True)
    stale = hall.sync()
    assert outcomes(stale) == {"skipped"}
    assert "has been changed meanwhile" in str(stale["orders"].error)
    assert not again(hall).connection.is_primary
    assert outcomes(hall.sync()) | outcomes(bar.sync()) == {"succeeded"}
    assert differences(account, hall, bar) == []


def test_a_venue_that_leaves_gives_its_locations_free(
    claimed: Claim, account: SquareAccount, pipeline_engine: Engine
) -> None:
    one, two, three = account.ids("locations")
    hall, bar = claimed("hall", one), claimed("bar", two)
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        disconnect(session, hall.connection)
    bar = claimed("bar", one, two, three)
    assert bar.connection.is_primary
    bar.sync()
    assert differences(account, bar) == []


def test_an_unknown_location_is_named_beside_those_there_are(
    claimed: Claim, account: SquareAccount
) -> None:
    with pytest.raises(ConfigurationError, match="has no location L1: it has") as refused:
        claimed("hall", "L1")
    assert all(place in str(refused.value) for place in account.ids("locations"))


def test_an_account_that_is_divided_while_it_is_synced_is_put_right_by_the_next_syncs(
    claimed: Claim, account: SquareAccount, sandbox: Sandbox
) -> None:
    one, two, three = account.ids("locations")
    hall = claimed("hall")
    sandbox.latency = 0.03
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(hall.sync)
        while not hall.payloads("customers"):
            assert not under_way.done()
        hall, bar = claimed("hall", one), claimed("bar", two, three)
        assert outcomes(under_way.result()) == {"succeeded"}
    sandbox.latency = 0
    assert differences(account, hall, bar)
    assert outcomes(hall.sync()) | outcomes(bar.sync()) == {"succeeded"}
    assert differences(account, hall, bar) == []
