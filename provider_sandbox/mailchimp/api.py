"""How Mailchimp answers a request: lists, single objects, chosen fields, and its refusals."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from provider_sandbox.ledger import Json, Row, decode, encode
from provider_sandbox.mailchimp import shapes, webhooks
from provider_sandbox.mailchimp.account import TOP, MailchimpAccount, Table, iso, subscriber_hash
from provider_sandbox.mailchimp.endpoints import (
    BY_STREAM,
    DEFAULT_COUNT,
    ENDPOINTS,
    INCLUDED,
    MOST,
    PROJECTION,
    Endpoint,
    Kind,
)
from provider_sandbox.messages import Page, Request, Response

BASE = "/3.0"
PROBLEM = "application/problem+json; charset=utf-8"
MARK = b"@ID@"
Query = dict[str, str]
Tree = dict[str, Any]
"""Chosen fields as a tree of names; an empty branch is everything below it."""

STATUS_OF = dict(
    zip(INCLUDED, ("cleaned", "transactional", "unsubscribed"), strict=True)
)  # fmt: skip
LOOKING_ELSEWHERE = frozenset(("email", "member_id", "since_last_campaign", "unsubscribed_since"))
"""Filters that compare more than the rows themselves."""
WEBHOOK_FIELDS: Mapping[str, tuple[str, ...]] = {
    "events": ("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign"),
    "sources": ("user", "admin", "api"),
}


class Refused(Exception):
    """The request is answered with this status and problem; ``errors`` by field."""

    def __init__(
        self, status: int, title: str, detail: str, errors: Mapping[str, str] | None = None,
        *, allow: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = [{"field": k, "message": v} for k, v in (errors or {}).items()]
        self.allow = allow

    def response(self, instance: str) -> Response:
        body = shapes.problem(self.status, self.title, self.detail, instance, self.errors)
        response = Response(self.status, encode(body), {"Content-Type": PROBLEM})
        if self.allow is not None:
            response.headers["Allow"] = self.allow
        return response


def missing() -> Refused:
    return Refused(404, "Resource Not Found", "The requested resource could not be found.")


def invalid(field: str, message: str) -> Refused:
    return Refused(
        400,
        "Invalid Resource",
        "The resource submitted could not be validated. For field-specific details, see the "
        "'errors' array.",
        {field: message},
    )


def credential(request: Request) -> str | None:
    """The key or token of the request: HTTP basic with any user, Bearer, OAuth or apikey."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given).decode().partition(":")[2] or None
        except ValueError:
            return None
    if scheme.lower() in ("bearer", "oauth", "apikey"):
        return given.strip() or None
    return None


def answer(account: MailchimpAccount, request: Request) -> Response:
    """Answer a request whose credential opens ``account``. Raises Refused."""
    parts = tuple(unquote(part) for part in request.path.split("/")[1:] if part)
    if not parts or parts[0] != BASE[1:]:
        raise missing()
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    with account.lock:
        account.refresh()
        route = _route(account, parts[1:])
        allowed = ("GET", *_writes(route))
        if request.method not in allowed:
            raise Refused(
                405,
                "Method Not Allowed",
                "The requested method and resource are not compatible. See the Allow header for "
                "this resource's available methods.",
                allow=", ".join(allowed),
            )
        if request.method == "POST":
            return _add_webhook(account, route, query, request.body)
        if request.method == "DELETE":
            return _remove_webhook(account, route, query)
        return route.read(query)


@dataclass(frozen=True, slots=True)
class Route:
    """What a path leads to; ``read`` answers a GET. ``id`` is None for a list."""

    read: Callable[[Query], Response]
    endpoint: Endpoint | None = None
    parent: str = TOP
    id: str | None = None


def list_at(path: str) -> tuple[Endpoint, tuple[str, ...]] | None:
    """The list that a path (as of a request) names, and the ids in the path; None for another."""
    parts = tuple(unquote(part) for part in path.split("/") if part)
    return next(
        ((one, ids) for one in ENDPOINTS if (ids := _ids_in(one, parts[1:])) is not None), None
    )


