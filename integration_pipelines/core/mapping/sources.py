"""What a venue's own latest raw rows hold: every path of a value, with samples of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.mapping.paths import MOST_STEPS, Step, parse, written

MOST_SOURCES = 400
MOST_SAMPLES = 3
MOST_ELEMENTS = 20
LONGEST_SAMPLE = 60

NAMING = ("label", "name", "key", "type")
"""Fields by whose value an element of a list is told from the others, where it has one."""


@dataclass(slots=True)
class Source:
    """A path at which ``rows`` of the sampled rows hold a value, and a few of these values."""

    path: str
    rows: int = 0
    samples: list[str] = field(default_factory=list)


def sources(payloads: Iterable[Any]) -> list[Source]:
    """Paths of single values in ``payloads``, in the order of things there; at most 400."""
    found: dict[str, Source] = {}
    for payload in payloads:
        for path, value in dict(_leaves(payload, ())).items():
            if path not in found and len(found) == MOST_SOURCES:
                continue
            source = found.setdefault(path, Source(path))
            source.rows += 1
            shown = _shown(value)
            if len(source.samples) < MOST_SAMPLES and shown not in source.samples:
                source.samples.append(shown)
    return list(found.values())


def _leaves(value: Any, steps: tuple[Step, ...]) -> Iterator[tuple[str, Any]]:
    """Paths that can be asked for, each with its value; empty values are none."""
    if isinstance(value, dict) and len(steps) < MOST_STEPS:
        for name, held in value.items():
            yield from _leaves(held, (*steps, name))
    elif isinstance(value, list) and len(steps) < MOST_STEPS:
        for place, held in enumerate(value[:MOST_ELEMENTS]):
            named = _naming(held) if isinstance(held, dict) else None
            if named is not None:
                others = {name: each for name, each in held.items() if name != named["key"]}
                yield from _leaves(others, (*steps, named))
            elif place == 0:
                yield from _leaves(held, (*steps, 0))
    elif value not in (None, "") and not isinstance(value, dict | list) and steps:
        try:
            path = written(steps)
            parse(path)
        except ConfigurationError:
            return
        yield path, value


def _naming(element: dict[str, Any]) -> dict[str, str] | None:
    for key in NAMING:
        if isinstance(element.get(key), str) and element[key] and len(element) > 1:
            return {"key": key, "value": element[key]}
    return None


def _shown(value: Any) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST_SAMPLE else f"{text[: LONGEST_SAMPLE - 1]}…"
