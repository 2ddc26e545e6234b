"""`integrations webhooks`: what providers told of, and what became of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy import func, select

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import find_provider, require_venue
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.errors import ConfigurationError, IntegrationError
from integration_pipelines.core.events.claims import replay
from integration_pipelines.core.tables import integration_webhooks

if TYPE_CHECKING:
    from integration_pipelines.core.events.endpoints import Ensured
    from integration_pipelines.core.provider import Provider

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


@webhooks.command()
@click.argument("provider")
@click.option("--venue", "venue_ids", metavar="SLUG", multiple=True, help="These alone.")
@click.option("--show-secret", is_flag=True, help="Print what the provider signs with.")
@json_option
@click.pass_obj
def register(
    application: Application,
    provider: str,
    venue_ids: tuple[str, ...],
    show_secret: bool,
    as_json: bool,
) -> None:
    """Have PROVIDER send its webhooks here: the application's endpoint, with the application's own
    credential, and those of connections that need one of their own. Safe to repeat; what a
    provider has disabled is enabled again. A schedule does the latter by itself."""
    asked = find_provider(provider)
    if asked.webhooks is None:
        raise ConfigurationError(f"{asked.title} has no webhooks")
    if asked.webhooks.by_hand:
        base = application.settings.webhook_base_url or application.settings.public_base_url
        click.echo(asked.webhooks.by_hand.format(url=f"{base}/webhooks/{asked.name}"))
        return
    if asked.webhooks.of_application is not None and not venue_ids:
        _register_application(application, asked, show_secret=show_secret)
    if asked.webhooks.of_connection is not None:
        _register_connections(application, asked, venue_ids, as_json=as_json)


def _register_application(
    application: Application, provider: "Provider", *, show_secret: bool
) -> None:
    from integration_pipelines.core.events.endpoints import ensure_application

    webhooks = provider.webhooks
    assert webhooks is not None
    try:
        done = ensure_application(application.settings, provider, may_make=show_secret)
    except ConfigurationError as error:
        if webhooks.of_connection is None:
            raise
        # Connections with keys of their own need no application.
        click.echo(f"no endpoint for connected accounts: {error}", err=True)
        return
    click.echo(f"{provider.title}'s endpoint for all venues: {_did(done)}")
    if done.secret is None:
        return
    secret = done.secret.get_secret_value()
    if show_secret:
        click.echo(f"it signs with {secret}")
    if secret not in webhooks.secrets(application.settings):
        raise IntegrationError(
            f"{webhooks.setting} is not what {provider.title} signs with: set it to what "
            f"`integrations webhooks register {provider.name} --show-secret` prints"
        )


def _register_connections(
    application: Application, provider: "Provider", venue_ids: Sequence[str], *, as_json: bool
) -> None:
    from integration_pipelines.core.credentials import Vault, open_connections
    from integration_pipelines.core.events.endpoints import ensure_connection

    with application.engine() as engine:
        require_venue(engine, *venue_ids)
        with engine.connect() as session:
            found = open_connections(
                session, venue_ids=venue_ids or None, providers=[provider.name], due=True
            )
        vault = Vault(application.settings)
        ensured = [
            ensure_connection(application.settings, engine, vault, provider, connection)
            for connection in found
        ]
    rows = [
        {
            "venue": done.connection.venue_id,
            "account": done.connection.account_id,
            "endpoints": _did(done.ensured) if done.ensured else "failed",
            "error": done.error,
        }
        for done in ensured
        if done is not None
    ]
    if as_json:
        print_json(rows)
    elif rows:
        console().print(table(rows, ("venue", "account", "endpoints", "error")))
    failed = [row for row in rows if row["error"]]
    if failed:
        raise IntegrationError(f"{len(failed)} of {len(rows)} endpoints could not be registered")


def _did(done: "Ensured") -> str:
    counts = {
        "kept": done.kept, "made": done.made, "mended": done.mended, "removed": done.removed,
    }  # fmt: skip
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return said or "none needed"


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
