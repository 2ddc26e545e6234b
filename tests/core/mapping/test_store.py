"""Rules as they are kept: by venue, in versions, until a build has applied them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, text

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
    set_rule,
    versions,
)
from integration_pipelines.core.mapping.rules import MOST_CUSTOM

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
