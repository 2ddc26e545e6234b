"""`integrations webhooks`: what providers told of, and what became of it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import find_provider, require_venue
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.errors import ConfigurationError, IntegrationError
from integration_pipelines.core.events.letters import Asked, count, find, replay, show

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

Command = TypeVar("Command", bound=Callable[..., Any])


class Instant(click.ParamType[datetime]):
    """ISO 8601, of UTC where it says nothing else."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail("write it as 2026-01-31, or 2026-01-31T12:00:00Z", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


FILTERS = (
    click.option("--provider", metavar="NAME"),
    click.option("--venue", "venue_id", metavar="SLUG"),
    click.option("--type", "event_type", metavar="TYPE", help="Such as payment.updated."),
    click.option("--account", "account_id", metavar="ID", help="The provider's id of it."),
    click.option("--reason", metavar="TEXT", help="Part of why it failed, in any case."),
    click.option("--since", type=Instant(), help="Came in at this time or later."),
    click.option("--until", type=Instant(), help="Came in before."),
)
limit_option = click.option("--limit", type=click.IntRange(1, 10_000), default=50)


def filters(command: Command) -> Command:
    for option in reversed(FILTERS):
        command = option(command)
    return command


@click.group()
def webhooks() -> None:
    """Events as they came in. What they held is shown masked: it is personal data."""


@webhooks.command("list")
@click.option("--status", type=click.Choice(STATUSES))
@filters
@limit_option
@json_option
@click.pass_obj
def list_(application: Application, /, limit: int, as_json: bool, **asked: Any) -> None:
    """The newest events, and how many wait, are worked on, and were given up."""
    _list(application, _asked(**asked), limit, as_json)


@webhooks.command()
@filters
@limit_option
@json_option
@click.pass_obj
def dead(application: Application, /, limit: int, as_json: bool, **asked: Any) -> None:
    """Events that were given up, and why."""
    _list(application, _asked(status="dead", **asked), limit, as_json)


@webhooks.command("show")
@click.argument("webhook_id", metavar="ID", type=int)
@json_option
@click.pass_obj
def show_(application: Application, webhook_id: int, as_json: bool) -> None:
    """One event with what it held: ids, times, amounts and statuses as they came, and of names,
    addresses, free text and secrets only that they are there."""
    with application.engine() as engine, engine.connect() as session:
        found = show(session, webhook_id)
    if found is None:
        raise IntegrationError(
            f"there is no event {webhook_id}: see `integrations webhooks list` for those there are"
        )
    if as_json:
        print_json(found)
        return
    payload = found.pop("payload")
    rows = [{"field": name, "value": value} for name, value in found.items()]
    console().print(table(rows, ("field", "value")))
    if payload is None:
        click.echo("what it held was dropped when its time was over")
    else:
        print_json(payload)


@webhooks.command("replay")
@click.argument("webhook_ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--dead", "all_dead", is_flag=True, help="All that were given up, and are as asked.")
@filters
@click.pass_obj
def replay_(
    application: Application, /, webhook_ids: tuple[int, ...], all_dead: bool, **asked: Any
) -> None:
    """Let events be worked on again. Their objects are read anew, so to repeat it does no harm."""
    if bool(webhook_ids) == all_dead:
        raise click.UsageError("name events by ID, or give --dead")
    if webhook_ids and any(asked.values()):
        raise click.UsageError("filters go with --dead: an ID says which event is meant")
    with application.engine() as engine, engine.begin() as session:
        if all_dead:
            again = replay(session, _asked(status="dead", **asked))
        else:
            again = replay(session, Asked(), webhook_ids)
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


def _asked(**asked: Any) -> Asked:
    if asked["provider"] is not None:
        find_provider(asked["provider"])
    return Asked(**asked)


def _list(application: Application, asked: Asked, limit: int, as_json: bool) -> None:
    with application.engine() as engine, engine.connect() as session:
        found = find(session, asked, limit=limit)
        counts = count(session, asked)
    if as_json:
        shown = [{name: row[name] for name in COLUMNS} for row in found]
        print_json({"counts": counts, "events": shown})
    elif not found:
        click.echo("no such event")
    else:
        console().print(table(found, COLUMNS))
        click.echo(", ".join(f"{counts[name]:,} {name}" for name in STATUSES if name in counts))
