"""`integrations explain`: from a figure to what it is made of."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import require_venue, venue_option
from integration_pipelines.cli.output import console, json_option, print_json, shown
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.tree import Tree


@click.command()
@click.argument("table")
@venue_option
@click.option("--day", metavar="DATE", help="Rows of this business_date.")
@click.option(
    "--key", "keys", metavar="COLUMN=VALUE", multiple=True, help="Rows in which a column is so."
)
@click.option(
    "--rows",
    "at_most",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Of the table, and of each part: at most so many.",
)
@json_option
@click.pass_obj
def explain(
    application: Application,
    table: str,
    venue_id: str,
    day: str | None,
    keys: tuple[str, ...],
    at_most: int,
    as_json: bool,
) -> None:
    """From rows of TABLE, such as marts.daily_revenue, to the canonical rows that add up to them,
    the rules that mapped those, the payloads they were read from, and the sync or webhook that
    brought them. What is personal in a row or a payload is masked."""
    from integration_pipelines.defs import figures

    chosen = {"business_date": day} if day else {}
    for given in keys:
        column, equals, value = given.partition("=")
        if not equals:
            raise ConfigurationError(f"--key {given} is not COLUMN=VALUE, such as currency=EUR")
        chosen[column] = value
    analysts = create_engine(application.settings, Role.ANALYST_ALL)
    with application.engine() as pipelines:
        require_venue(pipelines, venue_id)
        with analysts.connect() as analyst, pipelines.begin() as pipeline:
            venue_scope(pipeline, venue_id)
            found = figures.explain(
                analyst, pipeline, table=table, venue_id=venue_id, chosen=chosen, at_most=at_most
            )
    analysts.dispose()
    if as_json:
        print_json(found)
        return
    if not found:
        asked = ", ".join(f"{column} {value}" for column, value in chosen.items())
        click.echo(f"{table} has no row of {venue_id}{f' with {asked}' if asked else ''}")
    for each in found:
        console().print(_tree(each))


def _tree(found: Mapping[str, Any]) -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    row = ", ".join(f"{name} {shown(value)}" for name, value in found["row"].items())
    tree = Tree(Text.assemble((found["table"], "bold"), f" {row}"))
    for part in found.get("made_of", ()):
        sums = ", ".join(
            f"{name} {total:,}" for name, total in part["sums"].items() if total is not None
        )
        branch = tree.add(
            Text.assemble(
                (part["table"], "bold"),
                f": {part['rows']:,} rows{f', in all {sums}' if sums else ''}",
            )
        )
        for each in part["examples"]:
            branch.add(_tree(each))
        if part["rows"] > len(part["examples"]) > 0:
            branch.add(f"and {part['rows'] - len(part['examples']):,} more: --rows")
    for name, agrees in found.get("adds_up", {}).items():
        verdict = "is their sum" if agrees else ("is not their sum", "red")
        tree.add(Text.assemble(f"{name} ", verdict))
    for rule in found.get("rules", ()):
        why = f": {rule['reason']}" if rule["reason"] else ""
        tree.add(
            Text(
                f"{rule['field']} from {rule['source_path']}, version {rule['version']} by"
                f" {rule['created_by']}{why}"
            )
        )
    for raw in found.get("raw", ()):
        tree.add(_payload(raw))
    return tree


def _payload(raw: Mapping[str, Any]) -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    state = ", gone since" if raw["deleted_at"] else "" if raw["is_as_built"] else ", changed since"
    read = f" {raw['id']}, read {raw['observed_at']:%F %T} UTC{state}"
    tree = Tree(Text.assemble((raw["table"], "bold"), read))
    tree.add(Text(json.dumps(raw["payload"], ensure_ascii=False)))
    brought = raw["brought_by"]
    if brought is None:
        tree.add(
            f"changed {raw['last_changed_at']:%F %T} UTC, by a sync of which no record is kept"
        )
        return tree
    for webhook in brought["webhooks"]:
        tree.add(
            Text(
                f"webhook {webhook['webhook_id']}, {webhook['event_type']} {webhook['event_id']},"
                f" received {webhook['received_at']:%F %T} UTC"
            )
        )
    if sync := brought["sync"]:
        run = f", run {sync['run_id']}" if sync["run_id"] else ""
        begun = f"{sync['started_at']:%F %T} UTC"
        tree.add(Text(f"sync {sync['sync_id']} ({sync['mode']}) of {begun}{run}"))
    return tree
