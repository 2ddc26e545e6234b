"""A rule: where a field's value comes from, what is done to it, and what holds where there is none.

Rules are data. `compiled` is what the database evaluates, set-based, with `control.map_fields`.
"""

import math
import re
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.mapping.paths import compiled, keys, parse
from integration_pipelines.core.mapping.targets import ADDED_UP, CUSTOM, TARGETS, FieldType

CUSTOM_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
MOST_CUSTOM = 50

Words = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
PARTS = {
    "%Y": ("year", r"(\d{4})"),
    "%m": ("month", r"(\d{1,2})"),
    "%d": ("day", r"(\d{1,2})"),
    "%H": ("hour", r"(\d{1,2})"),
    "%M": ("minute", r"(\d{1,2})"),
    "%S": ("second", r"(\d{1,2})"),
}


def _path(value: Any) -> Any:
    if isinstance(value, str):
        try:
            parse(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
    return value


def _held_by_json(value: Any) -> Any:
    """Postgres' jsonb, that is."""
    if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        raise ValueError("has a character that nothing can hold")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("is not a finite number")
    return value


Text = Annotated[str, AfterValidator(_held_by_json)]
Path = Annotated[Text, BeforeValidator(_path)]
Scalar = Annotated[
    str | int | float | bool | None, Field(union_mode="smart"), AfterValidator(_held_by_json)
]


class _Transform(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    def compiled(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


class Trim(_Transform):
    """Without blanks at its ends."""

    do: Literal["trim"]


class Case(_Transform):
    """In upper or lower case."""

    do: Literal["case"]
    to: Literal["upper", "lower"]


class Split(_Transform):
    """One part of a text, counted from 0, or from the end with -1."""

    do: Literal["split"]
    separator: Annotated[Words, Field(min_length=1)]
    part: Annotated[int, Field(ge=-100, le=100)]


class Join(_Transform):
    """The value, and what stands at ``paths``, joined; what is empty is left out."""

    do: Literal["join"]
    separator: Words = " "
    paths: Annotated[list[Path], Field(max_length=10)] = []

    def compiled(self) -> dict[str, Any]:
        return {**super().compiled(), "paths": [compiled(path) for path in self.paths]}


class Coalesce(_Transform):
    """Where there is no value, the first that stands at ``paths``."""

    do: Literal["coalesce"]
    paths: Annotated[list[Path], Field(min_length=1, max_length=10)]

    def compiled(self) -> dict[str, Any]:
        return {**super().compiled(), "paths": [compiled(path) for path in self.paths]}


class Constant(_Transform):
    """Always the same."""

    do: Literal["constant"]
    value: Scalar


class Number(_Transform):
    """A number written with these signs, such as 1.234,50."""

    do: Literal["number"]
    decimal: Literal[".", ","] = "."
    group: Literal["", ".", ",", " ", "'"] = ""

    @model_validator(mode="after")
    def _differ(self) -> "Number":
        if self.decimal == self.group:
            raise ValueError("decimal and group are the same sign")
        return self


class Date(_Transform):
    """A day, or an instant in ``zone``, written as ``format``: %Y %m %d %H %M %S."""

    do: Literal["date"]
    format: Annotated[Words, Field(min_length=1)]
    zone: str = "UTC"

    @model_validator(mode="after")
    def _known(self) -> "Date":
        self._pattern()
        # "localtime" is this machine's, which Postgres does not know.
        if self.zone not in available_timezones() - {"localtime"}:
            raise ValueError(f"zone {self.zone!r} is unknown: use a name such as Europe/Berlin")
        return self

    def _pattern(self) -> tuple[str, list[str]]:
        pattern, parts = "", []
        for piece in re.split(r"(%.)", self.format):
            if not piece.startswith("%"):
                pattern += re.sub(r"([^\w\s])", r"\\\1", piece)
            elif piece in PARTS:
                part, expression = PARTS[piece]
                parts.append(part)
                pattern += expression
            else:
                raise ValueError(f"format has {piece}: use {' '.join(PARTS)}")
        if not {"year", "month", "day"} <= set(parts) or len(set(parts)) < len(parts):
            raise ValueError("format has to have %Y, %m and %d, and each once")
        if "hour" not in parts and {"minute", "second"} & set(parts):
            raise ValueError("format has minutes without %H")
        return f"^{pattern}$", parts

    def compiled(self) -> dict[str, Any]:
        pattern, parts = self._pattern()
        return {"do": "date", "pattern": pattern, "parts": parts, "zone": self.zone}


class Units(_Transform):
    """Minor units out of an amount, or an amount out of minor units: ``digits`` decimals."""

    do: Literal["minor_units", "major_units"]
    digits: Annotated[int, Field(ge=0, le=6)]


class Lookup(_Transform):
    """What stands beside it in ``table``; ``otherwise`` for what does not stand there."""

    do: Literal["lookup"]
    table: Annotated[dict[Text, Scalar], Field(min_length=1, max_length=1000)]
    otherwise: Scalar = None


class Boolean(_Transform):
    """Words that mean yes and no; case and blanks at the ends do not matter."""

    do: Literal["boolean"]
    true: Annotated[list[Words], Field(min_length=1, max_length=50)]
    false: Annotated[list[Words], Field(min_length=1, max_length=50)]

    def compiled(self) -> dict[str, Any]:
        return {
            "do": "boolean",
            "true": [word.strip().lower() for word in self.true],
            "false": [word.strip().lower() for word in self.false],
        }


Transform = Annotated[
    Trim | Case | Split | Join | Coalesce | Constant | Number | Date | Units | Lookup | Boolean,
    Field(discriminator="do"),
]


KINDS = frozenset(
    {
        "trim",
        "case",
        "split",
        "join",
        "coalesce",
        "constant",
        "number",
        "date",
        "minor_units",
        "major_units",
        "lookup",
        "boolean",
    }
)


class Rule(BaseModel):
    """How a venue fills one field of an entity from one provider's payloads.

    ``target_field``: a field of the entity, or custom.NAME for one of the venue's own, which says
    its ``type``. A row on which it fails has no value there; one that lacks what is ``required`` is
    kept out of the entity, in `control.quarantine`; nothing is required of what is added up.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    provider: str
    target_table: str
    target_field: str
    source_path: Path
    transforms: Annotated[list[Transform], Field(max_length=20)] = []
    default: Scalar = None
    required: bool = False
    type: FieldType | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Rule":
        target = TARGETS.get(self.target_table)
        if target is None:
            raise ValueError(
                f"target_table {self.target_table!r} is unknown: choose of {', '.join(TARGETS)}"
            )
        if self.provider not in target.streams:
            raise ValueError(
                f"provider {self.provider!r} has no {self.target_table}: choose of "
                f"{', '.join(target.streams)}"
            )
        if self.target_field.startswith(CUSTOM):
            if not CUSTOM_NAME.fullmatch(self.target_field.removeprefix(CUSTOM)):
                raise ValueError(
                    f"target_field {self.target_field!r} is not custom. and then a small letter "
                    "with up to 47 small letters, digits and underscores"
                )
            if self.type is None:
                raise ValueError("type is missing: a field of your own has to say it")
        elif self.target_field not in target.fields:
            raise ValueError(
                f"target_field {self.target_field!r} is unknown: {self.target_table} has "
                f"{', '.join(target.fields)}, and custom.NAME for fields of your own"
            )
        elif self.type not in (None, target.fields[self.target_field]):
            raise ValueError(
                f"type of {self.target_field} is {target.fields[self.target_field]}: leave it out"
            )
        if self.required and self.target_table in ADDED_UP:
            raise ValueError(
                f"required cannot be in {self.target_table}: sums would lack the rows that are "
                "kept out, and not what belongs to them: give a default, or leave the field empty, "
                "where the check every_row_mapped tells of it"
            )
        return self

    @property
    def field_type(self) -> FieldType:
        """Of the target."""
        return self.type or TARGETS[self.target_table].fields[self.target_field]

    @property
    def target(self) -> str:
        """Entity and field, as people write it."""
        return f"{self.target_table}.{self.target_field}"

    @property
    def streams(self) -> tuple[str, ...]:
        """Whose payloads it reads."""
        return TARGETS[self.target_table].streams[self.provider]

    def compiled(self) -> dict[str, Any]:
        """What the database evaluates."""
        return {
            "path": compiled(self.source_path),
            "keys": keys(self.source_path),
            "transforms": [transform.compiled() for transform in self.transforms],
            "default": self.default,
            "required": self.required,
            "type": self.field_type,
        }


def read_rule(given: Any) -> Rule:
    """A rule out of JSON. Raises ConfigurationError that names each field and its cure."""
    try:
        return Rule.model_validate(given)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            names = [str(part) for part in problem["loc"] if not _is_tag(part)]
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{'.'.join(names)}: {message}" if names else message)
        raise ConfigurationError("; ".join(problems)) from None


def _is_tag(part: Any) -> bool:
    """Pydantic names the kind of a transform beside its place."""
    return part in KINDS
