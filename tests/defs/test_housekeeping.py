"""`keep_house`: what is over is deleted over all venues, and nothing else."""

from collections.abc import Callable

import dagster as dg
from sqlalchemy import text

from integration_pipelines.core.database import Role, create_engine, venue_scope
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
    (event,) = [each for each in ran.all_events if each.is_successful_output]
    assert event.event_specific_data.metadata["ended"].value == 6
    for slug in ("hall", "bar"):
        with portal.begin() as session:
            venue_scope(session, slug)
            for table in ("oauth_states", "pending_connections"):
                assert session.scalar(text(f"SELECT count(*) FROM control.{table}")) == 1
    with portal.connect() as session:
        assert session.scalar(text("SELECT count(*) FROM control.portal_sessions")) == 2
    portal.dispose()
