"""Rules: what is taken, what is refused and how, and that the database gives what a plain reading
of the rule gives."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.mapping import Rule, read_rule
from integration_pipelines.core.mapping.paths import parse
from integration_pipelines.core.mapping.rules import PARTS
from tests.conftest import NewDatabase

RULE = {
    "provider": "stripe",
    "target_table": "customers",
    "target_field": "custom.x",
    "source_path": "a",
    "type": "text",
}


def test_a_path_is_its_steps() -> None:
    assert parse("metadata.table") == ["metadata", "table"]
    assert parse('metadata."favourite drink"') == ["metadata", "favourite drink"]
    assert parse('m."a\\"b\\\\"') == ["m", 'a"b\\']
    assert parse("lines[0].name") == ["lines", 0, "name"]
    assert parse("fields[label=Table].value") == [
        "fields",
        {"key": "label", "value": "Table"},
        "value",
    ]
    assert parse('fields[label="Table no."].value')[1] == {"key": "label", "value": "Table no."}


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".a",
        "a.",
        "a..b",
        "a b",
        "[0]",
        "a[-1]",
        "a[x]",
        "a[0",
        'a."b',
        "a'); DROP TABLE control.venues--",
        "a->>'b'",
        "a\x00b",
        "a;b",
        "a" * 201,
        ".".join("a" * 13),
        '"a\nb"',
    ],
)
def test_25_a_path_that_is_none_is_refused_and_shown(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        parse(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target_table": "venues"}, "target_table 'venues' is unknown: choose of customers"),
        ({"provider": "mailchimp"}, "provider 'mailchimp' has no customers: choose of stripe"),
        ({"target_field": "source_id"}, "target_field 'source_id' is unknown: customers has name"),
        ({"target_field": "custom.A'); DROP TABLE x--"}, "is not custom. and then a small letter"),
        ({"target_field": "custom." + "x" * 64}, "is not custom. and then a small letter"),
        ({"type": None}, "type is missing"),
        ({"target_field": "email", "type": "number"}, "type of email is text: leave it out"),
        ({"transforms": [{"do": "eval"}]}, "transforms.0: "),
        ({"transforms": [{"do": "split", "separator": "", "part": 0}]}, "transforms.0.separator"),
        ({"transforms": [{"do": "date", "format": "%Q"}]}, "format has %Q"),
        ({"transforms": [{"do": "date", "format": "%Y-%m"}]}, "format has to have %Y, %m and %d"),
        ({"transforms": [{"do": "date", "format": "%Y%m%d", "zone": "X"}]}, "zone 'X' is unknown"),
        (
            {"transforms": [{"do": "date", "format": "%Y%m%d", "zone": "localtime"}]},
            "zone 'localtime' is unknown",
        ),
        ({"transforms": [{"do": "number", "decimal": ",", "group": ","}]}, "the same sign"),
        ({"transforms": [{"do": "coalesce", "paths": ["a..b"]}]}, "transforms.0.paths.0: "),
        ({"nonsense": 1}, "nonsense: "),
        (
            {"target_table": "payments", "required": True},
            "required cannot be in payments: sums would lack the rows that are kept out",
        ),
        ({"default": "a\x00"}, "default: has a character that nothing can hold"),
        ({"default": float("nan")}, "default: is not a finite number"),
        ({"transforms": [{"do": "constant", "value": "\x00"}]}, "transforms.0.value: "),
        ({"transforms": [{"do": "constant", "value": float("inf")}]}, "transforms.0.value: "),
        ({"transforms": [{"do": "lookup", "table": {"a": "\x00"}}]}, "transforms.0.table.a: "),
        ({"transforms": [{"do": "lookup", "table": {"\x00": 1}}]}, "transforms.0.table."),
        (
            {"transforms": [{"do": "lookup", "table": {"a": 1}, "otherwise": float("-inf")}]},
            "transforms.0.otherwise: ",
        ),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_field_and_cure(
    change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        read_rule(RULE | change)


@pytest.fixture(scope="module")
def mapping_session(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Connection]:
    """Of the role that builds the models."""
    with new_database(tmp_path_factory.mktemp("mappings")) as settings:
        engine = create_engine(settings, Role.DBT)
        with engine.connect() as session:
            yield session
        engine.dispose()


# A plain reading of a rule, beside the one of the database.


class Fails(Exception):
    pass


def at(value: Any, steps: list[Any]) -> Any:
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            held = value if isinstance(value, list) else []
            value = next(
                (
                    each
                    for each in held
                    if isinstance(each, dict) and each.get(step["key"]) == step["value"]
                ),
                None,
            )
        if value is None:
            return None
    return value


def written(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value + 0:f}"
    return value if isinstance(value, str) else json.dumps(value)


def done(value: Any, step: dict[str, Any], payload: Any) -> Any:
    do = step["do"]
    if isinstance(value, dict | list) and do not in ("join", "constant", "coalesce"):
        raise Fails
    if do == "constant":
        return step["value"]
    if do == "coalesce":
        if value not in (None, ""):
            return value
        found = (at(payload, path) for path in step["paths"])
        # A value that is empty stays, where there is none in its place.
        return next((each for each in found if each not in (None, "")), None)
    if do == "join":
        held = [value, *(at(payload, path) for path in step["paths"])]
        pieces = [piece for each in held for piece in (each if isinstance(each, list) else [each])]
        kept = [
            written(piece)
            for piece in pieces
            if piece not in (None, "") and not isinstance(piece, dict | list)
        ]
        return step["separator"].join(kept) if kept else None
    if value is None:
        return None
    words = written(value)
    if do == "trim":
        return words.strip(" \t\n\r")
    if do == "case":
        return words.upper() if step["to"] == "upper" else words.lower()
    if do == "split":
        parts = words.split(step["separator"]) if words else []
        place = step["part"] + (len(parts) if step["part"] < 0 else 0)
        return parts[place] if 0 <= place < len(parts) else None
    if do == "number":
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return value
        words = words.strip(" ")
        words = words.replace(step["group"], "") if step["group"] else words
        if step["decimal"] != "." and "." in words:
            raise Fails
        words = words.replace(step["decimal"], ".")
        if not re.fullmatch(r"[-+]?[0-9]{1,30}(\.[0-9]{1,20})?", words):
            raise Fails
        return Decimal(words)
    if do == "minor_units":
        if not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,20})?", words):
            raise Fails
        scaled = Decimal(words).scaleb(step["digits"])
        if scaled != scaled.to_integral_value():
            raise Fails
        return scaled.to_integral_value()
    if do == "major_units":
        if not re.fullmatch(r"-?[0-9]{1,30}", words):
            raise Fails
        return Decimal(words).scaleb(-step["digits"])
    if do == "lookup":
        return step["table"].get(words, step["otherwise"])
    if do == "boolean":
        words = words.strip(" ").lower()
        if words in step["true"]:
            return True
        if words in step["false"]:
            return False
        raise Fails
    assert do == "date"
    found_parts = re.fullmatch(step["pattern"][1:-1], words.strip(" "))
    if found_parts is None:
        raise Fails
    given_parts = dict(zip(step["parts"], map(int, found_parts.groups()), strict=True))
    try:
        day = datetime(  # noqa: DTZ001 - its zone is the rule's
            *(given_parts.get(name, 0) for name in ("year", "month", "day")),
            *(given_parts.get(name, 0) for name in ("hour", "minute", "second")),
        )
    except ValueError:
        raise Fails from None
    if "hour" not in given_parts:
        return f"{day:%Y-%m-%d}".rjust(10, "0")
    instant = day.replace(tzinfo=ZoneInfo(step["zone"])).astimezone(UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def plainly(rule: Rule, payload: Any) -> Any:
    value = at(payload, parse(rule.source_path))
    for transform in rule.transforms:
        paths = [parse(path) for path in getattr(transform, "paths", ())]
        value = done(value, {**transform.compiled(), "paths": paths}, payload)
    if value is None:
        value = rule.default
    if value is None:
        if rule.required:
            raise Fails
        return None
    if isinstance(value, dict | list):
        raise Fails
    return written(value)


FIELDS = st.sampled_from(["a", "b", "c", "two words"])
WORDS = st.text(alphabet=st.sampled_from(list("abAB01 ,.-'\"é€:")), max_size=8)
SCALARS = WORDS | st.integers(-10_000, 10_000) | st.booleans() | st.none()
PAYLOADS = st.dictionaries(
    FIELDS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@st.composite
def paths(draw: st.DrawFn) -> str:
    def named() -> str:
        name = draw(FIELDS)
        return f'"{name}"' if " " in name else name

    steps = [named()]
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["name", "index", "match"]))
        steps.append(
            f".{named()}"
            if kind == "name"
            else f"[{draw(st.integers(0, 2))}]"
            if kind == "index"
            else f"[a={draw(st.sampled_from(['a', '0', 'true']))}]"
        )
    return "".join(steps)


FORMATS = st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y %H:%M", "%d %m %Y, %H:%M:%S"])
TRANSFORMS = st.one_of(
    st.just({"do": "trim"}),
    st.builds(lambda to: {"do": "case", "to": to}, st.sampled_from(["upper", "lower"])),
    st.builds(
        lambda by, part: {"do": "split", "separator": by, "part": part},
        st.sampled_from([",", " ", "ab"]),
        st.integers(-3, 3),
    ),
    st.builds(
        lambda by, others: {"do": "join", "separator": by, "paths": others},
        st.sampled_from(["", ", "]),
        st.lists(paths(), max_size=2),
    ),
    st.builds(
        lambda others: {"do": "coalesce", "paths": others},
        st.lists(paths(), min_size=1, max_size=2),
    ),
    st.builds(lambda value: {"do": "constant", "value": value}, SCALARS),
    st.sampled_from(
        [
            {"do": "number"},
            {"do": "number", "decimal": ",", "group": "."},
            {"do": "number", "group": "'"},
        ]
    ),
    st.builds(
        lambda to, digits: {"do": to, "digits": digits},
        st.sampled_from(["minor_units", "major_units"]),
        st.integers(0, 3),
    ),
    st.builds(
        lambda table, otherwise: {"do": "lookup", "table": table, "otherwise": otherwise},
        st.dictionaries(WORDS, SCALARS, min_size=1, max_size=3),
        SCALARS,
    ),
    st.just({"do": "boolean", "true": ["yes", " A"], "false": ["0", "no"]}),
    st.builds(
        lambda written_as, zone: {"do": "date", "format": written_as, "zone": zone},
        FORMATS,
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo"]),
    ),
)
DATES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - as written


@st.composite
def cases(draw: st.DrawFn) -> tuple[Rule, Any]:
    rule = read_rule(
        RULE
        | {
            "source_path": draw(paths()),
            "transforms": draw(st.lists(TRANSFORMS, max_size=3)),
            "default": draw(SCALARS),
            "required": draw(st.booleans()),
        }
    )
    payload = draw(PAYLOADS)
    for step in rule.transforms:
        if step.do == "date" and draw(st.booleans()):
            payload = {**payload, "a": f"{draw(DATES):{step.format}}"}
    return rule, payload


def by_the_database(session: Connection, rule: Rule, payload: Any) -> Any:
    asked = text("SELECT control.map_value(CAST(:payload AS jsonb), CAST(:rule AS jsonb))")
    values = {"payload": json.dumps(payload), "rule": json.dumps(rule.compiled())}
    return session.scalar(asked, values)


@settings(max_examples=600, deadline=None)
@given(case=cases())
def test_the_database_gives_what_a_plain_reading_of_the_rule_gives(
    mapping_session: Connection, case: tuple[Rule, Any]
) -> None:
    rule, payload = case
    found = by_the_database(mapping_session, rule, payload)
    try:
        expected = plainly(rule, payload)
    except Fails:
        assert "error" in found, (rule, payload)
        return
    assert "error" not in found, (found, expected)
    assert found["value"] == expected


def test_every_part_of_a_date_is_known() -> None:
    assert set(PARTS) == {"%Y", "%m", "%d", "%H", "%M", "%S"}