def _route(account: MailchimpAccount, parts: Sequence[str]) -> Route:
    if not parts:
        return Route(partial(_root, account))
    if parts == ("ping",):
        return Route(_ping)
    for endpoint in ENDPOINTS:
        ids = _ids_in(endpoint, parts)
        if ids is not None:
            parent = _parent(account, endpoint, ids)
            return Route(partial(_list, account, endpoint, ids), endpoint, parent)
    for endpoint in ENDPOINTS:
        ids = _ids_in(endpoint, parts[:-1])
        if ids is not None and endpoint.reads:
            parent, id = _parent(account, endpoint, ids), parts[-1]
            return Route(partial(_get, account, endpoint, ids, id), endpoint, parent, id)
    match parts:
        case ("lists", list_id, "members", member, "tags"):
            _parent(account, BY_STREAM["members"], (list_id,))
            return Route(partial(_member_tags, account, list_id, member))
    raise missing()


def _ids_in(endpoint: Endpoint, parts: Sequence[str]) -> tuple[str, ...] | None:
    """The ids in a path where it is the endpoint's."""
    own = endpoint.path.split("/")[1:]
    if len(own) != len(parts):
        return None
    ids = []
    for expected, part in zip(own, parts, strict=True):
        if expected.startswith("{"):
            ids.append(part)
        elif expected != part:
            return None
    return tuple(ids)


def _parent(account: MailchimpAccount, endpoint: Endpoint, ids: Sequence[str]) -> str:
    """The parent whose rows the list has. Raises Refused where it does not exist."""
    if endpoint.parent is None:
        return TOP
    above = ids[0] if len(ids) > 1 else TOP
    if len(ids) > 1 and ids[0] not in account.table("lists"):
        raise missing()
    known = account.known_table(endpoint.parent, above)
    if known is None or ids[-1] not in known:
        raise missing()
    return ids[-1]


# Lists


def _list(
    account: MailchimpAccount, endpoint: Endpoint, ids: Sequence[str], query: Query
) -> Response:
    _check_names(query, (*endpoint.parameters, *_observed(endpoint)))
    parent = ids[-1] if ids else TOP
    rows = _selected(account, endpoint, parent, query)
    paged = endpoint.paged and (endpoint.stream != "tags" or "count" in query)
    count = _integer(query, "count", DEFAULT_COUNT, MOST) if paged else len(rows)
    first = _integer(query, "offset", 0, None)
    path = BASE + _filled(endpoint.path, ids)
    encoder = _Encoder(account, endpoint, ids, path, query)
    changed = _transformer(account, endpoint, query)

    def page(offset: int) -> Page:
        found, all_rows = rows[offset : offset + count], len(rows)
        more = offset + len(found) < all_rows

        def encoded(bodies: Sequence[bytes], has_more: bool) -> bytes:
            total = all_rows
            if has_more != more:
                total = offset + len(bodies) + has_more
            return encoder.envelope(bodies, total)

        bodies = [changed(row) if changed else row.body for row in found]
        return Page(
            encoder.rows([row.id for row in found], bodies), more, encoded,
            lambda: page(offset + count), endpoint.items,
        )  # fmt: skip

    return Response(page=page(first), headers=_headers(account, endpoint.path))


def _observed(endpoint: Endpoint) -> tuple[str, ...]:
    """Parameters that the specification does not name and the service takes nevertheless."""
    return ("count", "offset", *PROJECTION) if endpoint.stream == "tags" else ()


def _selected(
    account: MailchimpAccount, endpoint: Endpoint, parent: str, query: Query
) -> Sequence[Row]:
    """The rows that pass every filter, in the order that is asked for."""
    table = account.table(endpoint.stream, parent)
    chosen = {name: value for name, value in query.items() if name in endpoint.filters}
    order, reverse = _order(endpoint, query)
    tests = [
        test
        for name in chosen
        if (test := _test(account, endpoint, table, name, query)) is not None
    ]
    if endpoint.stream == "members" and "status" in chosen and not table.statuses[query["status"]]:
        return ()
    if endpoint.stream == "members" and "status" not in query:
        if "unsubscribed_since" in query:
            tests.append(lambda row: table.value(row, "status") == "unsubscribed")
        elif table.statuses["archived"]:
            tests.append(lambda row: table.value(row, "status") != "archived")
    if not tests and order is None and not reverse:
        return table.rows
    if table.is_filled and endpoint.stream == "members" and not reverse:
        bounds = _bounds(endpoint, chosen)
        if bounds is not None:
            return table.view(("created", bounds), lambda: table.created_between(*bounds))

    def make() -> Sequence[Row]:
        kept = [row for row in table.rows if all(test(row) for test in tests)]
        if order is not None:
            kept.sort(key=lambda row: table.value(row, order) or "", reverse=reverse)
        elif reverse:
            kept.reverse()
        return kept

    if chosen.keys() & LOOKING_ELSEWHERE:
        return make()
    return table.view((tuple(sorted(chosen.items())), order, reverse), make)


