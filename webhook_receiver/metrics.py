"""`/metrics`: numbers over all venues for Prometheus, by provider, never by venue.

They are read from the database at each scrape, so any of the receiver's processes answers alike.
What ended is counted from midnight UTC on: counters begin anew then, as after a restart.
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from flask import Response, abort, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from pydantic import SecretStr
from sqlalchemy import Connection as Session
from sqlalchemy import Engine, func, select, text

from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import Settings

PREFIX = "venue_integrations"
LONGEST = "10s"
"""For the queries of a scrape; Prometheus itself gives up after ten seconds."""


class Family(NamedTuple):
    """A metric's ``help``, whether it ``counts``, and the ``label`` beside the provider. Without a
    label there is a number for each provider, 0 where there is nothing."""

    help: str
    label: str | None = None
    counts: bool = False


FAMILIES = {
    "events_waiting": Family("Events that are neither done nor given up."),
    "oldest_event_age_seconds": Family("For how long the oldest of these has been waiting."),
    "events_of_unknown_accounts": Family("Events that wait for their account to be connected."),
    "events": Family("Events that ended, by what became of them.", "outcome", counts=True),
    "dead_letters": Family("Events that were given up and not replayed."),
    "syncs_queued": Family("Syncs that were asked for and are not done."),
    "streams_synced": Family("Syncs of single streams, by outcome.", "outcome", counts=True),
    "connections": Family("Accounts by the state of their connection.", "state"),
    "breakers_open": Family("Venues at which calls to the provider are held back."),
    "metered_reads_used": Family("Reads of the month, of all venues together."),
    "metered_reads_allowed": Family("Reads that the provider allows in a month."),
}


def scrape(engine: Engine, settings: Settings, providers: Mapping[str, Provider]) -> Response:
    """The answer to a scrape with METRICS_TOKEN as its bearer; without that setting, 404."""
    if settings.metrics_token is None:
        abort(404)
    if not _may(settings.metrics_token):
        abort(401)
    with engine.begin() as session:
        session.execute(text(f"SET LOCAL statement_timeout = '{LONGEST}'"))
        families = list(collect(session, settings, providers))
    registry = CollectorRegistry()
    registry.register(_Read(families))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


def collect(
    session: Session, settings: Settings, providers: Mapping[str, Provider]
) -> Iterator[Metric]:
    """Every family, with what the database says now."""
    numbers: dict[str, dict[tuple[str, ...], float]] = {
        name: {} if family.label else {(provider,): 0.0 for provider in providers}
        for name, family in FAMILIES.items()
    }
    metered = {name for name, provider in providers.items() if provider.metering is not None}
    for name in ("metered_reads_used", "metered_reads_allowed"):
        numbers[name] = {(provider,): 0.0 for provider in metered}
    for name, provider in providers.items():
        if provider.metering is not None:
            allowed = float(provider.metering.monthly_reads(settings))
            numbers["metered_reads_allowed"][name,] = allowed
    found = func.control.metrics().table_valued("name", "provider", "label", "value")
    for row in session.execute(select(found)):
        labels = (row.provider,) if row.label is None else (row.provider, row.label)
        if row.name != "metered_reads_used" or row.provider in metered:
            numbers[row.name][labels] = row.value
    for name, family in FAMILIES.items():
        made = CounterMetricFamily if family.counts else GaugeMetricFamily
        names = ["provider"] if family.label is None else ["provider", family.label]
        metric = made(f"{PREFIX}_{name}", family.help, labels=names)
        for values, value in sorted(numbers[name].items()):
            metric.add_metric(values, value)
        yield metric


class _Read:
    """Families that were read already, as a registry collects them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _may(token: SecretStr) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(
        given.encode("utf-8", "replace"), token.get_secret_value().encode()
    )
