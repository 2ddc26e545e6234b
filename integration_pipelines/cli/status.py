"""`integrations status`."""

from datetime import UTC, datetime
from math import isfinite
from typing import Any

import click
from sqlalchemy import Connection as Session
from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from integration_pipelines.cli.application import Application
from integration_pipelines.cli.output import console, json_option, print_json, table
from integration_pipelines.core.budget import Budget, read_budgets
from integration_pipelines.core.tables import (
    completeness,
    connections,
    integration_health,
    integration_webhooks,
    sync_cursors,
    sync_logs,
)
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
)


@click.command()
@json_option
@click.pass_obj
def status(application: Application, as_json: bool) -> None:
    """Connections, their health and freshness, dead letters; metered reads of the month.

    "Complete up to" is the instant up to which every stream of the account is known to be here;
    "repaired" what its latest full pass found that incremental syncs had missed; "missing" what
    the provider says exists and is not here.
    """
    with application.engine() as engine, engine.connect() as session:
        found = read_status(session)
        budgets = read_budgets(session, application.settings, PROVIDERS.values())
    if as_json:
        print_json(
            {
                "connections": found,
                "budgets": [_budget(budget) for budget in budgets.values() if budget.accounts],
            }
        )
    elif not found:
        click.echo(
            "no account is connected: `integrations venues add SLUG`, then "
            "`integrations connect PROVIDER --venue SLUG`"
        )
    else:
        console().print(table([_shown(row) for row in found], COLUMNS))
        for row in found:
            reason = row["status_reason"] or (row["failing_streams"] and row["last_error"])
            if reason:
                click.echo(f"{row['venue_id']}/{row['provider']}: {reason}")
        for budget in budgets.values():
            if budget.accounts:
                click.echo(budget.words)


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


def read_status(session: Session) -> list[dict[str, Any]]:
    """A row for each connection not disconnected, of the venues in scope.

    ``oldest_cursor_at`` and ``newest_cursor_at``: up to when the least and the most fresh of its
    streams is complete; the oldest is None while a stream has not been read once.
    ``failing_streams``: those whose latest sync did not succeed. ``repaired`` and ``missing`` are
    rows and objects, None before the first full pass and the first census.
    """
    cursors = (
        select(
            sync_cursors.c.connection_id,
            func.min(sync_cursors.c.cursor_at).label("oldest"),
            func.max(sync_cursors.c.cursor_at).label("newest"),
            func.bool_and(sync_cursors.c.cursor_at.is_not(None)).label("whole"),
        )
        .group_by(sync_cursors.c.connection_id)
        .subquery()
    )
    latest = (
        select(
            sync_logs.c.connection_id, sync_logs.c.stream, sync_logs.c.outcome, sync_logs.c.error
        )
        .ext(distinct_on(sync_logs.c.connection_id, sync_logs.c.stream))
        .where(sync_logs.c.outcome != "running")
        .order_by(sync_logs.c.connection_id, sync_logs.c.stream, sync_logs.c.started_at.desc())
        .subquery()
    )
    failing = (
        select(
            latest.c.connection_id,
            func.array_agg(latest.c.stream).label("streams"),
            func.max(latest.c.error).label("error"),
        )
        .where(latest.c.outcome != "succeeded")
        .group_by(latest.c.connection_id)
        .subquery()
    )
    dead = (
        select(integration_webhooks.c.connection_id, func.count().label("letters"))
        .where(integration_webhooks.c.status == "dead")
        .group_by(integration_webhooks.c.connection_id)
        .subquery()
    )
    pass_result = (
        select(sync_logs.c.connection_id, sync_logs.c.stream, sync_logs.c.repaired)
        .ext(distinct_on(sync_logs.c.connection_id, sync_logs.c.stream))
        .where(sync_logs.c.repaired.is_not(None))
        .order_by(sync_logs.c.connection_id, sync_logs.c.stream, sync_logs.c.started_at.desc())
        .subquery()
    )
    repaired = (
        select(pass_result.c.connection_id, func.sum(pass_result.c.repaired).label("rows"))
        .group_by(pass_result.c.connection_id)
        .subquery()
    )
    missing = (
        select(
            completeness.c.connection_id,
            func.sum(func.cardinality(completeness.c.missing_ids)).label("objects"),
        )
        .group_by(completeness.c.connection_id)
        .subquery()
    )
    health = integration_health.c
    rows = session.execute(
        select(
            *(
                connections.c[name]
                for name in (
                    "venue_id",
                    "provider",
                    "account_id",
                    "account_name",
                    "currency",
                    "country",
                    "livemode",
                    "status",
                    "status_reason",
                    "connected_at",
                )
            ),
            func.coalesce(health.breaker, "closed").label("breaker"),
            health.open_until.label("breaker_open_until"),
            health.last_success_at,
            health.last_failure_at,
            func.coalesce(failing.c.error, health.last_error).label("last_error"),
            cursors.c.oldest.label("oldest_cursor_at"),
            cursors.c.newest.label("newest_cursor_at"),
            cursors.c.whole,
            func.coalesce(failing.c.streams, []).label("failing_streams"),
            repaired.c.rows.label("repaired"),
            missing.c.objects.label("missing"),
            func.coalesce(dead.c.letters, 0).label("dead_letters"),
        )
        .select_from(connections)
        .outerjoin(
            integration_health,
            and_(
                health.venue_id == connections.c.venue_id,
                health.provider == connections.c.provider,
            ),
        )
        .outerjoin(cursors, cursors.c.connection_id == connections.c.connection_id)
        .outerjoin(failing, failing.c.connection_id == connections.c.connection_id)
        .outerjoin(repaired, repaired.c.connection_id == connections.c.connection_id)
        .outerjoin(missing, missing.c.connection_id == connections.c.connection_id)
        .outerjoin(dead, dead.c.connection_id == connections.c.connection_id)
        .where(connections.c.status != "disconnected")
        .order_by(connections.c.venue_id, connections.c.provider)
    )
    found = []
    for row in rows.mappings():
        entry = dict(row)
        if not entry.pop("whole"):
            entry["oldest_cursor_at"] = None
        found.append(entry)
    return found


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
