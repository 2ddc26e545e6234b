"""`integrations venues`."""

from dataclasses import asdict

import click

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.venues import (
    add_venue,
    describe_removal,
    list_venues,
    remove_venue,
)

COLUMNS = ("venue_id", "name", "timezone", "currency", "day_starts_at", "created_at")


@click.group()
def venues() -> None:
    """Add, list and remove venues. A venue's id is its slug, for ever."""


@venues.command()
@click.argument("slug")
@click.option("--name", help="Its name; by default the slug in words.")
@click.option("--timezone", default="UTC", show_default=True, help="Such as Europe/Berlin.")
@click.option("--currency", default="USD", show_default=True, help="What totals are shown in.")
@click.option(
    "--day-starts-at",
    default="00:00",
    show_default=True,
    help="When its business day begins: sales at 01:30 belong to the evening before with 04:00.",
)
@click.pass_obj
def add(
    application: Application,
    slug: str,
    name: str | None,
    timezone: str,
    currency: str,
    day_starts_at: str,
) -> None:
    """Add the venue SLUG: lower-case letters, digits and hyphens."""
    with application.owner_engine() as owner:
        venue = add_venue(
            owner,
            slug,
            name=name,
            timezone=timezone,
            currency=currency,
            day_starts_at=day_starts_at,
        )
    click.echo(
        f"added {venue.venue_id} ({venue.name}, {venue.timezone}, {venue.currency}); "
        f"next: integrations connect PROVIDER --venue {venue.venue_id}"
    )


@venues.command("list")
@json_option
@click.pass_obj
def list_(application: Application, as_json: bool) -> None:
    """All venues."""
    with application.engine() as engine:
        found = [asdict(venue) for venue in list_venues(engine)]
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no venue yet: `integrations venues add SLUG`")
    else:
        console().print(table(found, COLUMNS))


@venues.command()
@click.argument("slug")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(application: Application, slug: str, yes: bool) -> None:
    """Remove the venue SLUG with all that is its own, for ever: our access is ended at its
    providers, where they let us, and its credentials are destroyed.

    Its credentials, its rows in raw, analytics and marts, its syncs' history, its partition in
    Dagster and its analysts' role. Says what there is and asks first.
    """
    from integration_pipelines.instance import open_instance

    with application.owner_engine() as owner:
        counts = describe_removal(owner, slug)
        for name, count in sorted(counts.items()):
            click.echo(f"{count:>12,} {'row' if count == 1 else 'rows'} of {name}")
        click.echo(f"{'':>12} the role of its analysts and its partition in Dagster")
        if not yes and not _confirmed(f"delete all of this for ever, and {slug} with it?"):
            raise IntegrationError(f"{slug} was not removed: answer y, or give --yes")
        _end_access(application, slug)
        remove_venue(owner, slug)
        # Last, or the sensor that keeps the partitions might bring it back.
        with open_instance(application.settings) as instance:
            instance.delete_dynamic_partition("venues", slug)
    click.echo(f"removed {slug}")


def _end_access(application: Application, slug: str) -> None:
    """Disconnect everything of the venue; what cannot be ended from here is said."""
    from integration_pipelines.core.credentials import Keeper, Vault, open_connections
    from integration_pipelines.core.events.endpoints import leave
    from integration_pipelines.providers import PROVIDERS

    with application.engine() as engine:
        with engine.connect() as session:
            found = open_connections(session, venue_ids=[slug])
        vault = Vault(application.settings) if found else None
        for connection in found:
            provider = PROVIDERS[connection.provider]
            assert vault is not None
            left = leave(Keeper(application.settings, engine, vault, provider, connection))
            click.echo(
                f"{provider.title} account {connection.account_id} ({connection.account_name}): "
                f"its credentials are destroyed, for good{f'; {left}' if left else ''}"
            )


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(question)
    except click.Abort:
        return False