Test = Callable[[Row], bool]


def _test(
    account: MailchimpAccount, endpoint: Endpoint, table: Table, name: str, query: Query
) -> Test | None:
    """What a filter asks of a row; None where it asks nothing. Raises Refused."""
    held, value = endpoint.filters[name], query[name]
    path = held.path
    match held.kind:
        case Kind.TEXT:
            return lambda row: table.value(row, path) == value
        case Kind.CHOICE:
            if value not in held.choices:
                raise invalid(name, f"Value must be one of: {', '.join(held.choices)}")
            return (lambda row: table.value(row, path) == value) if path else None
        case Kind.SINCE:
            after = iso(_second(name, value))
            return lambda row: (table.value(row, path) or "") > after
        case Kind.BEFORE:
            last = iso(_second(name, value))
            return lambda row: "" < (table.value(row, path) or "") <= last
        case Kind.FLAG:
            wanted = _boolean(name, value)
            if not path or (name == "vip_only" and not wanted):
                return None
            return lambda row: table.value(row, path) == wanted
        case Kind.OPTION:
            return OPTIONS[name](account, table, name, query)


def _with_email(account: MailchimpAccount, table: Table, name: str, query: Query) -> Test:
    sought = subscriber_hash(query[name])
    return lambda row: sought in account.table("members", row.id)


def _with_store(account: MailchimpAccount, table: Table, name: str, query: Query) -> Test | None:
    """No list has a store."""
    return (lambda row: False) if _boolean(name, query[name]) else None


def _unsubscribed(account: MailchimpAccount, table: Table, name: str, query: Query) -> Test:
    if query.get("status", "unsubscribed") != "unsubscribed":
        raise invalid(name, "Only the status unsubscribed can be used with this filter.")
    since = _second(name, query[name])
    return lambda row: account.unsubscribed_at.get((table.parent, row.id), 0) > since


def _since_campaign(
    account: MailchimpAccount, table: Table, name: str, query: Query
) -> Test | None:
    if "status" not in query:
        raise invalid(name, "Member status is required to use this filter.")
    if not _boolean(name, query[name]):
        return None
    found = account.table("lists").get(table.parent)
    last = found.object["stats"]["campaign_last_sent"] if found else ""
    time = "timestamp_opt" if query["status"] == "subscribed" else "last_changed"
    return lambda row: table.value(row, time) > last


def _sent_to(account: MailchimpAccount, table: Table, name: str, query: Query) -> Test:
    sent = account.mailings
    return lambda row: row.id in sent and query[name] in sent[row.id].events


def _begins(account: MailchimpAccount, table: Table, name: str, query: Query) -> Test:
    start = query[name].casefold()
    return lambda row: str(table.value(row, name)).casefold().startswith(start)


def _activity_since(account: MailchimpAccount, table: Table, name: str, query: Query) -> None:
    """It leaves out events, not rows."""
    _second(name, query[name])


def _interested(account: MailchimpAccount, table: Table, name: str, query: Query) -> Test | None:
    for needed in ("interest_category_id", "interest_ids", "interest_match"):
        if needed not in query:
            raise invalid(needed, f"This parameter is required with {name}.")
    if name != "interest_ids":
        return None
    ids = [id for id in query["interest_ids"].split(",") if id]

    def test(row: Row) -> bool:
        held = table.value(row, "interests") or {}
        has = [bool(held.get(id)) for id in ids]
        match query["interest_match"]:
            case "any":
                return any(has)
            case "all":
                return all(has)
            case _:
                return not any(has)

    return test


OPTIONS: Mapping[str, Callable[[MailchimpAccount, Table, str, Query], Test | None]] = {
    "email": _with_email,
    "has_ecommerce_store": _with_store,
    "unsubscribed_since": _unsubscribed,
    "since_last_campaign": _since_campaign,
    "interest_category_id": _interested,
    "interest_ids": _interested,
    "member_id": _sent_to,
    "name": _begins,
    "since": _activity_since,
}
"""Filters that do not compare one field."""


