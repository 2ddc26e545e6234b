"""Gunicorn's settings for the receiver, and a worker that slow clients and floods do not hold up.

Gunicorn's workers wait for a body for as long as bytes trickle in. Here the reading side of a
connection is shut a set time after its request began, and sooner while many are under way, so that
a thread is never held for longer; an answer still goes out. What would wait for a thread behind too
many others is asked to come back at once. A path of a connection's own is a secret: no access log
is written.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

READ_WITHIN, IN_A_CROWD = 10.0, 1.0
"""Seconds in which a request has to be here, head and body."""

bind = "127.0.0.1:8081"
worker_class = "webhook_receiver.server.DeadlineWorker"
workers = 2
threads = 128
worker_connections = 1000
backlog = 1024
keepalive = 5
accesslog = None
limit_request_line = 1024
limit_request_fields = 60
limit_request_field_size = 4096

CROWD = threads // 2
WAITING = threads
"""Requests that wait for a thread; each of a provider's would be answered within its patience."""
COME_BACK = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """See above."""

    def init_process(self) -> None:
        self._taken: set[Any] = set()
        self._begun: dict[Any, float] = {}
        self._cut: set[Any] = set()
        threading.Thread(target=self._cut_off, name="deadlines", daemon=True).start()
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        """See gunicorn. Called in the main thread, as `finish_request` is."""
        if len(self._taken) < threads + WAITING:
            self._taken.add(conn)
            super().enqueue_req(conn)
            return
        self.nr_conns -= 1
        with suppress(OSError):
            conn.sock.setblocking(False)
            # What has come is read, or to close would take the answer back.
            conn.sock.recv(65_536)
        with suppress(OSError):
            conn.sock.send(COME_BACK)
        conn.close()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """See gunicorn."""
        self._taken.discard(conn)
        if conn in self._cut:
            # Gunicorn would wait for it to close its side: two seconds in which nobody is accepted.
            self._cut.discard(conn)
            self.nr_conns -= 1
            conn.close()
        else:
            super().finish_request(conn, fs)

    def handle(self, conn: Any) -> Any:
        """See gunicorn. Called for each request of a connection."""
        self._begun[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            del self._begun[conn]

    def _cut_off(self) -> None:
        while True:
            begun = list(self._begun.items())
            latest = time.monotonic() - (IN_A_CROWD if len(begun) > CROWD else READ_WITHIN)
            for conn, at in begun:
                if at <= latest and conn not in self._cut:
                    self._cut.add(conn)
                    with suppress(OSError):  # It may just have been closed.
                        conn.sock.shutdown(socket.SHUT_RD)
            time.sleep(0.25)
