"""Fields of payloads that appear, change their type and vanish, and the rules that read them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, text

from integration_pipelines.core import fields
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.mapping import read_rule, set_rule
from integration_pipelines.core.tables import raw_fields, raw_table
from tests.conftest import Connect, Venue
from tests.plans import rows_read

ONCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hall(venue: Venue, connect: Connect) -> str:
    connect(venue("hall"))
    return "hall"


def land(engine: Engine, payloads: Iterable[dict[str, Any]], *, venue_id: str = "hall") -> None:
    with engine.begin() as session:
        venue_scope(session, venue_id)
        start = session.scalar(text("SELECT count(*) FROM raw_stripe.customers"))
        session.execute(
            insert(raw_table("stripe", "customers")),
            [
                {
                    "venue_id": venue_id,
                    "account_id": "acct_1",
                    "id": f"cus_{start + number}",
                    "payload": payload,
                    "observed_at": ONCE,
                    "content_hash": b"",
                }
                for number, payload in enumerate(payloads)
            ],
        )


def look(engine: Engine) -> int:
    return fields.look(engine, venue_id="hall", provider="stripe", stream="customers")


def changes(engine: Engine) -> list[tuple[str, str, list[str], str | None]]:
    with engine.connect() as session:
        found = fields.changes(session, since=ONCE)
    return sorted((each.path, each.what, each.types, each.sample) for each in found)


def missing(engine: Engine) -> list[str]:
    with engine.connect() as session:
        return [each.words for each in fields.missing(session)]


def customer(**given: Any) -> dict[str, Any]:
    return {"email": "fan@example.com", "metadata": {"table": "4"}, "balance": 0} | given


def test_a_first_look_is_no_news_and_a_second_tells_what_is(
    hall: str, pipeline_engine: Engine
) -> None:
    land(pipeline_engine, [customer(phone=None)] * 60)
    assert look(pipeline_engine) == 60
    assert changes(pipeline_engine) == []
    land(
        pipeline_engine,
        [
            customer(phone="+49 30 1234567", balance="0"),
            customer(lines=[{"amount": 12}, {"amount": 13, "odd name": True}]),
        ],
    )
    look(pipeline_engine)
    assert changes(pipeline_engine) == [
        ("balance", "retyped", ["number", "string"], "0"),
        ("lines", "new", ["array"], None),
        ("lines[]", "new", ["object"], None),
        ('lines[]."odd name"', "new", ["boolean"], "True"),
        ("lines[].amount", "new", ["number"], "13"),
        ("phone", "new", ["string"], "[phone]"),
    ]


def test_a_mapped_field_that_vanishes_is_named_until_it_comes_again(
    hall: str, pipeline_engine: Engine
) -> None:
    land(pipeline_engine, [customer()] * 60 + [customer(rare=1)])
    look(pipeline_engine)
    rule = {"provider": "stripe", "target_table": "customers", "target_field": "custom.table"}
    with pipeline_engine.begin() as session:
        venue_scope(session, hall)
        given = read_rule(rule | {"source_path": "metadata.table", "type": "text"})
        set_rule(session, hall, given, by="test", reason=None)
    aged(pipeline_engine)
    land(pipeline_engine, [{"email": "fan@example.com", "balance": 0, "metadata": {}}] * 3)
    look(pipeline_engine)
    assert changes(pipeline_engine) == [], "three rows without it may be chance"
    land(pipeline_engine, [{"email": "fan@example.com", "balance": 0, "metadata": {}}] * 30)
    look(pipeline_engine)
    assert changes(pipeline_engine) == [("metadata.table", "vanished", ["string"], "[personal]")]
    (words,) = missing(pipeline_engine)
    assert words.startswith(
        "hall: customers.custom.table reads metadata.table of stripe's customers, which is in no "
    )
    with pipeline_engine.connect() as session:
        assert fields.missing(session, providers=["stripe"], stream="customers", venue_ids=[hall])
        assert fields.missing(session, providers=["square"]) == []
        assert fields.missing(session, stream="charges") == []
        assert fields.missing(session, venue_ids=["elsewhere"]) == []
    land(pipeline_engine, [customer()])
    look(pipeline_engine)
    assert changes(pipeline_engine) == []
    assert missing(pipeline_engine) == []


def test_a_field_that_vanishes_from_one_stream_of_an_entity_is_named_with_it(
    hall: str, pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session:
        venue_scope(session, hall)
        given = {
            "provider": "quickbooks",
            "target_table": "expenses",
            "target_field": "custom.memo",
            "type": "text",
            "source_path": "PrivateNote",
        }
        set_rule(session, hall, read_rule(given), by="test", reason=None)
        session.execute(
            insert(raw_fields),
            [
                {
                    "venue_id": hall,
                    "provider": "quickbooks",
                    "stream": stream,
                    "path": "PrivateNote",
                    "type": "string",
                    "rows": 60,
                    "is_initial": True,
                    "first_seen_at": ONCE,
                    "last_seen_at": ONCE,
                    "vanished_at": gone,
                }
                for stream, gone in (("purchases", None), ("bills", datetime.now(UTC)))
            ],
        )
    (words,) = missing(pipeline_engine)
    assert words.startswith("hall: expenses.custom.memo reads PrivateNote of quickbooks's bills, ")


def test_a_field_that_was_null_at_times_is_there_again_with_one_of_its_types(
    hall: str, pipeline_engine: Engine
) -> None:
    land(pipeline_engine, [customer(phone=None), customer(phone="1")] * 40)
    look(pipeline_engine)
    rule = {"provider": "stripe", "target_table": "customers", "target_field": "phone"}
    with pipeline_engine.begin() as session:
        venue_scope(session, hall)
        set_rule(session, hall, read_rule(rule | {"source_path": "phone"}), by="test", reason=None)
    aged(pipeline_engine)
    land(pipeline_engine, [customer()] * 60)
    look(pipeline_engine)
    assert len(missing(pipeline_engine)) == len(changes(pipeline_engine)) == 1
    land(pipeline_engine, [customer(phone=None)])
    look(pipeline_engine)
    assert (missing(pipeline_engine), changes(pipeline_engine)) == ([], [])


TYPED = ("ana@x.example", "sk_live_abcdefgh12345678", "+49 30 1234567")


def test_names_that_people_typed_are_masked_and_rules_find_them_nevertheless(
    hall: str, pipeline_engine: Engine
) -> None:
    typed = dict.fromkeys(TYPED, 4930123)
    land(pipeline_engine, [customer()] * 60)
    look(pipeline_engine)
    land(pipeline_engine, [customer(metadata={"table": "4"} | typed, **typed)] * 60)
    look(pipeline_engine)
    found = changes(pipeline_engine)
    assert {path for path, *_ in found} == {
        'metadata."[text]"',
        'metadata."[redacted]"',
        '"[text]"',
        '"[redacted]"',
    }
    assert {path: sample for path, *_, sample in found}['"[text]"'] is None
    rule = {"provider": "stripe", "target_table": "customers", "target_field": "custom.table"}
    with pipeline_engine.begin() as session:
        venue_scope(session, hall)
        given = read_rule(rule | {"source_path": f'metadata."{TYPED[0]}"', "type": "text"})
        set_rule(session, hall, given, by="test", reason=None)
    assert missing(pipeline_engine) == []
    aged(pipeline_engine)
    land(pipeline_engine, [customer()] * 60)
    look(pipeline_engine)
    (words,) = missing(pipeline_engine)
    assert 'reads metadata."[text]" of' in words


@pytest.mark.parametrize(
    "rows", [1, 3], ids=["row by row", "more at one instant than a look reads"]
)
def test_looks_go_on_through_what_was_written_within_the_lookback(
    hall: str, pipeline_engine: Engine, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(fields, "AT_MOST", 2)
    for number in range(6):
        land(pipeline_engine, [customer(**{f"field_{number}": 1})] * rows)
    looked_to = [ONCE]
    for _ in range(7):
        look(pipeline_engine)
        with pipeline_engine.connect() as session:
            looked_to += session.scalars(text("SELECT looked_to FROM control.field_looks"))
    assert looked_to == sorted(set(looked_to))
    with pipeline_engine.connect() as session:
        found = session.scalars(text("SELECT path FROM control.raw_fields"))
        assert {f"field_{number}" for number in range(6)} <= set(found)


def aged(engine: Engine) -> None:
    """The look was an hour ago and the rows an hour before it: the next one is not of them too."""
    with engine.begin() as session:
        venue_scope(session, "hall")
        for table, column, hours in (
            ("raw_stripe.customers", "last_changed_at", 2),
            ("control.field_looks", "looked_to", 1),
        ):
            ago = f"{column} - interval '{hours} hours'"
            session.execute(text(f"UPDATE {table} SET {column} = {ago}"))


def test_a_stream_is_looked_at_when_a_sync_has_changed_it(
    hall: str, connect: Connect, pipeline_engine: Engine
) -> None:
    def streams() -> list[tuple[str, str, str]]:
        with pipeline_engine.connect() as session:
            return fields.changed_streams(session)

    def synced(inserted: int) -> None:
        with pipeline_engine.begin() as session:
            venue_scope(session, hall)
            session.execute(
                text(
                    "WITH read AS (INSERT INTO control.sync_cursors (venue_id, connection_id,"
                    " stream, state, sync_id) SELECT venue_id, connection_id, 'customers', '{}',"
                    " gen_random_uuid() FROM control.connections ON CONFLICT DO NOTHING)"
                    " INSERT INTO control.sync_logs (venue_id, sync_id, stream, provider,"
                    " connection_id, account_id, mode, inserted, finished_at) SELECT venue_id,"
                    " gen_random_uuid(), 'customers', provider, connection_id, account_id, 'full',"
                    " :inserted, clock_timestamp() FROM control.connections"
                ),
                {"inserted": inserted},
            )

    synced(0)
    assert streams() == []
    synced(3)
    assert streams() == [("hall", "stripe", "customers")]
    look(pipeline_engine)
    assert streams() == []


def test_no_payload_has_more_fields_than_can_be_kept(
    hall: str, pipeline_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "FIELDS_AT_MOST", 10)
    deep: Any = 1
    for _ in range(50):
        deep = {"a": deep}
    land(pipeline_engine, [{"deep": deep, "l" * 300: 1} | {f"key_{n}": n for n in range(30)}])
    look(pipeline_engine)
    land(pipeline_engine, [{f"other_{n}": n for n in range(30)}])
    look(pipeline_engine)
    with pipeline_engine.connect() as session:
        kept = session.execute(text("SELECT path FROM control.raw_fields")).scalars().all()
    assert len(kept) == 10
    assert max(map(len, kept)) <= fields.LONGEST


@pytest.mark.parametrize(
    ("source_path", "seen"),
    [
        ("metadata.table", "metadata.table"),
        ('metadata."two words"', 'metadata."two words"'),
        ("lines[0].name", "lines[].name"),
        ("custom_fields[label=Table].value", "custom_fields[].value"),
    ],
)
def test_a_rules_path_is_found_among_the_fields(source_path: str, seen: str) -> None:
    assert fields.as_seen(source_path) == seen
    payload = {
        "metadata": {"table": 1, "two words": 1},
        "lines": [{"name": "a"}],
        "custom_fields": [{"label": "Table", "value": 1}],
    }
    assert seen in {path for (path, _), _ in fields.fields_of(json.loads(json.dumps(payload)))}


FILL = (
    """
    INSERT INTO control.sync_cursors (venue_id, connection_id, stream, state, sync_id)
    SELECT venue_id, connection_id, 'stream_' || number, '{}', gen_random_uuid()
    FROM control.connections, generate_series(1, 3) AS number
    """,
    """
    INSERT INTO control.sync_logs (venue_id, sync_id, stream, provider, connection_id, account_id,
        mode, outcome, inserted, finished_at)
    SELECT venue_id, gen_random_uuid(), stream, 'stripe', connection_id, 'acct', 'incremental',
        'succeeded', number % 2, now() - number * interval '1 min'
    FROM control.sync_cursors, generate_series(1, 3000) AS number
    """,
    """
    INSERT INTO control.field_looks (venue_id, provider, stream, looked_to, rows)
    SELECT venue_id, 'stripe', stream, now(), 1 FROM control.sync_cursors
    """,
    """
    INSERT INTO control.raw_fields (venue_id, provider, stream, path, type, rows, is_initial,
        first_seen_at, last_seen_at)
    SELECT venue_id, 'stripe', stream, 'path_' || number, 'string', 1, number > 2,
        now() - interval '1 year', now()
    FROM control.sync_cursors, generate_series(1, 3000) AS number
    """,
)


def test_what_changed_is_found_without_reading_what_did_not(
    hall: str, owner_engine: Engine, pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session:
        venue_scope(session, hall)
        for statement in FILL:
            session.execute(text(statement))
    with owner_engine.begin() as session:
        session.execute(text("ANALYZE control.sync_logs, control.raw_fields"))
    asked: list[Any] = []
    event.listen(pipeline_engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    with pipeline_engine.connect() as session:
        fields.changed_streams(session)
        fields.changes(session, since=datetime.now(UTC) - timedelta(days=30))
        fields.missing(session)
        read = [
            rows_read(session, statement, values, "sync_logs", "raw_fields")
            for statement, values in list(asked)
            if "FROM control.sync_logs" in statement or "FROM control.raw_fields" in statement
        ]
    assert len(read) == 3
    assert max(read) < 100


def test_only_what_changed_since_is_told(hall: str, pipeline_engine: Engine) -> None:
    land(pipeline_engine, [customer()])
    look(pipeline_engine)
    land(pipeline_engine, [customer(fresh=1)])
    look(pipeline_engine)
    with pipeline_engine.connect() as session:
        ahead = datetime.now(UTC) + timedelta(days=1)
        assert fields.changes(session, since=ahead) == []
        assert fields.changes(session, since=ONCE, venue_ids=["elsewhere"]) == []
        assert fields.changes(session, since=ONCE, stream="charges") == []
        (fresh,) = fields.changes(session, since=ONCE, stream="customers", providers=["stripe"])
    assert (fresh.path, fresh.venues) == ("fresh", ["hall"])
