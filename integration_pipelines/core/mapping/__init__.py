"""Field mappings: rules by which a venue fills the canonical model out of its own payloads."""

from integration_pipelines.core.mapping.defaults import ELSEWHERE, default_rule
from integration_pipelines.core.mapping.paths import NAME as PLAIN_NAME
from integration_pipelines.core.mapping.paths import parse as steps_of
from integration_pipelines.core.mapping.quarantine import (
    Failure,
    Quarantined,
    count_failures,
    find_quarantined,
)
from integration_pipelines.core.mapping.rules import CUSTOM_NAME, Rule, read_rule
from integration_pipelines.core.mapping.sources import Source, sources
from integration_pipelines.core.mapping.store import (
    NoSuchRule,
    Preview,
    as_rule,
    found_by_analysts,
    mark_applied,
    preview,
    remove_rule,
    roll_back,
    rules_in_force,
    sample,
    set_rule,
    versions,
    waits_for_build,
)
from integration_pipelines.core.mapping.targets import ADDED_UP, TARGETS
from integration_pipelines.core.mapping.words import default_in_words, in_words

__all__ = [
    "ADDED_UP",
    "CUSTOM_NAME",
    "ELSEWHERE",
    "PLAIN_NAME",
    "TARGETS",
    "Failure",
    "NoSuchRule",
    "Preview",
    "Quarantined",
    "Rule",
    "Source",
    "as_rule",
    "count_failures",
    "default_in_words",
    "default_rule",
    "find_quarantined",
    "found_by_analysts",
    "in_words",
    "mark_applied",
    "preview",
    "read_rule",
    "remove_rule",
    "roll_back",
    "rules_in_force",
    "sample",
    "set_rule",
    "sources",
    "steps_of",
    "versions",
    "waits_for_build",
]