def _order(endpoint: Endpoint, query: Query) -> tuple[str | None, bool]:
    field = query.get("sort_field")
    direction = query.get("sort_dir", "ASC")
    if field is not None and field not in endpoint.sorts:
        raise invalid("sort_field", f"Value must be one of: {', '.join(endpoint.sorts)}")
    if direction not in ("ASC", "DESC"):
        raise invalid("sort_dir", "Value must be one of: ASC, DESC")
    if endpoint.stream == "tags":
        return "name", False
    if field is None and endpoint.newest is not None:
        return endpoint.newest, True
    return field, direction == "DESC"


def _bounds(endpoint: Endpoint, chosen: Query) -> tuple[int | None, int | None] | None:
    """First and last second of creation where the filters are windows of time only."""
    first: list[int] = []
    last: list[int] = []
    for name, value in chosen.items():
        kind = endpoint.filters[name].kind
        if kind is Kind.SINCE:
            first.append(_second(name, value) + 1)
        elif kind is Kind.BEFORE:
            last.append(_second(name, value))
        elif (name, value) != ("status", "subscribed"):
            return None
    return max(first, default=None), min(last, default=None)


def _transformer(
    account: MailchimpAccount, endpoint: Endpoint, query: Query
) -> Callable[[Row], bytes] | None:
    """What the query changes in each body, if anything."""
    if endpoint.stream == "email_activity" and "since" in query:
        since = iso(_second("since", query["since"]))

        def trimmed(row: Row) -> bytes:
            found = row.object
            found["activity"] = [one for one in found["activity"] if one["timestamp"] > since]
            return encode(found)

        return trimmed
    if endpoint.stream == "segments":
        counted = [STATUS_OF[n] for n in INCLUDED if _boolean(n, query.get(n, "false"))]
        if counted:
            return lambda row: encode(
                row.object | {"member_count": account.economy.members_in(row.object, counted)}
            )
    return None


class _Encoder:
    """Turns rows into what the query asks to see of them."""

    def __init__(
        self, account: MailchimpAccount, endpoint: Endpoint, ids: Sequence[str], path: str,
        query: Query,
    ) -> None:  # fmt: skip
        self.endpoint = endpoint
        self.path = path
        self.dc = account.dc
        self.base = f"https://{account.dc}.api.mailchimp.com"
        self.parents = dict(zip(endpoint.envelope, ids, strict=False))
        self.shown, self.hidden = _choices(query)
        self.lists = len(account.table("lists"))
        names = {endpoint.items, *endpoint.envelope, "total_items", "_links", "constraints"}
        if not (self.shown or {}).keys() | self.hidden.keys() <= names:
            raise _unknown_fields()
        if endpoint.stream == "lists" and not _boolean_of(query, "include_total_contacts"):
            _branch(self.hidden, (endpoint.items, "stats", "total_contacts"))

    def rows(self, ids: Sequence[str], bodies: list[bytes]) -> list[bytes]:
        shown = None if self.shown is None else self.shown.get(self.endpoint.items)
        hidden = dict(self.hidden.get(self.endpoint.items, {}))
        if hidden.get("_links") == {} or _without_links(shown) or not self.endpoint.links:
            hidden.pop("_links", None)
        else:
            links = self._links_of(MARK.decode())
            bodies = [
                body[:-1] + b',"_links":' + links.replace(MARK, id.encode()) + b"}"
                for id, body in zip(ids, bodies, strict=True)
            ]
        if shown or hidden:
            bodies = [_projected(body, shown, hidden) for body in bodies]
        return bodies

    def envelope(self, bodies: Sequence[bytes], total: int) -> bytes:
        parts: dict[str, bytes] = {self.endpoint.items: b"[" + b",".join(bodies) + b"]"}
        parts |= {name: encode(id) for name, id in self.parents.items()}
        parts["total_items"] = encode(total)
        if self.endpoint.stream == "lists":
            parts["constraints"] = encode(
                {
                    "may_create": True,
                    "max_instances": 100,
                    "current_total_instances": self.lists,
                }
            )
        if self.endpoint.links:
            above = self.path.rpartition("/")[0]
            parts["_links"] = shapes.links(self.base, self.dc, "-", self.path, above)
        kept = [
            encode(name) + b":" + part
            for name, part in parts.items()
            if (self.shown is None or name in self.shown) and self.hidden.get(name) != {}
        ]
        return b"{" + b",".join(kept) + b"}"

    def _links_of(self, id: str) -> bytes:
        stream = self.endpoint.stream
        return shapes.links(self.base, self.dc, stream, f"{self.path}/{id}", self.path)


