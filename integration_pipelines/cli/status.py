"""`integrations status`."""

from datetime import UTC, datetime
from math import isfinite
from typing import Any

import click

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.budget import Budget, read_budgets
from integration_pipelines.core.mapping import count_failures
from integration_pipelines.core.status import read_stale, read_status, stray_dead_letters
from integration_pipelines.providers import PROVIDERS

COLUMNS = (
    "venue_id",
    "provider",
    "account",
    "status",
    "breaker",
    "complete_up_to",
    "last_success",
    "failing_streams",
    "repaired",
    "missing",
    "dead_letters",
    "kept_out",
)


@click.command()
@json_option
@click.pass_obj
def status(application: Application, as_json: bool) -> None:
    """Connections, their health and freshness, dead letters; metered reads of the month.

    "Complete up to" is the instant up to which every stream of the account is known to be here;
    "repaired" what its latest full pass found that incremental syncs had missed; "missing" what
    the provider says exists and is not here; "kept out" how many rows lack what the venue's field
    mappings require.
    """
    with application.engine() as engine, engine.connect() as session:
        found = read_status(session, PROVIDERS.values())
        stale = read_stale(session)
        failures = count_failures(session)
        budgets = read_budgets(session, application.settings, PROVIDERS.values())
        strays = stray_dead_letters(session)
    if as_json:
        print_json(
            {
                "connections": found,
                "stale": [each._asdict() for each in stale],
                "mapping_failures": [each._asdict() for each in failures],
                "budgets": [_budget(budget) for budget in budgets.values() if budget.accounts],
                "stray_dead_letters": strays,
            }
        )
        return
    if not found:
        click.echo(
            "no account is connected: `integrations venues add SLUG`, then "
            "`integrations connect PROVIDER --venue SLUG`"
        )
    else:
        console().print(table([_shown(row) for row in found], COLUMNS))
        for row in found:
            which = f"{row['venue_id']}/{row['provider']}"
            reason = row["status_reason"] or (row["failing_streams"] and row["last_error"])
            if reason:
                click.echo(f"{which}: {reason}")
            if ends := row["consent_ends_soon"]:
                portal = application.settings.public_base_url
                click.echo(
                    f"{which}: its consent ends on {ends:%Y-%m-%d}; the venue must connect again "
                    f"before that: {portal}/venues/{which}/connect"
                )
        for each in stale:
            click.echo(each.words)
        for budget in budgets.values():
            if budget.accounts:
                click.echo(budget.words)
    for failure in failures:
        click.echo(
            f"{failure.words}: see `integrations mappings quarantined --venue {failure.venue_id}`"
        )
    if strays:
        click.echo(
            f"{strays:,} dead {'letter' if strays == 1 else 'letters'} of no connected account: "
            "see `integrations webhooks dead`"
        )


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "provider": budget.provider,
        "allowed": budget.allowed,
        "used": budget.used,
        "forecast": budget.forecast,
        "ends": budget.ends,
        "accounts": len(budget.accounts),
        "slowdown": budget.slowdown if isfinite(budget.slowdown) else None,
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        **row,
        "account": f"{row['account_name']} ({row['account_id']})",
        "complete_up_to": _ago(row["oldest_cursor_at"], now),
        "last_success": _ago(row["last_success_at"], now),
        "failing_streams": ", ".join(row["failing_streams"]) or None,
    }


def _ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in the unit that tells most."""
    if at is None:
        return "never"
    seconds = int((now - at).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{max(seconds, 0)} s ago"
