"""`take_census`: ask the providers what exists, and name and ask for what has not landed.

Where reads are metered their budget says which accounts' turn it is; those are counted whole.
Who cannot be asked is told in the run's log, and nobody's trouble ends the count of the others.
What is missing goes to `control.sync_queue`, from where a sensor takes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import structlog
from pydantic import Field

from integration_pipelines.core import ingest
from integration_pipelines.core.budget import read_budgets
from integration_pipelines.core.credentials import Connection, open_connections
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.ingest import CensusResult
from integration_pipelines.core.ingest.batch import side_by_side
from integration_pipelines.core.redaction import redact
from integration_pipelines.defs.checks import every_object_landed
from integration_pipelines.defs.jobs import CONCURRENCY
from integration_pipelines.defs.records import log_check, table
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.providers import PROVIDERS

log = structlog.get_logger(__name__)


class CensusConfig(dg.Config):
    """Whom to ask, and how far back."""

    venues: list[str] = Field(default=[], description="These venues; none named: all.")
    providers: list[str] = Field(
        default=[],
        description="These providers; none named: all, of those whose reads are metered the "
        "accounts whose turn has come.",
    )
    days: int | None = Field(
        default=None, ge=1, description="Count what was created in the last so many days' months."
    )
    concurrency: int = Field(default=CONCURRENCY, ge=1, le=32, description="Accounts at once.")


@dg.op(required_resource_keys={"pipeline", *PROVIDERS}, out=dg.Out(dg.Nothing))
def census(context: dg.OpExecutionContext, config: CensusConfig) -> None:
    """Count what each connected account has against what landed; one's trouble is its own."""
    pipeline: Pipeline = context.resources.pipeline
    since = datetime.now(UTC) - timedelta(days=config.days) if config.days else None
    with pipeline.engine.connect() as session:
        connections = open_connections(
            session,
            venue_ids=config.venues or None,
            providers=config.providers or None,
            due=True,
        )
        if not config.providers:
            budgets = read_budgets(session, pipeline.settings, PROVIDERS.values())
            connections = ingest.due_for_census(session, connections, budgets)

    def count(connection: Connection) -> CensusResult | Exception:
        provider = PROVIDERS[connection.provider]
        try:
            return ingest.take_census(
                pipeline.engine,
                provider=provider,
                connection=connection,
                client=getattr(context.resources, provider.name).open_client(connection),
                since=since,
                run_id=context.run_id,
            )
        except Exception as error:
            if not isinstance(error, IntegrationError):
                log.exception("unexpected", venue_id=connection.venue_id)
            return error

    counted: list[dict[str, str | int]] = []
    for connection, result in side_by_side(connections, count, concurrency=config.concurrency):
        which = f"{connection.venue_id}/{connection.provider}"
        if isinstance(result, Exception):
            known = isinstance(result, IntegrationError)
            why = str(result) if known else redact(f"{type(result).__name__}: {result}")
            context.log.warning("%s cannot be counted: %s", which, why)
            continue
        for stream, error in result.failed.items():
            context.log.warning("%s: %s cannot be counted: %s", which, stream, error)
        counted += [
            {
                "venue": connection.venue_id,
                "provider": connection.provider,
                "stream": stream,
                "exist": sum(period.expected for period in periods),
                "missing": sum(len(period.missing_ids) for period in periods),
            }
            for stream, periods in result.found.items()
        ]
    counted.sort(key=lambda row: (-int(row["missing"]), row["venue"], row["provider"]))
    context.add_output_metadata({"counted": table(counted)} if counted else {})
    with pipeline.engine.connect() as session:
        for name in sorted({connection.provider for connection in connections}):
            for checked in every_object_landed.evaluate(
                session, provider=name, streams=PROVIDERS[name].stream_names
            ):
                log_check(context, checked)
    context.log.info(
        "%d objects of %d accounts counted, %d missing",
        sum(int(row["exist"]) for row in counted),
        len(connections),
        sum(int(row["missing"]) for row in counted),
    )


@dg.config_mapping
def _of_op(config: CensusConfig) -> dict[str, Any]:
    return {"ops": {"census": {"config": config.model_dump()}}}


@dg.job(executor_def=dg.in_process_executor, config=_of_op)
def take_census() -> None:
    """Ask every connected account what exists, and name and ask for what is not here."""
    census()
