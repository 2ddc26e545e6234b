"""A real HTTP server on loopback that misbehaves as told."""

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from integration_pipelines.core.transport import Bounds, Clock, RetryPolicy, Transport

QUICK = RetryPolicy(attempts=4, base=0.005, cap=0.02, longest_wait=1.5, total=10)


@dataclass
class Reply:
    """One answer. ``says`` is the Content-Length (None: the body's, -1: chunked and cut short);
    ``drip`` seconds between bytes; ``reset`` drops the connection before any answer."""

    status: int = 200
    body: bytes = b'{"data": []}'
    headers: dict[str, str] = field(default_factory=dict)
    says: int | None = None
    drip: float = 0.0
    wait: float = 0.0
    reset: bool = False


@dataclass
class Received:
    """A request as the server got it, at ``at`` on the monotonic clock, from the client's
    ``port``."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    port: int


class Server(ThreadingHTTPServer):
    """Answers each path by its script; the last reply of a script repeats."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripts: dict[str, list[Reply]] = {}
        self.received: list[Received] = []
        self.under_way = 0
        self.most_under_way = 0
        self.lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def script(self, path: str, *replies: Reply) -> None:
        self.scripts[path] = list(replies)

    def next_reply(self, path: str) -> Reply:
        with self.lock:
            script = self.scripts.get(path) or [Reply(404, b"")]
            return script.pop(0) if len(script) > 1 else script[0]

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.received.append(
                Received(
                    self.command,
                    self.path,
                    dict(self.headers),
                    body,
                    time.monotonic(),
                    self.client_address[1],
                )
            )
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            self._send(self.server.next_reply(path))
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def _send(self, reply: Reply) -> None:
        if reply.wait:
            time.sleep(reply.wait)
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            for end in (self.rfile, self.wfile, self.connection):
                end.close()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.says == -1:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s" % (len(reply.body) + 100, reply.body))
            self.close_connection = True
            return
        length = len(reply.body) if reply.says is None else reply.says
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if reply.drip:
            for byte in reply.body:
                self.wfile.write(bytes([byte]))
                time.sleep(reply.drip)
        else:
            self.wfile.write(reply.body)
        if length != len(reply.body):
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_PUT = _answer

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """``server``, serving until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as server:
        yield server


@pytest.fixture
def make_transport(server: Server) -> Iterator[Callable[..., Transport]]:
    """A transport to the server, with quick retries; without limiter and breaker unless given."""
    made: list[Transport] = []

    def make(**options: Any) -> Transport:
        defaults: dict[str, Any] = {
            "venue_id": "hall",
            "provider": "acme",
            "clock": Clock(datetime.now(UTC), time.monotonic()),
            "retry": QUICK,
            "bounds": Bounds(connect=1, read=1, total=2, body=1 << 20),
        }
        transport = Transport(options.pop("base_url", server.base_url), **{**defaults, **options})
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.close()


def zipped(body: bytes) -> Reply:
    """``body`` as a gzip answer."""
    return Reply(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
