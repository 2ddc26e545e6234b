"""A sync in a process of its own, to be killed: `python -m tests.faults.worker VENUE`.

A checkpoint is made every 500 rows. With ``--pause`` it stops at that moment of its second
checkpoint, says READY and waits for its end. Otherwise it prints each stream's outcome as JSON.
With ``--events`` what waits in the inbox is claimed and worked on instead; it stops where its rows
are landed and it is done, not committed.
"""

import argparse
import importlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection as Session
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Vault, open_connections
from integration_pipelines.core.database import create_engine
from integration_pipelines.core.events.claims import Landing, begin, claim, settle
from integration_pipelines.core.ingest import StreamResult, open_client, sync
from integration_pipelines.core.ingest.batch import BatchItem, run_batch
from integration_pipelines.core.provider import Client
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from tests.providers.stripe.conftest import STRIPE, UNHURRIED

MOMENTS = ("copying", "loaded", "moved")
"""In the midst of COPY's data; rows merged and the cursor not moved; both done, not committed."""

syncing: Any = importlib.import_module("integration_pipelines.core.ingest.sync")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("venue_id")
    arguments.add_argument("--pause", choices=MOMENTS)
    arguments.add_argument("--events", action="store_true")
    asked = arguments.parse_args()
    syncing.CHECKPOINT_ROWS = 500
    if asked.pause:
        pause_at(asked.pause)
    settings = Settings()
    engine = create_engine(settings)
    with engine.connect() as session:
        connection = next(
            each for each in open_connections(session) if each.venue_id == asked.venue_id
        )
    client = open_client(settings, engine, Vault(settings), STRIPE, connection, limits=UNHURRIED)
    if asked.events:
        work_on_events(engine, client, stop_for_ever)
        return
    results = sync(engine, provider=STRIPE, connection=connection, client=client)
    print(json.dumps({result.stream: result.outcome for result in results}), flush=True)


def pause_at(moment: str) -> None:
    """Stop for ever at ``moment`` of the first checkpoint that follows a committed one."""
    checkpoint, write = syncing._Sync._checkpoint, psycopg.Copy.write
    committed = 0

    def counted(self: Any, session: Any, held: Any, **options: Any) -> None:
        nonlocal committed
        has_pages = bool(held.pages)
        checkpoint(self, session, held, **options)
        committed += has_pages

    def stop() -> None:
        if committed:
            stop_for_ever()

    def half_written(self: Any, data: bytes) -> None:
        if committed:
            write(self, data[: len(data) // 2])
        stop()
        write(self, data)

    def stopping_before(method: Callable[..., Any]) -> Callable[..., Any]:
        def stopped(*arguments: Any) -> Any:
            stop()
            return method(*arguments)

        return stopped

    syncing._Sync._checkpoint = counted
    if moment == "copying":
        psycopg.Copy.write = half_written  # type: ignore[method-assign, assignment]
    elif moment == "loaded":
        syncing._Sync._note_seen = stopping_before(syncing._Sync._note_seen)
    else:
        syncing._Sync._count = stopping_before(syncing._Sync._count)


def stop_for_ever() -> None:
    print("READY", flush=True)
    time.sleep(600)


def work_on_events(engine: Engine, client: Client, on_done: Callable[[], None]) -> None:
    """Claim what waits in the inbox of one account and work on it, as a run of `sync_venues` does.
    ``on_done`` is called in the transaction that lands it, at its end."""
    with engine.begin() as session:
        batch_id = claim(session, PROVIDERS, limit=100, secrets_of=lambda connection: []).batch_id
    assert batch_id is not None

    def sync_one(item: BatchItem) -> list[StreamResult]:
        landing = Landing(PROVIDERS, batch_id=batch_id, connection=item.connection)

        def landed(session: Session, stream: str, ids: Sequence[str] | None) -> None:
            landing(session, stream, ids)
            on_done()

        return sync(
            engine,
            provider=STRIPE,
            connection=item.connection,
            client=client,
            streams=item.streams,
            objects=item.objects,
            on_landed=landed,
        )

    def settled(session: Session, item: BatchItem, results: list[StreamResult]) -> None:
        of = item.connection
        settle(session, PROVIDERS, batch_id=batch_id, connection=of, results=results)

    for _ in run_batch(
        engine,
        batch_id=batch_id,
        sync_one=sync_one,
        concurrency=1,
        take_up=lambda session: begin(session, batch_id),
        settle=settled,
    ):
        pass


if __name__ == "__main__":
    main()
