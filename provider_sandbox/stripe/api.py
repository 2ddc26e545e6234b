"""How Stripe answers a request: keys, parameters, lists, single objects, and its refusals."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from provider_sandbox.ledger import Json, Key, Row, Span, decode, encode
from provider_sandbox.messages import Page, Request, Response
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import StripeAccount
from provider_sandbox.stripe.endpoints import (
    API_VERSION,
    BY_PATH,
    BY_STREAM,
    MOST_TYPES,
    Endpoint,
    Filter,
    Kind,
)  # fmt: skip

Query = dict[str, Any]
"""Parameters as Stripe reads them: text, a list of texts, or an object of texts."""

PAGING = ("limit", "starting_after", "ending_before", "expand")
DEFAULT_LIMIT, MOST = 10, 100
DEEPEST_EXPANSION = 4
SOURCES = {"re": "refunds", "po": "payouts", "dp": "disputes"}
"""Streams of a balance transaction's source by the prefix of its id; else it is a charge."""


class Refused(Exception):
    """The request is answered with this status and error."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.error: Json = {"message": message, "type": type}
        if code is not None:
            self.error["code"] = code
            self.error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if param is not None:
            self.error["param"] = param

    def response(self) -> Response:
        body = msgspec.json.format(encode({"error": dict(sorted(self.error.items()))}), indent=2)
        response = Response(self.status, body)
        if self.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        return response


def api_key(request: Request) -> str | None:
    """The key of the request, by Bearer or by HTTP basic as Stripe accepts both."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credential.strip() or None
    if scheme.lower() == "basic":
        try:
            user, _, _ = base64.b64decode(credential).decode().partition(":")
        except ValueError:
            return None
        return user or None
    return None


def masked(key: str) -> str:
    """A key as Stripe repeats it in an error."""
    return f"{key[:8]}{'*' * max(len(key) - 12, 4)}{key[-4:]}"


def parse_query(query: str) -> Query:
    """`created[gte]=1&types[]=a&types[1]=b` as {"created": {"gte": "1"}, "types": ["a", "b"]}."""
    parsed: Query = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        match = re.fullmatch(r"([^\[\]]+)\[([^\[\]]*)\]", name)
        if match is None:
            parsed[name] = value
        elif match[2] == "" or match[2].isdecimal():
            held = parsed.setdefault(match[1], [])
            if not isinstance(held, list):
                raise Refused(400, f"Invalid array: {match[1]}", param=match[1])
            held.append(value)
        else:
            held = parsed.setdefault(match[1], {})
            if not isinstance(held, dict):
                raise Refused(400, f"Invalid hash: {match[1]}", param=match[1])
            held[match[2]] = value
    return parsed


def decorate(response: Response, request: Request, request_id: str) -> Response:
    """The headers that every answer has."""
    version = request.headers.get("stripe-version", API_VERSION)
    response.headers |= {"Request-Id": request_id, "Stripe-Version": version}
    if "idempotency-key" in request.headers:
        response.headers["Idempotency-Key"] = request.headers["idempotency-key"]
    return response


def answer(
    account: StripeAccount, request: Request, permissions: frozenset[str] | None
) -> Response:
    """Answer a request whose key opens ``account``. ``permissions`` are the streams a restricted
    key may read, None for all. Raises Refused."""
    version = request.headers.get("stripe-version", API_VERSION)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?", version):
        raise Refused(400, f"Invalid Stripe API version: {version}")
    endpoint, rest = _route(request)
    if endpoint is not None and permissions is not None and endpoint.stream not in permissions:
        raise _forbidden(account, api_key(request) or "", endpoint.permission)
    query = parse_query(request.query)
    with account.lock:
        account.refresh()
        if endpoint is None:
            response = _account(account, rest, query)
        else:
            match rest:
                case ():
                    response = _list(account, endpoint, query)
                case (id,):
                    response = _get(account, endpoint, id, query)
                case (id, lines):
                    response = _lines(account, endpoint, id, lines, query)
                case _:
                    raise _unrecognized(request)
    return response


def _route(request: Request) -> tuple[Endpoint | None, tuple[str, ...]]:
    """The endpoint (None: the account itself) and what follows its path."""
    parts = tuple(unquote(part) for part in request.path.split("/")[1:])
    if request.method != "GET":
        raise _unrecognized(request)
    if parts in (("v1", "account"), *((("v1", "accounts", id)) for id in parts[2:3])):
        return None, parts[2:]
    for length in (2, 3):
        endpoint = BY_PATH.get("/" + "/".join(parts[:length]))
        rest = parts[length:]
        if endpoint is not None and (
            len(rest) < 2 or (len(rest) == 2 and rest[1] in endpoint.lines)
        ):
            return endpoint, rest
    raise _unrecognized(request)


