"""Whose account it is, what opens it, single objects, and what of an account is a connection's."""

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any, get_args

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import Engine
from square.core.client_wrapper import SyncClientWrapper
from square.types.catalog_object_type import CatalogObjectType

from integration_pipelines.core.errors import AccessRevoked, ConfigurationError, MalformedResponse
from integration_pipelines.core.ingest import unconnected_client
from integration_pipelines.core.provider import Census, Client, Page, Scope, StreamPlan
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import RetryPolicy
from integration_pipelines.providers.square import SquareClient, SquareCredentials
from integration_pipelines.providers.square.client import API_VERSION
from integration_pipelines.providers.square.streams import CATALOG_TYPES, STREAMS
from provider_sandbox import Sandbox
from provider_sandbox.faults import Empty, ServerError, WrongType
from provider_sandbox.ledger import encode
from provider_sandbox.messages import Response
from provider_sandbox.square import SquareAccount
from provider_sandbox.square.endpoints import OPERATIONS
from tests.connected import ConnectedVenue
from tests.providers.square.conftest import SQUARE, ConnectSquare, truth

LISTS = ("null_data", "object_data", "no_data", "row")
"""How a list can be wrong."""


@pytest.fixture
def account(sandbox: Sandbox) -> SquareAccount:
    return sandbox.square.create_account("hall", size=60, country="JP")


@pytest.fixture
def hall(connected: ConnectSquare, account: SquareAccount) -> ConnectedVenue:
    return connected(account)


def scoped(venue: ConnectedVenue, *location_ids: str, is_primary: bool = False) -> SquareClient:
    """A client that reads these locations of the venue's account only."""
    whole = venue.client()
    assert isinstance(whole, SquareClient)
    scope = Scope(frozenset(location_ids), is_primary)
    return SquareClient(whole.transport, whole._credentials, scope, concurrency=4, livemode=True)


def read(client: Client, *plans: StreamPlan) -> list[Page]:
    pages = list(client.extract(plans))
    assert all(isinstance(page, Page) for page in pages), pages
    return [page for page in pages if isinstance(page, Page)]


def ids(pages: list[Page], stream: str) -> set[str]:
    return {
        record.id
        for page in pages
        for record in page.records
        if page.stream == stream and not record.deleted
    }


def test_the_account_is_the_merchant_with_its_locations(
    hall: ConnectedVenue, account: SquareAccount
) -> None:
    found = hall.client().identify()
    assert (found.account_id, found.currency, found.country) == (account.id, "JPY", "JP")
    assert found.name and found.livemode
    assert found.details["main_location_id"] == account.main_location
    assert {one["id"]: one["status"] for one in found.details["locations"]} == {
        one["id"]: one["status"] for one in account.objects("locations")
    }
    assert all(one["timezone"] and one["currency"] == "JPY" for one in found.details["locations"])


def test_a_wrong_answer_about_the_account_is_asked_for_again_then_an_error(
    sandbox: Sandbox, hall: ConnectedVenue
) -> None:
    variants = ("list", "null", "text")
    for path, wrong in (("/v2/merchants/me", variants), ("/v2/locations", (*variants, *LISTS))):
        for variant in wrong:
            fault = WrongType(provider="square", path=path, variant=variant)
            sandbox.faults.add(fault)
            assert impatient(hall).identify().account_id
            assert fault.struck == 1
            fault.times = None
            with pytest.raises(MalformedResponse):
                impatient(hall).identify()
            sandbox.faults.clear()


def impatient(venue: ConnectedVenue) -> Client:
    venue.retry = RetryPolicy(attempts=2, base=0.001, cap=0.01)
    return venue.client()


def unconnected(settings: Settings, engine: Engine, sandbox: Sandbox, **given: Any) -> Client:
    here = settings.model_copy(update={"square_api_base": f"{sandbox.base_url}/square"})
    credentials = SquareCredentials.model_validate(given)
    return unconnected_client(here, engine, SQUARE, credentials, "moonlight-hall")


def test_a_token_of_another_merchant_is_not_taken_for_the_one_named(
    settings: Settings, pipeline_engine: Engine, sandbox: Sandbox, account: SquareAccount
) -> None:
    given = {"access_token": account.access_token, "merchant_id": "MLOTHER"}
    with pytest.raises(ConfigurationError, match=f"{account.id}.*merchant_id"):
        unconnected(settings, pipeline_engine, sandbox, **given).identify()
    given["merchant_id"] = account.id
    client = unconnected(settings, pipeline_engine, sandbox, **given)
    assert client.identify().account_id == account.id


