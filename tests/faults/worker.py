"""A sync in a process of its own, to be killed: `python -m tests.faults.worker VENUE`.

A checkpoint is made every 500 rows. With ``--pause`` it stops at that moment of its second
checkpoint, says READY and waits for its end. Otherwise it prints each stream's outcome as JSON.
"""

import argparse
import importlib
import json
import time
from collections.abc import Callable
from typing import Any

import psycopg

from integration_pipelines.core.credentials import Vault, open_connections
from integration_pipelines.core.database import create_engine
from integration_pipelines.core.ingest import open_client, sync
from integration_pipelines.core.settings import Settings
from tests.providers.stripe.conftest import STRIPE, UNHURRIED

MOMENTS = ("copying", "loaded", "moved")
"""In the midst of COPY's data; rows merged and the cursor not moved; both done, not committed."""

syncing: Any = importlib.import_module("integration_pipelines.core.ingest.sync")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("venue_id")
    arguments.add_argument("--pause", choices=MOMENTS)
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
            print("READY", flush=True)
            time.sleep(600)

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


if __name__ == "__main__":
    main()
