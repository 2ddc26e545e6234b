"""Every body that Square published, in its specification and its events, lands unchanged."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from integration_pipelines.providers.square.streams import STREAMS, SquareStream
from tests.providers.square.conftest import ConnectSquare

ROOT = Path(__file__).parents[3]
REFERENCE = (
    Path(os.environ.get("PROVIDER_REFERENCE", ROOT.parent / "shared/provider_reference")) / "square"
)

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(),
    reason=f"the published bodies are not at {REFERENCE}: set PROVIDER_REFERENCE to their folder",
)

Bodies = dict[str, dict[str, Any]]
PLACES = {"L1": {"id": "L1", "created_at": "2020-01-01T00:00:00Z"}}
"""The location that requests name where no published one is served."""


def key_of(stream: SquareStream) -> str:
    """The key of one object in an answer."""
    return stream.key or {"orders": "order", "catalog": "object"}.get(stream.name, "-")


def named(stream: SquareStream, body: Any) -> str | None:
    """The id of an object of the stream; None for what is none."""
    names = [body.get(name) for name in stream.id] if isinstance(body, dict) else [None]
    return None if None in names else stream.joint.join(names)


def examples() -> Iterator[tuple[SquareStream, Any]]:
    """Every published object of a stream."""
    answers = json.loads((REFERENCE / "official_list_response_examples.json").read_text())
    for operation, answer in answers.items():
        path = operation.split()[1]
        for stream in STREAMS:
            if path.startswith("/".join(stream.path.split("/")[:3])):
                found = answer.get(stream.items, ())
                for body in [
                    *(found if isinstance(found, list) else ()),
                    answer.get(key_of(stream)),
                ]:
                    yield stream, body
    events = json.loads((REFERENCE / "official_event_examples.json").read_text())
    for event in events.values():
        told = event.get("data", {}).get("object") or {}
        for stream in STREAMS:
            found = told.get("inventory_counts") if stream.items == "counts" else None
            for body in [*(found or ()), told.get(key_of(stream))]:
                yield stream, body


def published() -> list[Bodies]:
    """Bodies by stream and id, in as many layers as it takes for two bodies of one id."""
    layers: list[Bodies] = []
    for stream, body in examples():
        object_id = named(stream, body)
        if object_id is None or body.get("is_deleted"):
            continue
        layer = next((one for one in layers if object_id not in one.get(stream.name, {})), None)
        if layer is None:
            layers.append(layer := {})
        layer.setdefault(stream.name, {})[object_id] = body
    return layers


@pytest.fixture
def serve() -> Iterator[Callable[[Bodies], str]]:
    """``serve(bodies) -> api_base``: a server whose lists are these bodies, a page each."""
    servers = []

    def start(bodies: Bodies) -> str:
        for entry in bodies.get("payout_entries", {}).values():
            payout = {"id": entry["payout_id"], "created_at": "2021-12-15T00:00:00Z"}
            bodies.setdefault("payouts", {}).setdefault(payout["id"], payout)
        lists = {stream.path: (stream, bodies.get(stream.name, {})) for stream in STREAMS}

        def answer(path: str) -> Any:
            if path == "/v2/merchants/me":
                return {"merchant": {"id": "ML1", "country": "US"}}
            if path == "/v2/locations":
                return {"locations": list(bodies.get("locations", PLACES).values())}
            if path.endswith("/payout-entries"):
                entries = bodies.get("payout_entries", {}).values()
                return {"payout_entries": [one for one in entries if one["payout_id"] in path]}
            stream, rows = lists[path]
            return {stream.items: list(rows.values())} if rows else {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                told = json.dumps(answer(urlsplit(self.path).path), indent=2, ensure_ascii=False)
                self.send_response(200)
                self.send_header("Content-Length", str(len(told.encode())))
                self.end_headers()
                self.wfile.write(told.encode())

            do_POST = do_GET

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_every_published_body_lands_unchanged(
    serve: Callable[[Bodies], str], connect_square: ConnectSquare
) -> None:
    landed, streams = 0, set()
    for number, bodies in enumerate(published()):
        venue = connect_square(serve(bodies), venue_id=f"layer-{number}")
        results = venue.sync()
        assert not [f"{name}: {result.error}" for name, result in results.items() if result.error]
        for stream, by_id in bodies.items():
            assert venue.payloads(stream) == by_id, stream
            landed += len(by_id)
            streams.add(stream)
    assert streams == {stream.name for stream in STREAMS}
    assert landed > 60
