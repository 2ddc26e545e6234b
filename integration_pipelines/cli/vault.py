"""`integrations vault`."""

import click
from sqlalchemy import Connection as Session
from sqlalchemy import Engine, select

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.credentials import (
    Vault,
    add_local_key,
    forget_local_keys,
    rewrap_credentials,
    vault_status,
)
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import VaultError
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import venues


@click.group()
def vault() -> None:
    """Credentials, and the keys that wrap them."""


@vault.command()
@json_option
@click.pass_obj
def status(application: Application, as_json: bool) -> None:
    """How many credentials each wrapping key has sealed."""
    with application.engine() as engine, engine.connect() as session:
        now = Vault(application.settings).key_id
        counts = {now: 0, **vault_status(session)}
    found = [{"key": key, "seals_now": key == now, "values": n} for key, n in counts.items()]
    if as_json:
        print_json(found)
    else:
        console().print(table(found, ("key", "seals_now", "values")))


@vault.command()
@click.pass_obj
def rotate(application: Application) -> None:
    """Wrap every credential anew, while syncs go on.

    With KMS, set KMS_KEY_ID to the new key first; the old one must still be usable. A local key is
    replaced by a new one, and the one before stays in its file until the next rotation, for
    processes that are in the midst of something. Cut short, run it again: it goes on where it was.
    """
    settings = application.settings
    with application.engine() as engine:
        with engine.connect() as session:
            left = _left(session, Vault(settings))
            venue_ids: list[str] = list(
                session.scalars(select(venues.c.venue_id).order_by(venues.c.venue_id))
            )
        if settings.kms_key_id is None and not left:
            _new_local_key(settings, engine)
        held = Vault(settings)
        done = 0
        with click.progressbar(venue_ids, label="rewrapping", show_pos=True) as progress:
            for venue_id in progress:
                with engine.begin() as session:
                    venue_scope(session, venue_id)
                    done += rewrap_credentials(session, held, venue_id=venue_id)
        with engine.connect() as session:
            left = _left(session, held)
    if left:
        raise VaultError(
            f"{left} values were sealed with another key meanwhile: run `integrations vault rotate`"
            " again"
        )
    click.echo(f"{done} values wrapped anew; all are under {held.key_id}")


def _left(session: Session, vault: Vault) -> int:
    """How many values are under another key than the one that seals now."""
    return sum(count for key, count in vault_status(session).items() if key != vault.key_id)


def _new_local_key(settings: Settings, engine: Engine) -> None:
    """A new key before those in the file; those that nothing is under any more leave it."""
    path = settings.local_key_path
    with engine.connect() as session:
        used = vault_status(session).keys()
    forget_local_keys(path, unless=used)
    add_local_key(path)
