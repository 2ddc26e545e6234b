"""Completeness: what is missing is found by name, asked for by id, and comes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError, MalformedResponse
from integration_pipelines.core.ingest import CensusResult, take_census
from integration_pipelines.core.ingest.batch import (
    BatchItem,
    claim_requests,
    run_batch,
    sync_item,
)
from integration_pipelines.core.tables import completeness, raw_table, sync_logs, sync_queue
from provider_sandbox import Sandbox
from provider_sandbox.faults import DropPage, WrongType
from tests.connected import ConnectedVenue
from tests.providers.stripe.conftest import ConnectStripe
from tests.stripe_ledger import LEDGER, connected, differences, open_account


@pytest.fixture
def hall(sandbox: Sandbox, connect_stripe: ConnectStripe) -> ConnectedVenue:
    return connected(sandbox, connect_stripe, open_account(sandbox, size=120, seed=3))


def census(hall: ConnectedVenue, **options: Any) -> CensusResult:
    return take_census(
        hall.engine,
        provider=hall.provider,
        connection=hall.connection,
        client=hall.client(),
        **options,
    )


def backfill(hall: ConnectedVenue) -> list[tuple[str, str, str, int, int]]:
    """Run what was asked for: stream, mode, outcome, inserted and updated of each."""
    with hall.engine.begin() as session:
        batch_id = claim_requests(session, limit=10)
    assert batch_id is not None

    def sync_one(item: BatchItem) -> Any:
        return sync_item(
            hall.engine, item, provider=hall.provider, open_client=lambda _: hall.client()
        )

    return [
        (result.stream, result.mode, result.outcome, result.inserted, result.updated)
        for results in run_batch(hall.engine, batch_id=batch_id, sync_one=sync_one, concurrency=1)
        for result in results
    ]


def known_missing(hall: ConnectedVenue) -> dict[tuple[str, str], list[str]]:
    with hall.engine.connect() as session:
        rows = session.execute(select(completeness).where(completeness.c.missing_ids != []))
        return {(row.stream, row.period): row.missing_ids for row in rows}


def test_deleted_rows_and_a_dropped_page_are_named_asked_for_and_come_back(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, size=120, seed=3)
    hall = connected(sandbox, connect_stripe, account)
    sandbox.faults.add(DropPage(path="/v1/charges", times=1))
    hall.sync()
    sandbox.faults.clear()
    lost = {charge["id"] for charge in account.objects("charges")} - set(hall.payloads("charges"))
    assert lost
    customers = raw_table("stripe", "customers")
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        spoiled = sorted(session.scalars(select(customers.c.id).limit(3)))
        session.execute(delete(customers).where(customers.c.id.in_(spoiled[:2])))
        session.execute(
            update(customers)
            .where(customers.c.id == spoiled[2])
            .values(deleted_at=datetime.now(UTC), deleted_by="full_pass")
        )

    counted = census(hall)

    assert counted.failed == {}
    assert sorted(counted.missing["customers"]) == spoiled
    assert sorted(counted.missing["charges"]) == sorted(lost)
    assert set(counted.missing) == {"customers", "charges"}
    assert counted.requested
    assert {stream for stream, _ in known_missing(hall)} == {"customers", "charges"}
    for stream, periods in counted.found.items():
        assert sum(period.expected for period in periods) == len(account.objects(LEDGER[stream]))

    assert sorted(backfill(hall)) == [
        ("charges", "refetch", "succeeded", len(lost), 0),
        ("customers", "refetch", "succeeded", 2, 1),
    ]
    assert known_missing(hall) == {}
    assert differences(hall, account) == []
    again = census(hall)
    assert again.missing == {}
    assert not again.requested


def test_what_is_new_since_the_last_sync_is_not_missing(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, size=60, seed=4)
    hall = connected(sandbox, connect_stripe, account)
    hall.sync()
    account.economy.advance(3_600, mutations=40)
    counted = census(hall)
    assert counted.missing == {}
    assert not [each for each in differences(hall, account) if each.endswith("is missing")]


def test_streams_never_loaded_are_not_counted(hall: ConnectedVenue) -> None:
    hall.sync(streams=["customers"])
    assert set(census(hall).found) == {"customers"}


def test_a_window_is_counted_from_its_month_on_and_the_rest_stays_known(
    hall: ConnectedVenue,
) -> None:
    hall.sync()
    everything = {
        (name, found.period): found.expected
        for name, periods in census(hall).found.items()
        for found in periods
    }
    months = sorted({period for _, period in everything})
    assert len(months) > 2
    newest = datetime.strptime(months[-1], "%Y-%m").replace(day=15, tzinfo=UTC)
    recent = census(hall, since=newest)
    assert {
        (name, found.period): found.expected
        for name, periods in recent.found.items()
        for found in periods
    } == {key: count for key, count in everything.items() if key[1] == months[-1]}
    with hall.engine.connect() as session:
        kept = session.execute(
            select(completeness.c.stream, completeness.c.period, completeness.c.expected)
        ).all()
    assert {(row.stream, row.period): row.expected for row in kept} == everything


def test_an_object_that_is_gone_when_it_is_asked_for_is_forgotten(hall: ConnectedVenue) -> None:
    hall.sync()
    census(hall)
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        session.execute(
            update(completeness)
            .where(completeness.c.stream == "customers")
            .values(missing_ids=["cus_gone"])
        )
    assert known_missing(hall)
    hall.sync(streams=[], objects={"customers": ["cus_gone"]})
    assert known_missing(hall) == {}


def test_many_missing_objects_are_asked_for_by_a_full_pass_and_once_only(
    hall: ConnectedVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integration_pipelines.core.ingest.census.REFETCHED_AT_MOST", 5)
    hall.sync()
    charges = raw_table("stripe", "charges")
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        session.execute(delete(charges))
    assert census(hall).requested
    assert census(hall).requested
    with hall.engine.connect() as session:
        [asked] = session.execute(select(sync_queue)).all()
    assert (asked.streams, asked.full_pass, asked.objects) == (["charges"], True, None)
    backfill(hall)
    assert known_missing(hall) == {}


def test_a_stream_that_cannot_be_counted_fails_alone(
    sandbox: Sandbox, hall: ConnectedVenue
) -> None:
    hall.sync()
    sandbox.faults.add(WrongType(path="/v1/payouts", times=None))
    counted = census(hall)
    assert set(counted.failed) == {"payouts"}
    assert isinstance(counted.failed["payouts"], MalformedResponse)
    assert "customers" in counted.found


def test_objects_are_refetched_beside_a_sync(
    sandbox: Sandbox, connect_stripe: ConnectStripe
) -> None:
    account = open_account(sandbox, size=30, seed=5)
    hall = connected(sandbox, connect_stripe, account)
    hall.sync()
    charge = next(iter(hall.payloads("charges")))
    results = hall.sync(streams=["charges", "payouts"], objects={"charges": [charge]})
    assert {name: result.mode for name, result in results.items()} == {
        "charges": "incremental",
        "payouts": "incremental",
    }
    alone = hall.sync(streams=[], objects={"charges": [charge, charge]})["charges"]
    assert (alone.mode, alone.outcome, alone.fetched, alone.unchanged) == (
        "refetch",
        "succeeded",
        1,
        1,
    )
    with hall.engine.connect() as session:
        modes = session.scalars(select(sync_logs.c.mode).where(sync_logs.c.mode == "refetch"))
        assert list(modes) == ["refetch"]
    with pytest.raises(ConfigurationError, match="no stream chargers"):
        hall.sync(streams=[], objects={"chargers": ["a"]})
