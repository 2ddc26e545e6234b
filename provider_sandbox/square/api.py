"""How Square answers a request: tokens, parameters, lists, single objects, and its refusals."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from provider_sandbox.ledger import Json, decode, encode
from provider_sandbox.messages import Page, Request, Response
from provider_sandbox.square import shapes
from provider_sandbox.square.account import (
    DAY,
    ORDERS,
    Place,
    Row,
    SquareAccount,
    Table,
    iso,
    iso_seconds,
    milliseconds,
)
from provider_sandbox.square.endpoints import (
    API_VERSION,
    CATALOG_TYPES,
    EVENT_TYPES,
    NESTED_CATALOG_TYPES,
    OPERATIONS,
    Excess,
    Field,
    Kind,
    Operation,
)  # fmt: skip

CURSOR_SECONDS = 300
YEAR = 365 * DAY * 1000
TOP_LEVEL_TYPES = tuple(name for name in CATALOG_TYPES if name not in NESTED_CATALOG_TYPES)
EXPECTED = {
    Kind.TEXT: "EXPECTED_STRING", Kind.INTEGER: "EXPECTED_INTEGER", Kind.FLAG: "EXPECTED_BOOLEAN",
    Kind.TIME: "INVALID_TIME", Kind.CHOICE: "INVALID_ENUM_VALUE", Kind.LIST: "EXPECTED_ARRAY",
    Kind.OBJECT: "EXPECTED_OBJECT",
}  # fmt: skip
SORT_FIELDS = {"CREATED_AT": "created", "UPDATED_AT": "updated", "CLOSED_AT": "closed"}

Arguments = dict[str, Any]
"""What a request asks, by parameter: times in milliseconds, all else as JSON has it."""


class Refused(Exception):
    """The request is answered with this status and error."""

    def __init__(
        self, status: int, code: str, detail: str, *, field: str = "",
        category: str = "INVALID_REQUEST_ERROR",
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status = status
        self.error: Json = {"category": category, "code": code, "detail": detail}
        if field:
            self.error["field"] = field

    def response(self) -> Response:
        return Response(self.status, encode({"errors": [self.error]}))


def credential(request: Request) -> str | None:
    """The access token of the request."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() or None if scheme.lower() == "bearer" else None


def seconds_shown(at: int) -> str:
    """A second as Square writes it."""
    return iso_seconds(at * 1000)


def route(request: Request) -> tuple[Operation, str]:
    """The operation that the request names, and the id in its path. Raises Refused."""
    parts = request.path.split("/")
    known = False
    for operation, pattern in _PATTERNS:
        if len(parts) != len(pattern) or any(
            wanted not in ("", part) for wanted, part in zip(pattern, parts, strict=True)
        ):
            continue
        if operation.method == request.method:
            ids = [part for wanted, part in zip(pattern, parts, strict=True) if wanted != part]
            return operation, unquote(ids[0]) if ids else ""
        known = True
    if known:
        raise Refused(
            405, "METHOD_NOT_ALLOWED", f"The method {request.method} is not allowed at this path."
        )
    raise Refused(404, "NOT_FOUND", "Resource not found.")


_PATTERNS = tuple(
    (operation, ["" if part.startswith("{") else part for part in operation.path.split("/")])
    for operation in sorted(OPERATIONS, key=lambda operation: "{" in operation.path)
)


def answer(account: SquareAccount, request: Request, operation: Operation, id: str) -> Response:
    """Answer a request whose token opens ``account`` and allows ``operation``. Raises Refused."""
    version = request.headers.get("square-version", API_VERSION)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version):
        raise Refused(
            400, "INVALID_SQUARE_VERSION_FORMAT",
            f"The Square-Version {version!r} is not of the form YYYY-MM-DD.",
        )  # fmt: skip
    asked = _asked(request, operation)
    with account.lock:
        account.forget_events()
        if operation.name in SINGLE:
            response = SINGLE[operation.name](account, operation, id, asked)
        elif operation.limit is None:
            response = _get(account, operation, id)
        else:
            response = _list(account, operation, id, asked)
    response.headers["square-version"] = version
    return response


# What a request says


def _asked(request: Request, operation: Operation) -> Arguments:
    asked: Arguments = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        held = operation.query.get(name)
        if held is None:
            raise Refused(
                400, "UNKNOWN_QUERY_PARAMETER", f"Unknown query parameter `{name}`.", field=name
            )
        asked[name] = _read(name, _spoken(held, value), held)
    _check_required(operation.query, asked, "")
    if operation.body is None:
        return asked
    try:
        body = decode(request.body or b"{}")
    except msgspec.DecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "EXPECTED_JSON_BODY", "The body of the request is to be a JSON object.")
    return _read_fields("", body, operation.body)


def _spoken(held: Field, text: str) -> Any:
    """What a query's text says, as JSON would; a text that says nothing fit stays one."""
    match held.kind:
        case Kind.INTEGER if re.fullmatch(r"-?\d{1,18}", text):
            return int(text)
        case Kind.FLAG if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case Kind.LIST:
            found = [one.strip() for one in text.split(",") if one.strip()]
            known = held.items.choices if held.items else ()
            return [one.upper() if one.upper() in known else one for one in found]
    return text


