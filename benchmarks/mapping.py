"""Field mappings: what 200 venues' own rules add to a build of a million rows, and what one venue's
changed rule costs among them."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text

from benchmarks.stage import Stage
from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import create_engine, owner_engine, venue_scope
from integration_pipelines.core.mapping import read_rule, remove_rule, set_rule
from integration_pipelines.defs.dbt_build import PROJECT

SHARES = {"customers": 3, "charges": 2}
"""Of a venue's rows, in fifths."""
RULES: tuple[dict[str, Any], ...] = (
    {
        "target_table": "customers",
        "target_field": "name",
        "source_path": "name",
        "transforms": [{"do": "coalesce", "paths": ["description"]}, {"do": "trim"}],
    },
    {"target_table": "customers", "target_field": "phone", "source_path": "phone"},
    {
        "target_table": "customers",
        "target_field": "custom.region",
        "type": "text",
        "source_path": "address.country",
        "transforms": [{"do": "lookup", "table": {"US": "home"}, "otherwise": "abroad"}],
    },
    {
        "target_table": "payments",
        "target_field": "description",
        "source_path": "description",
        "transforms": [{"do": "case", "to": "upper"}],
    },
    {
        "target_table": "payments",
        "target_field": "custom.taken",
        "type": "number",
        "source_path": "amount",
        "transforms": [{"do": "major_units", "digits": 2}],
    },
)
OWN = {
    "target_table": "customers",
    "target_field": "custom.house",
    "type": "text",
    "source_path": "id",
}
"""Beside them each venue's own constant."""

UNMAPPED = """
{% macro mapping(entity, streams) -%}
{%- do config(meta={'mapped': streams}) -%}
cross join (select null::integer as version) as mapping
{%- endmacro %}
{% macro mapped(column, type='text') %}{{ column }}{% endmacro %}
{% macro custom_fields() %}null::jsonb{% endmacro %}
{% macro mapping_errors() %}null::jsonb{% endmacro %}
{% macro set_aside(candidate, streams) -%}
create unlogged table {{ candidate.schema }}.{{ candidate.identifier }}_failing as
select *, null::text as raw_table, null::jsonb as errors, null::boolean as kept_out
from {{ candidate }} limit 0
{%- endmacro %}
"""
"""The macros of the same models without mappings."""

MOST = 1.5
"""Of the seconds without mappings."""

Figures = dict[str, Any]


def run(stage: Stage, *, rows: int, venues: int, repeats: int) -> list[Figures]:
    """Builds of what customers and payments go into, by a warm process: the same models without
    mappings, the models where no venue has a rule, and where each has six. Then one venue's, whose
    rule has changed, where it is alone and where it is one of all. Seconds are medians. ``target
    met``: with rules, at most half as much again as without mappings."""
    ids = [f"venue-{number:03}" for number in range(venues)]
    one, each = ids[:1], rows // venues

    def built(venue_ids: Sequence[str], project: Path = PROJECT) -> list[float]:
        return [_build(stage, venue_ids, project, each=each) for _ in range(repeats)]

    # A first build of each kind finds no rows to replace, or tables of another project.
    _fill(stage, ids, each)
    _set_rules(stage, one, "first")
    _build(stage, one, PROJECT, each=each)
    alone = built(one)
    _copy(stage, ids)
    _forget_rules(stage, one)
    _build(stage, ids, PROJECT, each=each)
    ruleless = built(ids)
    _set_rules(stage, ids, "first")
    ruled = built(ids)
    _set_rules(stage, one, "second")
    among = built(one)
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory) / PROJECT.name
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target"))
        (project / "macros" / "mapping.sql").write_text(UNMAPPED)
        _build(stage, ids, project, each=each)
        unmapped = built(ids, project)
    peer = median(unmapped)
    return [
        {
            "case": case,
            "venues": count,
            "rows": count * each,
            "seconds": median(seconds),
            "of the first": median(seconds) / peer,
            "target met": "yes" if median(seconds) <= MOST * peer else "no",
        }
        for case, count, seconds in (
            ("models without mappings", venues, unmapped),
            ("no venue has a rule", venues, ruleless),
            ("each venue has six rules", venues, ruled),
            ("one venue, alone", 1, alone),
            ("one venue among all", 1, among),
        )
    ]


def _build(stage: Stage, venue_ids: Sequence[str], project: Path, *, each: int) -> float:
    figures = stage.measure(
        "build", venue_ids=list(venue_ids), streams=sorted(SHARES), project=str(project)
    )
    customers = figures["rows"]["analytics.customers"]
    assert customers == len(venue_ids) * SHARES["customers"] * each // 5, customers
    return float(figures["seconds"])


def _fill(stage: Stage, ids: Sequence[str], each: int) -> None:
    """Connect every venue, and land the first one's rows."""
    for number, venue_id in enumerate(ids):
        only = {stream: share * each // 5 if not number else 1 for stream, share in SHARES.items()}
        stage.connect("stripe", venue_id, stage.account("stripe", venue_id, only=only))
    stage.measure("sync_venue", venue_id=ids[0], streams=sorted(SHARES))


def _copy(stage: Stage, ids: Sequence[str]) -> None:
    """Give the first venue's rows to all others too."""
    engine, owner = create_engine(stage.settings), owner_engine(stage.settings)
    with engine.begin() as session:
        accounts = {each.venue_id: each.account_id for each in open_connections(session)}
    for stream in SHARES:
        table = f"raw_stripe.{stream}"
        with engine.begin() as session:
            venue_scope(session, ids[0])
            session.execute(text(f"CREATE TEMPORARY TABLE first ON COMMIT DROP AS TABLE {table}"))
            for venue_id in ids[1:]:
                venue_scope(session, venue_id)
                session.execute(
                    text("UPDATE first SET venue_id = :venue_id, account_id = :account_id"),
                    {"venue_id": venue_id, "account_id": accounts[venue_id]},
                )
                session.execute(text(f"INSERT INTO {table} TABLE first"))
    engine.dispose()
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(text("VACUUM ANALYZE"))
    owner.dispose()


def _set_rules(stage: Stage, ids: Sequence[str], word: str) -> None:
    engine = create_engine(stage.settings)
    for venue_id in ids:
        with engine.begin() as session:
            venue_scope(session, venue_id)
            own = OWN | {"transforms": [{"do": "constant", "value": f"{word} of {venue_id}"}]}
            for rule in (*RULES, own):
                set_rule(
                    session,
                    venue_id,
                    read_rule({"provider": "stripe"} | rule),
                    by="benchmark",
                    reason=None,
                )
    engine.dispose()


def _forget_rules(stage: Stage, ids: Sequence[str]) -> None:
    engine = create_engine(stage.settings)
    for venue_id in ids:
        with engine.begin() as session:
            venue_scope(session, venue_id)
            for rule in (*RULES, OWN):
                remove_rule(session, "stripe", rule["target_table"], rule["target_field"])
    engine.dispose()