def _account(account: StripeAccount, rest: Sequence[str], query: Query) -> Response:
    _check_names(query, ("expand",))
    if rest and rest[0] != account.id:
        raise Refused(
            403,
            f"The provided key does not have access to account '{rest[0]}' (or that account does "
            "not exist). Application access may have been revoked.",
            code="account_invalid",
        )
    return _body(account.as_api_object())


def _get(account: StripeAccount, endpoint: Endpoint, id: str, query: Query) -> Response:
    _check_names(
        query, ("client_secret", "expand") if endpoint.stream == "payment_intents" else ("expand",)
    )
    expansions = _expansions(endpoint, query, prefix="")
    rows = account.streams[endpoint.stream]
    row = rows.get(id)
    if row is None:
        if endpoint.stream == "customers" and id in rows.deleted:
            return _body({"id": id, "object": "customer", "deleted": True})
        raise _missing(404, endpoint.called, id, "id")
    return _body(_expanded(account, endpoint, row.object, expansions))


def _list(account: StripeAccount, endpoint: Endpoint, query: Query) -> Response:
    names = {name.partition("[")[0] for name in endpoint.filters}
    _check_names(query, (*PAGING, *names))
    for name in endpoint.required:
        if not query.get(name):
            raise Refused(
                400, f"Missing required param: {name}.", code="parameter_missing", param=name
            )
    expansions = _expansions(endpoint, query, prefix="data.")
    rows = _filtered(account, endpoint, query)
    owner = account.streams[endpoint.stream]

    def place(id: str, param: str) -> Key:
        row = owner.get(id)
        if row is None:
            raise _missing(400, endpoint.called, id, param)
        return row.key

    limit, after, before = _paging(query, place)

    def page(after: Key | None, before: Key | None) -> Page:
        found, has_more = rows.newest_first(limit, after=after, before=before)
        bodies = [
            encode(_expanded(account, endpoint, row.object, expansions)) if expansions else row.body
            for row in found
        ]
        return Page(
            bodies, has_more, _list_encoder(_list_url(endpoint, query)),
            lambda: page(found[-1].key, None),
        )  # fmt: skip

    return Response(page=page(after, before))


def _lines(
    account: StripeAccount, endpoint: Endpoint, id: str, name: str, query: Query
) -> Response:
    _check_names(query, PAGING)
    if id not in account.streams[endpoint.stream]:
        raise _missing(404, endpoint.called, id, endpoint.called.rpartition(".")[2])
    lines = account.nested.get((endpoint.stream, id), [])
    places = {decode(line)["id"]: position for position, line in enumerate(lines)}

    def place(line_id: str, param: str) -> int:
        if line_id not in places:
            raise _missing(400, endpoint.lines[name], line_id, param)
        return places[line_id]

    limit, after, before = _paging(query, place)

    def page(after: int | None, before: int | None) -> Page:
        if before is not None:
            start, end = max(before - limit, 0), before
            has_more = start > 0
        else:
            start = 0 if after is None else after + 1
            end = start + limit
            has_more = end < len(lines)
        encoder = _list_encoder(f"{endpoint.path}/{id}/{name}")
        return Page(lines[start:end], has_more, encoder, lambda: page(end - 1, None))

    return Response(page=page(after, before))


def _filtered(account: StripeAccount, endpoint: Endpoint, query: Query) -> Span:
    """The rows that pass every filter of the query."""
    collection = account.streams[endpoint.stream]
    rows: Sequence[Row] = collection.rows
    wanted: list[tuple[Filter, Callable[[Any], bool]]] = []
    if "payout" in query and endpoint.stream == "balance_transactions":
        rows = _swept_by(account, query["payout"])
    ranged: tuple[int | None, int | None] = (None, None)
    if endpoint.stream == "events":
        _check_types(query)
    for name, held, value in _given(endpoint, query):
        if name == "created":
            ranged = _bounds(value, "created")
        elif name == "payout":
            continue
        elif held.kind is Kind.RANGE:
            first, last = _bounds(value, name)
            wanted.append((held, _within(first, last)))
        elif held.kind is Kind.TEXTS:
            if not isinstance(value, list):
                raise Refused(400, "Invalid array", param=name)
            if rows is collection.rows:
                found = (collection.with_value(name, held.values, one) for one in set(value))
                rows = sorted(chain.from_iterable(found), key=attrgetter("key"))
            else:
                wanted.append((held, set(value).__contains__))
        else:
            if not isinstance(value, str):
                raise Refused(400, f"Invalid string: {value}", param=name)
            sought = _converted(name, held, value)
            if rows is collection.rows and "*" not in value:
                rows = collection.with_value(name, held.values, sought)
            else:
                wanted.append((held, _matcher(sought)))
    span = Span.between(rows, *ranged)
    if not wanted:
        return span

    def passes(found: Json) -> bool:
        return all(any(test(v) for v in held.values(found)) for held, test in wanted)

    passing = [row for row in span if passes(row.object)]
    return Span(passing, 0, len(passing))


