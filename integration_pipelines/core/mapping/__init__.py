"""Field mappings: rules by which a venue fills the canonical model out of its own payloads."""

from integration_pipelines.core.mapping.paths import NAME as PLAIN_NAME
from integration_pipelines.core.mapping.paths import parse as steps_of
from integration_pipelines.core.mapping.rules import Rule, read_rule
from integration_pipelines.core.mapping.store import (
    NoSuchRule,
    Preview,
    as_rule,
    mark_applied,
    preview,
    remove_rule,
    roll_back,
    rules_in_force,
    set_rule,
    versions,
    waits_for_build,
)
from integration_pipelines.core.mapping.targets import TARGETS

__all__ = [
    "PLAIN_NAME",
    "TARGETS",
    "NoSuchRule",
    "Preview",
    "Rule",
    "as_rule",
    "mark_applied",
    "preview",
    "read_rule",
    "remove_rule",
    "roll_back",
    "rules_in_force",
    "set_rule",
    "steps_of",
    "versions",
    "waits_for_build",
]
