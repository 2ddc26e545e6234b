"""`integrations users`."""

import click
from sqlalchemy import select

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import require_venue
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.tables import venues
from integration_pipelines.core.users import ROLES, invite, list_users
from integration_pipelines.core.users import remove as remove_user

COLUMNS = ("email", "administrator", "venues", "signed_in_before")


@click.group()
def users() -> None:
    """Who may sign in at the portal."""


@users.command()
@click.argument("email")
@click.option("--venue", "venue_id", metavar="SLUG", help="A member of this venue.")
@click.option("--role", type=click.Choice(ROLES), default="venue_admin", show_default=True)
@click.option("--admin", is_flag=True, help="An administrator of all venues.")
@click.pass_obj
def add(application: Application, email: str, venue_id: str | None, role: str, admin: bool) -> None:
    """Let who has the address EMAIL sign in."""
    if venue_id is None and not admin:
        raise ConfigurationError("give --venue SLUG, or --admin for all venues")
    with application.owner_engine() as engine:
        if venue_id is not None:
            require_venue(engine, venue_id)
        with engine.begin() as session:
            invite(session, email, venue_id=venue_id, role=role, is_admin=admin)
    where = "all venues" if admin else f"{venue_id} as {role}"
    click.echo(f"{email} may sign in, for {where}")


@users.command("list")
@json_option
@click.pass_obj
def list_(application: Application, as_json: bool) -> None:
    """Everybody who may sign in."""
    with application.owner_engine() as engine, engine.begin() as session:
        venue_ids: list[str] = list(session.scalars(select(venues.c.venue_id)))
        found = list_users(session, venue_ids)
    if as_json:
        print_json(found)
    elif not found:
        click.echo("nobody yet: `integrations users add EMAIL --venue SLUG`")
    else:
        console().print(table(found, COLUMNS))


@users.command()
@click.argument("email")
@click.pass_obj
def remove(application: Application, email: str) -> None:
    """Nobody with the address EMAIL may sign in any more."""
    with application.owner_engine() as engine, engine.begin() as session:
        if not remove_user(session, email):
            raise ConfigurationError(f"nobody has the address {email}: `integrations users list`")
    click.echo(f"{email} may not sign in any more")