def test_a_refused_token_is_named_by_its_cure_and_never_shown(
    settings: Settings,
    pipeline_engine: Engine,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    client = unconnected(settings, pipeline_engine, sandbox, access_token="EAAAcanary")
    with pytest.raises(AccessRevoked, match="reconnect") as refused:
        client.identify()
    assert "canary" not in caplog.text + "".join(format_exception(refused.value))


def test_credentials_that_lack_a_token_say_which_and_where_from() -> None:
    for given in ({}, {"access_token": ""}, {"api_key": "EAAAsecret"}):
        with pytest.raises(ValidationError, match="give access_token") as wrong:
            SquareCredentials.model_validate(given)
        assert "EAAAsecret" not in str(wrong.value)
    with pytest.raises(ValidationError, match="expires_at") as wrong:
        SquareCredentials.model_validate({"access_token": "EAAAsecret", "expires_at": "soon"})
    assert "EAAAsecret" not in str(wrong.value)
    whole = SquareCredentials(access_token=SecretStr("EAAAsecret"), refresh_token=SecretStr("EQ"))
    assert "EAAAsecret" not in repr(whole) and whole.token == "EAAAsecret"


def test_every_object_comes_by_id_and_what_is_gone_says_so(
    hall: ConnectedVenue, account: SquareAccount
) -> None:
    client = hall.client()
    hall.sync()
    for stream in SQUARE.stream_names:
        held = truth(account, stream)
        wanted = list(held)[:5]
        missing = {
            "inventory_counts": "NONE:NONE:IN_STOCK",
            "payout_entries": "po_none/poe_none",
        }.get(stream, "none")
        pages = list(client.fetch(stream, [*wanted, missing]))
        records = [record for page in pages for record in page.records]
        assert Counter(record.id for record in records) == Counter([*wanted, missing]), stream
        assert {record.id for record in records if record.deleted} == {missing}
        assert all(page.touch for page in pages)
    results = hall.sync(
        streams=[], objects={name: list(truth(account, name))[:5] for name in SQUARE.stream_names}
    )
    assert not any(result.changed or result.error for result in results.values())


def test_an_object_deleted_meanwhile_is_gone_by_id(
    hall: ConnectedVenue, account: SquareAccount
) -> None:
    item, customer = account.economy.do("delete_item"), account.economy.do("delete_customer")
    assert item and customer
    for stream, object_id in (("catalog", item["id"]), ("customers", customer["id"])):
        (page,) = [page for page in hall.client().fetch(stream, [object_id]) if page.records]
        (record,) = page.records
        assert (record.id, record.deleted, record.payload) == (object_id, True, b"")


def test_a_customer_that_no_list_shows_comes_by_id(
    sandbox: Sandbox, connected: ConnectSquare
) -> None:
    account = sandbox.square.create_account("hall", size=250, now=1_790_000_000)
    venue = connected(account)
    hidden = [row.id for row in account.unlisted]
    assert hidden
    results = venue.sync(streams=["customers"], objects={"customers": hidden})
    assert results["customers"].inserted == len(hidden) + len(account.ids("customers"))
    venue.sync(streams=["customers"], full=True)
    assert set(hidden) <= venue.payloads("customers").keys()


def test_a_connection_reads_its_own_locations_alone(
    hall: ConnectedVenue, account: SquareAccount
) -> None:
    def lived_in(place: str) -> int:
        rows = (truth(account, stream.name).values() for stream in STREAMS if stream.bound)
        return sum(any(one.get("location_id") == place for one in stream) for stream in rows)

    # The two at which most happens, so that hardly a stream is empty there.
    mine = sorted(account.ids("locations"), key=lived_in)[-2:]
    filled = set()
    plans = [StreamPlan(name, None, full=True) for name in SQUARE.stream_names]
    pages = read(scoped(hall, *mine), *plans)
    payouts = {one["id"] for one in account.objects("payouts") if one["location_id"] in mine}
    for stream in STREAMS:
        expected = {
            name
            for name, one in truth(account, stream.name).items()
            if (one["id"] if stream.name == "locations" else one.get("location_id")) in mine
            or one.get("payout_id") in payouts
        }
        assert ids(pages, stream.name) == (expected if stream.bound else set()), stream.name
        filled |= {stream.name} if expected else set()
    assert len(filled) > len([stream for stream in STREAMS if stream.bound]) - 2
    assert {page.stream for page in pages if page.last} == {
        stream.name for stream in STREAMS if stream.bound
    }
    assert {page.stream for page in pages if page.cursor_at} == set(SQUARE.stream_names)


def test_nothing_of_another_connections_locations_comes_by_id(
    hall: ConnectedVenue, account: SquareAccount
) -> None:
    order = account.objects("orders")[-1]
    other = next(
        one["id"] for one in account.objects("locations") if one["id"] != order["location_id"]
    )
    assert not [p for p in scoped(hall, other).fetch("orders", [order["id"]]) if p.records]
    pages = scoped(hall, order["location_id"]).fetch("orders", [order["id"]])
    assert [record.id for page in pages for record in page.records] == [order["id"]]


def test_what_a_connection_gains_is_read_from_its_beginning(
    hall: ConnectedVenue, account: SquareAccount
) -> None:
    one, two = (place["id"] for place in account.objects("locations")[:2])
    names = [stream.name for stream in STREAMS]
    pages = read(scoped(hall, one), *(StreamPlan(name, None, full=True) for name in names))
    states = {page.stream: page.state for page in pages if page.cursor_at}
    gained = read(
        scoped(hall, one, two, is_primary=True),
        *(StreamPlan(name, states[name], full=False) for name in names),
    )
    payouts = {
        payout["id"] for payout in account.objects("payouts") if payout["location_id"] == two
    }
    for stream in STREAMS:
        held = truth(account, stream.name).items()
        if stream.bound:
            held = [
                (name, body)
                for name, body in held
                if body.get("location_id") == two or body.get("payout_id") in payouts
            ]
        assert {name for name, _ in held} <= ids(gained, stream.name), stream.name


def test_a_state_of_the_future_breaks_nothing(hall: ConnectedVenue) -> None:
    later = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    pages = read(
        hall.client(), *(StreamPlan(name, None, full=True) for name in SQUARE.stream_names)
    )
    states = {page.stream: page.state for page in pages if page.cursor_at and page.state}
    changed = ("orders", "payments", "refunds", "customers", "inventory_counts", "loyalty_events")
    again = read(
        hall.client(),
        *(StreamPlan(n, {**s, "through": later}, full=False) for n, s in states.items()),
    )
    assert {page.stream for page in again if page.cursor_at} == set(SQUARE.stream_names)
    assert not any(ids(again, stream) for stream in changed)


def test_a_census_counts_what_the_ledger_has(hall: ConnectedVenue, account: SquareAccount) -> None:
    found: dict[str, Counter[str]] = {name: Counter() for name in SQUARE.stream_names}
    periods: dict[str, str] = {}
    for piece in hall.client().census(SQUARE.stream_names, None, {}):
        assert isinstance(piece, Census), piece
        found[piece.stream].update(piece.ids)
        periods |= {f"{piece.stream} {one}": piece.period for one in piece.ids}
    for stream in SQUARE.stream_names:
        assert found[stream].keys() == truth(account, stream).keys(), stream
        for name, one in truth(account, stream).items():
            if stream != "payout_entries":
                assert periods[f"{stream} {name}"] == one.get("created_at", "all")[:7]


def test_what_the_only_list_leaves_out_is_known_by_its_events(
    sandbox: Sandbox, hall: ConnectedVenue, account: SquareAccount
) -> None:
    recent = {
        event["data"]["id"]
        for event in account.objects("events")
        if event["type"] == "dispute.created"
    }
    assert recent
    sandbox.faults.add(Empty(provider="square", path="/v2/disputes", times=None))
    counted = [id for piece in hall.client().census(["disputes"], None, {}) for id in piece.ids]
    assert set(counted) == recent
    events = Forbidden(provider="square", path="/v2/events", times=None)
    sandbox.faults.add(events)
    assert list(hall.client().census(["disputes"], None, {})) == []
    assert events.struck


class Forbidden(ServerError):
    """An application that may not read its events."""

    def before(self, provider: Any, request: Any) -> Any:
        error = {"category": "AUTHENTICATION_ERROR", "code": "INSUFFICIENT_SCOPES"}
        return Response(403, encode({"errors": [{**error, "detail": "No events."}]}))


def test_a_census_since_a_month_leaves_out_what_is_older(
    hall: ConnectedVenue, account: SquareAccount
) -> None:
    since = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    month = f"{since:%Y-%m}"
    pieces = list(hall.client().census(SQUARE.stream_names, since, {}))
    counted: dict[str, set[str]] = {name: set() for name in SQUARE.stream_names}
    for piece in pieces:
        assert isinstance(piece, Census)
        assert piece.period in (month, "all")
        counted[piece.stream].update(piece.ids)
    for stream in ("orders", "payments", "customers", "payouts", "loyalty_events", "invoices"):
        recent = {n for n, one in truth(account, stream).items() if one["created_at"] >= month}
        assert counted[stream] == recent, stream


def test_the_version_and_the_types_are_those_that_the_sdk_speaks() -> None:
    wrapper = SyncClientWrapper(base_url="", httpx_client=httpx.Client())
    assert wrapper.get_headers()["Square-Version"] == API_VERSION
    known, _ = get_args(CatalogObjectType)
    assert set(CATALOG_TYPES) == set(get_args(known))


def test_pages_are_as_large_as_is_documented() -> None:
    limits = {
        (operation.method, operation.path.replace("{payout_id}", ":id")): operation.limit
        for operation in OPERATIONS
    }
    for stream in STREAMS:
        limit = limits[stream.method, stream.path]
        documented = limit.most if limit and limit.settable else 0
        assert stream.page == documented, stream.name
