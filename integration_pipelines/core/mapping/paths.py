"""Where a value stands in a provider's payload.

    metadata.table                      a field in a field
    metadata."favourite drink"          a name with blanks or dots in it
    line_items[0].name                  the first of a list
    custom_fields[label=Table].value    the first of a list whose label is Table

A path is parsed here and travels to the database as a value, a jsonpath: never as a part of SQL.
"""

import json
import re
from collections.abc import Iterable

from integration_pipelines.core.errors import ConfigurationError

LONGEST = 200
MOST_STEPS = 12
NAME = r"[A-Za-z0-9_\-$@:]+"
QUOTED = r'"(?:[^"\\\x00-\x1f]|\\["\\])*"'
STEP = re.compile(
    rf"(?P<dot>\.)?(?:(?P<name>{NAME})|(?P<quoted>{QUOTED}))"
    rf"|\[(?P<index>\d{{1,4}})\]"
    rf"|\[(?P<key>{NAME})=(?:(?P<value>{NAME})|(?P<quoted_value>{QUOTED}))\]"
)

Step = str | int | dict[str, str]
"""A field's name, a place in a list, or ``{"key": …, "value": …}`` of the element that is meant."""


def parse(path: str) -> list[Step]:
    """The steps of ``path``. Raises ConfigurationError that shows where it ends to make sense."""
    if not path or len(path) > LONGEST:
        raise ConfigurationError(
            f"path {path[:20]!r}… is empty or longer than {LONGEST} characters"
        )
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = STEP.match(path, at)
        is_name = found is not None and (found["name"] is not None or found["quoted"] is not None)
        if found is None or (is_name and (found["dot"] is None) != (at == 0)):
            raise ConfigurationError(
                f"path {path!r} makes no sense from character {at + 1} on: write it as "
                'metadata.table, metadata."two words", lines[0].name or fields[label=Table].value'
            )
        if is_name:
            steps.append(found["name"] or _unquoted(found["quoted"]))
        elif found["index"] is not None:
            steps.append(int(found["index"]))
        else:
            value = found["value"] or _unquoted(found["quoted_value"])
            steps.append({"key": found["key"], "value": value})
        at = found.end()
    if len(steps) > MOST_STEPS or not isinstance(steps[0], str):
        raise ConfigurationError(
            f"path {path!r} has to begin with a field and have at most {MOST_STEPS} steps"
        )
    return steps


def compiled(path: str) -> str:
    """``path`` as a jsonpath; strict, so that no list stands for its elements. Raises
    ConfigurationError."""
    made = "strict $"
    for step in parse(path):
        match step:
            case str():
                made += f".{json.dumps(step)}"
            case int():
                made += f"[{step}]"
            case _:
                key, value = json.dumps(step["key"]), json.dumps(step["value"])
                made += f"[*] ? (@.{key} == {value})"
    return made


def keys(path: str) -> str | None:
    """``path`` as a text array, where it is of names alone: the database follows it without parsing
    it. None where it is not, or a name could be taken for a place in a list."""
    steps = parse(path)
    if any(not isinstance(step, str) or re.match(r"[-+\s\d]", step) for step in steps):
        return None
    return "{" + ",".join(json.dumps(step, ensure_ascii=False) for step in steps) + "}"


def written(steps: Iterable[Step]) -> str:
    """Steps as a path, which `parse` reads again."""
    made = ""
    for step in steps:
        match step:
            case str():
                made += f"{'.' if made else ''}{_quoted(step)}"
            case int():
                made += f"[{step}]"
            case _:
                made += f"[{step['key']}={_quoted(step['value'])}]"
    return made


def _quoted(text: str) -> str:
    if re.fullmatch(NAME, text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
