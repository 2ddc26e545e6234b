"""`register_webhooks`: connections that need endpoints of their own have them."""

from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from integration_pipelines.core.credentials import Connection
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.events.endpoints import (
    LONGEST_ERROR,
    Registration,
    base_url,
    ensure_application,
    ensure_connection,
    unlooked_at,
)
from integration_pipelines.core.ingest.batch import side_by_side
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.redaction import redact
from integration_pipelines.defs.records import table
from integration_pipelines.defs.resources import Pipeline
from integration_pipelines.providers import PROVIDERS

CONCURRENCY = 8


def waiting(pipeline: Pipeline) -> Iterator[tuple[Provider, list[Connection]]]:
    """Connections whose endpoints are to be looked at, of providers that can reach us."""
    for provider in PROVIDERS.values():
        if provider.webhooks is None or provider.webhooks.of_connection is None:
            continue
        with suppress(ConfigurationError), pipeline.engine.connect() as session:
            base_url(pipeline.settings, provider)
            yield provider, unlooked_at(session, provider)


@dg.op(out=dg.Out(dg.Nothing))
def ensure(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """Look at the endpoints that serve all venues, of new connections, of those that have got
    places (Mailchimp's audiences), and of each once a day: what is missing is made, what is
    disabled enabled. A refusal is named here, and delays nothing: what is not told is found by the
    schedules."""
    rows: list[dict[str, str | int]] = []
    for provider in PROVIDERS.values():
        outcome = _of_application(pipeline, provider)
        if outcome is not None:
            context.log.warning("%s: %s", provider.title, outcome)
            rows.append({"connection": f"all of {provider.name}", "outcome": outcome})
    for provider, connections in waiting(pipeline):

        def ensure_one(
            connection: Connection, provider: Provider = provider
        ) -> Registration | None:
            return ensure_connection(
                pipeline.settings, pipeline.engine, pipeline.vault, provider, connection
            )

        for connection, done in side_by_side(connections, ensure_one, concurrency=CONCURRENCY):
            which = f"{connection.venue_id}/{provider.name}"
            if done is None:
                continue
            if done.error is not None:
                context.log.warning("%s: %s", which, done.error)
                rows.append({"connection": which, "outcome": done.error})
            elif done.ensured is not None and (done.ensured.made or done.ensured.mended):
                did = f"{done.ensured.made} made, {done.ensured.mended} mended"
                rows.append({"connection": which, "outcome": did})
    if rows:
        context.add_output_metadata({"endpoints": table(rows)})


def _of_application(pipeline: Pipeline, provider: Provider) -> str | None:
    """Mend the endpoint that serves all venues, where there is to be one; what it took, if
    anything. To make it for the first time is for `integrations webhooks register`."""
    webhooks = provider.webhooks
    if webhooks is None or webhooks.of_application is None:
        return None
    if not webhooks.secrets(pipeline.settings):
        return None
    try:
        done = ensure_application(pipeline.settings, provider, may_make=False)
    except Exception as error:
        # The SDKs have errors of their own.
        return redact(str(error))[:LONGEST_ERROR]
    changed = {"made": done.made, "mended": done.mended, "removed": done.removed}
    return ", ".join(f"{count} {what}" for what, count in changed.items() if count) or None


@dg.job
def register_webhooks() -> None:
    """Endpoints at the providers, made and mended."""
    ensure()
