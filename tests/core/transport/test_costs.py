"""API calls, written beside the rows they brought."""

from datetime import date

from sqlalchemy import select

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.tables import integration_costs
from integration_pipelines.core.transport import Cost, record_costs


def test_costs_add_up_by_endpoint_and_day(pipeline_engine, venue, connect):
    hall = venue()
    connect(hall)
    monday, tuesday = date(2026, 11, 23), date(2026, 11, 24)
    for _ in range(2):
        with pipeline_engine.begin() as connection:
            venue_scope(connection, hall)
            record_costs(connection, [])
            record_costs(
                connection,
                [
                    Cost(hall, "stripe", "GET /v1/refunds", monday, 10, 2, 1, 1.5),
                    Cost(hall, "stripe", "GET /v1/charges", monday, 1, 0, 0, 0.25),
                    Cost(hall, "stripe", "GET /v1/charges", tuesday, 5, 0, 0, 0.5),
                ],
            )
    with pipeline_engine.begin() as connection:
        venue_scope(connection, hall)
        rows = connection.execute(select(integration_costs)).mappings().all()
    assert {
        (row["endpoint"], row["day"]): (
            row["calls"],
            row["errors"],
            row["rate_limited"],
            float(row["seconds"]),
        )
        for row in rows
    } == {
        ("GET /v1/refunds", monday): (20, 4, 2, 3.0),
        ("GET /v1/charges", monday): (2, 0, 0, 0.5),
        ("GET /v1/charges", tuesday): (10, 0, 0, 1.0),
    }
