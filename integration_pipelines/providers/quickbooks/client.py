"""QuickBooks Online over the shared transport: pages, changes and reports as bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct, field

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import (
    AccessRevoked,
    MalformedResponse,
    NotFound,
    ProviderError,
    RateLimited,
)
from integration_pipelines.core.provider import Record
from integration_pipelines.core.transport import Response, Transport, default_error
from integration_pipelines.providers.quickbooks.reports import (
    digests_of,
    flatten_report,
    months_of,
)
from integration_pipelines.providers.quickbooks.streams import BY_NAME, QuickBooksStream

API_BASE = "https://quickbooks.api.intuit.com"
SANDBOX_BASE = "https://sandbox-quickbooks.api.intuit.com"
MINOR_VERSION = 75
PAGE_SIZE = 1_000
"""Objects that a page may have at most."""
MOST_CAPTURED = 1_000
"""Objects in an answer of change data, at which it may have been cut in silence."""
THROTTLED_FOR = 60.0
"""Seconds that Intuit asks to wait after a 429, which carries no Retry-After."""

NAME = "QuickBooks"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COUNTS = frozenset(("startPosition", "maxResults", "totalCount"))
"""What an answer holds beside its rows."""
COMPANY = BY_NAME["company_info"]
UNKNOWN = "610"
LAPSED = "6190"
"""The company's subscription has ended, or was not paid for."""
MEANT = {
    UNKNOWN: 404, LAPSED: 401, "100": 401, "3200": 401, "3202": 401, "3100": 401, "3001": 429,
    "10000": 500,
}  # fmt: skip
"""The status that a code stands for, whatever status it came with. 3100 is the whole company's: it
no longer lets the application in."""
MEANT_BY_TYPE = {
    "authentication": 401, "authenticationfault": 401, "authorizationfault": 403,
    "systemfault": 500, "service": 503, "servicefault": 503,
}  # fmt: skip
"""The same by the fault's type, for what comes with status 200."""

Parsed = TypeVar("Parsed")


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


class _Error(Struct):
    Message: str | None = None
    Detail: str | None = None
    message: str | None = None
    detail: str | None = None
    code: str | int | None = None


class _Fault(Struct):
    Error: list[_Error] = []
    error: list[_Error] = []
    type: str | None = None


class _FaultBody(Struct):
    """A fault of the service has capitals, one of the gateway before it has none."""

    service: _Fault | None = field(name="Fault", default=None)
    gateway: _Fault | None = field(name="fault", default=None)


class _Dates(Struct):
    start: str | None = field(name="CompanyStartDate", default=None)
    meta: _Meta | None = field(name="MetaData", default=None)


class Listed(NamedTuple):
    """Objects that one answer brought: heads beside records."""

    records: list[Record]
    heads: list[Head]
    observed_at: datetime
    answered_at: datetime


class Captured(NamedTuple):
    """Change data: what changed of each entity; ``cut``: more may have, which the answer leaves
    out in silence."""

    changes: dict[str, Listed]
    cut: bool
    answered_at: datetime


class Company(NamedTuple):
    """Since when there is something to read, and what day it is there."""

    since: date
    today: date


def classify(response: Response) -> ProviderError | None:
    """QuickBooks' own words for a refusal, whatever the status they came with."""
    try:
        body = msgspec.json.decode(_unmarked(response.body), type=_FaultBody)
    except (msgspec.DecodeError, RecursionError):
        body = _FaultBody()
    fault = body.service or body.gateway
    if fault is None:
        return _patient(default_error(response))
    error = next(iter(fault.Error or fault.error), _Error())
    code = "" if error.code is None else str(error.code).lstrip("0")
    status = MEANT.get(code, response.status)
    if 200 <= status < 300:
        status = MEANT_BY_TYPE.get((fault.type or "").lower(), 400)
    words = (error.Message or error.message, error.Detail or error.detail)
    refused = default_error(
        replace(response, status=status),
        message=": ".join(word for word in words if word) or fault.type or "",
        code=code or fault.type,
    )
    if isinstance(refused, AccessRevoked) and code == LAPSED:
        lapsed = f"{refused} once its QuickBooks subscription is paid for again"
        return AccessRevoked(lapsed, status=response.status, code=code)
    return _patient(refused)


def _patient(error: ProviderError | None) -> ProviderError | None:
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = THROTTLED_FOR
    return error


