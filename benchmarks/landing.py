"""Landing Stripe's charges: a sync beside bare loops over the same pages, in the same run."""

from statistics import median
from typing import Any

from sqlalchemy import text

from benchmarks.stage import Stage
from integration_pipelines.core.database import owner_engine

STREAM = "charges"
LATENCY = 0.3
LATENCY_ROWS = 6_000

Figures = dict[str, Any]


def run(stage: Stage, *, rows: int, repeats: int) -> list[Figures]:
    """A row a case: rows a second and CPU seconds (client and Postgres) per 100,000 rows, as
    medians of ``repeats``, with ratios to the bare loops."""
    account = stage.account("stripe", "bench", only={STREAM: rows})
    bare = {"base": f"{stage.base_url}/stripe", "key": account["api_key"], "stream": STREAM}
    dsn = stage.owner_dsn()
    cases: dict[str, list[Figures]] = {}

    def measured(name: str, case: str, **arguments: Any) -> None:
        cases.setdefault(name, []).append(stage.measure(case, **arguments))

    for turn in range(repeats):
        venue = stage.connect("stripe", f"venue-{turn}", account)
        sync = {"venue_id": venue, "streams": [STREAM]}
        measured("(a) fetch and discard", "fetch", **bare)
        measured(
            "(b) fetch, COPY, merge",
            "copy_and_merge",
            **bare,
            dsn=dsn,
            table=f"public.bare_{turn}",
        )
        measured("first load", "sync_venue", **sync)
        forget_statistics(stage)
        measured("unchanged, table just filled", "sync_venue", **sync, full=True)
        measured("unchanged", "sync_venue", **sync, full=True)
        stage.change(account["account_id"], STREAM, every=100)
        measured("1% changed", "sync_venue", **sync, full=True)
    return summarised(cases)


def run_with_latency(stage: Stage) -> list[Figures]:
    """The same first load where every page takes 300 ms to come."""
    account = stage.account("stripe", "far-away", only={STREAM: LATENCY_ROWS})
    bare = {"base": f"{stage.base_url}/stripe", "key": account["api_key"], "stream": STREAM}
    venue = stage.connect("stripe", "far-away", account)
    stage.latency(LATENCY)
    try:
        cases = {
            "(b) fetch, COPY, merge": [
                stage.measure(
                    "copy_and_merge", **bare, dsn=stage.owner_dsn(), table="public.bare_far"
                )
            ],
            "first load": [stage.measure("sync_venue", venue_id=venue, streams=[STREAM])],
        }
    finally:
        stage.latency(0)
    return summarised(cases)


def run_memory(stage: Stage, *, rows: int) -> list[Figures]:
    """Peak memory of the syncing process at ``rows`` and at ten times as many."""
    found = []
    for count in (rows, rows * 10):
        account = stage.account("stripe", f"memory-{count}", only={STREAM: count})
        venue = stage.connect("stripe", f"memory-{count}", account)
        figures = stage.measure("sync_venue", venue_id=venue, streams=[STREAM])
        found.append({"case": f"first load of {count:,} rows", "peak MB": figures["peak_mb"]})
    return found


def forget_statistics(stage: Stage) -> None:
    """Leave the planner as blind as on a table that was filled and never analyzed."""
    engine = owner_engine(stage.settings)
    with engine.begin() as session:
        session.execute(text("SELECT pg_clear_relation_stats('raw_stripe', 'charges')"))
        for column in ("venue_id", "account_id", "id"):
            session.execute(
                text("SELECT pg_clear_attribute_stats('raw_stripe', 'charges', :column, false)"),
                {"column": column},
            )
    engine.dispose()


def summarised(cases: dict[str, list[Figures]]) -> list[Figures]:
    """Medians by case (CPU seconds per 100,000 rows), with ratios to (b) and to the first load."""
    table: list[Figures] = []
    for name, runs in cases.items():
        count = runs[0]["rows"]
        table.append(
            {
                "case": name,
                "rows": count,
                "rows/s": median(count / run["seconds"] for run in runs),
                "CPU s": median(
                    (run["client_cpu"] + run["postgres_cpu"]) / count * 1e5 for run in runs
                ),
                "of it Postgres": median(run["postgres_cpu"] / count * 1e5 for run in runs),
                "peak MB": max(run["peak_mb"] for run in runs),
                "rows written": runs[-1].get("inserted", count) + runs[-1].get("updated", 0),
            }
        )
    peer = next(row for row in table if row["case"].startswith("(b)"))
    first = next(row for row in table if row["case"] == "first load")
    for row in table:
        row["rate of (b)"] = row["rows/s"] / peer["rows/s"]
        row["CPU of (b)"] = row["CPU s"] / peer["CPU s"]
        row["rate of first load"] = row["rows/s"] / first["rows/s"]
    return table
