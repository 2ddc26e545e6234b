"""Fault 4 at the receiver: Postgres is killed and comes back; what was acknowledged is stored."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine

from integration_pipelines.core.embedded_postgres import revive
from tests.faults.conftest import data_path, mortal, server
from tests.faults.moments import end_server
from tests.faults.test_4_postgres_dies import settings
from tests.webhook_receiver.conftest import send, stored, stripe_event

__all__ = ["data_path", "mortal", "server", "settings"]


@pytest.mark.timeout(180)
def test_4_what_was_acknowledged_is_stored_whenever_postgres_dies(
    receiver: str, data_path: Path, pipeline_engine: Engine
) -> None:
    stopped = threading.Event()
    statuses: set[int] = set()

    def deliver(first: int) -> set[str]:
        """Events one after another, each sent again until it is acknowledged."""
        acknowledged: set[str] = set()
        number = first
        while not stopped.is_set() or not acknowledged:
            answer = _sent(lambda number=number: send(receiver, "stripe", stripe_event(number)))
            statuses.add(answer)
            if answer == 200:
                acknowledged.add(f"evt_{number}")
                number += 1
            else:
                time.sleep(0.05)
        return acknowledged

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(deliver, start * 1_000_000) for start in range(1, 9)]
        for order in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
            time.sleep(1)
            end_server(data_path, order)
            time.sleep(0.5)
            revive(data_path)
        time.sleep(1)
        stopped.set()
        acknowledged = set().union(*(each.result(60) for each in running))
    assert statuses == {200, 503}
    pipeline_engine.dispose()
    rows = [row.event_id for row in stored(pipeline_engine)]
    assert len(rows) == len(set(rows))
    assert acknowledged <= set(rows)
    assert len(acknowledged) > 50


def _sent(deliver: Callable[[], requests.Response]) -> int:
    return deliver().status_code
