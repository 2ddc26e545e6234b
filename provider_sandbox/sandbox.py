"""The server: one port for all providers, their faults and limits, and the control API."""

import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from provider_sandbox import control, oidc
from provider_sandbox.faults import Faults
from provider_sandbox.limits import Limits
from provider_sandbox.mailchimp import Mailchimp
from provider_sandbox.messages import Provider, Request, Response
from provider_sandbox.outbox import Outbox
from provider_sandbox.quickbooks import QuickBooks
from provider_sandbox.square import Square
from provider_sandbox.stripe import Stripe

REFUSALS_KEPT = 1000
LARGEST_BODY = 10_000_000
APPLICATION = {
    "stripe": ("STRIPE_CLIENT_ID", "STRIPE_SECRET_KEY"),
    "square": ("SQUARE_APP_ID", "SQUARE_APP_SECRET"),
    "mailchimp": ("MAILCHIMP_CLIENT_ID", "MAILCHIMP_CLIENT_SECRET"),
    "quickbooks": ("QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET"),
}
"""The variables that hold the application's id and secret."""


class Sandbox:
    """The stand-ins of all providers on one port of 127.0.0.1.

    ``base_url`` + "/stripe" is what STRIPE_API_BASE is set to. ``stripe`` holds its accounts and
    what is true in them; ``faults``, ``limits`` and ``latency`` (seconds a request) are its moods,
    ``outbox`` is what its webhooks leave by.
    ``requests`` counts what came, by (provider, account, method, path), ``limited`` the 429s by
    (provider, account); ``refused`` are the last requests that the provider does not allow.
    """

    def __init__(self, *, seed: int = 0, port: int = 0, now: int | None = None) -> None:
        self.stripe = Stripe(seed=seed, now=now)
        self.mailchimp = Mailchimp(seed=seed, now=now)
        self.quickbooks = QuickBooks(seed=seed, now=now)
        self.square = Square(seed=seed, now=now)
        self.providers: dict[str, Provider] = {
            self.stripe.name: self.stripe,
            self.mailchimp.name: self.mailchimp,
            self.quickbooks.name: self.quickbooks,
            self.square.name: self.square,
        }
        self.quickbooks.processors = {
            "stripe": lambda slug: self.stripe.account(slug).paid_out(),
            "square": lambda slug: self.square.account(slug).paid_out(),
        }
        self.outbox = Outbox(seed)
        for each in (self.stripe, self.mailchimp, self.quickbooks, self.square):
            each.outbox = self.outbox
        self.issuer = oidc.Issuer(seed=seed)
        self.consents = {
            "stripe": self.stripe.consent,
            "square": self.square.consent,
            "mailchimp": self.mailchimp.consent,
            "quickbooks": self.quickbooks.tokens.consent,
        }
        self.faults = Faults()
        self.limits = Limits()
        self.latency = 0.0
        self.requests: Counter[tuple[str, str, str, str]] = Counter()
        self.limited: Counter[tuple[str, str]] = Counter()
        self.refused: deque[dict[str, Any]] = deque(maxlen=REFUSALS_KEPT)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point the pipelines here: each provider's base, the application that
        is registered with it, and what its webhooks are signed with."""
        told = {
            "STRIPE_API_BASE": f"{self.base_url}/stripe",
            "SQUARE_API_BASE": f"{self.base_url}/square",
            "MAILCHIMP_API_BASE": f"{self.base_url}/mailchimp",
            "MAILCHIMP_OAUTH_BASE": f"{self.base_url}/mailchimp",
            "QUICKBOOKS_API_BASE": f"{self.base_url}/quickbooks",
            "QUICKBOOKS_OAUTH_BASE": f"{self.base_url}/quickbooks",
            "STRIPE_WEBHOOK_SECRET": self.stripe.webhook_secret,
            "SQUARE_ACCESS_TOKEN": self.square.subscriptions.access_token,
            "SQUARE_WEBHOOK_SIGNATURE_KEY": self.square.subscriptions.first_key,
            "QUICKBOOKS_WEBHOOK_TOKEN": self.quickbooks.webhook.verifier,
            "OIDC_ISSUER": f"{self.base_url}/{oidc.MOUNT}",
            "OIDC_CLIENT_ID": self.issuer.client_id,
            "OIDC_CLIENT_SECRET": self.issuer.client_secret,
        }
        for name, consent in self.consents.items():
            client_id, client_secret = APPLICATION[name]
            told |= {client_id: consent.client_id, client_secret: consent.client_secret}
        return told

    def serve(self) -> None:
        """Serve until `stop()` is called in another thread."""
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """Close the port and every connection."""
        self.outbox.close()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()

    def handle(self, request: Request) -> Response:
        """The answer to one request, faults included."""
        mount, _, path = request.path.lstrip("/").partition("/")
        request = replace(request, path=f"/{path}")
        if mount == control.MOUNT:
            return control.answer(self, request)
        if mount == oidc.MOUNT:
            return self.issuer.answer(request)
        provider = self.providers.get(mount)
        if provider is None:
            known = ", ".join(f"/{name}" for name in (*self.providers, control.MOUNT))
            return control.refusal(404, f"nothing is at /{mount}: there are {known}")
        return self._ask(provider, request)

    def reset_stats(self) -> None:
        with self._lock:
            self.requests.clear()
            self.limited.clear()
            self.refused.clear()

    def _ask(self, provider: Provider, request: Request) -> Response:
        account = provider.account_of(request)
        who = account or "-"
        with self._lock:
            self.requests[provider.name, who, request.method, request.path] += 1
        if self.latency:
            time.sleep(self.latency)
        refused_by = self.limits.enter(who)
        if refused_by is not None:
            limit = self.limits.of(who)
            response = provider.trouble(429, request, limit=refused_by)
            if limit is not None and limit.retry_after is not None:
                response.headers["Retry-After"] = f"{limit.retry_after:g}"
        else:
            try:
                response = self._answer(provider, request, account)
            finally:
                self.limits.leave(who)
        self._note(provider.name, who, request, response)
        return response

    def _answer(self, provider: Provider, request: Request, account: str | None) -> Response:
        faults = self.faults.striking(provider.name, account, request.path)
        for fault in faults:
            struck = fault.before(provider, request)
            if struck is not None:
                return struck
        response = provider.answer(request)
        told = provider.time_told(account)
        if told is not None:
            response.headers["Date"] = formatdate(told, usegmt=True)
        for fault in faults:
            fault.after(provider, request, response)
        response.render()
        return response

    def _note(self, provider: str, who: str, request: Request, response: Response) -> None:
        if response.status == 429:
            with self._lock:
                self.limited[provider, who] += 1
        elif response.status in (400, 403, 404):
            refusal = {
                "provider": provider,
                "account": who,
                "method": request.method,
                "path": request.path,
                "query": unquote(request.query),
                "status": response.status,
                "answer": response.body.decode(errors="replace"),
            }
            with self._lock:
                self.refused.append(refusal)


@contextmanager
def running_sandbox(*, seed: int = 0, port: int = 0, now: int | None = None) -> Iterator[Sandbox]:
    """A sandbox served by a thread of this process while the block runs.

    ``now``: the second at which every account's clock stands still until it is set; None gives
    accounts a history that ends with the last full hour and a clock that follows this machine's.
    """
    sandbox = Sandbox(seed=seed, port=port, now=now)
    thread = threading.Thread(target=sandbox.serve, name="provider-sandbox", daemon=True)
    thread.start()
    try:
        yield sandbox
    finally:
        sandbox.stop()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away mid-answer is no error of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def parse_request(self) -> bool:
        """As the base class does, but any method is the provider's to judge."""
        parsed = super().parse_request()
        if parsed and self.command and not hasattr(self, f"do_{self.command}"):
            setattr(self, f"do_{self.command}", self.do_GET)
        return parsed

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self.close_connection = True
            return self._send(control.refusal(413, f"send at most {LARGEST_BODY} bytes"))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, self.rfile.read(length))
        return self._send(self.server.sandbox.handle(request))

    def _send(self, response: Response) -> None:
        if response.reset:
            linger_none = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
            self.connection.close()
            self.close_connection = True
            return
        body = response.render()
        headers = {"Date": self.date_time_string(), **response.headers}
        headers["Content-Length"] = str(len(body))
        if response.send_only is not None:
            body = body[: response.send_only]
            self.close_connection = True
        if self.close_connection:
            headers["Connection"] = "close"
        reason = self.responses.get(response.status, ("",))[0]
        lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if self.command == "HEAD":
            body = b""
        if response.pause:
            half = len(body) // 2
            self.connection.sendall(head + body[:half])
            time.sleep(response.pause)
            self.connection.sendall(body[half:])
        else:
            self.connection.sendall(head + body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent: `requests` and `refused` of the sandbox tell what came."""