def _read_fields(path: str, given: Json, known: Mapping[str, Field]) -> Arguments:
    asked: Arguments = {}
    for name, value in given.items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            raise Refused(
                400, "UNKNOWN_BODY_PARAMETER", f"The field named '{name}' is unrecognized.",
                field=where,
            )  # fmt: skip
        if value is not None:
            asked[name] = _read(where, value, known[name])
    _check_required(known, asked, path)
    return asked


def _check_required(known: Mapping[str, Field], asked: Arguments, path: str) -> None:
    for name, held in known.items():
        if held.required and asked.get(name) in (None, ""):
            where = f"{path}.{name}" if path else name
            raise Refused(
                400, "MISSING_REQUIRED_PARAMETER", f"Field must be set: `{where}`.", field=where
            )


def _read(name: str, value: Any, held: Field) -> Any:
    """A value as it is meant. Raises Refused where it cannot be."""
    if not held.served:
        raise Refused(
            501, "NOT_IMPLEMENTED", f"The sandbox does not serve `{name}`.", field=name,
            category="API_ERROR",
        )  # fmt: skip
    if not _is(value, held.kind):
        raise Refused(400, EXPECTED[held.kind], f"`{name}` is to be {held.kind.value}.", field=name)
    match held.kind:
        case Kind.TIME:
            try:
                return milliseconds(value)
            except ValueError:
                raise Refused(
                    400, "INVALID_TIME", f"`{value}` is not a valid RFC 3339 time.", field=name
                ) from None
        case Kind.CHOICE if value not in held.choices:
            raise Refused(
                400, "INVALID_ENUM_VALUE", f"`{value}` is not a valid enum value for `{name}`.",
                field=name,
            )  # fmt: skip
        case Kind.INTEGER:
            _check_bounds(name, value, held, "VALUE_TOO_LOW", "VALUE_TOO_HIGH")
        case Kind.TEXT:
            _check_bounds(name, len(value), held, "VALUE_TOO_SHORT", "VALUE_TOO_LONG")
        case Kind.LIST:
            short = "ARRAY_EMPTY" if not value else "ARRAY_LENGTH_TOO_SHORT"
            _check_bounds(name, len(value), held, short, "ARRAY_LENGTH_TOO_LONG")
            items = held.items or Field(Kind.TEXT)
            return [_read(f"{name}[{n}]", one, items) for n, one in enumerate(value)]
        case Kind.OBJECT:
            return _read_fields(name, value, held.fields)
    return value


def _is(value: Any, kind: Kind) -> bool:
    match kind:
        case Kind.INTEGER:
            return type(value) is int
        case Kind.FLAG:
            return type(value) is bool
        case Kind.LIST:
            return isinstance(value, list)
        case Kind.OBJECT:
            return isinstance(value, dict)
    return isinstance(value, str)


def _check_bounds(name: str, value: int, held: Field, low: str, high: str) -> None:
    if held.least is not None and value < held.least:
        raise Refused(400, low, f"`{name}` must be at least {held.least}.", field=name)
    if held.most is not None and value > held.most:
        raise Refused(400, high, f"`{name}` must be at most {held.most}.", field=name)


# Lists


@dataclass(slots=True)
class Listing:
    """What a list reads: its order, its bounds, and which rows of them pass.

    ``first`` and ``last`` bound what it is sorted by, both included. ``render`` makes the row's
    JSON where that is not the body; ``beside`` gives what stands beside the rows of a page.
    """

    table: Table
    order: str = "created"
    descending: bool = False
    locations: Sequence[str] | None = None
    first: Any = None
    last: Any = None
    passes: Callable[[Row], bool] | None = None
    render: Callable[[Row], bytes] | None = None
    beside: Callable[[Sequence[Row]], Json] | None = None
    answer: str = ""

    def rows(self, after: Place | None = None) -> Iterator[Row]:
        rows = self.table.read(
            self.order, descending=self.descending, locations=self.locations, first=self.first,
            last=self.last, after=after,
        )  # fmt: skip
        return rows if self.passes is None else filter(self.passes, rows)


@dataclass(frozen=True, slots=True)
class Asked:
    """A list request: its arguments, the id in its path, and the millisecond of its first page."""

    account: SquareAccount
    arguments: Arguments
    id: str
    started: int = field(default=0)

    def get(self, path: str, default: Any = None) -> Any:
        """An argument by its dotted path."""
        found: Any = self.arguments
        for step in path.split("."):
            if not isinstance(found, dict) or step not in found:
                return default
            found = found[step]
        return found


