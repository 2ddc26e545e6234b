"""How the Accounting API answers: queries, single objects, changes, reports, and its refusals."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl, unquote

from provider_sandbox.ledger import Json, encode
from provider_sandbox.messages import Page, Request, Response
from provider_sandbox.quickbooks import query as language
from provider_sandbox.quickbooks import reports
from provider_sandbox.quickbooks.account import DAY, QuickBooksAccount, Record
from provider_sandbox.quickbooks.endpoints import (
    BY_NAME,
    BY_PATH,
    CAPTURED_DAYS,
    MINOR_VERSION,
    MOST_CAPTURED,
    REPORTS,
    Entity,
)
from provider_sandbox.quickbooks.faults import (
    CONTENT_TYPE,
    Refused,
    invalid_parameter,
    missing,
    not_found,
    unsupported,
)

TEXTS = ("application/text", "text/plain")
BY_LOWER_NAME = {name.lower(): entity for name, entity in BY_NAME.items()}


def answer(account: QuickBooksAccount, request: Request, path: Sequence[str]) -> Response:
    """Answer a request for this company; ``path`` is what follows its id. Raises Refused."""
    with account.lock:
        account.refresh()
        match (request.method, *path):
            case ("GET", "query"):
                given = _parameters(request, "query")
                if "query" not in given:
                    raise missing("query")
                return _list(account, given["query"])
            case ("POST", "query"):
                _parameters(request)
                return _list(account, _text(request))
            case ("GET", "cdc"):
                return _changes(account, _parameters(request, "entities", "changedSince"))
            case ("GET", "reports", name) if name in REPORTS:
                given = _parameters(request, *reports.PARAMETERS)
                return _body(reports.report(account, name, given, now(account)))
            case ("GET", name, id) if name in BY_PATH:
                _parameters(request)
                return _get(account, BY_PATH[name], id)
            case ("GET", "preferences" | "reports", *_):
                raise unsupported("/".join(path))
            case ("GET", name, *_):
                raise unsupported(f"Could not find resource for entity {name}")
        raise unsupported(f"{request.method} {'/'.join(path)}")


def now(account: QuickBooksAccount) -> str:
    """The company's time as answers carry it, with milliseconds."""
    time = account.time(account.clock.now())
    return f"{time[:19]}.000{time[19:]}"


def _parameters(request: Request, *known: str) -> dict[str, str]:
    """The parameters of the request without those that every path takes."""
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    version = given.pop("minorversion", str(MINOR_VERSION))
    if not version.isdecimal() or not 1 <= int(version) <= MINOR_VERSION:
        raise invalid_parameter("minorversion", version)
    given.pop("requestid", None)
    for name, value in given.items():
        if name not in known:
            raise invalid_parameter(name, value)
    return given


def _text(request: Request) -> str:
    type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if type not in TEXTS:
        raise Refused(
            400, "1050", "Invalid Content Type",
            f"Content type {type or 'none'} is not supported: send application/text",
        )  # fmt: skip
    try:
        return request.body.decode()
    except UnicodeDecodeError:
        raise Refused(
            400, "4000", "Error parsing query", "QueryParserError: Invalid content."
        ) from None


def _list(account: QuickBooksAccount, text: str) -> Response:
    query = language.parse(text)
    records = language.select(account, query)
    time = now(account)
    if query.counts:
        return _body({"QueryResponse": {"totalCount": len(records)}, "time": time})

    def page(start: int) -> Page:
        end = start + query.limit
        rows = [record.body for record in records[start:end]]
        return Page(
            rows, end < len(records), _list_encoder(query.entity.name, start + 1, time),
            lambda: page(end), "QueryResponse",
        )  # fmt: skip

    response = Response(page=page(query.start - 1))
    response.headers["Content-Type"] = CONTENT_TYPE
    return response


def _list_encoder(name: str, start: int, time: str) -> Callable[[Sequence[bytes], bool], bytes]:
    tail = b'},"time":' + encode(time) + b"}"

    def encoded(rows: Sequence[bytes], has_more: bool) -> bytes:
        if not rows:
            return b'{"QueryResponse":{' + tail
        counted = b'],"startPosition":%d,"maxResults":%d' % (start, len(rows))
        return b'{"QueryResponse":{"%s":[' % name.encode() + b",".join(rows) + counted + tail

    return encoded


def _get(account: QuickBooksAccount, entity: Entity, id: str) -> Response:
    # The company's only CompanyInfo has Id 1, and is asked for by the id of the realm.
    if entity.name == "CompanyInfo" and unquote(id) == account.id:
        id = "1"
    record = account.tables[entity.stream].records.get(unquote(id))
    if record is None:
        raise not_found()
    time = encode(now(account))
    body = b'{"%s":%s,"time":%s}' % (entity.name.encode(), record.body, time)
    return Response(200, body, {"Content-Type": CONTENT_TYPE})


def _changes(account: QuickBooksAccount, given: Mapping[str, str]) -> Response:
    """What changed since a time: a block for each entity that was asked for, in that order, its
    objects last updated last. The answer ends with the thousandth object."""
    for name in ("entities", "changedSince"):
        if not given.get(name):
            raise missing(name)
    entities = [_captured(name.strip()) for name in given["entities"].split(",")]
    try:
        since = language.moment(given["changedSince"], account.zone)
    except ValueError:
        raise invalid_parameter("changedSince", given["changedSince"]) from None
    if since < account.clock.now() - CAPTURED_DAYS * DAY:
        raise unsupported(
            f"cdc with changedSince date {given['changedSince']} which is older than fixed days"
        )
    left = MOST_CAPTURED
    blocks = []
    for entity in entities:
        bodies = _changed(account, entity, since)[:left]
        left -= len(bodies)
        blocks.append(_block(entity.name, bodies) if bodies else b"{}")
    body = b'{"CDCResponse":[{"QueryResponse":[' + b",".join(blocks) + b']}],"time":'
    body += encode(now(account)) + b"}"
    return Response(200, body, {"Content-Type": CONTENT_TYPE})


def _captured(name: str) -> Entity:
    entity = BY_LOWER_NAME.get(name.lower())
    if entity is None or not entity.captured:
        raise unsupported(f"cdc for entity {name}")
    return entity


def _changed(account: QuickBooksAccount, entity: Entity, since: float) -> list[bytes]:
    table = account.tables[entity.stream]
    alive = table.by_update()
    first = bisect_right(alive, since, key=_updated)
    changed = [(record.updated, record.body) for record in alive[first:]]
    for id, at in table.deleted.items():
        if at > since:
            gone: Json = {
                "domain": "QBO", "status": "Deleted", "Id": id,
                "MetaData": {"LastUpdatedTime": account.time(at)},
            }  # fmt: skip
            changed.append((at, encode(gone)))
    changed.sort(key=lambda one: one[0])
    return [body for _, body in changed]


def _updated(record: Record) -> int:
    return record.updated


def _block(name: str, bodies: Sequence[bytes]) -> bytes:
    head = b'{"%s":[' % name.encode()
    count = len(bodies)
    return head + b",".join(bodies) + b'],"startPosition":1,"maxResults":%d}' % count


def _body(found: Json) -> Response:
    return Response(200, encode(found), {"Content-Type": CONTENT_TYPE})
