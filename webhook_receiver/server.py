"""Gunicorn's settings for the receiver, and a worker that cuts slow requests off.

Gunicorn's workers wait for a body for as long as bytes trickle in. Here the reading side of a
connection is shut a set time after its request began, so that a thread is never held for longer; an
answer still goes out. A path of a connection's own is a secret: no access log is written.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

READ_WITHIN = 10.0
"""Seconds in which a request has to be here, head and body."""

bind = "127.0.0.1:8081"
worker_class = "webhook_receiver.server.DeadlineWorker"
workers = 2
threads = 48
worker_connections = 200
backlog = 256
keepalive = 5
accesslog = None
limit_request_line = 1024
limit_request_fields = 60
limit_request_field_size = 4096


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """See above."""

    def init_process(self) -> None:
        self._under_way: dict[Any, float] = {}
        threading.Thread(target=self._cut_off, name="deadlines", daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """See gunicorn. Called for each request of a connection."""
        self._under_way[conn] = time.monotonic() + READ_WITHIN
        try:
            return super().handle(conn)
        finally:
            del self._under_way[conn]

    def _cut_off(self) -> None:
        while True:
            now = time.monotonic()
            for conn, deadline in list(self._under_way.items()):
                if deadline <= now:
                    with suppress(OSError):  # It may just have been closed.
                        conn.sock.shutdown(socket.SHUT_RD)
            time.sleep(0.25)
