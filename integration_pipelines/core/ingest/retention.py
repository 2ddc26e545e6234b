"""What is kept of syncs, and for how long."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Engine, and_, delete, exists, func, select, tuple_

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.tables import sync_logs, venues

AT_ONCE = 5_000
"""Rows of a transaction: what comes in meanwhile waits for none of them."""


def forget_syncs(engine: Engine, *, kept_for: timedelta) -> int:
    """Delete from `sync_logs` what has ended and began ``kept_for`` ago; how many rows, of which a
    sync has one a stream.

    How a connection stands is read from the latest syncs of its streams: of each stream and outcome
    the latest stays, however old, and so does the latest that says what it repaired. Can be stopped
    at any instant, and run again.
    """
    log, later = sync_logs.c, sync_logs.alias("later").c
    over = and_(
        log.started_at < func.now() - kept_for,
        log.finished_at.is_not(None),
        exists().where(
            later.venue_id == log.venue_id,
            later.connection_id == log.connection_id,
            later.stream == log.stream,
            later.outcome == log.outcome,
            later.repaired.is_(None) == log.repaired.is_(None),
            later.started_at > log.started_at,
        ),
    )
    of_venue = exists().where(log.venue_id == venues.c.venue_id, over)
    with engine.connect() as session:
        venue_ids: Sequence[str] = session.scalars(select(venues.c.venue_id).where(of_venue)).all()
    key = tuple_(*sync_logs.primary_key)
    count = 0
    for venue_id in venue_ids:
        some = select(*sync_logs.primary_key).where(log.venue_id == venue_id, over).limit(AT_ONCE)
        done = AT_ONCE
        while done == AT_ONCE:
            with engine.begin() as session:
                venue_scope(session, venue_id)
                done = session.execute(delete(sync_logs).where(key.in_(some))).rowcount
            count += done
    return count
