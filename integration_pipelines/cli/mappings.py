"""`integrations mappings`: the rules by which a venue fills its own fields."""

import getpass
import json
import sys
from dataclasses import asdict
from typing import Any

import click

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import require_venue, venue_option
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.ingest.batch import request_sync
from integration_pipelines.core.mapping import (
    Rule,
    as_rule,
    count_failures,
    find_quarantined,
    preview,
    read_rule,
    rules_in_force,
    set_rule,
)

COLUMNS = (
    "provider",
    "field",
    "source_path",
    "transforms",
    "default",
    "required",
    "version",
    "applied",
    "created_by",
    "reason",
)
QUARANTINED = ("target_table", "kept_out", "raw_table", "account_id", "raw_id", "why", "since")


@click.group()
def mappings() -> None:
    """Rules by which a venue fills fields out of its own payloads.

    A rule is JSON such as {"provider": "stripe", "target_table": "customers", "target_field":
    "custom.table", "type": "integer", "source_path": "metadata.table"}; several are a list. The
    README of dbt_mappings has all of it.
    """


@mappings.command("list")
@venue_option
@json_option
@click.pass_obj
def list_(application: Application, venue_id: str, as_json: bool) -> None:
    """The rules of a venue that hold now; every other field is as it ships."""
    with application.engine() as engine:
        require_venue(engine, venue_id)
        with engine.begin() as session:
            venue_scope(session, venue_id)
            held = rules_in_force(session)
    found = [
        {
            **as_rule(row).model_dump(mode="json"),
            "field": f"{row.target_table}.{row.target_field}",
            "version": row.version,
            "applied": row.applied_at is not None,
            "created_by": row.created_by,
            "created_at": row.created_at,
            "reason": row.reason,
        }
        for row in held
    ]
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"{venue_id} has no rule of its own: `integrations mappings set`")
    else:
        for row in found:
            row["transforms"] = ", ".join(step["do"] for step in row["transforms"]) or None
        console().print(table(found, COLUMNS))


@mappings.command()
def validate() -> None:
    """Whether the rules on standard input can be; nothing is changed."""
    given = _given()
    click.echo(f"{len(given)} {'rule' if len(given) == 1 else 'rules'} can be")


@mappings.command("preview")
@venue_option
@json_option
@click.pass_obj
def preview_(application: Application, venue_id: str, as_json: bool) -> None:
    """What the rules on standard input would make of the venue's latest rows."""
    given = _given()
    with application.engine() as engine:
        require_venue(engine, venue_id)
        with engine.begin() as session:
            venue_scope(session, venue_id)
            tried = [(rule, preview(session, rule)) for rule in given]
    if as_json:
        print_json([{"field": rule.target, **asdict(seen)} for rule, seen in tried])
        return
    for rule, seen in tried:
        click.echo(f"{rule.target}: {seen.words}")
        if seen.examples:
            console().print(table(seen.examples, ("id", "before", "after", "error")))


@mappings.command()
@venue_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@json_option
@click.pass_obj
def quarantined(application: Application, venue_id: str, limit: int, as_json: bool) -> None:
    """Rows on which a rule fails, and why: those kept out of their table first.

    A row that lacks what its rule requires is kept out; where the field is optional it is null.
    They come back by themselves with the build after the mapping, or what the provider has, is
    mended.
    """
    with application.engine() as engine:
        require_venue(engine, venue_id)
        with engine.begin() as session:
            venue_scope(session, venue_id)
            failures = count_failures(session, [venue_id])
            rows = find_quarantined(session, venue_id, limit=limit)
    if as_json:
        print_json(
            {
                "failures": [each._asdict() for each in failures],
                "rows": [each._asdict() for each in rows],
            }
        )
        return
    if not rows:
        click.echo(f"{venue_id} has no row that its mappings cannot read")
        return
    for each in failures:
        click.echo(each.words)
    shown = [
        {
            **row._asdict(),
            "why": "; ".join(f"{field} {reason}" for field, reason in row.errors.items()),
        }
        for row in rows
    ]
    console().print(table(shown, QUARANTINED))


@mappings.command("set")
@venue_option
@click.option("--reason", help="Why, for whoever asks later.")
@click.pass_obj
def set_(application: Application, venue_id: str, reason: str | None) -> None:
    """Let the rules on standard input hold from the venue's next build on: all of them or none."""
    given = _given()
    with application.engine() as engine:
        require_venue(engine, venue_id)
        with engine.begin() as session:
            venue_scope(session, venue_id)
            set_now = [
                (rule, set_rule(session, venue_id, rule, by=getpass.getuser(), reason=reason))
                for rule in given
            ]
            asked = {rule.provider for rule in given}
            for connection in open_connections(session, venue_ids=[venue_id], providers=asked):
                if connection.is_due:
                    request_sync(session, connection, requested_by="a changed mapping", priority=5)
    for rule, version in set_now:
        click.echo(f"{rule.provider} {rule.target}: version {version}")
    click.echo("they hold from the venue's next build on, which its next sync brings")


def _given() -> list[Rule]:
    """Rules from standard input. Raises ConfigurationError."""
    try:
        read: Any = json.load(sys.stdin)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict | list) or not read:
        raise ConfigurationError(
            "standard input is not a rule in JSON, or a list of them: see `integrations mappings "
            "--help`"
        )
    return [read_rule(each) for each in (read if isinstance(read, list) else [read])]