def _list(account: SquareAccount, operation: Operation, id: str, arguments: Arguments) -> Response:
    limit = _limit(operation, arguments.pop("limit", None))
    cursor = arguments.pop("cursor", "")
    now = account.clock.now()
    query = encode([operation.name, id, sorted(arguments.items())])
    after, started = None, now * 1000 + 999
    if cursor:
        after, started = _opened(account, cursor, query, now)
    listing = LISTS[operation.name](Asked(account, arguments, id, started))
    name = listing.answer or operation.answer

    def page(after: Place | None) -> Page:
        found = list(islice(listing.rows(after), limit + 1))
        more = len(found) > limit
        del found[limit:]
        place = ORDERS[listing.order](found[-1]) if found else (after or (0, 0))
        following = _sealed(account, place, started, now, query)
        beside = listing.beside(found) if listing.beside else {}
        rendered = [row.body if listing.render is None else listing.render(row) for row in found]
        return Page(
            rendered, more, _encoder(name, following, beside), lambda: page(place), items=name
        )

    return Response(page=page(after))


def _encoder(name: str, cursor: str, beside: Json) -> Callable[[Sequence[bytes], bool], bytes]:
    """Square leaves out what is empty: a list without rows is an empty object."""

    def encoded(rows: Sequence[bytes], has_more: bool) -> bytes:
        parts = [b'"%b":[%b]' % (name.encode(), b",".join(rows))] if rows else []
        held = beside | ({"cursor": cursor} if has_more else {})
        parts += [encode(key) + b":" + encode(value) for key, value in held.items()]
        return b"{" + b",".join(parts) + b"}"

    return encoded


def _limit(operation: Operation, asked: int | None) -> int:
    limit = operation.limit
    assert limit is not None
    if asked is None:
        return limit.default
    if 1 <= asked <= limit.most:
        return asked
    if limit.excess is Excess.CUT and asked > limit.most:
        return limit.most
    if limit.excess is Excess.IGNORED and (asked > limit.most or operation.stream == "catalog"):
        return limit.default
    if asked > limit.most:
        raise Refused(
            400, "VALUE_TOO_HIGH", f"`limit` must be at most {limit.most}.", field="limit"
        )
    raise Refused(400, "VALUE_TOO_LOW", "`limit` must be at least 1.", field="limit")


def _sealed(account: SquareAccount, place: Place, started: int, now: int, query: bytes) -> str:
    """The cursor to what follows ``place``, good for this account, this query and five minutes."""
    told = encode([*place, started, now])
    seal = blake2b(told + query, key=account.secret, digest_size=9).digest()
    return urlsafe_b64encode(seal + told).decode().rstrip("=")


def _opened(account: SquareAccount, cursor: str, query: bytes, now: int) -> tuple[Place, int]:
    try:
        sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        told = sealed[9:]
        seal = blake2b(told + query, key=account.secret, digest_size=9).digest()
        if seal != sealed[:9]:
            raise ValueError("sealed for another query")
        value, arrival, started, issued = decode(told)
    except ValueError:
        raise Refused(
            400, "INVALID_CURSOR", "The pagination cursor is invalid for this query.",
            field="cursor",
        ) from None  # fmt: skip
    if now - issued > CURSOR_SECONDS:
        raise Refused(400, "INVALID_CURSOR", "The pagination cursor has expired.", field="cursor")
    return (value, arrival), started


def _table(asked: Asked, stream: str) -> Table:
    return asked.account.table(stream)


def _location(asked: Asked, id: str) -> str:
    if id not in asked.account.table("locations"):
        raise Refused(
            404, "NOT_FOUND", f"Could not find location with ID: {id}", field="location_id"
        )
    return id


def _all_of(*tests: Callable[[Row], bool] | None) -> Callable[[Row], bool] | None:
    wanted = [test for test in tests if test is not None]
    if not wanted:
        return None
    return lambda row: all(test(row) for test in wanted)


def _has(test: Callable[[Json], bool] | None) -> Callable[[Row], bool] | None:
    """A test of the row by its object."""
    return None if test is None else lambda row: test(row.object)


def _is_value(path: str, value: Any) -> Callable[[Row], bool] | None:
    """Whether the object has this value at a dotted path; no test where no value is asked."""
    if value is None:
        return None
    return _has(lambda found: value in _at(found, path))


def _among(path: str, values: Iterable[Any] | None) -> Callable[[Row], bool] | None:
    """Whether the object has one of these values at a dotted path, through lists."""
    wanted = frozenset(values or ())
    if not wanted:
        return None
    return _has(lambda found: any(one in wanted for one in _at(found, path)))


def _at(found: Any, path: str) -> list[Any]:
    values = [found]
    for step in path.split("."):
        values = [
            inner
            for value in values
            for inner in (value if isinstance(value, list) else [value])
            if isinstance(inner, dict) and step in inner
        ]
        values = [value[step] for value in values]
    return [inner for value in values for inner in (value if isinstance(value, list) else [value])]


def _between(
    name: str, first: int | None, last: int | None, *, exclusive: bool = False
) -> Callable[[Row], bool] | None:
    """Whether a time of the row lies between two milliseconds, both included; None is no bound."""
    if first is None and last is None:
        return None
    low = first if first is not None else 0
    high = last - exclusive if last is not None else 1 << 62
    return lambda row: low <= getattr(row, name) <= high


