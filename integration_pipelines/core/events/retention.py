"""What is kept of events, and for how long: the envelope stays, what it held does not."""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Engine, delete, func, null, select, tuple_, update
from sqlalchemy.sql.dml import Delete, Update

from integration_pipelines.core.tables import integration_webhooks, webhook_deduplication

REMEMBERED = timedelta(days=60)
"""No provider sends an event again after half of it."""
AT_ONCE = 5_000
"""Rows of a transaction: what comes in meanwhile waits for none of them."""

held = integration_webhooks.c
seen = webhook_deduplication.c


class Forgotten(NamedTuple):
    """Events whose payloads were dropped, and ids of deliveries that are remembered no more."""

    payloads: int
    ids: int


def forget(engine: Engine, *, payloads_for: timedelta) -> Forgotten:
    """Drop payloads of events that were ended ``payloads_for`` ago, and the ids of deliveries that
    will not come again. Can be stopped at any instant, and run again."""
    over = (
        select(held.webhook_id)
        .where(
            held.payload.is_not(None),
            held.status.in_(("done", "ignored", "dead")),
            held.processed_at < func.now() - payloads_for,
        )
        .order_by(held.processed_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    key = (seen.provider, seen.scope, seen.event_id)
    old = (
        select(*key)
        .where(seen.received_at < func.now() - max(REMEMBERED, payloads_for))
        .order_by(seen.received_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return Forgotten(
        payloads=_in_batches(
            engine,
            update(integration_webhooks)
            .where(held.webhook_id.in_(over))
            .values(payload=null(), proof=null()),
        ),
        ids=_in_batches(engine, delete(webhook_deduplication).where(tuple_(*key).in_(old))),
    )


def _in_batches(engine: Engine, statement: Update | Delete) -> int:
    count = 0
    while True:
        with engine.begin() as session:
            done = session.execute(statement).rowcount
        count += done
        if done < AT_ONCE:
            return count
