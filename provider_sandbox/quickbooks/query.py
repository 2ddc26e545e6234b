"""The query language: SELECT * or count(*) of one entity, with filters, order and a page."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from provider_sandbox.quickbooks.account import QuickBooksAccount, Record, Table
from provider_sandbox.quickbooks.endpoints import BY_NAME, MOST, PAGE, Entity, Kind
from provider_sandbox.quickbooks.faults import invalid_query, unparsable

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:\\.|[^'\\])*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|[=<>(),*]))",
    re.DOTALL,
)
KEPT = 50
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, sought: bool(value == sought),
    "<": lambda value, sought: value is not None and value < sought,
    ">": lambda value, sought: value is not None and value > sought,
    "<=": lambda value, sought: value is not None and value <= sought,
    ">=": lambda value, sought: value is not None and value >= sought,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """``property operator (values)``; one value for all operators but IN."""

    property: str
    operator: str
    values: tuple[str | bool, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for. ``order`` holds properties, each with whether it descends; ``start``
    counts from 1."""

    entity: Entity
    counts: bool
    conditions: tuple[Condition, ...]
    order: tuple[tuple[str, bool], ...]
    start: int
    limit: int


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(text: str) -> Query:
    """The query that the text says. Raises Refused."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0

    def query(self) -> Query:
        self._keyword("select")
        counts = self._selected()
        self._keyword("from")
        name = self._take("word").text
        entity = BY_NAME.get(name)
        if entity is None:
            raise invalid_query(f"Metadata not found for Entity: {name}")
        conditions = []
        if self._has("where"):
            conditions.append(self._condition())
            while self._has("and"):
                conditions.append(self._condition())
        order = self._order()
        start = self._number("startposition", 1)
        limit = self._number("maxresults", PAGE)
        if limit > MOST:
            raise invalid_query(f"value {limit} is too large. Max allowed value is {MOST}.")
        if self._here.kind != "end":
            raise self._unexpected()
        return Query(entity, counts, tuple(conditions), order, start, limit)

    def _selected(self) -> bool:
        if self._has("count"):
            for sign in "(*)":
                self._sign(sign)
            return True
        self._sign("*")
        while self._has(","):
            self._take("word")
        return False

    def _condition(self) -> Condition:
        property = self._take("word").text
        if self._has("in"):
            self._sign("(")
            values = [self._value()]
            while self._has(","):
                values.append(self._value())
            self._sign(")")
            return Condition(property, "IN", tuple(values))
        if self._has("like"):
            return Condition(property, "LIKE", (self._value(),))
        operator = self._here.text
        if operator not in COMPARED:
            raise self._unexpected()
        self._position += 1
        return Condition(property, operator, (self._value(),))

    def _value(self) -> str | bool:
        token = self._here
        self._position += 1
        match token.kind:
            case "text":
                return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
            case "number":
                return token.text
            case "word" if token.text.lower() in ("true", "false"):
                return token.text.lower() == "true"
        self._position -= 1
        raise self._unexpected()

    def _order(self) -> tuple[tuple[str, bool], ...]:
        if self._has("order"):
            self._keyword("by")
        elif not self._has("orderby"):
            return ()
        order = [self._ordered()]
        while self._has(","):
            order.append(self._ordered())
        return tuple(order)

    def _ordered(self) -> tuple[str, bool]:
        property = self._take("word").text
        descends = self._has("desc")
        if not descends:
            self._has("asc")
        return property, descends

    def _number(self, keyword: str, default: int) -> int:
        if not self._has(keyword):
            return default
        token = self._take("number")
        if not token.text.lstrip("-").isdecimal():
            raise _encountered(token)
        if int(token.text) < 1:
            raise invalid_query(f"value {token.text} is too small. Min allowed value is 1")
        return int(token.text)

    @property
    def _here(self) -> _Token:
        return self._tokens[self._position]

    def _has(self, text: str) -> bool:
        if self._here.kind in ("word", "sign") and self._here.text.lower() == text:
            self._position += 1
            return True
        return False

    def _keyword(self, text: str) -> None:
        if not self._has(text):
            raise self._unexpected()

    _sign = _keyword

    def _take(self, kind: str) -> _Token:
        token = self._here
        if token.kind != kind:
            raise self._unexpected()
        self._position += 1
        return token

    def _unexpected(self) -> Exception:
        return _encountered(self._here)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        if match is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise unparsable(
                f"Invalid content. Lexical error at line 1, column {at + 1}.  Encountered: "
                f'"{text[at]}" ({ord(text[at])}), after : ""'
            )
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        position = match.end()
    return [*tokens, _Token("end", "<EOF>", end + 1)]


def _encountered(token: _Token) -> Exception:
    names = {"word": " <IDENTIFIER> ", "text": " <STRING> ", "number": " <INTEGER> "}
    shown = f'"{names.get(token.kind, "")}" "{token.text} "' if token.kind in names else (
        f'"{token.text}"'
    )  # fmt: skip
    return unparsable(f"Encountered {shown} at line 1, column {token.column}.")


def select(account: QuickBooksAccount, query: Query) -> Sequence[Record]:
    """All records that the query's conditions let pass, in its order, before its page is cut.

    Without an order, transactions come last updated first and the rest by id: none is promised.
    Raises Refused for a property or a value that cannot be.
    """
    table = account.tables[query.entity.stream]
    for property, _ in query.order:
        _kind(table, query.entity, property)
    tests = [_test(table, query.entity, one, account.zone) for one in query.conditions]
    if query.entity.has_active and not any(one.property == "Active" for one in query.conditions):
        tests.append((_attribute("Active"), lambda value: bool(value)))
    key = (query.conditions, query.order)
    if key not in table.kept:
        if len(table.kept) > KEPT:
            table.kept.clear()
        table.kept[key] = _sorted(
            table, query, [
                record for record in table.records.values()
                if all(test(read(record)) for read, test in tests)
            ] if tests else list(table.records.values()),
        )  # fmt: skip
    return table.kept[key]


def _sorted(table: Table, query: Query, records: list[Record]) -> list[Record]:
    if not query.order:
        if query.entity.ids == "transactions":
            records.sort(key=lambda record: (-record.updated, -record.number))
        return records
    for property, descends in reversed(query.order):
        records.sort(key=_sort_key(property), reverse=descends)
    return records


def _sort_key(property: str) -> Callable[[Record], Any]:
    if property == "Id":
        return attrgetter("number")
    read = _attribute(property)

    def key(record: Record) -> Any:
        value = read(record)
        return (value is not None, "" if value is None else value)

    return key


def _number(id: str) -> tuple[int, str]:
    """Ids in their order: numbers by value, and then the two that are words."""
    return (int(id), "") if id.isdecimal() else (2**63, id)


def _kind(table: Table, entity: Entity, property: str) -> Kind:
    kind = entity.filters.get(property)
    if kind is None:
        sample = next(iter(table.records.values()), None)
        if sample is not None and property.partition(".")[0] in sample.object:
            raise invalid_query(f"property '{property}' is not queryable")
        raise invalid_query(f"Property {property} not found for Entity {entity.name}")
    return kind


def _attribute(property: str) -> Callable[[Record], Any]:
    """Reads a property of a record, without decoding its body where that is not needed."""
    match property:
        case "Id":
            return lambda record: record.id
        case "Active":
            return lambda record: record.active
        case "MetaData.CreateTime":
            return lambda record: record.created
        case "MetaData.LastUpdatedTime":
            return lambda record: record.updated

    def read(record: Record) -> Any:
        value: Any = record.object.get(property)
        return value.get("value") if isinstance(value, dict) else value

    return read


def _test(
    table: Table, entity: Entity, condition: Condition, zone: ZoneInfo
) -> tuple[Callable[[Record], Any], Callable[[Any], bool]]:
    kind = _kind(table, entity, condition.property)
    read = _attribute(condition.property)
    if condition.operator == "LIKE":
        if kind not in (Kind.TEXT, Kind.ID):
            raise invalid_query(f"Operator LIKE is not supported for property {condition.property}")
        pieces = str(condition.values[0]).split("%")
        like = re.compile(".*".join(map(re.escape, pieces)), re.IGNORECASE | re.DOTALL)
        return read, lambda value: value is not None and like.fullmatch(value) is not None
    sought = [_value(condition.property, kind, value, zone) for value in condition.values]
    if condition.operator == "IN":
        return read, frozenset(sought).__contains__
    compare = COMPARED[condition.operator]
    if kind is Kind.ID and condition.operator != "=":
        return (
            lambda record: _number(record.id),
            lambda value: compare(value, _number(sought[0])),
        )
    return read, lambda value: compare(value, sought[0])


def _value(property: str, kind: Kind, value: str | bool, zone: ZoneInfo) -> Any:
    try:
        match kind:
            case Kind.FLAG:
                flags = {"true": True, "false": False}
                return value if isinstance(value, bool) else flags[value.lower()]
            case Kind.NUMBER:
                return Decimal(str(value))
            case Kind.DATE:
                return date.fromisoformat(str(value)).isoformat()
            case Kind.TIME:
                return moment(str(value), zone)
            case _:
                return str(value)
    except (ValueError, KeyError, ArithmeticError):
        raise invalid_query(f"value {value} of property {property} is not valid") from None


def moment(text: str, zone: ZoneInfo) -> float:
    """The Unix time of a date or a date and time; without an offset it is the company's own.
    Raises ValueError."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