def _window(asked: Asked, start: str, end: str) -> tuple[int, int]:
    """The span of creation that a list shows: the last year, unless it is told another."""
    first = asked.get(start, asked.started - YEAR)
    last = asked.get(end)
    last = asked.started if last is None else last - 1
    if asked.get(end) is not None and asked.get(start) is not None and last < first - 1:
        raise Refused(
            400, "INVALID_TIME_RANGE", f"`{end}` must not be before `{start}`.", field=end
        )
    return first, last


def _payments(asked: Asked) -> Listing:
    first, last = _window(asked, "begin_time", "end_time")
    order = SORT_FIELDS.get(asked.get("sort_field", "CREATED_AT"), "created")
    updated = (asked.get("updated_at_begin_time"), asked.get("updated_at_end_time"))
    offline = (asked.get("offline_begin_time"), asked.get("offline_end_time"))
    bounds: dict[str, Any] = {"first": first, "last": last}
    if order == "updated":
        end = None if updated[1] is None else updated[1] - 1
        bounds = {"first": updated[0], "last": end}
    location = asked.get("location_id") or asked.account.main_location
    return Listing(
        _table(asked, "payments"), order,
        descending=asked.get("sort_order", "DESC") == "DESC",
        locations=[_location(asked, location)],
        passes=_all_of(
            _between("created", first, last) if order == "updated" else None,
            _between("updated", *updated, exclusive=True) if order != "updated" else None,
            _is_value("total_money.amount", asked.get("total")),
            _is_value("card_details.card.last_4", asked.get("last_4")),
            _is_value("card_details.card.card_brand", asked.get("card_brand")),
            _is_value("is_offline_payment", asked.get("is_offline_payment") or None),
            _has(_taken_offline(*offline) if offline != (None, None) else None),
        ),
        **bounds,
    )  # fmt: skip


def _taken_offline(first: int | None, last: int | None) -> Callable[[Json], bool]:
    def taken(payment: Json) -> bool:
        details = payment.get("offline_payment_details")
        if details is None:
            return False
        at = milliseconds(details["client_created_at"])
        return (first is None or at >= first) and (last is None or at <= last)

    return taken


def _refunds(asked: Asked) -> Listing:
    first, last = _window(asked, "begin_time", "end_time")
    order = SORT_FIELDS[asked.get("sort_field", "CREATED_AT")]
    updated = (asked.get("updated_at_begin_time"), asked.get("updated_at_end_time"))
    source, payments = asked.get("source_type"), _table(asked, "payments")

    def drawn_on(refund: Json) -> bool:
        payment = payments.get(refund.get("payment_id", ""))
        return payment is not None and payment.object["source_type"] == source

    location = asked.get("location_id")
    by_update = order == "updated"
    return Listing(
        _table(asked, "refunds"), order,
        descending=asked.get("sort_order", "DESC") == "DESC",
        locations=[_location(asked, location)] if location else None,
        first=updated[0] if by_update else first,
        last=(updated[1] - 1 if updated[1] is not None else None) if by_update else last,
        passes=_all_of(
            _between("created", first, last) if by_update else None,
            _between("updated", *updated, exclusive=True) if not by_update else None,
            _is_value("status", asked.get("status")),
            _has(drawn_on if source else None),
        ),
    )  # fmt: skip


def _orders(asked: Asked) -> Listing:
    times = asked.get("query.filter.date_time_filter", {})
    sorted_by = asked.get("query.sort.sort_field", "CREATED_AT")
    if len(times) > 1:
        raise Refused(
            400, "BAD_REQUEST", "Only one time range can be filtered for at a time.",
            field="query.filter.date_time_filter",
        )  # fmt: skip
    for name in times:
        if name.upper() != sorted_by:
            raise Refused(
                400, "BAD_REQUEST",
                f"The date_time_filter `{name}` must match the sort_field `{sorted_by}`.",
                field="query.sort.sort_field",
            )  # fmt: skip
    states = asked.get("query.filter.state_filter.states")
    if sorted_by == "CLOSED_AT" and not set(states or ("OPEN",)) <= {"COMPLETED", "CANCELED"}:
        raise Refused(
            400, "BAD_REQUEST",
            "Sorting by CLOSED_AT needs a state_filter of COMPLETED or CANCELED alone.",
            field="query.filter.state_filter",
        )  # fmt: skip
    span: Json = next(iter(times.values()), {})
    entries = asked.get("return_entries", False)
    customers = frozenset(asked.get("query.filter.customer_filter.customer_ids", ()))

    def bought(order: Json) -> bool:
        return bool(customers & {order.get("customer_id"), *_at(order, "tenders.customer_id")})

    return Listing(
        _table(asked, "orders"), SORT_FIELDS[sorted_by],
        descending=asked.get("query.sort.sort_order", "DESC") == "DESC",
        locations=[_location(asked, id) for id in asked.get("location_ids")],
        first=span.get("start_at"), last=span.get("end_at", asked.started),
        passes=_all_of(
            _among("state", states),
            _has(bought if customers else None),
            _among("source.name", asked.get("query.filter.source_filter.source_names")),
            _among(
                "fulfillments.type", asked.get("query.filter.fulfillment_filter.fulfillment_types")
            ),
            _among(
                "fulfillments.state",
                asked.get("query.filter.fulfillment_filter.fulfillment_states"),
            ),
        ),
        render=_entry if entries else None,
        answer="order_entries" if entries else "orders",
    )  # fmt: skip


