"""A rule in words of whoever manages the venue."""

from integration_pipelines.core.mapping.defaults import ELSEWHERE, default_rule
from integration_pipelines.core.mapping.rules import (
    Boolean,
    Case,
    Coalesce,
    Constant,
    Date,
    Join,
    Lookup,
    Number,
    Rule,
    Split,
    Transform,
    Trim,
    Units,
)

NOTHING = "nothing: it stays empty"


def in_words(rule: Rule) -> str:
    """What fills the field: `metadata.table, without blanks at its ends; where there is nothing, 0;
    required`."""
    constant = [step for step in rule.transforms if isinstance(step, Constant)]
    if rule.transforms and rule.transforms[-1:] == constant[-1:]:
        told = f"always {constant[-1].value}"
    else:
        told = ", ".join([rule.source_path, *map(step_in_words, rule.transforms)])
    if rule.default is not None:
        told += f"; where there is nothing, {_written(rule.default)}"
    return f"{told}; required" if rule.required else told


def default_in_words(provider: str, target_table: str, target_field: str) -> str:
    """What fills the field where the venue has no rule for it."""
    shipped = default_rule(provider, target_table, target_field)
    if shipped is not None:
        return in_words(shipped)
    return ELSEWHERE.get((target_table, provider, target_field), NOTHING)


def step_in_words(step: Transform) -> str:
    """What a transform does."""
    match step:
        case Trim():
            return "without blanks at its ends"
        case Case():
            return f"in {step.to} case"
        case Split():
            place = f"part {step.part + 1}" if step.part >= 0 else f"part {-step.part} from the end"
            return f"of it {place} between “{step.separator}”"
        case Join():
            others = " and ".join(step.paths)
            return f"joined with {others}" if others else f"its parts joined by “{step.separator}”"
        case Coalesce():
            return "or else " + ", or else ".join(step.paths)
        case Constant():
            return f"always {_written(step.value)}"
        case Number():
            example = f"1{step.group}234{step.decimal}50"
            return f"read as a number such as {example}"
        case Date():
            return f"read as a date written {step.format} ({step.zone})"
        case Units():
            way = "out of an amount" if step.do == "minor_units" else "as an amount out of them"
            return f"in minor units {way}, {step.digits} decimals"
        case Lookup():
            pairs = ", ".join(f"{key} → {_written(held)}" for key, held in step.table.items())
            other = f", anything else → {_written(step.otherwise)}"
            return f"looked up: {pairs}{other}"
        case Boolean():
            return f"yes where it is {_either(step.true)}, no where it is {_either(step.false)}"


def _either(words: list[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


def _written(value: object) -> str:
    if value is None:
        return "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
