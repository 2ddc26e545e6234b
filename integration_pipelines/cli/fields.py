"""`integrations fields`: what providers have begun, ceased or changed to send."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.connections import require_streams, require_venue
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.fields import changes, missing

COLUMNS = ("provider", "stream", "path", "what", "at", "types", "venues", "sample")


@click.command()
@click.option(
    "--provider", "providers", multiple=True, help="This provider; repeat it for several."
)
@click.option("--stream", help="This stream of them.")
@click.option("--venue", "venue_ids", metavar="SLUG", multiple=True, help="These venues.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True)
@json_option
@click.pass_obj
def fields(
    application: Application,
    providers: tuple[str, ...],
    stream: str | None,
    venue_ids: tuple[str, ...],
    days: int,
    as_json: bool,
) -> None:
    """Fields of raw payloads that appeared, changed their type or vanished in the last days, and
    rules that read one which has vanished. The job watch_fields looks every six hours."""
    since = datetime.now(UTC) - timedelta(days=days)
    require_streams(providers, [stream] if stream else [])
    asked: dict[str, Any] = {
        "providers": providers or None,
        "stream": stream,
        "venue_ids": venue_ids or None,
    }
    with application.engine() as engine:
        require_venue(engine, *venue_ids)
        with engine.connect() as session:
            found = changes(session, since=since, **asked)
            lost = missing(session, **asked)
    if as_json:
        print_json({"changes": list(map(asdict, found)), "missing": list(map(asdict, lost))})
        return
    if not found:
        click.echo(f"no field has changed in {days} days")
    else:
        rows = [
            asdict(each) | {"types": ", ".join(each.types), "venues": ", ".join(each.venues)}
            for each in found
        ]
        console().print(table(rows, COLUMNS))
    for each in lost:
        click.echo(each.words)