def _entry(row: Row) -> bytes:
    order = row.object
    entry = {"order_id": order["id"], "location_id": order["location_id"]}
    return encode(entry | ({"version": order["version"]} if "version" in order else {}))


def _catalog(asked: Asked) -> Listing:
    deleted = _table(asked, "catalog").deleted
    return Listing(
        _table(asked, "catalog"), locations=asked.get("types") or TOP_LEVEL_TYPES,
        passes=lambda row: row.id not in deleted,
    )  # fmt: skip


def _catalog_search(asked: Asked) -> Listing:
    with_deleted = asked.get("include_deleted_objects", False)
    if with_deleted and asked.get("include_category_path_to_root", False):
        raise Refused(
            400, "CONFLICTING_PARAMETERS",
            "include_deleted_objects and include_category_path_to_root cannot both be true.",
        )  # fmt: skip
    table = _table(asked, "catalog")
    since = asked.get("begin_time")
    related = asked.get("include_related_objects", False)

    def beside(rows: Sequence[Row]) -> Json:
        latest = table.sorted("updated")
        told: Json = {"latest_time": iso(latest[-1].updated)} if latest else {}
        if related:
            told["related_objects"] = _related(table, [row.object for row in rows])
        return {name: value for name, value in told.items() if value}

    return Listing(
        table, locations=asked.get("object_types") or TOP_LEVEL_TYPES,
        passes=_all_of(
            None if with_deleted else lambda row: row.id not in table.deleted,
            None if since is None else lambda row: row.updated > since,
            _has(_catalog_query(asked.get("query", {}))),
        ),
        beside=beside,
    )  # fmt: skip


def _catalog_query(query: Json) -> Callable[[Json], bool] | None:
    tests = [CATALOG_QUERIES[kind](terms) for kind, terms in query.items()]
    return (lambda found: all(test(found) for test in tests)) if tests else None


def _attribute(found: Json, name: str) -> Any:
    return found.get(f"{found['type'].lower()}_data", {}).get(name)


def _text_query(
    fits: Callable[[str, str], bool], values: str
) -> Callable[[Json], Callable[[Json], bool]]:
    """A query on the text of one attribute; ``values`` names the field with what is sought."""

    def query(terms: Json) -> Callable[[Json], bool]:
        name, sought = terms["attribute_name"], terms[values]
        wanted = [one.casefold() for one in (sought if isinstance(sought, list) else [sought])]

        def test(found: Json) -> bool:
            value = str(_attribute(found, name) or "").casefold()
            return any(fits(value, one) for one in wanted)

        return test

    return query


def _range_query(terms: Json) -> Callable[[Json], bool]:
    low = terms.get("attribute_min_value", -(1 << 62))
    high = terms.get("attribute_max_value", 1 << 62)

    def test(found: Json) -> bool:
        value = _attribute(found, terms["attribute_name"])
        return isinstance(value, int) and low <= value <= high

    return test


def _keyword_query(terms: Json) -> Callable[[Json], bool]:
    words = [word.casefold() for word in terms["keywords"] if len(word) >= 3]

    def test(found: Json) -> bool:
        text = f"{_attribute(found, 'name')} {_attribute(found, 'description')}".casefold()
        return all(word in text for word in words)

    return test


def _ids_query(path: str, ids: str) -> Callable[[Json], Callable[[Json], bool]]:
    def query(terms: Json) -> Callable[[Json], bool]:
        wanted = set(terms[ids])
        return lambda found: bool(wanted & set(_at(found, path)))

    return query


CATALOG_QUERIES: Mapping[str, Callable[[Json], Callable[[Json], bool]]] = {
    "exact_query": _text_query(str.__contains__, "attribute_value"),
    "prefix_query": _text_query(str.startswith, "attribute_prefix"),
    "set_query": _text_query(str.__eq__, "attribute_values"),
    "range_query": _range_query,
    "text_query": _keyword_query,
    "items_for_tax_query": _ids_query("item_data.tax_ids", "tax_ids"),
    "items_for_modifier_list_query": _ids_query(
        "item_data.modifier_list_info.modifier_list_id", "modifier_list_ids"
    ),
}
"""What a catalog object is tested by, by kind of query."""
REFERENCES = (
    "item_data.categories.id", "item_data.tax_ids", "item_data.image_ids",
    "item_data.modifier_list_info.modifier_list_id", "item_variation_data.item_id",
    "item_variation_data.image_ids", "modifier_data.modifier_list_id",
    "category_data.parent_category.id", "subscription_plan_variation_data.subscription_plan_id",
)  # fmt: skip
"""Where a catalog object names others."""


