"""Rules as they are kept: by venue, in versions, until a build has applied them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, insert, text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.ingest.batch import changed_venues
from integration_pipelines.core.mapping import (
    NoSuchRule,
    mark_applied,
    preview,
    read_rule,
    remove_rule,
    roll_back,
    rules_in_force,
    sample,
    set_rule,
    sources,
    versions,
)
from integration_pipelines.core.mapping.rules import MOST_CUSTOM
from integration_pipelines.core.tables import raw_table

RULE = {
    "provider": "stripe",
    "target_table": "customers",
    "target_field": "custom.table",
    "type": "text",
    "source_path": "metadata.table",
}
FIELD = ("stripe", "customers", "custom.table")


def kept(session: Connection, venue_id: str, **change: Any) -> int:
    venue_scope(session, venue_id)
    return set_rule(session, venue_id, read_rule(RULE | change), by="ana", reason="why")


def land(engine: Engine, venue_id: str, provider: str, stream: str, *bodies: Any) -> None:
    rows = [
        {
            "venue_id": venue_id,
            "account_id": "a",
            "id": f"row_{place}",
            "payload": body,
            "observed_at": datetime.now(UTC),
            "content_hash": b"",
        }
        for place, body in enumerate(bodies)
    ]
    with engine.begin() as session:
        venue_scope(session, venue_id)
        session.execute(insert(raw_table(provider, stream)), rows)


@pytest.fixture
def venues(venue: Callable[..., str]) -> None:
    for slug in ("hall", "bar"):
        venue(slug)


def test_versions_are_kept_by_venue_and_never_overwritten(
    venues: None, pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session:
        assert [kept(session, "hall"), kept(session, "hall", source_path="other")] == [1, 2]
        assert kept(session, "bar") == 1
        venue_scope(session, "hall")
        (held,) = rules_in_force(session)
        assert (held.version, held.source_path, held.created_by) == (2, "other", "ana")
        assert roll_back(session, "hall", *FIELD, to=1, by="bo", reason=None) == 3
        found = versions(session, *FIELD)
        assert [row.source_path for row in found] == ["metadata.table", "other", "metadata.table"]
        assert [row.superseded_at is None for row in found] == [True, False, False]
        remove_rule(session, *FIELD)
        assert rules_in_force(session) == []
        assert len(versions(session, *FIELD)) == 3
        for wrong in (
            lambda: remove_rule(session, *FIELD),
            lambda: roll_back(session, "hall", *FIELD, to=9, by="bo", reason=None),
        ):
            with pytest.raises(NoSuchRule):
                wrong()
        assert kept(session, "hall") == 4
        venue_scope(session, "bar")
        assert len(versions(session, *FIELD)) == 1


def test_a_field_of_the_venues_own_has_one_type_and_there_are_not_too_many(
    venues: None, pipeline_engine: Engine
) -> None:
    with pipeline_engine.begin() as session:
        kept(session, "hall")
        with pytest.raises(ConfigurationError, match="its type is text for stripe"):
            kept(session, "hall", provider="square", type="number")
        kept(session, "hall", provider="square", source_path="note")
        for number in range(MOST_CUSTOM - 1):
            kept(session, "hall", target_field=f"custom.f{number}")
        with pytest.raises(ConfigurationError, match="has 50 fields of your own already"):
            kept(session, "hall", target_field="custom.one_more")
        kept(session, "hall", source_path="another")


def test_a_preview_reads_the_venue_in_scope_and_changes_nothing(
    venues: None, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    for venue_id, tables in (("hall", ("1", "2", None)), ("bar", ("9",))):
        with owner_engine.begin() as session:
            venue_scope(session, venue_id)
            for place, table in enumerate(tables):
                session.execute(
                    text(
                        "INSERT INTO raw_stripe.customers (venue_id, account_id, id, payload,"
                        " observed_at, content_hash) VALUES (:venue, 'a', :id,"
                        " jsonb_build_object('metadata', jsonb_build_object('table',"
                        " CAST(:table AS text))), now(), 'x')"
                    ),
                    {"venue": venue_id, "id": f"cus_{place}", "table": table},
                )
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        seen = preview(session, read_rule(RULE))
        assert (seen.rows, seen.filled, seen.changed, seen.failures) == (3, 2, 2, {})
        assert {(each["before"], each["after"]) for each in seen.examples} == {
            (None, "1"),
            (None, "2"),
        }
        kept(session, "hall")
        again = preview(session, read_rule(RULE | {"default": "none"}))
        assert (again.filled, again.changed) == (3, 1)
        venue_scope(session, "bar")
        assert preview(session, read_rule(RULE)).rows == 1
        with pytest.raises(ConfigurationError, match="is not a whole number, in all of the 1"):
            kept(session, "bar", type="integer", source_path="metadata.table", transforms=[
                {"do": "constant", "value": "x"}
            ])  # fmt: skip
        assert rules_in_force(session) == []


def test_a_preview_holds_a_shipped_field_to_the_default_and_a_required_one_keeps_rows_out(
    venues: None, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    bodies = (
        {"name": "Ana", "metadata": {"nick": "Ana"}},
        {"name": "Bo", "metadata": {"nick": "B."}},
        {"name": "Cy", "metadata": {}},
    )
    land(owner_engine, "hall", "stripe", "customers", *bodies)
    given = RULE | {"target_field": "name", "type": None, "source_path": "metadata.nick"}
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        seen = preview(session, read_rule(given))
        assert (seen.rows, seen.filled, seen.changed, seen.kept_out) == (3, 2, 2, 0)
        assert {(each["before"], each["after"]) for each in seen.examples} == {
            ("Bo", "B."),
            ("Cy", None),
        }
        required = preview(session, read_rule(given | {"required": True}))
        assert (required.changed, required.kept_out) == (2, 1)
        assert required.words == (
            "of 3 rows 2 get a value, 2 another than now; in 1 it has no value, and is required; "
            "1 would be kept out"
        )


def test_a_sample_is_of_what_the_entity_is_made_from(
    venues: None, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    item = {"type": "ITEM", "item_data": {"name": "Tea"}}
    land(owner_engine, "hall", "square", "catalog", item, {"type": "TAX", "tax_data": {}})
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        assert sample(session, "square", "products") == [item]
        venue_scope(session, "bar")
        assert sample(session, "square", "products") == []


def test_an_entity_of_several_streams_is_sampled_from_all_of_them_alike(
    venues: None, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    for stream, count in (("purchases", 5), ("bills", 2)):
        bodies = [{"PrivateNote": f"{stream} {number}"} for number in range(count)]
        land(owner_engine, "hall", "quickbooks", stream, *bodies)
    given = {
        "provider": "quickbooks",
        "target_table": "expenses",
        "target_field": "custom.kind",
        "type": "text",
        "source_path": "PrivateNote",
        "transforms": [{"do": "split", "separator": " ", "part": 0}],
    }
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        seen = preview(session, read_rule(given))
        assert (seen.rows, seen.filled, seen.changed) == (7, 7, 7)
        few = sample(session, "quickbooks", "expenses", limit=5)
        assert sorted(body["PrivateNote"].split()[0] for body in few) == [
            *["bills"] * 2,
            *["purchases"] * 3,
        ]


def test_a_sample_reads_the_rows_that_it_shows_and_not_the_whole_stream(
    venues: None, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text(
                "INSERT INTO raw_stripe.customers (venue_id, account_id, id, payload, observed_at,"
                " content_hash, last_changed_at) SELECT 'hall', 'a', n, jsonb_build_object('n', n),"
                " now(), '', now() - n * interval '1 second' FROM generate_series(1, 3000) n"
            )
        )
        session.execute(text("ANALYZE raw_stripe.customers"))
    read = text(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables"
        " WHERE schemaname = 'raw_stripe' AND relname = 'customers'"
    )
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        assert [each["n"] for each in sample(session, "stripe", "customers", limit=20)] == list(
            range(1, 21)
        )
        assert session.scalar(read) == 20


def test_every_path_that_is_found_leads_to_its_value(
    venues: None, pipeline_engine: Engine, owner_engine: Engine
) -> None:
    body = {
        "id": "cus_1",
        "metadata": {'two "words"': 1, "a.b": False, "empty": "", "none": None, "Größe": 2.5},
        "custom_fields": [
            {"label": "Table no.", "value": "7"},
            {"label": "Drink", "value": {"text": "tea"}},
        ],
        "lines": [[{"x": "deep"}], "second"],
    }
    land(owner_engine, "hall", "stripe", "customers", body)
    found = sources([body, {"id": "cus_2"}])
    assert [(each.path, each.rows, each.samples) for each in found] == [
        ("id", 2, ["cus_1", "cus_2"]),
        (r'metadata."two \"words\""', 1, ["1"]),
        ('metadata."a.b"', 1, ["false"]),
        ('metadata."Größe"', 1, ["2.5"]),
        ('custom_fields[label="Table no."].value', 1, ["7"]),
        ("custom_fields[label=Drink].value.text", 1, ["tea"]),
        ("lines[0][0].x", 1, ["deep"]),
    ]
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        for each in found:
            tried = preview(session, read_rule(RULE | {"source_path": each.path}))
            assert [example["after"] for example in tried.examples] == each.samples[:1]


def test_a_venue_is_built_until_its_changes_are_applied(
    venues: None, pipeline_engine: Engine, connect: Callable[..., UUID]
) -> None:
    batch_id = uuid4()
    with pipeline_engine.begin() as session:
        for slug in ("hall", "bar"):
            connection_id = connect(slug, "stripe", f"acct_{slug}")
            venue_scope(session, slug)
            session.execute(
                text(
                    "INSERT INTO control.sync_batches (venue_id, batch_id, connection_id)"
                    " VALUES (:venue, :batch, :connection)"
                ),
                {"venue": slug, "batch": batch_id, "connection": connection_id},
            )

    def waiting() -> list[str]:
        with pipeline_engine.begin() as session:
            return changed_venues(session, batch_id=batch_id, run_ids={"run"})

    def built(at: datetime) -> None:
        with pipeline_engine.begin() as session:
            venue_scope(session, "hall")
            mark_applied(session, by_build_of=at)

    assert waiting() == []
    with pipeline_engine.begin() as session:
        kept(session, "hall")
    assert waiting() == ["hall"]
    # A build that began before, or as the change was being made, may not have seen it.
    built(datetime.now(UTC) - timedelta(minutes=1))
    built(datetime.now(UTC))
    assert waiting() == ["hall"]
    built(datetime.now(UTC) + timedelta(minutes=1))
    assert waiting() == []
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text("UPDATE control.field_mappings SET applied_at = now() - interval '1 hour'")
        )
        remove_rule(session, *FIELD)
    assert waiting() == ["hall"]
