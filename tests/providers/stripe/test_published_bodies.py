"""Every body that Stripe and others published, of old and new API versions, lands unchanged."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from integration_pipelines.providers.stripe.streams import BY_OBJECT, STREAMS
from tests.providers.stripe.conftest import ConnectStripe

ROOT = Path(__file__).parents[3]
REFERENCE = (
    Path(os.environ.get("PROVIDER_REFERENCE", ROOT.parent / "shared/provider_reference")) / "stripe"
)

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(),
    reason=f"the published bodies are not at {REFERENCE}: set PROVIDER_REFERENCE to their folder",
)

Bodies = dict[str, dict[str, Any]]


def published() -> list[Bodies]:
    """Bodies by stream and id, in as many layers as it takes for two bodies of one id."""
    found = list(json.loads((REFERENCE / "fixtures3.json").read_text())["resources"].values())
    found += [json.loads(path.read_text()) for path in sorted(REFERENCE.glob("objects/*.json"))]
    for path in sorted(REFERENCE.glob("webhook_events/*.json")):
        found.append(json.loads(path.read_text())["data"]["object"])
    layers: list[Bodies] = []
    for body in found:
        stream = BY_OBJECT.get(body.get("object", ""))
        if stream is None or "id" not in body or body.get("deleted"):
            continue
        layer = next(
            (layer for layer in layers if body["id"] not in layer.get(stream.name, {})), None
        )
        if layer is None:
            layers.append(layer := {})
        layer.setdefault(stream.name, {})[body["id"]] = body
    return layers


@pytest.fixture
def serve() -> Iterator[Any]:
    """``serve(bodies) -> api_base``: a server whose lists are these bodies, a page each."""
    servers = []

    def start(bodies: Bodies) -> str:
        lists = {stream.path: list(bodies.get(stream.name, {}).values()) for stream in STREAMS}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                listed = lists.get(path)
                if listed is None and path.endswith(("/lines", "/line_items", "_items")):
                    listed = []
                told = {"object": "list", "has_more": False, "url": path, "data": listed}
                answer = json.dumps(told, indent=2, ensure_ascii=False).encode()
                self.send_response(404 if listed is None else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_every_published_body_lands_unchanged(serve: Any, connect_stripe: ConnectStripe) -> None:
    landed, streams = 0, set()
    for number, bodies in enumerate(published()):
        venue = connect_stripe(serve(bodies), venue_id=f"layer-{number}")
        results = venue.sync()
        assert not [f"{name}: {result.error}" for name, result in results.items() if result.error]
        for stream, by_id in bodies.items():
            payloads = venue.payloads(stream)
            assert payloads.keys() == by_id.keys()
            for name, body in by_id.items():
                assert without_completed_lists(payloads[name]) == without_completed_lists(body)
            landed += len(by_id)
            streams.add(stream)
    assert streams == {stream.name for stream in STREAMS}
    assert landed > 80


def without_completed_lists(body: dict[str, Any]) -> dict[str, Any]:
    """``body`` without the mark that an embedded list goes on: landed, it does not."""
    return {
        name: {**value, "has_more": None} if isinstance(value, dict) and "has_more" in value
        else value
        for name, value in body.items()
    }  # fmt: skip