def _related(table: Table, found: Sequence[Json]) -> list[Json]:
    here = {one["id"] for one in found}
    named = dict.fromkeys(id for one in found for path in REFERENCES for id in _at(one, path))
    rows = (table.get(id) for id in named if id not in here)
    return [row.object for row in rows if row is not None and row.id not in table.deleted]


def _counts(asked: Asked) -> Listing:
    objects = frozenset(asked.get("catalog_object_ids") or ([asked.id] if asked.id else ()))
    states = frozenset(asked.get("states", ())) - {"NONE", "SOLD", "UNLINKED_RETURN"}
    since = asked.get("updated_after")
    return Listing(
        _table(asked, "inventory_counts"), "updated", descending=True,
        locations=asked.get("location_ids") or None,
        first=None if since is None else since + 1,
        passes=_all_of(
            (lambda row: row.id.partition(":")[0] in objects) if objects else None,
            (lambda row: row.id.rpartition(":")[2] in states) if states else None,
        ),
    )  # fmt: skip


def _customers(asked: Asked) -> Listing:
    ascending = asked.get("sort_order", "ASC") == "ASC"
    return _customers_by(asked, asked.get("sort_field", "DEFAULT"), ascending, None)


def _customers_by(
    asked: Asked, sort: str, ascending: bool, passes: Callable[[Row], bool] | None
) -> Listing:
    listing = Listing(
        _table(asked, "customers"), "created" if sort == "CREATED_AT" else "name",
        descending=not ascending, passes=passes,
    )  # fmt: skip
    if asked.get("count", False):
        listing.beside = lambda rows: {"count": sum(1 for _ in listing.rows())}
    return listing


def _customer_search(asked: Asked) -> Listing:
    terms: Json = asked.get("query.filter", {})
    tests: list[Callable[[Row], bool] | None] = [
        _between(
            name.removesuffix("_at"), terms.get(name, {}).get("start_at"),
            terms.get(name, {}).get("end_at"), exclusive=True,
        )
        for name in ("created_at", "updated_at")
    ]  # fmt: skip
    for name in ("email_address", "phone_number", "reference_id"):
        if name in terms:
            tests.append(_has(_text_test(name, terms[name])))
    for name in ("group_ids", "segment_ids"):
        if name in terms:
            tests.append(_has(_values_test(name, terms[name])))
    if values := terms.get("creation_source", {}).get("values"):
        include = terms["creation_source"].get("rule", "INCLUDE") == "INCLUDE"
        tests.append(_has(lambda one: (one.get("creation_source") in values) is include))
    ascending = asked.get("query.sort.order", "ASC") == "ASC"
    return _customers_by(
        asked, asked.get("query.sort.field", "DEFAULT"), ascending, _all_of(*tests)
    )


def _text_test(name: str, terms: Json) -> Callable[[Json], bool]:
    exact, fuzzy = terms.get("exact"), terms.get("fuzzy")
    if exact is not None and fuzzy is not None:
        raise Refused(
            400, "CONFLICTING_PARAMETERS", f"`{name}` can be exact or fuzzy, but not both.",
            field=f"query.filter.{name}",
        )  # fmt: skip
    words = (fuzzy or "").casefold().split()

    def fits(customer: Json) -> bool:
        value = customer.get(name, "").casefold()
        if exact is not None:
            return bool(value == exact.casefold())
        return all(word in value for word in words)

    return fits


def _values_test(name: str, terms: Json) -> Callable[[Json], bool]:
    every, some, none = (set(terms.get(key, ())) for key in ("all", "any", "none"))

    def fits(customer: Json) -> bool:
        held = set(customer.get(name, ()))
        return every <= held and (not some or bool(some & held)) and not none & held

    return fits


def _disputes(asked: Asked) -> Listing:
    location = asked.get("location_id")
    return Listing(
        _table(asked, "disputes"), descending=True,
        locations=[_location(asked, location)] if location else None,
        passes=_is_value("state", asked.get("states")),
    )  # fmt: skip


def _payouts(asked: Asked) -> Listing:
    first, last = _window(asked, "begin_time", "end_time")
    location = asked.get("location_id") or asked.account.main_location
    return Listing(
        _table(asked, "payouts"), descending=asked.get("sort_order", "DESC") == "DESC",
        locations=[_location(asked, location)], first=first, last=last,
        passes=_is_value("status", asked.get("status")),
    )  # fmt: skip


def _payout_entries(asked: Asked) -> Listing:
    if asked.id not in _table(asked, "payouts"):
        raise _missing("payout", asked.id)
    return Listing(
        _table(asked, "payout_entries"),
        descending=asked.get("sort_order", "DESC") == "DESC", locations=[asked.id],
    )  # fmt: skip


def _invoices(asked: Asked) -> Listing:
    return Listing(
        _table(asked, "invoices"), descending=True,
        locations=[_location(asked, asked.get("location_id"))],
    )  # fmt: skip


def _invoice_search(asked: Asked) -> Listing:
    return Listing(
        _table(asked, "invoices"),
        descending=asked.get("query.sort.order", "DESC") == "DESC",
        locations=[_location(asked, id) for id in asked.get("query.filter.location_ids")],
        passes=_among(
            "primary_recipient.customer_id", asked.get("query.filter.customer_ids")
        ),
    )  # fmt: skip


