"""`/metrics` as Prometheus reads it: what is counted, who may, and what is never told."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import Engine, text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from webhook_receiver import EXTENSION, create_app
from webhook_receiver.metrics import FAMILIES, PREFIX

TOKEN = "a-token-of-the-test-for-metrics"


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    update = {"metrics_token": SecretStr(TOKEN), "quickbooks_monthly_reads": 1_000}
    made = create_app(settings.model_copy(update=update))
    yield made
    made.extensions[EXTENSION].engine.dispose()


def scraped(app: Flask, bearer: str | None = TOKEN, **headers: str) -> Any:
    sent = headers | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    return app.test_client().get("/metrics", headers=sent)


def samples(app: Flask) -> dict[tuple[str, ...], float]:
    """By the metric's own name and the values of its labels, the provider first."""
    answer = scraped(app)
    assert answer.status_code == 200, answer.text
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = dict(sample.labels)
            key = (sample.name.removeprefix(f"{PREFIX}_"), labels.pop("provider"))
            found[(*key, *labels.values())] = sample.value
    return found


EVENT = (
    "INSERT INTO control.integration_webhooks (provider, account_id, event_id, event_type, payload,"
    " status, received_at, processed_at) VALUES ('square', :account, :id, 'payment.updated', '{}',"
    " :status, now() - make_interval(secs => :age), CASE WHEN :ended THEN now() END)"
)


@pytest.fixture
def filled(
    venue: Callable[..., str], connect: Callable[..., UUID], pipeline_engine: Engine
) -> None:
    """A venue with three accounts, one of them paused, and events in each state."""
    connect(venue("hall"), "square", "M1")
    connect("hall", "quickbooks", "42")
    connect("hall", "stripe", "acct_1", status="paused")
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            text("UPDATE control.connections SET connected_at = now() - '1 day'::interval")
        )
        states = ("pending", "claimed", "done", "done", "ignored", "dead")
        for number, status in enumerate(states):
            values = {"account": "M1", "id": f"e{number}", "status": status, "age": 90 - number}
            ended = status not in ("pending", "claimed")
            session.execute(text(EVENT), values | {"ended": ended})
        unknown = {"account": "M9", "id": "e", "status": "pending", "age": 9_999, "ended": False}
        session.execute(text(EVENT), unknown)
        for statement in (
            "INSERT INTO control.sync_queue (venue_id, provider, requested_by)"
            " VALUES ('hall', 'square', 'test')",
            "INSERT INTO control.integration_health (venue_id, provider, breaker)"
            " VALUES ('hall', 'square', 'open')",
            "INSERT INTO control.sync_logs (venue_id, sync_id, stream, provider, connection_id,"
            " account_id, mode, outcome, finished_at) SELECT venue_id, gen_random_uuid(), stream,"
            " provider, connection_id, account_id, 'full', outcome, now() FROM control.connections,"
            " (VALUES ('a', 'succeeded'), ('b', 'succeeded'), ('c', 'failed'))"
            " AS s (stream, outcome)"
            " WHERE provider = 'square'",
            "INSERT INTO control.integration_costs (venue_id, provider, endpoint, day, calls, cost)"
            " SELECT 'hall', provider, 'x', (now() AT TIME ZONE 'UTC')::date, 7, 7"
            " FROM (VALUES ('quickbooks'), ('stripe')) AS p (provider)",
        ):
            session.execute(text(statement))


def test_every_number_of_an_empty_database_is_there_and_none(app: Flask) -> None:
    found = samples(app)
    unlabelled = {name for name, family in FAMILIES.items() if family.label is None}
    for name in unlabelled - {"metered_reads_used", "metered_reads_allowed"}:
        for provider in PROVIDERS:
            assert found.pop((name, provider)) == 0, name
    assert found == {
        ("metered_reads_used", "quickbooks"): 0,
        ("metered_reads_allowed", "quickbooks"): 1_000,
    }


def test_what_stands_in_the_database_is_told_by_provider(app: Flask, filled: None) -> None:
    found = {key: value for key, value in samples(app).items() if value}
    age = found.pop(("oldest_event_age_seconds", "square"))
    assert 90 <= age < 900, "of the oldest that could be worked on"
    assert found == {
        ("events_waiting", "square"): 2,
        ("events_of_unknown_accounts", "square"): 1,
        ("events_total", "square", "done"): 2,
        ("events_total", "square", "ignored"): 1,
        ("events_total", "square", "dead"): 1,
        ("dead_letters", "square"): 1,
        ("syncs_queued", "square"): 1,
        ("streams_synced_total", "square", "succeeded"): 2,
        ("streams_synced_total", "square", "failed"): 1,
        ("connections", "square", "active"): 1,
        ("connections", "quickbooks", "active"): 1,
        ("connections", "stripe", "paused"): 1,
        ("breakers_open", "square"): 1,
        ("metered_reads_used", "quickbooks"): 7,
        ("metered_reads_allowed", "quickbooks"): 1_000,
    }


def test_a_scrape_names_no_venue_and_no_account_and_is_open_metrics_where_asked(
    app: Flask, filled: None
) -> None:
    answer = scraped(app, Accept="application/openmetrics-text; version=1.0.0")
    assert answer.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(answer.text)}
    assert names == {f"{PREFIX}_{name}" for name in FAMILIES}
    assert not any(word in answer.text for word in ("hall", "M1", "M9", "acct_1", TOKEN))


def test_metrics_are_for_whoever_has_the_token_and_without_one_there_are_none(
    app: Flask, settings: Settings
) -> None:
    for bearer in (None, "x", TOKEN[:-1], f"{TOKEN}x", "é"):
        refused = scraped(app, bearer)
        assert refused.status_code == 401, bearer
        assert PREFIX not in refused.text
    none = create_app(settings)
    assert scraped(none).status_code == scraped(none, None).status_code == 404
    none.extensions[EXTENSION].engine.dispose()
