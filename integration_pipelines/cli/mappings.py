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
    found = [{"field": f"{r.target_table}.{r.target_field}", **asdict(seen)} for r, seen in tried]
    if as_json:
        print_json(found)
        return
    for row in found:
        failures = "; ".join(f"{count} {reason}" for reason, count in row["failures"].items())
        click.echo(
            f"{row['field']}: of {row['rows']} rows {row['filled']} get a value, "
            f"{row['changed']} another than now{f'; {failures}' if failures else ''}"
        )
        if row["examples"]:
            console().print(table(row["examples"], ("id", "before", "after", "error")))


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
        click.echo(f"{rule.provider} {rule.target_table}.{rule.target_field}: version {version}")
    click.echo("they hold from the venue's next build on, which its next sync brings")


def _given() -> list[Rule]:
    """Rules from standard input. Raises ConfigurationError."""
    try:
        read: Any = json.load(sys.stdin)
    except (json.JSONDecodeError, UnicodeDecodeError):
        read = None
    if not isinstance(read, dict | list) or not read:
        raise ConfigurationError(
            "standard input is not a rule in JSON, or a list of them: see `integrations mappings "
            "--help`"
        )
    return [read_rule(each) for each in (read if isinstance(read, list) else [read])]
