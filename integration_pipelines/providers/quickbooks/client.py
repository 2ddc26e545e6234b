"""QuickBooks Online over the shared transport: pages, changes and reports as bytes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import (
    AccessRevoked,
    MalformedResponse,
    NotFound,
    ProviderError,
    RateLimited,
    Refused,
    Transient,
)
from integration_pipelines.core.provider import Record
from integration_pipelines.core.transport import Response, Transport, default_error
from integration_pipelines.providers.quickbooks.streams import QuickBooksStream

API_BASE = "https://quickbooks.api.intuit.com"
SANDBOX_BASE = "https://sandbox-quickbooks.api.intuit.com"
MINOR_VERSION = 75
PAGE_SIZE = 1_000
MOST_CAPTURED = 1_000
"""Objects in an answer of change data, at which it may have been cut in silence."""
THROTTLED_FOR = 60.0

NAME = "QuickBooks"
Parsed = TypeVar("Parsed")
REVOKED = {"3200", "003200", "3202", "3100", "003100"}
THROTTLED = {"3001", "003001"}
UNKNOWN = "610"


class _Meta(Struct):
    created: datetime | None = field(name="CreateTime", default=None)
    updated: datetime | None = field(name="LastUpdatedTime", default=None)


class Head(Struct):
    """What reading needs of an object; the rest of its bytes stay unread."""

    id: str = field(name="Id", default="")
    meta: _Meta | None = field(name="MetaData", default=None)
    status: str = ""

    @property
    def updated_at(self) -> datetime | None:
        """When it was last updated."""
        return self.meta.updated if self.meta else None

    @property
    def created_at(self) -> datetime | None:
        """When it was entered."""
        return self.meta.created if self.meta else None


class _Error(Struct, rename="pascal"):
    message: str = ""
    detail: str = ""
    code: str = field(name="code", default="")


class _Fault(Struct):
    errors: list[_Error] = field(name="Error", default_factory=list)
    type: str = ""


class _GatewayError(Struct):
    message: str | None = None
    detail: str | None = None
    code: str = ""


class _GatewayFault(Struct):
    error: list[_GatewayError] = []
    type: str = ""


class _FaultBody(Struct):
    """A fault of the service has capitals, one of the gateway before it has none."""

    service: _Fault | None = field(name="Fault", default=None)
    gateway: _GatewayFault | None = field(name="fault", default=None)


class Listed(NamedTuple):
    """Objects that one answer brought: heads beside records."""

    records: list[Record]
    heads: list[Head]
    observed_at: datetime
    answered_at: datetime


class Captured(NamedTuple):
    """Change data: what changed of each entity; ``size`` objects in all."""

    changes: dict[str, Listed]
    size: int
    answered_at: datetime


def classify(response: Response) -> ProviderError | None:
    """QuickBooks' own words for a refusal, whatever the status they came with; None leaves the
    transport's default."""
    try:
        body = msgspec.json.decode(response.body, type=_FaultBody)
    except (msgspec.DecodeError, RecursionError):
        return None
    if body.service is not None and body.service.errors:
        error = body.service.errors[0]
        return _fault(response, error.code, f"{error.message} {error.detail}", body.service.type)
    if body.gateway is not None and body.gateway.error:
        told = body.gateway.error[0]
        words = f"{told.message or ''} {told.detail or ''}"
        return _fault(response, told.code, words, body.gateway.type)
    return None


def _fault(response: Response, code: str, words: str, kind: str) -> ProviderError | None:
    who = f"{response.provider} {response.endpoint}: {response.status}"
    if code in THROTTLED or response.status == 429:
        after = response.retry_after or THROTTLED_FOR
        return RateLimited(f"{who} throttled ({code})", retry_after=after, status=429, code=code)
    if code == UNKNOWN:
        return NotFound(f"{who} object not found ({code})", status=response.status, code=code)
    if response.status >= 300:
        return default_error(response, message=words, code=code, revoked=code in REVOKED)
    if code in REVOKED or kind.upper() == "AUTHENTICATION":
        return AccessRevoked(f"{who} {words} ({code}); reconnect the account", code=code)
    if kind == "SystemFault":
        return Transient(f"{who} {words} ({code})", status=response.status, code=code)
    return Refused(f"{who} {words} ({code})", status=response.status, code=code)