def _subscriptions(asked: Asked) -> Listing:
    locations = asked.get("query.filter.location_ids")
    return Listing(
        _table(asked, "subscriptions"),
        "name" if len(locations or ()) > 1 else "created",
        locations=[_location(asked, id) for id in locations] if locations else None,
        passes=_all_of(
            _among("customer_id", asked.get("query.filter.customer_ids")),
            _among("source.name", asked.get("query.filter.source_names")),
        ),
        render=None if asked.get("include") else _without_actions,
    )  # fmt: skip


def _without_actions(row: Row) -> bytes:
    if b'"actions":' not in row.body:
        return row.body
    found = row.object
    del found["actions"]
    return encode(found)


def _loyalty_accounts(asked: Asked) -> Listing:
    customers = asked.get("query.customer_ids")
    mappings = asked.get("query.mappings")
    if customers and mappings:
        raise Refused(
            400, "CONFLICTING_PARAMETERS", "mappings cannot be combined with customer_ids.",
            field="query",
        )  # fmt: skip
    numbers = [one["phone_number"] for one in mappings or () if "phone_number" in one]
    return Listing(
        _table(asked, "loyalty_accounts"),
        passes=_all_of(
            _among("customer_id", customers), _among("mapping.phone_number", numbers)
        ),
    )  # fmt: skip


def _loyalty_events(asked: Asked) -> Listing:
    span = asked.get("query.filter.date_time_filter.created_at", {})
    end = span.get("end_at")
    account = asked.get("query.filter.loyalty_account_filter.loyalty_account_id")
    order = asked.get("query.filter.order_filter.order_id")
    return Listing(
        _table(asked, "loyalty_events"), descending=True,
        locations=asked.get("query.filter.location_filter.location_ids"),
        first=span.get("start_at"), last=None if end is None else end - 1,
        passes=_all_of(
            _is_value("loyalty_account_id", account),
            _among("type", asked.get("query.filter.type_filter.types")),
            None if order is None else _has(
                lambda one: order in (
                    *_at(one, "accumulate_points.order_id"), *_at(one, "redeem_reward.order_id")
                )
            ),
        ),
    )  # fmt: skip


def _gift_cards(asked: Asked) -> Listing:
    return Listing(
        _table(asked, "gift_cards"),
        passes=_all_of(
            _is_value("type", asked.get("type")), _is_value("state", asked.get("state")),
            _is_value("customer_ids", asked.get("customer_id")),
        ),
    )  # fmt: skip


def _team_members(asked: Asked) -> Listing:
    locations = frozenset(asked.get("query.filter.location_ids", ()))

    def works_at(member: Json) -> bool:
        held = member["assigned_locations"].get("location_ids")
        return held is None or bool(locations & set(held))

    return Listing(
        _table(asked, "team_members"),
        passes=_all_of(
            _is_value("status", asked.get("query.filter.status")),
            _is_value("is_owner", asked.get("query.filter.is_owner") or None),
            _has(works_at if locations else None),
        ),
    )  # fmt: skip


def _events(asked: Asked) -> Listing:
    terms = asked.get("query.filter", {})
    span = terms.get("created_at", {})
    merchants = terms.get("merchant_ids")
    mine = not merchants or asked.account.id in merchants
    return Listing(
        asked.account.events,
        descending=asked.get("query.sort.order", "DESC") == "DESC",
        locations=terms.get("location_ids") or None,
        first=span.get("start_at"), last=span.get("end_at", asked.started) if mine else 0,
        passes=_among("type", terms.get("event_types")),
        beside=lambda rows: {
            "metadata": [{"event_id": row.id, "api_version": API_VERSION} for row in rows]
        } if rows else {},
    )  # fmt: skip


LISTS: Mapping[str, Callable[[Asked], Listing]] = {
    "ListCatalog": _catalog,
    "SearchCatalogObjects": _catalog_search,
    "BatchRetrieveInventoryCounts": _counts,
    "RetrieveInventoryCount": _counts,
    "ListCustomers": _customers,
    "SearchCustomers": _customer_search,
    "SearchOrders": _orders,
    "ListPayments": _payments,
    "ListPaymentRefunds": _refunds,
    "ListDisputes": _disputes,
    "ListPayouts": _payouts,
    "ListPayoutEntries": _payout_entries,
    "ListInvoices": _invoices,
    "SearchInvoices": _invoice_search,
    "SearchSubscriptions": _subscriptions,
    "SearchLoyaltyAccounts": _loyalty_accounts,
    "SearchLoyaltyEvents": _loyalty_events,
    "ListGiftCards": _gift_cards,
    "SearchTeamMembers": _team_members,
    "SearchEvents": _events,
}


# Single objects


def _get(account: SquareAccount, operation: Operation, id: str) -> Response:
    row = account.table(operation.stream).get(id)
    if operation.stream == "customers":
        while id in account.merged:
            id = account.merged[id]
        row = account.table("customers").get(id) or account.unlisted.get(id)
    if row is None:
        raise _missing(operation.answer, id)
    return _body(operation.answer, row.body)