def _choices(query: Query) -> tuple[Tree | None, Tree]:
    """`fields` (None where all are wanted) and `exclude_fields`, as trees of names."""
    trees: list[Tree | None] = []
    for name in PROJECTION:
        tree: Tree | None = None
        for path in query.get(name, "").split(","):
            if path:
                tree = {} if tree is None else tree
                _branch(tree, path.strip().split("."))
        trees.append(tree)
    return trees[0], trees[1] or {}


def _branch(tree: Tree, path: Sequence[str]) -> None:
    *steps, last = path
    for step in steps:
        if tree.get(step) == {}:
            return
        tree = tree.setdefault(step, {})
    tree[last] = {}


def _without_links(shown: Tree | None) -> bool:
    return bool(shown) and "_links" not in (shown or {})


def _projected(body: bytes | msgspec.Raw, shown: Tree | None, hidden: Tree) -> bytes:
    """A body with the fields that are shown (none named: all) and not hidden, through lists."""
    body = bytes(body)
    start = body[:1] if shown or hidden else b""
    if start == b"[":
        rows = decode(body, type=list[msgspec.Raw])
        return b"[" + b",".join(_projected(row, shown, hidden) for row in rows) + b"]"
    if start != b"{":
        return body
    kept = [
        encode(name)
        + b":"
        + _projected(value, shown[name] if shown else None, hidden.get(name, {}))
        for name, value in decode(body, type=dict[str, msgspec.Raw]).items()
        if (not shown or name in shown) and hidden.get(name) != {}
    ]
    return b"{" + b",".join(kept) + b"}"


# Single objects


def _get(
    account: MailchimpAccount, endpoint: Endpoint, ids: Sequence[str], id: str, query: Query
) -> Response:
    names = (*(PROJECTION if endpoint.projected else ()), *endpoint.read_filters)
    _check_names(query, names)
    parent = ids[-1] if ids else TOP
    if endpoint.stream == "reports" and id not in account.table("reports"):
        campaign = account.find("campaigns", id)
        if campaign is None:
            raise missing()
        body = encode(shapes.report(campaign))
    else:
        row = _row(account.known_table(endpoint.stream, parent), endpoint, id)
        changed = _transformer(account, endpoint, query)
        body, id = changed(row) if changed else row.body, row.id
    hidden_too: Tree = {}
    if endpoint.stream == "lists" and not _boolean_of(query, "include_total_contacts"):
        hidden_too = {"stats": {"total_contacts": {}}}
    path = f"{BASE}{_filled(endpoint.path, ids)}/{id}"
    return _object(account, endpoint.stream, path, body, query, hidden_too, endpoint.path)


def _row(table: Table | None, endpoint: Endpoint, id: str) -> Row:
    row = None if table is None else table.get(id)
    if row is None and table is not None and endpoint.stream == "members":
        row = table.get(subscriber_hash(id) if "@" in id else id.lower())
        if row is None and not table.has_recipes:
            row = next((one for one in table if table.facts(one)["contact_id"] == id), None)
    if row is None:
        raise missing()
    return row


def _root(account: MailchimpAccount, query: Query) -> Response:
    _check_names(query, PROJECTION)
    subscribers = sum(
        account.table("members", row.id).statuses["subscribed"] for row in account.table("lists")
    )
    now = iso(account.clock.now())
    body = shapes.root(account, since=iso(account.created), now=now, subscribers=subscribers)
    return _object(account, "", f"{BASE}/", encode(body), query, {}, "/")


def _ping(query: Query) -> Response:
    _check_names(query, ())
    return Response(200, encode({"health_status": "Everything's Chimpy!"}))


def _member_tags(account: MailchimpAccount, list_id: str, member: str, query: Query) -> Response:
    _check_names(query, ("count", "offset", *PROJECTION))
    row = _row(account.table("members", list_id), BY_STREAM["members"], member)
    tags = [
        tag | {"date_added": iso(account.tagged[tag["id"]][row.id])} for tag in row.object["tags"]
    ]
    first = _integer(query, "offset", 0, None)
    last = first + _integer(query, "count", DEFAULT_COUNT, MOST)
    body = {"tags": tags[first:last], "total_items": len(tags)}
    path = f"{BASE}/lists/{list_id}/members/{row.id}/tags"
    return _object(account, "-", path, encode(body), query, {}, "/lists/members/tags")