class QuickBooksReader:
    """Reads one company. Thread-safe: the transport is, and nothing else is kept."""

    def __init__(self, transport: Transport, realm_id: str) -> None:
        self.transport = transport
        self._path = f"/v3/company/{realm_id}"

    def query(
        self,
        stream: QuickBooksStream,
        *conditions: str,
        order: str = "Id",
        start: int = 1,
        page: int | None = None,
    ) -> Listed:
        """Up to ``page`` objects (None: as many as may be) from the ``start``th on, inactive ones
        too; fewer than asked for are the last. Raises what the transport raises."""
        wanted = list(conditions)
        if stream.has_active:
            wanted.append("Active IN (true, false)")
        where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
        query = (
            f"SELECT * FROM {stream.entity}{where} ORDERBY {order} ASC "
            f"STARTPOSITION {start} MAXRESULTS {page or size()}"
        )
        return self._get(
            "/query",
            {"query": query},
            endpoint=f"GET /query {stream.entity}",
            parse=lambda response: _queried(response, stream),
        )

    def changes(self, streams: Sequence[QuickBooksStream], since: datetime) -> Captured:
        """What changed of all ``streams`` since then, in one read."""
        entities = ",".join(stream.entity for stream in streams)
        return self._get(
            "/cdc",
            {"entities": entities, "changedSince": since.isoformat(timespec="seconds")},
            endpoint="GET /cdc",
            parse=lambda response: _captured(response, streams),
        )

    def report(self, stream: QuickBooksStream, basis: str, year: int) -> Listed:
        """A report of a year, a column a month: one record, whole but for the time of asking."""
        return self._get(
            f"/reports/{stream.entity}",
            {
                "start_date": f"{year}-01-01",
                "end_date": f"{year}-12-31",
                "accounting_method": basis,
                "summarize_column_by": "Month",
            },
            endpoint=f"GET /reports/{stream.entity}",
            parse=lambda response: _reported(response, f"{basis}/{year}"),
        )

    def _get(
        self,
        path: str,
        params: Mapping[str, Any],
        *,
        endpoint: str,
        parse: Callable[[Response], Parsed],
    ) -> Parsed:
        return self.transport.request(
            "GET",
            self._path + path,
            params={**params, "minorversion": MINOR_VERSION},
            endpoint=endpoint,
            parse=parse,
        )


def size() -> int:
    """Objects a page; at least two, for one is read twice."""
    return max(2, min(PAGE_SIZE, 1_000))


def literal(value: str) -> str:
    """``value`` as a text of the query language."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def fields_of(response: Response) -> dict[str, Raw]:
    """The body, unless it is a fault, which comes with status 200 too."""
    fields = bodies.decode(bodies.compact(response.body, NAME), dict[str, Raw], NAME)
    if "Fault" in fields or "fault" in fields:
        raise classify(response) or MalformedResponse(f"{NAME} answered with a fault of no kind")
    return fields


def _queried(response: Response, stream: QuickBooksStream) -> Listed:
    fields = fields_of(response)
    if "QueryResponse" not in fields:
        raise MalformedResponse(f"{NAME}'s answer has no QueryResponse")
    found = bodies.decode(fields["QueryResponse"], dict[str, Raw], NAME)
    if not found:
        return _listed(response, [])
    listed = _listed(response, bodies.rows(found, stream.entity, NAME))
    told = bodies.decode(found.get("maxResults", Raw(b"-1")), int, NAME)
    if told not in (-1, len(listed.records)):
        raise MalformedResponse(
            f"{NAME} says it gave {told} of {stream.entity} and gave {len(listed.records)}"
        )
    return listed


def _captured(response: Response, streams: Sequence[QuickBooksStream]) -> Captured:
    """Change data as lists by entity; an entity without changes has no list."""
    fields = fields_of(response)
    if "CDCResponse" not in fields:
        raise MalformedResponse(f"{NAME}'s answer has no CDCResponse")
    changes: dict[str, list[Raw]] = {stream.entity: [] for stream in streams}
    for part in bodies.decode(fields["CDCResponse"], list[dict[str, Raw]], NAME):
        if "QueryResponse" not in part:
            raise classify(response) or MalformedResponse(f"{NAME}'s change data lack a part")
        for entities in bodies.decode(part["QueryResponse"], list[dict[str, Raw]], NAME):
            for entity in entities.keys() & changes.keys():
                changes[entity] += bodies.rows(entities, entity, NAME)
    listed = {entity: _listed(response, found) for entity, found in changes.items()}
    return Captured(
        listed,
        sum(len(one.records) for one in listed.values()),
        bodies.answered_at(response),
    )


def _reported(response: Response, record_id: str) -> Listed:
    """A report without the time at which it was made, which alone would make each one new."""
    fields = fields_of(response)
    for name in ("Header", "Columns", "Rows"):
        if name not in fields:
            raise MalformedResponse(f"{NAME}'s report has no {name}")
    header = bodies.decode(fields["Header"], dict[str, Raw], NAME)
    header.pop("Time", None)
    fields["Header"] = bodies.as_json(header)
    record = Record(record_id, msgspec.json.encode(fields))
    return Listed([record], [Head()], response.started_at, bodies.answered_at(response))


def _listed(response: Response, found: Sequence[Raw]) -> Listed:
    records, heads = [], []
    for raw in found:
        head = bodies.decode(raw, Head, NAME)
        if not head.id:
            raise MalformedResponse(f"one of {NAME}'s objects has no Id")
        version = bodies.microseconds(head.updated_at)
        records.append(Record(head.id, bytes(raw), version, head.status == "Deleted"))
        heads.append(head)
    return Listed(records, heads, response.started_at, bodies.answered_at(response))
