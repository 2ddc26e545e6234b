"""The database's clock."""

import time

from sqlalchemy import func, select

from integration_pipelines.core.provider import Limits
from integration_pipelines.core.transport import Clock, open_transport

from .conftest import Reply


def test_clock_is_never_ahead_of_the_database(pipeline_engine):
    with pipeline_engine.connect() as connection:
        clock = Clock.read(connection)
        for _ in range(5):
            ours = clock.now()
            theirs = connection.scalar(select(func.clock_timestamp()))
            assert ours <= theirs
            assert (theirs - ours).total_seconds() < 0.5
            time.sleep(0.02)


def test_requests_begin_on_the_databases_clock(pipeline_engine, server, venue, connect):
    connect(venue())
    server.script("/list", Reply())
    with pipeline_engine.connect() as connection:
        before = connection.scalar(select(func.clock_timestamp()))
    for account_id in ("acct_1", None):
        with open_transport(
            pipeline_engine,
            venue_id="moonlight-hall",
            provider="stripe",
            account_id=account_id,
            base_url=server.base_url,
            limits=Limits(rate=100, concurrency=2),
        ) as transport:
            response = transport.request("GET", "/list", endpoint="GET /list")
        with pipeline_engine.connect() as connection:
            after = connection.scalar(select(func.clock_timestamp()))
        assert before <= response.started_at <= after
