"""`integrations connect` and `integrations disconnect`."""

import json
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine, select

from integration_pipelines.cli.application import Application
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.tables import venues

if TYPE_CHECKING:
    from integration_pipelines.core.provider import Provider

venue_option = click.option("--venue", "venue_id", metavar="SLUG", required=True)


@click.command()
@click.argument("provider")
@venue_option
@click.option(
    "--location",
    "location_ids",
    metavar="ID",
    multiple=True,
    help="Of an account that several venues share: the venue's own; repeat it for each.",
)
@click.option(
    "--primary",
    is_flag=True,
    help="What belongs to no location of a shared account comes to this venue.",
)
@click.pass_obj
def connect(
    application: Application,
    provider: str,
    venue_id: str,
    location_ids: tuple[str, ...],
    primary: bool,
) -> None:
    """Connect a venue's account at PROVIDER.

    Reads the credentials as JSON from standard input: {"api_key": …}, or what the provider's OAuth
    gave, {"access_token": …, "refresh_token": …, …}. They are tried first; what works is stored,
    sealed. To give an account new credentials, connect it again.
    """
    from integration_pipelines.core.credentials import Vault, save_connection
    from integration_pipelines.core.ingest import claim, unconnected_client

    asked = find_provider(provider)
    credentials = read_credentials(asked)
    settings = application.settings
    with application.engine() as engine:
        require_venue(engine, venue_id)
        account = unconnected_client(settings, engine, asked, credentials, venue_id).identify()
        kind = "live" if account.livemode else "sandbox"
        facts = ", ".join(filter(None, (account.currency, account.country, kind)))
        click.echo(f"{asked.title} account {account.account_id}: {account.name} ({facts})")
        with engine.begin() as session:
            venue_scope(session, venue_id)
            saved = save_connection(
                session,
                Vault(settings),
                venue_id=venue_id,
                provider=asked.name,
                account=account,
                credentials=credentials,
            )
            owner = claim(
                session, asked, saved, account, location_ids=location_ids, primary=primary
            )
    if owner.location_ids is not None:
        names = ", ".join(account.locations.get(id) or id for id in owner.location_ids)
        rest = "and what belongs to no location" if owner.is_primary else "and nothing else"
        click.echo(f"{venue_id} has its locations {names}, {rest}")
    click.echo(
        f"connected to {venue_id}; next: integrations sync --venue {venue_id} "
        f"--provider {asked.name}"
    )


@click.command()
@click.argument("provider")
@venue_option
@click.pass_obj
def disconnect(application: Application, provider: str, venue_id: str) -> None:
    """Disconnect a venue's account at PROVIDER: our access is ended there, where the provider lets
    us, its credentials are destroyed here, and its data stays."""
    from integration_pipelines.core.credentials import Keeper, Vault, open_connections
    from integration_pipelines.core.events.endpoints import leave

    asked = find_provider(provider)
    with application.engine() as engine:
        require_venue(engine, venue_id)
        with engine.connect() as session:
            found = open_connections(session, venue_ids=[venue_id], providers=[asked.name])
        if not found:
            raise ConfigurationError(
                f"{venue_id} has no {asked.name} account connected: see `integrations status`"
            )
        vault = Vault(application.settings)
        for connection in found:
            left = leave(Keeper(application.settings, engine, vault, asked, connection))
            click.echo(
                f"{asked.title} account {connection.account_id} ({connection.account_name}) "
                f"is disconnected from {venue_id}; its data stays"
            )
            if left:
                click.echo(left)


def find_provider(name: str) -> "Provider":
    """The provider of that name. Raises ConfigurationError."""
    from integration_pipelines.providers import PROVIDERS

    if name not in PROVIDERS:
        raise ConfigurationError(f"there is no provider {name}: choose of {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def require_streams(providers: Collection[str], streams: Collection[str]) -> "list[Provider]":
    """The providers of these names, or all. Raises ConfigurationError if one does not exist, or
    none of them has one of ``streams``."""
    from integration_pipelines.providers import PROVIDERS

    asked = [find_provider(name) for name in providers] or list(PROVIDERS.values())
    known = {stream for provider in asked for stream in provider.stream_names}
    unknown = [stream for stream in streams if stream not in known]
    if unknown:
        raise ConfigurationError(
            f"there is no stream {', '.join(unknown)}: choose of {', '.join(sorted(known))}"
        )
    return asked


def require_venue(engine: Engine, *venue_ids: str) -> None:
    """Raise ConfigurationError if one of these venues does not exist."""
    with engine.connect() as session:
        known: set[str] = set(
            session.scalars(select(venues.c.venue_id).where(venues.c.venue_id.in_(venue_ids)))
        )
    missing = [venue_id for venue_id in venue_ids if venue_id not in known]
    if missing:
        raise ConfigurationError(
            f"there is no venue {', '.join(missing)}: see `integrations venues list`, or "
            f"`integrations venues add {missing[0]}`"
        )


def read_credentials(provider: "Provider") -> BaseModel:
    """The JSON on standard input as the provider's credentials.

    Raises ConfigurationError, which names fields and never quotes a value.
    """
    fields = ", ".join(provider.credentials.model_fields)
    if sys.stdin.isatty():
        click.echo(f"credentials as JSON ({fields}), then Ctrl-D:", err=True)
    try:
        given: Any = json.load(sys.stdin)
    except (json.JSONDecodeError, UnicodeDecodeError):
        given = None
    if not isinstance(given, dict):
        raise ConfigurationError(
            f"standard input is not a JSON object: give {provider.name}'s credentials, "
            f'such as {{"{next(iter(provider.credentials.model_fields))}": "…"}}'
        )
    try:
        return provider.credentials.model_validate(given)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            name = ".".join(str(part) for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{name}: {message}" if name else message)
        raise ConfigurationError(
            f"{provider.name}'s credentials are not usable: {'; '.join(problems)}"
        ) from None