def _swept_by(account: StripeAccount, payout: str) -> list[Row]:
    """What a payout paid out, and its own transaction: a link that no object shows."""
    found = account.streams["balance_transactions"]
    rows = [found.get(id) for id, swept_by in account.swept.items() if swept_by == payout]
    return sorted((row for row in rows if row is not None), key=attrgetter("key"))


def _given(endpoint: Endpoint, query: Query) -> list[tuple[str, Filter, Any]]:
    """The filters that the query names, with their values, `recurring[interval]` included."""
    given = []
    for name, held in endpoint.filters.items():
        outer, _, inner = name.rstrip("]").partition("[")
        if outer not in query:
            if name in endpoint.defaults:
                given.append((name, Filter(Kind.TEXT, held.values), endpoint.defaults[name]))
            continue
        value = query[outer]
        if inner:
            allowed = {
                n.rstrip("]").partition("[")[2]
                for n in endpoint.filters
                if n.startswith(f"{outer}[")
            }
            if not isinstance(value, dict):
                raise Refused(400, f"Invalid hash: {outer}", param=outer)
            for unknown in value.keys() - allowed:
                raise _unknown_parameter(f"{outer}[{unknown}]")
            if inner not in value:
                continue
            value = value[inner]
        given.append((name, held, value))
    return given


def _check_types(query: Query) -> None:
    if "type" in query and "types" in query:
        raise Refused(400, "You may only specify one of these parameters: type, types.")
    if len(query.get("types", ())) > MOST_TYPES:
        raise Refused(400, f"You may only specify up to {MOST_TYPES} event types.", param="types")


def _matcher(sought: Any) -> Callable[[Any], bool]:
    if isinstance(sought, str) and "*" in sought:
        pattern = re.compile(re.escape(sought).replace(r"\*", ".*"))
        return lambda value: pattern.fullmatch(value) is not None
    return lambda value: bool(value == sought)


def _within(first: int | None, last: int | None) -> Callable[[Any], bool]:
    def within(value: Any) -> bool:
        return (
            value is not None
            and (first is None or value >= first)
            and (last is None or value <= last)
        )

    return within


def _bounds(value: Any, name: str) -> tuple[int | None, int | None]:
    """First and last second that pass `created=1` or `created[gte]=1`, both included."""
    if isinstance(value, str):
        exact = _integer(value, name)
        return exact, exact
    if not isinstance(value, dict):
        raise Refused(400, f"Invalid integer: {value}", param=name)
    first: list[int] = []
    last: list[int] = []
    for operator, text in value.items():
        at = _integer(text, f"{name}[{operator}]")
        match operator:
            case "gt":
                first.append(at + 1)
            case "gte":
                first.append(at)
            case "lt":
                last.append(at - 1)
            case "lte":
                last.append(at)
            case _:
                raise _unknown_parameter(f"{name}[{operator}]")
    return max(first, default=None), min(last, default=None)


def _converted(name: str, held: Filter, value: str) -> Any:
    if held.kind is Kind.FLAG:
        if value not in ("true", "false"):
            raise Refused(400, f"Invalid boolean: {value}", param=name)
        return value == "true"
    if held.kind is Kind.CHOICE and value not in held.choices:
        choices = ", ".join(held.choices[:-1])
        raise Refused(
            400, f"Invalid {name}: must be one of {choices}, or {held.choices[-1]}", param=name
        )
    return value


