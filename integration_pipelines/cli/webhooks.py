"""`integrations webhooks`: what providers told of, and what became of it."""

from typing import Any

import click
from sqlalchemy import func, select

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import find_provider
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.events.claims import replay
from integration_pipelines.core.tables import integration_webhooks

COLUMNS = (
    "webhook_id",
    "provider",
    "venue_id",
    "account_id",
    "event_type",
    "received_at",
    "status",
    "attempts",
    "last_error",
)
STATUSES = ("pending", "claimed", "done", "ignored", "dead")

provider_option = click.option("--provider", metavar="NAME")
venue_option = click.option("--venue", "venue_id", metavar="SLUG")
limit_option = click.option("--limit", type=click.IntRange(1, 10_000), default=50)


@click.group()
def webhooks() -> None:
    """Events as they came in. Payloads are never shown: they hold personal data."""


@webhooks.command("list")
@click.option("--status", type=click.Choice(STATUSES))
@provider_option
@venue_option
@limit_option
@json_option
@click.pass_obj
def list_(
    application: Application,
    status: str | None,
    provider: str | None,
    venue_id: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """The newest events, and how many there are of each status."""
    _show(application, status, provider, venue_id, limit, as_json)


@webhooks.command()
@provider_option
@venue_option
@limit_option
@json_option
@click.pass_obj
def dead(
    application: Application,
    provider: str | None,
    venue_id: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Events that were given up, and why."""
    _show(application, "dead", provider, venue_id, limit, as_json)


@webhooks.command("replay")
@click.argument("webhook_ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--dead", "all_dead", is_flag=True, help="All that were given up.")
@provider_option
@venue_option
@click.pass_obj
def replay_(
    application: Application,
    webhook_ids: tuple[int, ...],
    all_dead: bool,
    provider: str | None,
    venue_id: str | None,
) -> None:
    """Let events be worked on again. Their objects are read anew, so to repeat it does no harm."""
    if bool(webhook_ids) == all_dead:
        raise click.UsageError("name events by ID, or give --dead")
    held = integration_webhooks.c
    with application.engine() as engine, engine.begin() as session:
        asked = list(webhook_ids)
        if all_dead:
            chosen = _asked("dead", provider, venue_id)
            asked = list(session.scalars(select(held.webhook_id).where(*chosen)))
        again = replay(session, asked)
    click.echo(f"{again} {'event' if again == 1 else 'events'} will be worked on again")
    if again < len(set(webhook_ids)):
        raise IntegrationError(
            f"{len(set(webhook_ids)) - again} of them are unknown, in work, or have lost their "
            "payload: see `integrations webhooks list`"
        )


def _asked(status: str | None, provider: str | None, venue_id: str | None) -> list[Any]:
    if provider is not None:
        find_provider(provider)
    held = integration_webhooks.c
    values = ((held.status, status), (held.provider, provider), (held.venue_id, venue_id))
    return [column == value for column, value in values if value is not None]


def _show(
    application: Application,
    status: str | None,
    provider: str | None,
    venue_id: str | None,
    limit: int,
    as_json: bool,
) -> None:
    held = integration_webhooks.c
    asked = _asked(status, provider, venue_id)
    with application.engine() as engine, engine.connect() as session:
        rows = session.execute(
            select(*(held[name] for name in COLUMNS))
            .where(*asked)
            .order_by(held.webhook_id.desc())
            .limit(limit)
        )
        found = [dict(row._mapping) for row in rows]
        counts = {
            row.status: row.events
            for row in session.execute(
                select(held.status, func.count().label("events"))
                .where(*asked)
                .group_by(held.status)
            )
        }
    if as_json:
        print_json({"counts": counts, "events": found})
    elif not found:
        click.echo("no such event")
    else:
        console().print(table(found, COLUMNS))
        click.echo(", ".join(f"{counts[name]:,} {name}" for name in STATUSES if name in counts))