def _object(
    account: MailchimpAccount, stream: str, path: str, body: bytes, query: Query, hidden_too: Tree,
    schema: str,
) -> Response:  # fmt: skip
    shown, hidden = _choices(query)
    if hidden.get("_links") != {} and not _without_links(shown):
        base = f"https://{account.dc}.api.mailchimp.com"
        links = shapes.links(base, account.dc, stream, path, path.rpartition("/")[0])
        body = body[:-1] + b',"_links":' + links + b"}"
    body = _projected(body, shown, hidden)
    if hidden_too:
        body = _projected(body, None, hidden_too)
    return Response(200, body, _headers(account, schema))


# Webhooks


def _writes(route: Route) -> tuple[str, ...]:
    if route.endpoint is None or route.endpoint.stream != "webhooks":
        return ()
    return ("POST",) if route.id is None else ("DELETE",)


def _add_webhook(account: MailchimpAccount, route: Route, query: Query, body: bytes) -> Response:
    _check_names(query, ())
    try:
        given = decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Refused(
            400, "JSON Parse Error", "We encountered an unspecified JSON parsing error."
        ) from None
    for name in given:
        if name not in ("url", *WEBHOOK_FIELDS):
            raise invalid(name, "This field was not expected.")
    url = given.get("url")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise invalid("url", "Please provide a valid URL.")
    if not webhooks.answers(url):
        raise invalid("url", "We couldn't connect to the provided URL. Please check it.")
    if any(row.object["url"] == url for row in account.table("webhooks", route.parent)):
        raise invalid("url", "Sorry, you can't set up multiple WebHooks for one URL")
    chosen: Json = {}
    for name, known in WEBHOOK_FIELDS.items():
        flags = given.get(name, {})
        if not isinstance(flags, dict) or not flags.keys() <= set(known):
            raise invalid(name, f"Give some of: {', '.join(known)}")
        if not all(isinstance(value, bool) for value in flags.values()):
            raise invalid(name, "Schema describes boolean")
        chosen[name] = {one: flags.get(one, False) for one in known}
    id = account.hex(10)
    hook = shapes.webhook(id, route.parent, url, chosen["events"], chosen["sources"])
    account.save("webhooks", route.parent, id, hook, created=account.clock.now())
    path = f"{BASE}/lists/{route.parent}/webhooks/{id}"
    return _object(account, "webhooks", path, encode(hook), {}, {}, "/lists/webhooks")


def _remove_webhook(account: MailchimpAccount, route: Route, query: Query) -> Response:
    _check_names(query, ())
    if route.id is None or route.id not in account.table("webhooks", route.parent):
        raise missing()
    account.remove("webhooks", route.parent, route.id, at=account.clock.now())
    return Response(204)


# Parameters


def _check_names(query: Query, known: Sequence[str]) -> None:
    for name in query:
        if name not in known:
            raise invalid(name, "This parameter is not expected by this resource.")


def _unknown_fields() -> Refused:
    return Refused(
        422, "Requested Fields Invalid", "The fields requested from this resource are invalid."
    )


def _integer(query: Query, name: str, default: int, most: int | None) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise invalid(name, "Schema describes integer, string found instead")
    number = int(text)
    if most is not None and number > most:
        raise invalid(name, f"{name} must be less than or equal to {most}")
    return number


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise invalid(name, "Schema describes boolean, string found instead")
    return value.lower() in ("true", "1")


def _boolean_of(query: Query, name: str) -> bool:
    return _boolean(name, query.get(name, "false"))


def _second(name: str, value: str) -> int:
    """The last whole second of a time that is given in ISO 8601; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise invalid(name, "This value is not a valid datetime.") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return math.floor(found.timestamp())


def _filled(path: str, ids: Sequence[str]) -> str:
    values = iter(ids)
    return "/".join(next(values) if part.startswith("{") else part for part in path.split("/"))


def _headers(account: MailchimpAccount, path: str) -> dict[str, str]:
    schema = "/".join(
        part.title().replace("-", "") for part in path.split("/")[1:] if "{" not in part
    )
    url = f"https://{account.dc}.api.mailchimp.com/schema/3.0/{schema or 'Root'}.json"
    return {
        "Content-Type": "application/json; charset=utf-8",
        "Link": f'<{url}>; rel="describedBy"',
    }