def _body(name: str, body: bytes, beside: Json | None = None) -> Response:
    return Response(200, _encoder_of_one(name, body, beside or {}))


def _encoder_of_one(name: str, body: bytes, beside: Json) -> bytes:
    parts = [b'"%b":%b' % (name.encode(), body)]
    parts += [encode(key) + b":" + encode(value) for key, value in beside.items() if value]
    return b"{" + b",".join(parts) + b"}"


def _missing(called: str, id: str) -> Refused:
    return Refused(
        404, "NOT_FOUND", f"Could not find {called.replace('_', ' ')} with ID: {id}",
        field=f"{called}_id",
    )  # fmt: skip


def _locations(account: SquareAccount, operation: Operation, id: str, _: Arguments) -> Response:
    rows = [row.body for row in account.table("locations").sorted("name")]
    return Response(page=_whole("locations", rows))


def _whole(name: str, rows: Sequence[bytes]) -> Page:
    """A list that has one page only."""
    page = Page(rows, False, _encoder(name, "", {}), lambda: page, items=name)
    return page


def _one_location(account: SquareAccount, operation: Operation, id: str, _: Arguments) -> Response:
    return _get(account, operation, account.main_location if id == "main" else id)


def _merchants(account: SquareAccount, operation: Operation, id: str, _: Arguments) -> Response:
    merchant = encode(shapes.merchant(account))
    if operation.name == "ListMerchants":
        return Response(page=_whole("merchant", [merchant]))
    if id not in ("me", account.id):
        raise _missing("merchant", id)
    return _body("merchant", merchant)


def _programs(account: SquareAccount, operation: Operation, id: str, _: Arguments) -> Response:
    rows = list(account.table("loyalty_programs"))
    if operation.name == "ListLoyaltyPrograms":
        return Response(page=_whole("programs", [row.body for row in rows]))
    for row in rows:
        if id in ("main", row.id):
            return _body("program", row.body)
    raise _missing("program", id)


def _one_catalog_object(
    account: SquareAccount, operation: Operation, id: str, asked: Arguments
) -> Response:
    table = account.table("catalog")
    row = table.get(id)
    if row is None or id in table.deleted:
        raise Refused(404, "NOT_FOUND", f"Catalog object with ID `{id}` not found.")
    related = _related(table, [row.object]) if asked.get("include_related_objects") else []
    return _body("object", row.body, {"related_objects": related})


def _catalog_batch(account: SquareAccount, _: Operation, id: str, asked: Arguments) -> Response:
    table = account.table("catalog")
    deleted = () if asked.get("include_deleted_objects") else table.deleted
    found = [
        row
        for id in dict.fromkeys(asked["object_ids"])
        if (row := table.get(id)) is not None and id not in deleted
    ]
    beside: Json = {}
    if asked.get("include_related_objects"):
        related = _related(table, [row.object for row in found])
        beside = {"related_objects": related} if related else {}
    return Response(200, _encoder("objects", "", beside)([row.body for row in found], False))


def _order_batch(account: SquareAccount, _: Operation, id: str, asked: Arguments) -> Response:
    table, location = account.table("orders"), asked.get("location_id")
    rows = (table.get(id) for id in dict.fromkeys(asked["order_ids"]))
    found = [row.body for row in rows if row is not None and location in (None, row.location)]
    return Response(200, _encoder("orders", "", {})(found, False))


def _one_subscription(
    account: SquareAccount, operation: Operation, id: str, asked: Arguments
) -> Response:
    row = account.table("subscriptions").get(id)
    if row is None:
        raise _missing("subscription", id)
    return _body("subscription", row.body if asked.get("include") else _without_actions(row))


def _limits(account: SquareAccount, operation: Operation, id: str, _: Arguments) -> Response:
    return Response(200, encode({"limits": shapes.CATALOG_LIMITS}))


def _event_types(account: SquareAccount, operation: Operation, id: str, _: Arguments) -> Response:
    metadata = [
        {"event_type": name, "api_version_introduced": "2020-02-26", "release_status": "PUBLIC"}
        for name in EVENT_TYPES
    ]
    return Response(200, encode({"event_types": EVENT_TYPES, "metadata": metadata}))


SINGLE: Mapping[str, Callable[[SquareAccount, Operation, str, Arguments], Response]] = {
    "ListLocations": _locations,
    "RetrieveLocation": _one_location,
    "ListMerchants": _merchants,
    "RetrieveMerchant": _merchants,
    "ListLoyaltyPrograms": _programs,
    "RetrieveLoyaltyProgram": _programs,
    "RetrieveCatalogObject": _one_catalog_object,
    "BatchRetrieveCatalogObjects": _catalog_batch,
    "BatchRetrieveOrders": _order_batch,
    "RetrieveSubscription": _one_subscription,
    "CatalogInfo": _limits,
    "ListEventTypes": _event_types,
}
"""What is answered in a way of its own."""