def _integer(text: Any, name: str) -> int:
    if not isinstance(text, str) or not re.fullmatch(r"-?\d{1,18}", text):
        raise Refused(400, f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return int(text)


def _paging(query: Query, place: Callable[[str, str], Any]) -> tuple[int, Any, Any]:
    """Rows a page, and the places of starting_after and ending_before."""
    limit = _integer(query.get("limit", str(DEFAULT_LIMIT)), "limit")
    if limit < 1:
        message = "This value must be greater than or equal to 1."
        raise Refused(400, message, code="parameter_invalid_integer", param="limit")
    if limit > MOST:
        message = f"This value must be less than or equal to {MOST} (it currently is '{limit}')."
        raise Refused(400, message, code="parameter_invalid_integer", param="limit")
    if "starting_after" in query and "ending_before" in query:
        message = "You may only specify one of these parameters: ending_before, starting_after."
        raise Refused(400, message)
    places = [
        place(query[name], name) if name in query else None
        for name in ("starting_after", "ending_before")
    ]
    return limit, places[0], places[1]


def _expansions(endpoint: Endpoint, query: Query, *, prefix: str) -> list[list[str]]:
    """The fields to expand, each as its path of names."""
    asked = query.get("expand", [])
    if not isinstance(asked, list):
        raise Refused(400, "Invalid array", param="expand")
    expansions = []
    for name in asked:
        if name.count(".") >= DEEPEST_EXPANSION:
            raise Refused(
                400, f"You cannot expand more than {DEEPEST_EXPANSION} levels of a property.",
                param="expand",
            )  # fmt: skip
        path = name.removeprefix(prefix)
        if path == name and prefix:
            raise Refused(
                400,
                f"This property cannot be expanded ({name}). You may want to try expanding "
                f"'data.{name}' instead.",
                param="expand",
            )
        steps = path.split(".")
        within: Endpoint | None = endpoint
        for step in steps:
            if within is None or step not in within.expands:
                raise Refused(400, f"This property cannot be expanded ({step}).", param="expand")
            stream = within.expands[step]
            within = None if stream is None else BY_STREAM[stream]
        expansions.append(steps)
    return expansions


def _expanded(
    account: StripeAccount, endpoint: Endpoint, found: Json, expansions: Sequence[Sequence[str]]
) -> Json:
    for step, *deeper in expansions:
        stream = endpoint.expands[step]
        if stream is None:
            _embed(account, endpoint, found, step)
            continue
        value = found.get(step)
        if isinstance(value, str):
            if step == "source":
                stream = SOURCES.get(value.partition("_")[0], stream)
            row = account.streams[stream].get(value)
            if row is None:
                continue
            value = found[step] = row.object
        if deeper and isinstance(value, dict):
            _expanded(account, BY_STREAM[stream], value, [deeper])
    return found


def _embed(account: StripeAccount, endpoint: Endpoint, found: Json, name: str) -> None:
    """Put a list of the object's own into it, the first ten rows."""
    id = found["id"]
    if (endpoint.stream, name) == ("charges", "refunds"):
        by_charge = BY_STREAM["refunds"].filters["charge"]
        rows = account.streams["refunds"].with_value("charge", by_charge.values, id)
        refunds, more = Span(rows, 0, len(rows)).newest_first(DEFAULT_LIMIT)
        url = f"/v1/charges/{id}/refunds"
        found[name] = shapes.listing([row.object for row in refunds], url, has_more=more)
    elif name == "tiers":
        tiers = account.nested.get(("tiers", id))
        if tiers is not None:
            found[name] = [decode(tier) for tier in tiers]
    elif name == "payments":
        payments = [decode(one) for one in account.nested.get(("payments", id), ())]
        url = "/v1/invoice_payments"
        found[name] = shapes.listing(payments[:DEFAULT_LIMIT], url, has_more=len(payments) > 10)
    elif name == "line_items":
        lines = account.nested.get((endpoint.stream, id), [])
        found[name] = shapes.listing(
            [decode(line) for line in lines[:DEFAULT_LIMIT]], f"{endpoint.path}/{id}/{name}",
            has_more=len(lines) > DEFAULT_LIMIT,
        )  # fmt: skip


def _check_names(query: Query, known: Sequence[str]) -> None:
    for name in query:
        if name not in known:
            raise _unknown_parameter(name)


def _list_url(endpoint: Endpoint, query: Query) -> str:
    if endpoint.stream == "subscription_items":
        return f"{endpoint.path}?subscription={query['subscription']}"
    return endpoint.path


def _list_encoder(url: str) -> Callable[[Sequence[bytes], bool], bytes]:
    head = b'{"object":"list","url":' + encode(url) + b',"has_more":'

    def encoded(rows: Sequence[bytes], has_more: bool) -> bytes:
        compact = head + encode(has_more) + b',"data":[' + b",".join(rows) + b"]}"
        return msgspec.json.format(compact, indent=2)

    return encoded


def _body(found: Mapping[str, Any]) -> Response:
    return Response(200, msgspec.json.format(encode(found), indent=2))


def _missing(status: int, called: str, id: str, param: str) -> Refused:
    return Refused(status, f"No such {called}: '{id}'", code="resource_missing", param=param)


def _unknown_parameter(name: str) -> Refused:
    return Refused(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def _unrecognized(request: Request) -> Refused:
    return Refused(
        404,
        f"Unrecognized request URL ({request.method}: {request.path}). Please see "
        "https://stripe.com/docs or we can help at https://support.stripe.com/.",
    )


def _forbidden(account: StripeAccount, key: str, permission: str) -> Refused:
    return Refused(
        403,
        f"The provided key '{masked(key)}' does not have the required permissions for this "
        f"endpoint on account '{account.id}'. Having the '{permission}' permission would allow "
        "this request to continue.",
    )
