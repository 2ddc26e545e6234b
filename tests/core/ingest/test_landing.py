"""Landing: what is written, what is left alone, and which version wins."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.ingest.landing import Target, land, mark_vanished
from integration_pipelines.core.provider import Page, Record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = Target("hall", "acct_1", "stripe", "customers")


@pytest.fixture
def session(pipeline_engine: Engine, venue: Any) -> Iterator[Connection]:
    venue("hall")
    with pipeline_engine.connect() as connection, connection.begin():
        venue_scope(connection, "hall")
        yield connection


def cursor_of(session: Connection) -> psycopg.Cursor[Any]:
    return session.connection.driver_connection.cursor()


def page(*records: Record, minutes: int = 0, touch: bool = False) -> Page:
    return Page("customers", records, NOON + timedelta(minutes=minutes), touch=touch)


def put(session: Connection, *pages: Page, empty: bool = False) -> tuple[int, int, int, int]:
    landed = land(cursor_of(session), TARGET, pages=pages, target_is_empty=empty)
    return landed.inserted, landed.updated, landed.unchanged, landed.deleted


def held(session: Connection, record_id: str = "a") -> Any:
    return session.execute(
        text("SELECT *, xmin::text AS row_version FROM raw_stripe.customers WHERE id = :id"),
        {"id": record_id},
    ).one()


def test_new_rows_are_inserted_with_their_payload_as_received(session: Connection) -> None:
    body = rb'{"id":"a","name":"Caf\u00e9 \"Zum\\Eck\"","amount":12.10,"big":123456789012345678901}'
    assert put(session, page(Record("a", body))) == (1, 0, 0, 0)
    stored = session.scalar(text("SELECT payload::text FROM raw_stripe.customers"))
    assert '"amount": 12.10' in stored
    assert "123456789012345678901" in stored
    assert held(session).payload["name"] == 'Café "Zum\\Eck"'


def test_an_unchanged_row_is_not_written(session: Connection) -> None:
    put(session, page(Record("a", b'{"id":"a"}')))
    session.execute(text("SAVEPOINT later"))
    before = held(session)
    assert put(session, page(Record("a", b'{"id":"a"}'), minutes=5)) == (0, 0, 1, 0)
    assert held(session) == before


def test_an_unchanged_row_seen_by_an_event_takes_the_later_time_of_observation(
    session: Connection,
) -> None:
    put(session, page(Record("a", b'{"id":"a"}')))
    assert put(session, page(Record("a", b'{"id":"a"}'), minutes=5, touch=True)) == (0, 0, 1, 0)
    assert held(session).observed_at == NOON + timedelta(minutes=5)
    assert held(session).last_changed_at == held(session).first_seen_at


def test_a_later_read_wins_and_an_earlier_one_that_arrives_late_does_not(
    session: Connection,
) -> None:
    put(session, page(Record("a", b'{"v":2}'), minutes=2))
    assert put(session, page(Record("a", b'{"v":1}'), minutes=1)) == (0, 0, 1, 0)
    assert held(session).payload == {"v": 2}
    assert put(session, page(Record("a", b'{"v":3}'), minutes=3)) == (0, 1, 0, 0)
    assert held(session).payload == {"v": 3}


def test_the_providers_version_decides_over_the_time_of_reading(session: Connection) -> None:
    put(session, page(Record("a", b'{"v":7}', version=7), minutes=1))
    put(session, page(Record("a", b'{"v":6}', version=6), minutes=9))
    assert held(session).payload == {"v": 7}


def test_duplicates_within_one_checkpoint_land_once_as_the_latest(session: Connection) -> None:
    pages = [
        page(Record("a", b'{"v":2}'), Record("b", b"{}"), minutes=2),
        page(Record("a", b'{"v":1}'), minutes=1),
    ]
    assert put(session, *pages, empty=True) == (2, 0, 0, 0)
    assert held(session).payload == {"v": 2}


def test_an_explicit_delete_is_final_even_before_the_create(session: Connection) -> None:
    assert put(session, page(Record("a", b'{"id":"a"}', deleted=True))) == (0, 0, 0, 1)
    assert put(session, page(Record("a", b'{"id":"a","late":1}'), minutes=5)) == (0, 0, 1, 0)
    row = held(session)
    assert row.deleted_at is not None
    assert row.deleted_by == "provider"
    assert row.payload == {"id": "a"}


def test_a_delete_keeps_the_last_payload(session: Connection) -> None:
    put(session, page(Record("a", b'{"name":"last"}')))
    assert put(session, page(Record("a", b"", deleted=True), minutes=1)) == (0, 0, 0, 1)
    assert held(session).payload == {"name": "last"}
    assert put(session, page(Record("a", b"", deleted=True), minutes=2)) == (0, 0, 1, 0)


def test_a_vanished_row_seen_again_is_alive(session: Connection) -> None:
    put(session, page(Record("a", b'{"v":1}')))
    assert mark_vanished(cursor_of(session), TARGET, ids=["a", "unknown"]) == 1
    assert held(session).deleted_by == "full_pass"
    assert put(session, page(Record("a", b'{"v":1}'), minutes=1)) == (0, 1, 0, 0)
    assert held(session).deleted_at is None


def test_what_jsonb_cannot_hold_is_replaced_and_the_page_lands(session: Connection) -> None:
    body = rb'{"nul":"a\u0000b","lone":"\ud83d!","pair":"\ud83d\ude00","text":"\\u0000"}'
    put(session, page(Record("a", body)))
    assert held(session).payload == {
        "nul": "a\ufffdb",
        "lone": "\ufffd!",
        "pair": "\U0001f600",
        "text": "\\u0000",
    }


@pytest.mark.parametrize("hostile", ["a\tb", "a\nb", "a\\b", "'; DROP TABLE--", "é", "\\N"])
def test_any_text_is_an_id(session: Connection, hostile: str) -> None:
    assert put(session, page(Record(hostile, b"{}"))) == (1, 0, 0, 0)
    assert put(session, page(Record(hostile, b"{}"))) == (0, 0, 1, 0)
    assert held(session, hostile).id == hostile


def test_rows_of_another_account_stay_apart(session: Connection) -> None:
    put(session, page(Record("a", b'{"v":1}')))
    other = TARGET._replace(account_id="acct_2")
    landed = land(cursor_of(session), other, pages=[page(Record("a", b'{"v":2}'), minutes=1)])
    assert (landed.inserted, landed.updated) == (1, 0)
    count = session.scalar(text("SELECT count(*) FROM raw_stripe.customers"))
    assert count == 2


def test_another_venues_rows_cannot_be_written(session: Connection, venue: Any) -> None:
    other = TARGET._replace(venue_id="bar")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        land(cursor_of(session), other, pages=[page(Record("a", b"{}"))])
