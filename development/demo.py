"""`make demo`: three venues' Stripe accounts, from nothing to a mart, checked to the cent.

Plays on the sandbox and on DATA_DIR's database. Run again, it goes on from where it was: the
accounts live on until now, and only what is new is read. Ends with status 0 only if what landed
equals the sandbox's ledger.
"""

import json
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from babel.numbers import get_currency_precision
from sqlalchemy import BigInteger, func, select
from sqlalchemy import Connection as Session

from development.processes import Processes, stopped_by_signals
from development.stage import VENUES, Stage, Truth, furnish, integrations, raised_stage
from integration_pipelines.cli.output import console, table
from integration_pipelines.core.database import Role, create_engine, owner_url
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.settings import Settings, load_settings
from integration_pipelines.core.tables import raw_table

HAPPENINGS = 12
SYNC = ("sync", *(word for venue in VENUES for word in ("--venue", venue.venue_id)))
COLUMNS = (
    "venue",
    "stream",
    "fetched",
    "inserted",
    "updated",
    "deleted",
    "api_calls",
    "rows_here",
    "rows_at_stripe",
    "amounts",
    "equal",
)
DAILY_REVENUE = (
    "select venue_id, business_date, currency, payment_count, gross_amount, refund_amount, "
    "fee_amount, net_amount from marts.daily_revenue order by business_date desc, venue_id limit 12"
)
WHERE_NEXT = """
Where to look next
    make dev                         Dagster's UI, the schedules and the sandbox, live
    .venv/bin/integrations status    connections, their health and freshness
    .venv/bin/integrations db psql   SQL on raw, analytics and marts
"""


def main() -> None:
    begun = time.monotonic()
    try:
        with stopped_by_signals():
            settings = load_settings()
            equal = demonstrate(settings)
    except KeyboardInterrupt:
        sys.exit(130)
    except IntegrationError as error:
        sys.exit(f"demo: {error}")
    print(WHERE_NEXT)
    took = f"{time.monotonic() - begun:.0f} s"
    if not equal:
        sys.exit(f"demo: what landed is not what the sandbox's ledger says ({took})")
    print(f"Everything that landed equals the sandbox's ledger, to the cent ({took}).")


def demonstrate(settings: Settings) -> bool:
    """The whole of it; whether all that landed was equal to the ledger."""
    owner_url(settings)  # An embedded server stays up from here to the end.
    integrations("init", show=True)
    with (
        Processes(settings.data_path / "logs") as processes,
        raised_stage(processes, settings.data_path) as stage,
    ):
        furnish(stage)
        equal = _sync(settings, stage)
        print(f"\nMeanwhile at Stripe: {HAPPENINGS} things happen in each account.")
        stage.move(HAPPENINGS)
        equal &= _sync(settings, stage)
    integrations("db", "psql", "-P", "pager=off", "-c", DAILY_REVENUE, show=True)
    return equal


def _sync(settings: Settings, stage: Stage) -> bool:
    """Sync, show what it did beside what is true, and say whether that is equal."""
    print(f"\n$ integrations {' '.join(SYNC)}", flush=True)
    begun = time.monotonic()
    report = json.loads(integrations(*SYNC, "--json", environment=stage.environment))
    seconds = time.monotonic() - begun
    engine = create_engine(settings, Role.DBT)
    with engine.connect() as session:
        rows = [_beside_the_truth(session, stage, done) for done in report["streams"]]
    engine.dispose()
    told = [row for row in rows if row["fetched"] or row["equal"] != "yes"]
    console().print(table(told, COLUMNS))
    fetched = sum(row["fetched"] for row in rows)
    calls = sum(row["api_calls"] for row in rows)
    print(
        f"\n{len(rows)} streams in {seconds:.0f} s: {fetched:,} objects read in {calls:,} calls, "
        f"{len(rows) - len(told)} streams had nothing new"
    )
    return all(row["equal"] == "yes" for row in rows)


def _beside_the_truth(session: Session, stage: Stage, done: Mapping[str, Any]) -> dict[str, Any]:
    truth = stage.truth(done["venue_id"], done["stream"])
    landed = _landed(session, stage.accounts[done["venue_id"]]["account_id"], done)
    amounts = _amounts(truth.sums)
    if landed.sums != truth.sums:
        amounts = f"{_amounts(landed.sums)} here, {amounts} at Stripe"
    return {
        **done,
        "venue": done["venue_id"],
        "rows_here": len(landed.ids),
        "rows_at_stripe": len(truth.ids),
        "amounts": amounts,
        "equal": "yes" if landed == truth else "NO",
    }


def _landed(session: Session, account_id: str, done: Mapping[str, Any]) -> Truth:
    """What is in the raw table of one venue's stream and not deleted."""
    raw = raw_table(done["provider"], done["stream"])
    currency = raw.c.payload["currency"].astext
    rows = session.execute(
        select(
            currency.label("currency"),
            func.array_agg(raw.c.id).label("ids"),
            func.sum(raw.c.payload["amount"].astext.cast(BigInteger)).label("amount"),
        )
        .where(
            raw.c.venue_id == done["venue_id"],
            raw.c.account_id == account_id,
            raw.c.deleted_at.is_(None),
        )
        .group_by(currency)
    ).all()
    return Truth(
        frozenset(id for row in rows for id in row.ids),
        {row.currency: int(row.amount) for row in rows if row.currency and row.amount is not None},
    )


def _amounts(sums: Mapping[str, int]) -> str:
    """Minor units as people write them: EUR 12,345.60."""
    return ", ".join(
        f"{currency} {Decimal(minor).scaleb(-get_currency_precision(currency)):,}"
        for currency, minor in sorted((name.upper(), minor) for name, minor in sums.items())
    )


if __name__ == "__main__":
    main()
