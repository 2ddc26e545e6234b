"""What Intuit published of QuickBooks' entities: its schema (XSD) as JSON sees it."""

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

REFERENCE = Path(
    os.environ.get(
        "PROVIDER_REFERENCE", Path(__file__).resolve().parents[2] / "shared" / "provider_reference"
    )
)
XS = "{http://www.w3.org/2001/XMLSchema}"
FILES = (
    "IntuitBaseTypes", "IntuitNamesTypes", "SalesTax", "Finance", "Report", "IntuitRestServiceDef",
)  # fmt: skip
LATER_THAN_THE_SCHEMA = {"TimeActivity": {"DepartmentRef": "ReferenceType"}}
"""Fields of the API's current reference that the published schema has not."""
UNTYPED = {"Line.SubTotalLineDetail"}
"""Empty objects."""
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?[+-]\d{2}:\d{2}")


def published(name: str) -> Path:
    path = REFERENCE / "quickbooks" / name
    if not path.exists():
        pytest.skip(f"{path} is absent: set PROVIDER_REFERENCE to the published material")
    return path


class Schema:
    """The complex types of the XSD as JSON: fields by name with type and whether they are lists,
    enumerations as sets of texts."""

    def __init__(self) -> None:
        self.fields: dict[str, dict[str, tuple[str, bool]]] = {}
        self.choices: dict[str, set[str]] = {}
        nodes: dict[str, ET.Element] = {}
        for name in FILES:
            for node in ET.parse(published(f"xsd/{name}.xsd")).getroot():
                if node.tag in (f"{XS}complexType", f"{XS}simpleType"):
                    nodes[node.get("name", "")] = node
        for name, node in nodes.items():
            if node.tag == f"{XS}simpleType":
                self.choices[name] = {one.get("value", "") for one in node.iter(f"{XS}enumeration")}
        for name, node in nodes.items():
            if node.tag == f"{XS}complexType":
                self.fields[name] = dict(self._fields(nodes, node))
        for name, more in LATER_THAN_THE_SCHEMA.items():
            self.fields[name] |= {field: (type, False) for field, type in more.items()}

    def _fields(
        self, nodes: dict[str, ET.Element], node: ET.Element
    ) -> Iterator[tuple[str, tuple[str, bool]]]:
        for one in node.iter():
            if one.tag == f"{XS}extension":
                base = one.get("base", "").rpartition(":")[2]
                if base in nodes and nodes[base].tag == f"{XS}complexType":
                    yield from self._fields(nodes, nodes[base])
                else:
                    yield "value", ("string", False)
            elif one.tag in (f"{XS}element", f"{XS}attribute"):
                name = one.get("name") or one.get("ref", "").rpartition(":")[2]
                type = (one.get("type") or name).rpartition(":")[2]
                yield name, (type, one.get("maxOccurs") == "unbounded")

    def fullest(self, type: str, *within: str) -> Any:
        """A value of a type with every field the schema knows, except inside itself."""
        if type in self.fields:
            deeper = {
                name: (inner, many)
                for name, (inner, many) in self.fields[type].items()
                if inner not in within and inner != type
            }
            return {
                name: [self.fullest(inner, *within, type)] * 2
                if many
                else self.fullest(inner, *within, type)
                for name, (inner, many) in deeper.items()
            }
        if self.choices.get(type):
            return min(self.choices[type])
        return _EXAMPLES.get(type, f"a {type} of {within[-1]}")

    def faults(self, value: Any, type: str, path: str) -> Iterator[str]:
        """Where a value is not what the schema says of its type."""
        if type == "IntuitAnyType" or path in UNTYPED:
            return
        if type in self.fields:
            if not isinstance(value, dict):
                yield f"{path}: {value!r} is not an object"
                return
            known = self.fields[type]
            for name, held in value.items():
                if name not in known:
                    yield f"{path}.{name} is unknown to {type}"
                    continue
                inner, many = known[name]
                if many != isinstance(held, list):
                    yield f"{path}.{name}: {held!r:.60} is {'no' if many else 'a'} list"
                    continue
                for one in held if many else [held]:
                    yield from self.faults(one, inner, f"{type}.{name}")
        elif self.choices.get(type):
            if value not in self.choices[type]:
                yield f"{path}: {value!r} is not among the {type}"
        elif not _is_simple(value, type):
            yield f"{path}: {value!r} is not a {type}"


_EXAMPLES = {
    "boolean": True,
    "decimal": Decimal("-1234567.0070"),
    "float": Decimal("0.1"),
    "double": Decimal("1e-7"),
    "int": 7,
    "integer": 7,
    "long": 2**53 + 1,
    "positiveInteger": 1,
    "date": "2026-02-28",
    "dateTime": "2026-02-28T23:59:59-08:00",
    "IntuitAnyType": {"any": [None, {"of": "it"}]},
}


def _is_simple(value: Any, type: str) -> bool:
    match type:
        case "boolean":
            return isinstance(value, bool)
        case "decimal" | "float" | "double":
            return isinstance(value, int | Decimal) and not isinstance(value, bool)
        case "int" | "integer" | "long" | "positiveInteger":
            return isinstance(value, int) and not isinstance(value, bool)
        case "date":
            return isinstance(value, str) and DATE.fullmatch(value) is not None
        case "dateTime":
            return isinstance(value, str) and DATE_TIME.fullmatch(value) is not None
        case _:
            return isinstance(value, str)
