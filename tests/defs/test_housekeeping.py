"""`keep_house`: what is over is deleted over all venues, and nothing else."""

from collections.abc import Callable
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.events import retention
from integration_pipelines.core.ingest import retention as retention_of_syncs
from integration_pipelines.core.settings import Settings
from integration_pipelines.definitions import defs

STATE = """
    INSERT INTO control.oauth_states
        (venue_id, state_hash, provider, session_hash, redirect_uri, expires_at)
    VALUES (:venue, :name, 'square', 'x', 'y', now() + CAST(:ends AS interval))
"""
PENDING = """
    INSERT INTO control.pending_connections
        (venue_id, pending_id, session_hash, provider, account, credentials, key_id, expires_at)
    VALUES (:venue, encode(:name, 'escape'), 'x', 'square', '{}', 'sealed', 'k',
        now() + CAST(:ends AS interval))
"""
SESSION = """
    INSERT INTO control.portal_sessions (session_hash, expires_at)
    VALUES (:name, now() + CAST(:ends AS interval))
"""


def test_what_is_over_ends_at_every_venue(
    instance: dg.DagsterInstance, settings: Settings, venue: Callable[..., str]
) -> None:
    portal = create_engine(settings, Role.PORTAL)
    for slug in ("hall", "bar"):
        venue(slug)
        for name, ends in ((b"over", "-1 second"), (b"open", "1 hour")):
            with portal.begin() as session:
                venue_scope(session, slug)
                for statement in (STATE, PENDING, SESSION):
                    values = {"venue": slug, "name": slug.encode() + name, "ends": ends}
                    session.execute(text(statement), values)
    ran = defs.resolve_job_def("keep_house").execute_in_process(instance=instance)
    assert ran.success
    assert told(ran, "purge_expired") == {"ended": 6}
    for slug in ("hall", "bar"):
        with portal.begin() as session:
            venue_scope(session, slug)
            for table in ("oauth_states", "pending_connections"):
                assert session.scalar(text(f"SELECT count(*) FROM control.{table}")) == 1
    with portal.connect() as session:
        assert session.scalar(text("SELECT count(*) FROM control.portal_sessions")) == 2
    portal.dispose()


def told(ran: dg.ExecuteInProcessResult, op: str) -> dict[str, int]:
    """What the op's output says."""
    (event,) = [each for each in ran.events_for_node(op) if each.is_successful_output]
    metadata = event.event_specific_data.metadata
    return {name: value.value for name, value in metadata.items()}


def test_payloads_of_events_that_are_over_are_dropped_and_envelopes_stay(
    instance: dg.DagsterInstance, pipeline_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    add = text(
        "INSERT INTO control.integration_webhooks"
        " (provider, event_id, event_type, payload, status, received_at, processed_at)"
        " VALUES ('square', :name, 't', '{}', :status, now() - interval '90 days',"
        " now() - make_interval(days => :days))"
    )
    remember = text(
        "INSERT INTO control.webhook_deduplication (provider, scope, event_id, received_at)"
        " VALUES ('square', 's', :name, now() - make_interval(days => :days))"
    )
    statuses = ("done", "ignored", "dead", "done", "ignored")
    with pipeline_engine.begin() as session:
        for number, status in enumerate(statuses):
            session.execute(add, {"name": f"old-{number}", "status": status, "days": 31})
            session.execute(add, {"name": f"new-{number}", "status": status, "days": 29})
            session.execute(remember, {"name": f"old-{number}", "days": 61})
            session.execute(remember, {"name": f"new-{number}", "days": 59})
        session.execute(add, {"name": "waits", "status": "pending", "days": 31})
    ran = defs.resolve_job_def("keep_house").execute_in_process(instance=instance)
    assert told(ran, "forget_payloads") == {"payloads": 5, "ids": 5}
    kept = "SELECT event_id FROM control.integration_webhooks WHERE payload IS NOT NULL"
    with pipeline_engine.connect() as session:
        names = set(session.scalars(text(kept)))
        assert names == {"waits", *(f"new-{number}" for number in range(5))}
        assert session.scalar(text("SELECT count(*) FROM control.integration_webhooks")) == 11
        assert session.scalar(text("SELECT count(*) FROM control.webhook_deduplication")) == 5
    again = defs.resolve_job_def("keep_house").execute_in_process(instance=instance)
    assert told(again, "forget_payloads") == {"payloads": 0, "ids": 0}


LOG = """
    INSERT INTO control.sync_logs (venue_id, sync_id, stream, provider, connection_id, account_id,
        mode, outcome, repaired, started_at, finished_at)
    SELECT :venue_id, gen_random_uuid(), :stream, 'stripe', :connection_id, 'acct_1', 'full',
        :outcome, :repaired, began, CASE WHEN :outcome <> 'running' THEN began + interval '1 s' END
    FROM (SELECT now() - make_interval(days => :days)) AS sync (began)
"""
SYNCS = (
    ("charges", "succeeded", None, 499),
    ("charges", "succeeded", None, 498),
    ("charges", "failed", None, 497),
    ("charges", "failed", None, 496),
    ("charges", "succeeded", None, 495),
    ("charges", "succeeded", 3, 494),
    ("charges", "succeeded", 0, 493),
    ("charges", "running", None, 492),
    ("charges", "running", None, 491),
    ("charges", "succeeded", None, 399),
    ("refunds", "succeeded", None, 499),
    ("refunds", "succeeded", None, 498),
)


def test_syncs_are_forgotten_but_for_the_latest_that_connections_are_judged_by(
    instance: dg.DagsterInstance,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention_of_syncs, "AT_ONCE", 2)
    for venue_id in ("hall", "bar"):
        connection_id = connect(venue(venue_id))
        with pipeline_engine.begin() as session:
            venue_scope(session, venue_id)
            for stream, outcome, repaired, days in SYNCS:
                of = {"venue_id": venue_id, "connection_id": connection_id, "stream": stream}
                values = of | {"outcome": outcome, "repaired": repaired, "days": days}
                session.execute(text(LOG), values)
    ran = defs.resolve_job_def("keep_house").execute_in_process(instance=instance)
    assert told(ran, "forget_syncs") == {"streams": 12}
    kept = text(
        "SELECT stream, outcome, repaired, extract(day FROM now() - started_at) AS age"
        " FROM control.sync_logs WHERE venue_id = :venue_id"
    )
    with pipeline_engine.connect() as session:
        for venue_id in ("hall", "bar"):
            rows = session.execute(kept, {"venue_id": venue_id})
            assert {(*row[:3], int(row.age)) for row in rows} == {
                ("charges", "failed", None, 496),
                ("charges", "succeeded", 0, 493),
                ("charges", "running", None, 492),
                ("charges", "running", None, 491),
                ("charges", "succeeded", None, 399),
                ("refunds", "succeeded", None, 498),
            }
