"""A body with every field of Intuit's published schema lands unchanged, of each entity."""

import json
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from sqlalchemy import Engine

from integration_pipelines.core.settings import Settings
from integration_pipelines.providers.quickbooks import QuickBooksCredentials
from integration_pipelines.providers.quickbooks.client import BYTE_ORDER_MARK
from integration_pipelines.providers.quickbooks.streams import STREAMS
from tests.connected import connect_account
from tests.providers.quickbooks.conftest import ENTITIES, QUICKBOOKS
from tests.quickbooks_schema import Schema

Bodies = dict[str, dict[str, Any]]
JSON = msgspec.json.Encoder(decimal_format="number")


@pytest.fixture
def fullest() -> Bodies:
    """A body with every field, by entity."""
    schema = Schema()
    told = {
        "Id": "7",
        "status": "Synchronized",
        "domain": "QBO",
        "MetaData": {
            "CreateTime": "2026-02-01T08:00:00-08:00",
            "LastUpdatedTime": "2026-02-28T23:59:59-08:00",
        },
    }
    return {
        stream.entity: schema.fullest(stream.entity) | told
        for stream in STREAMS
        if not stream.is_report
    }


@pytest.fixture
def api_base(fullest: Bodies) -> Iterator[str]:
    """A company that has one object of each entity, told as Intuit does on its worse days: with a
    byte-order mark, indented, and every number as long as it was."""

    def told(url: str) -> dict[str, Any]:
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if "/companyinfo/" in path:
            return {"CompanyInfo": fullest["CompanyInfo"]}
        if "/reports/" in path:
            return {"Header": {"Currency": "USD"}}
        asked = query["query"][0]
        entity = re.findall(r"FROM (\w+)", asked)[0]
        found = {"totalCount": 1} if "COUNT" in asked else {entity: [fullest[entity]]}
        return {"QueryResponse": found, "time": "2026-03-01T00:00:00.000-08:00"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = BYTE_ORDER_MARK + msgspec.json.format(JSON.encode(told(self.path)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_body_with_every_published_field_lands_unchanged(
    settings: Settings, pipeline_engine: Engine, venue: Any, api_base: str, fullest: Bodies
) -> None:
    given = QuickBooksCredentials.model_validate(
        {"access_token": "of-the-company", "refresh_token": "-", "realm_id": "9130"}
        | {"expires_at": 2**40}
    )
    here = settings.model_copy(update={"quickbooks_api_base": api_base})
    hall = connect_account(here, pipeline_engine, QUICKBOOKS, given, venue("hall"))
    results = hall.sync(streams=ENTITIES)
    assert not [f"{name}: {result.error}" for name, result in results.items() if result.error]
    for stream in STREAMS:
        if stream.is_report:
            continue
        ((payload,),) = hall.rows(f"SELECT payload::text FROM raw_quickbooks.{stream.name}")
        landed = json.loads(payload, parse_float=Decimal)
        truth = json.loads(JSON.encode(fullest[stream.entity]), parse_float=Decimal)
        assert exact(landed) == exact(truth)
        assert len(landed) > 5


def exact(value: Any) -> Any:
    """``value`` with each number as its digits: 1.50 is not 1.5."""
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return repr(value)
