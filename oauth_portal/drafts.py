"""The mapping editor's form: a rule as a person fills it in, step by step, and as it is kept."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.mapping import TARGETS, Rule, read_rule

MOST_STEPS = 20


class Input(NamedTuple):
    """A field of a step's form. ``kind``: text, number, part (counted from 1), words (a list with
    commas), lines (one a line), pairs (`from = to`, one a line), or a choice of ``choices``."""

    name: str
    label: str
    kind: str = "text"
    choices: Mapping[str, str] = {}
    value: str = ""


class Step(NamedTuple):
    """A transform as people choose it."""

    label: str
    inputs: tuple[Input, ...] = ()


PATHS = "Paths, one a line"
STEPS: Mapping[str, Step] = {
    "trim": Step("Take blanks off its ends"),
    "case": Step(
        "Write it in upper or lower case",
        (Input("to", "Case", "choice", {"lower": "lower case", "upper": "UPPER CASE"}),),
    ),
    "split": Step(
        "Take a part of it",
        (
            Input("separator", "What stands between the parts"),
            Input("part", "Which part: 1 is the first, -1 the last", "part", value="1"),
        ),
    ),
    "join": Step(
        "Join it with others",
        (
            Input("separator", "What is put between them"),
            Input("paths", PATHS, "lines"),
        ),
    ),
    "coalesce": Step("Look elsewhere where it is empty", (Input("paths", PATHS, "lines"),)),
    "constant": Step("Put the same in every row", (Input("value", "What"),)),
    "number": Step(
        "Read a number as it is written",
        (
            Input("decimal", "Before decimals", "choice", {".": "a point", ",": "a comma"}),
            Input(
                "group",
                "Between thousands",
                "choice",
                {
                    "": "nothing",
                    ".": "a point",
                    ",": "a comma",
                    " ": "a blank",
                    "'": "an apostrophe",
                },
            ),
        ),
    ),
    "date": Step(
        "Read a date as it is written",
        (
            Input("format", "How it is written, such as %d.%m.%Y %H:%M", value="%d.%m.%Y"),
            Input("zone", "Time zone, where it has a time"),
        ),
    ),
    "minor_units": Step(
        "Make cents out of an amount",
        (Input("digits", "Decimals of the currency", "number", value="2"),),
    ),
    "major_units": Step(
        "Make an amount out of cents",
        (Input("digits", "Decimals of the currency", "number", value="2"),),
    ),
    "lookup": Step(
        "Look it up in a list",
        (
            Input("table", "What becomes what, one a line: red = 1", "pairs"),
            Input("otherwise", "What everything else becomes (empty: nothing)"),
        ),
    ),
    "boolean": Step(
        "Read it as yes or no",
        (
            Input("true", "Words for yes, with commas between", "words", value="yes, true, 1"),
            Input("false", "Words for no", "words", value="no, false, 0"),
        ),
    ),
}
YES_OR_NO = {"yes": True, "true": True, "no": False, "false": False}
OPTIONAL = {("lookup", "otherwise"), ("constant", "value")}
"""Inputs of which empty means nothing."""


@dataclass(slots=True)
class Draft:
    """What stands in the form: texts, as typed. ``steps``: each with ``do`` and its inputs."""

    target_field: str
    type: str = ""
    source_path: str = ""
    steps: list[dict[str, str]] = field(default_factory=list)
    default: str = ""
    required: bool = False


def draft_of(rule: Rule) -> Draft:
    """The form of a rule that there is."""
    return Draft(
        target_field=rule.target_field,
        type=rule.type or "",
        source_path=rule.source_path,
        steps=[_typed(step.model_dump(mode="json")) for step in rule.transforms],
        default={True: "yes", False: "no"}[rule.default]
        if isinstance(rule.default, bool)
        else _text(rule.default),
        required=rule.required,
    )


def is_said_by_form(rule: Rule) -> bool:
    """Whether the form says all of a rule, so that what it does is the same once it came back.
    Texts that hold signs of the form's own, and values that it takes for others, are not."""
    try:
        again = rule_of(draft_of(rule), rule.provider, rule.target_table)
    except ConfigurationError:
        return False
    return bool(_as_text(again.compiled()) == _as_text(rule.compiled()))


def draft_from(form: Mapping[str, str], target_field: str) -> Draft:
    """The form as it was sent."""
    places = sorted(
        int(found[1]) for name in form if (found := re.fullmatch(r"step-(\d{1,2})-do", name))
    )
    return Draft(
        target_field=target_field or f"custom.{form.get('name', '').strip()}",
        type=form.get("type", ""),
        source_path=(form.get("path", "").strip() or form.get("source", "")),
        steps=[
            {
                "do": form[f"step-{place}-do"],
                **{
                    each.name: form.get(f"step-{place}-{each.name}", each.value)
                    for each in STEPS[form[f"step-{place}-do"]].inputs
                },
            }
            for place in places
            if form[f"step-{place}-do"] in STEPS
        ],
        default=form.get("default", ""),
        required="required" in form,
    )