class QuickBooksReader:
    """Reads one company. Thread-safe: the transport is, and nothing else is kept."""

    def __init__(self, transport: Transport, realm_id: str) -> None:
        self.transport = transport
        self._realm_id = realm_id

    def query(
        self, stream: QuickBooksStream, *conditions: str, order: str = "Id", start: int = 1
    ) -> Listed:
        """`size` objects from the ``start``th on, inactive ones too; fewer than that are the last.
        Raises what the transport raises."""
        query = (
            f"SELECT * FROM {stream.entity}{_where(stream, conditions)} ORDERBY {order} ASC "
            f"STARTPOSITION {start} MAXRESULTS {size()}"
        )
        return self._query(stream, query, lambda response: _queried(response, stream, start))

    def count(self, stream: QuickBooksStream, *conditions: str) -> int:
        """How many objects there are, inactive ones too."""

        def parse(response: Response) -> int:
            found = _query_response(fields_of(response))
            if "totalCount" not in found:
                raise MalformedResponse(f"{NAME}'s count has no totalCount")
            return bodies.decode(found["totalCount"], int, NAME)

        query = f"SELECT COUNT(*) FROM {stream.entity}{_where(stream, conditions)}"
        return self._query(stream, query, parse)

    def changes(self, streams: Sequence[QuickBooksStream], since: datetime) -> Captured:
        """What changed of all ``streams`` since then, in one read."""
        entities = ",".join(stream.entity for stream in streams)
        return self._get(
            "/cdc",
            {"entities": entities, "changedSince": since.isoformat(timespec="seconds")},
            endpoint="GET /cdc",
            parse=lambda response: _captured(response, streams),
        )

    def retrieve(self, stream: QuickBooksStream, object_id: str) -> Listed:
        """One object by id; one that QuickBooks no longer has is a record with ``deleted`` and no
        payload."""

        def parse(response: Response) -> Listed:
            body = fields_of(response).get(stream.entity)
            if body is None:
                raise MalformedResponse(f"{NAME}'s answer has no {stream.entity}")
            return _listed(response, [body])

        # A company's own object is asked for by the company's id, whatever its own.
        asked = self._realm_id if stream is COMPANY else object_id
        asked_at = self.transport.clock.now()
        path = stream.entity.lower()
        try:
            return self._get(
                f"/{path}/{quote(asked, safe='')}", {}, endpoint=f"GET /{path}/:id", parse=parse
            )
        except NotFound as error:
            if error.code != UNKNOWN:
                raise
            return Listed([Record(object_id, b"", deleted=True)], [], asked_at, asked_at)

    def report(self, stream: QuickBooksStream, basis: str, month: date) -> Listed:
        """A report of a month: one record, whole but for the time of asking."""
        first, last = month.replace(day=1), next_month(month) - timedelta(days=1)
        days = {"start_date": first.isoformat(), "end_date": last.isoformat()}
        return self._get(
            f"/reports/{stream.entity}",
            {**days, "accounting_method": basis},
            endpoint=f"GET /reports/{stream.entity}",
            parse=lambda response: _reported(response, basis, first, last),
        )

    def opened(self, since: date, until: date) -> date:
        """The first month, between these two days, at whose end anything stands in the books. A
        company's transactions may be older than the company itself."""
        months = self._by_month("BalanceSheet", "Accrual", since, until, parse=months_of)
        return min(months, default=until).replace(day=1)

    def digests(
        self, stream: QuickBooksStream, basis: str, since: date, until: date
    ) -> dict[str, str]:
        """What tells each month's report from another one of the same month, by "YYYY-MM"; a month
        in which nothing stands has none. One read."""
        last = next_month(until) - timedelta(days=1)
        return self._by_month(stream.entity, basis, since, last, parse=digests_of)

    def _by_month(
        self, report: str, basis: str, since: date, until: date, *, parse: Callable[[Any], Parsed]
    ) -> Parsed:
        """A report with a column for each month."""

        def read(response: Response) -> Parsed:
            body = bodies.decode(bodies.as_json(fields_of(response)), dict[str, Any], NAME)
            try:
                return parse(flatten_report(body))
            except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
                raise MalformedResponse(f"{NAME}'s {report} cannot be read") from error

        days = {"start_date": since.isoformat(), "end_date": until.isoformat()}
        return self._get(
            f"/reports/{report}",
            {**days, "accounting_method": basis, "summarize_column_by": "Month"},
            endpoint=f"GET /reports/{report}",
            parse=read,
        )

    def company(self) -> Company:
        """The company's span of time."""

        def parse(response: Response) -> Company:
            found = _objects(_query_response(fields_of(response)), {COMPANY.entity})
            if not found[COMPANY.entity]:
                raise MalformedResponse(f"{NAME}'s answer has no {COMPANY.entity}")
            dates = bodies.decode(found[COMPANY.entity][0], _Dates, NAME)
            today = answered_at(response).date()
            known = [dates.meta.created.date()] if dates.meta and dates.meta.created else []
            if dates.start:
                try:
                    known.append(datetime.fromisoformat(dates.start).date())
                except ValueError as error:
                    raise MalformedResponse(f"{NAME}'s CompanyStartDate is no date") from error
            return Company(min(known, default=today), today)

        return self._query(COMPANY, f"SELECT * FROM {COMPANY.entity}", parse)

    def _query(
        self, stream: QuickBooksStream, query: str, parse: Callable[[Response], Parsed]
    ) -> Parsed:
        return self._get(
            "/query", {"query": query}, endpoint=f"GET /query {stream.entity}", parse=parse
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
            f"/v3/company/{self._realm_id}{path}",
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


def next_month(day: date) -> date:
    """The first day of the month after that of ``day``."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def fields_of(response: Response) -> dict[str, Raw]:
    """The body, unless it is a fault, which comes with status 200 too."""
    fields = bodies.decode(bodies.compact(_unmarked(response.body), NAME), dict[str, Raw], NAME)
    if any(name in fields and bytes(fields[name]) != b"null" for name in ("Fault", "fault")):
        raise classify(response) or MalformedResponse(f"{NAME} answered with a fault of no kind")
    return fields


def answered_at(response: Response) -> datetime:
    """The server's clock when it answered, with the company's offset where the body tells it."""
    at = bodies.answered_at(response)
    try:
        told = msgspec.json.decode(_unmarked(response.body), type=_Told).time
        return at.astimezone(told.tzinfo) if isinstance(told, datetime) and told.tzinfo else at
    except (msgspec.DecodeError, RecursionError):
        return at


class _Told(Struct):
    time: datetime | int | None = None


def _unmarked(body: bytes) -> bytes:
    """``body`` without the byte-order mark that some of Intuit's begin with."""
    return body.removeprefix(BYTE_ORDER_MARK)


def _where(stream: QuickBooksStream, conditions: Sequence[str]) -> str:
    every = [*conditions, *(["Active IN (true, false)"] if stream.has_active else [])]
    return f" WHERE {' AND '.join(every)}" if every else ""


def _query_response(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    if "QueryResponse" not in fields:
        raise MalformedResponse(f"{NAME}'s answer has no QueryResponse")
    return bodies.decode(fields["QueryResponse"], dict[str, Raw], NAME)


def _objects(found: Mapping[str, Raw], entities: set[str]) -> dict[str, list[Raw]]:
    """Rows by entity. Documented: what has no rows is left out."""
    if unknown := found.keys() - entities - COUNTS:
        raise MalformedResponse(f"{NAME} answered with {', '.join(sorted(unknown))[:80]}")
    rows = {
        name: bodies.rows(dict(found), name, NAME) if name in found else [] for name in entities
    }
    given = sum(map(len, rows.values()))
    told = bodies.decode(found.get("maxResults", Raw(b"-1")), int, NAME)
    if told not in (-1, given):
        raise MalformedResponse(f"{NAME} says it gave {told} objects and gave {given}")
    return rows


def _queried(response: Response, stream: QuickBooksStream, start: int) -> Listed:
    found = _query_response(fields_of(response))
    rows = _objects(found, {stream.entity})[stream.entity]
    told = bodies.decode(found.get("startPosition", Raw(b"-1")), int, NAME)
    if rows and told not in (-1, start):
        raise MalformedResponse(f"{NAME}'s page begins with object {told}, not with {start}")
    return _listed(response, rows)


def _captured(response: Response, streams: Sequence[QuickBooksStream]) -> Captured:
    """Change data as lists by entity; an entity without changes has no list."""
    fields = fields_of(response)
    if "CDCResponse" not in fields:
        raise MalformedResponse(f"{NAME}'s answer has no CDCResponse")
    changes: dict[str, list[Raw]] = {stream.entity: [] for stream in streams}
    parts = bodies.decode(fields["CDCResponse"], list[Raw], NAME)
    if not parts:
        raise MalformedResponse(f"{NAME}'s change data are empty")
    for part in parts:
        within = fields_of(replace(response, body=bytes(part)))
        if "QueryResponse" not in within:
            raise MalformedResponse(f"{NAME}'s change data lack a part")
        for block in bodies.decode(within["QueryResponse"], list[dict[str, Raw]], NAME):
            for entity, rows in _objects(block, set(changes)).items():
                changes[entity] += rows
    return Captured(
        {entity: _listed(response, found) for entity, found in changes.items()},
        sum(map(len, changes.values())) >= MOST_CAPTURED,
        bodies.answered_at(response),
    )


def _reported(response: Response, basis: str, first: date, last: date) -> Listed:
    """A report without the time at which it was made, which alone would make each one new."""
    fields = fields_of(response)
    for name in ("Header", "Columns", "Rows"):
        if name not in fields:
            raise MalformedResponse(f"{NAME}'s report has no {name}")
    header = bodies.decode(fields["Header"], dict[str, Raw], NAME)
    for name, day in (("StartPeriod", first), ("EndPeriod", last)):
        if name in header and bodies.decode(header[name], str, NAME) != day.isoformat():
            raise MalformedResponse(f"{NAME}'s report is not of {first:%Y-%m}, as asked")
    header.pop("Time", None)
    fields["Header"] = bodies.as_json(header)
    record = Record(f"{basis}/{first:%Y-%m}", msgspec.json.encode(fields))
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