def add_step(draft: Draft, kind: str, *, zone: str) -> None:
    """An empty step of a kind more; dates are read in ``zone``. Raises ConfigurationError."""
    if len(draft.steps) >= MOST_STEPS:
        raise ConfigurationError(f"A rule has at most {MOST_STEPS} steps: take one away first")
    made = {each.name: each.value for each in STEPS[kind].inputs}
    draft.steps.append({"do": kind, **made, **({"zone": zone} if kind == "date" else {})})


def rule_of(draft: Draft, provider: str, target_table: str) -> Rule:
    """The rule that the form says. Raises ConfigurationError that names fields as the form does."""
    default: str | bool | None = draft.default or None
    if (draft.type or TARGETS[target_table].fields.get(draft.target_field)) == "boolean":
        default = YES_OR_NO.get(draft.default.strip().lower(), default)
    try:
        steps = [_read(step) for step in draft.steps]
        return read_rule(
            {
                "provider": provider,
                "target_table": target_table,
                "target_field": draft.target_field,
                "source_path": draft.source_path,
                "transforms": steps,
                "default": default,
                "required": draft.required,
                "type": draft.type or None,
            }
        )
    except ConfigurationError as error:
        raise ConfigurationError(_as_in_form(str(error), draft)) from None


def _typed(step: Mapping[str, Any]) -> dict[str, str]:
    """A transform of a rule as it stands in the form."""
    typed = {"do": str(step["do"])}
    for each in STEPS[typed["do"]].inputs:
        value = step[each.name]
        match each.kind:
            case "lines":
                typed[each.name] = "\n".join(value)
            case "words":
                typed[each.name] = _text(", ".join(value))
            case "pairs":
                typed[each.name] = "\n".join(f"{key} = {_text(to)}" for key, to in value.items())
            case "part":
                typed[each.name] = str(value + 1 if value >= 0 else value)
            case _:
                typed[each.name] = _text(value)
    return typed


def _read(step: Mapping[str, str]) -> dict[str, Any]:
    """A transform of the form as it stands in a rule. Raises ConfigurationError."""
    read: dict[str, Any] = {"do": step["do"]}
    for each in STEPS[step["do"]].inputs:
        given = step[each.name]
        match each.kind:
            case "lines":
                read[each.name] = _lines(given)
            case "words":
                read[each.name] = [word.strip() for word in given.split(",") if word.strip()]
            case "pairs":
                read[each.name] = _pairs(given, each.label)
            case "number" | "part":
                if not re.fullmatch(r"-?\d{1,3}", given.strip()):
                    raise ConfigurationError(f"{each.label}: write a whole number")
                number = int(given)
                read[each.name] = number - 1 if each.kind == "part" and number > 0 else number
            case _:
                empty = given == "" and (step["do"], each.name) in OPTIONAL
                read[each.name] = None if empty else given
    return read


def _lines(given: str) -> list[str]:
    return [line.strip() for line in given.splitlines() if line.strip()]


def _pairs(given: str, label: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for line in _lines(given):
        key, sign, value = line.partition("=")
        if not sign or not key.strip():
            raise ConfigurationError(f"{label}: “{line}” has no = between what becomes what")
        found[key.strip()] = value.strip() or None
    return found


def _as_in_form(problem: str, draft: Draft) -> str:
    """A problem that `read_rule` tells, with the labels of the form in place of a rule's names."""
    names = {
        "source_path": "Where the value stands",
        "target_field": "Name of the field",
        "type": "Kind of value",
        "default": "Where there is nothing",
        "transforms": "Steps",
    }
    for name, label in names.items():
        problem = re.sub(rf"(^|; ){name}:", rf"\1{label}:", problem)

    def of_step(found: re.Match[str]) -> str:
        place = int(found[1])
        inputs: Iterable[Input] = STEPS[draft.steps[place]["do"]].inputs
        label = next((each.label for each in inputs if each.name == found[2]), None)
        return f"Step {place + 1}{f', {label}' if label else ''}"

    return re.sub(r"transforms\.(\d+)(?:\.(\w+))?(?:\.\w+)*", of_step, problem)


def _text(value: Any) -> str:
    """As an input holds it, which has one line."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[\r\n]", "", text)


def _as_text(value: Any) -> Any:
    """A compiled rule with whole numbers, yes and no as texts: `control.map_value` takes them for
    the same, but for numbers longer than those it reads out of a text."""
    match value:
        case dict():
            return {name: _as_text(each) for name, each in value.items()}
        case list():
            return [_as_text(each) for each in value]
        case int() if abs(value) < 10**18:
            return _text(value)
    return value
