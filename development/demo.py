"""`make demo`: three venues' accounts at four providers, from nothing to a mart, to the cent.

Plays on the sandbox and on DATA_DIR's database. Run again, it goes on from where it was: the
accounts live on until now, and only what is new is read. A full pass then finds what was deleted
without a word. Ends with what payouts and sales are in the books, where one difference is planted,
and with status 0 only if what landed equals the sandbox's ledger and marts find that difference
alone.
"""

import json
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from babel.numbers import get_currency_precision
from sqlalchemy import Connection as Session
from sqlalchemy import text

from development.processes import Processes, free_port, stopped_by_signals
from development.reconciliation import keep_books, reconciled
from development.stage import COMMAND, VENUES, Stage, furnish, integrations, raised_stage
from integration_pipelines.cli.output import console, table
from integration_pipelines.core.database import Role, create_engine, owner_url
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.settings import Settings, load_settings
from integration_pipelines.instance import environment

HAPPENINGS = 12
OF_ACCOUNT = "venue_id = :venue_id and account_id = :account_id and deleted_at is null"
SYNC = ("sync", *(word for venue in VENUES for word in ("--venue", venue.venue_id)))
COLUMNS = (
    "venue",
    "provider",
    "stream",
    "fetched",
    "inserted",
    "updated",
    "deleted",
    "api_calls",
    "rows_here",
    "rows_there",
    "amounts",
    "equal",
)
CURRENCY = {
    "stripe": "upper(payload ->> 'currency')",
    "square": "payload #>> '{%(field)s,currency}'",
    "mailchimp": "null",
    "quickbooks": "payload #>> '{CurrencyRef,value}'",
}
AMOUNT = {
    "stripe": "(payload ->> 'amount')::numeric",
    "square": "(payload #>> '{%(field)s,amount}')::numeric",
    "mailchimp": "null::numeric",
    "quickbooks": "(payload ->> 'TotalAmt')::numeric",
}
"""What an object is worth, and in which currency; Stripe and Square count in minor units."""
SQUARE_FIELDS = {
    "orders": "total_money",
    "payments": "total_money",
    "gift_cards": "balance_money",
    "payout_entries": "net_amount_money",
    "invoices": "next_payment_amount_money",
}
REPORTS = {
    "profit_and_loss": "select currency, sum(amount) from {lines} where label = 'Net Income'",
    "balance_sheet": "select currency, sum(amount) from {lines} where label = 'TOTAL ASSETS' and "
    "raw_id = (select max(raw_id) from {lines})",
    "cash_flow": "select currency, sum(amount) from {lines} "
    "where label = 'NET CASH INCREASE FOR PERIOD'",
}
"""The one figure of all months of a report."""
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


class Happening(NamedTuple):
    """One step in one account, and where analysts see what came of it."""

    venue_id: str
    provider: str
    step: str
    words: str
    table: str
    shown: str


TOLD = (
    Happening(
        "zum-anker", "stripe", "refund_any", "a payment is refunded", "refunds",
        "currency || ' ' || amount",
    ),
    Happening(
        "zum-anker", "square", "add_customer", "a guest leaves a name", "customers",
        "coalesce(name, email)",
    ),
    Happening(
        "sakura-fest", "mailchimp", "subscribe", "somebody subscribes", "audience_members",
        "email || ': ' || status",
    ),
    Happening(
        "moonlight-hall", "quickbooks", "add_customer", "a customer is entered", "customers",
        "coalesce(name, email)",
    ),
)  # fmt: skip
TOLD_WITHIN = 60.0
RECEIVER_PORT = 8081


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
        sys.exit(f"demo: what landed or was made of it is not what the ledger says ({took})")
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
        print(f"\nMeanwhile at the providers: {HAPPENINGS} things happen in each account.")
        stage.move(HAPPENINGS)
        equal &= _sync(settings, stage)
        planted = keep_books(stage)
        print("\nWhat was deleted without a word is found by reading everything again.")
        equal &= _sync(settings, stage, "--full", "--allow-deletes")
        print("\nFrom here on the providers tell of what changes: webhooks, and nobody asks.")
        equal &= _told(settings, processes, stage)
        integrations("db", "psql", "-P", "pager=off", "-c", DAILY_REVENUE, show=True)
        engine = create_engine(settings, Role.DBT)
        with engine.connect() as session:
            equal &= reconciled(session, stage, planted)
        engine.dispose()
    return equal


def _sync(settings: Settings, stage: Stage, *options: str) -> bool:
    """Sync, show what it did beside what is true, and say whether that is equal."""
    command = (*SYNC, *options)
    print(f"\n$ integrations {' '.join(command)}", flush=True)
    begun = time.monotonic()
    report = json.loads(integrations(*command, "--json", environment=stage.environment))
    seconds = time.monotonic() - begun
    engine = create_engine(settings, Role.DBT)
    with engine.connect() as session:
        rows = [
            _beside_the_truth(session, stage, done, is_full="--full" in options)
            for done in report["streams"]
        ]
    engine.dispose()
    told = [
        row
        for row in rows
        if row["equal"] != "yes" or row["inserted"] or row["updated"] or row["deleted"]
    ]
    if told:
        console().print(table(told, COLUMNS))
    fetched = sum(row["fetched"] for row in rows)
    calls = sum(row["api_calls"] for row in rows)
    print(
        f"\n{len(rows)} streams in {seconds:.0f} s: {fetched:,} objects read in {calls:,} calls, "
        f"{len(rows) - len(told)} streams had nothing new"
    )
    return all(row["equal"] != "NO" for row in rows)


def _beside_the_truth(
    session: Session, stage: Stage, done: Mapping[str, Any], *, is_full: bool
) -> dict[str, Any]:
    truth = stage.truth(done["venue_id"], done["provider"], done["stream"])
    account_id = stage.accounts[done["venue_id"], done["provider"]]["account_id"]
    verdict = "NO"
    if truth.ids is None:
        rows, sums = _count(session, account_id, done), _reported(session, account_id, done)
        same = sums == truth.sums
    else:
        landed, sums = _landed(session, account_id, done)
        # Some ids are composed: LIST/CATEGORY/INTEREST, PAYOUT/ENTRY.
        ids = {id if id in truth.ids else id.partition("/")[2] or id for id in landed}
        rows = len(landed)
        same = ids == truth.ids and rows == len(truth.ids) and sums == truth.sums
        # What vanishes at a provider without a word is found by the full pass that comes last.
        if ids > truth.ids and not is_full:
            verdict = f"but for {len(ids - truth.ids)} gone"
    amounts = _amounts(truth.sums)
    if sums != truth.sums:
        amounts = f"{_amounts(sums)} here, {amounts} there"
    return {
        **done,
        "venue": done["venue_id"],
        "rows_here": rows,
        "rows_there": "" if truth.ids is None else len(truth.ids),
        "amounts": amounts,
        "equal": "yes" if same else verdict,
    }


def _told(settings: Settings, processes: Processes, stage: Stage) -> bool:
    """Let one thing happen at each provider, and show when analysts see it; whether they do."""
    receiver = f"http://127.0.0.1:{free_port(RECEIVER_PORT)}"
    variables = {**environment(settings), **stage.environment, "WEBHOOK_BASE_URL": receiver}
    processes.start_receiver(receiver, variables)
    worker = processes.start("worker", [COMMAND, "work"], env=variables)
    processes.wait_for(f"{receiver}/health")
    stage.register(receiver)
    while b"ready" not in worker.log.read_bytes():
        processes.check()
        time.sleep(0.1)
    rows = []
    engine = create_engine(settings, Role.DBT)
    for happening in TOLD:
        touched = stage.do(happening.venue_id, happening.provider, happening.step)
        begun = time.monotonic()
        row = None
        while row is None and time.monotonic() - begun < TOLD_WITHIN:
            processes.check()
            time.sleep(0.05)
            with engine.connect() as session:
                row = session.execute(
                    text(
                        f"select {happening.shown} as shown from analytics.{happening.table} "
                        "where venue_id = :venue_id and provider = :provider and source_id = :id"
                    ),
                    {
                        "venue_id": happening.venue_id,
                        "provider": happening.provider,
                        "id": touched.get("id") or touched["Id"],
                    },
                ).one_or_none()
        rows.append(
            {
                "venue": happening.venue_id,
                "provider": happening.provider,
                "what happened": happening.words,
                "table": f"analytics.{happening.table}",
                "row": None if row is None else row.shown,
                "seconds": round(time.monotonic() - begun, 1),
            }
        )
    engine.dispose()
    console().print(table(rows, tuple(rows[0])))
    return all(row["row"] is not None for row in rows)


def _landed(
    session: Session, account_id: str, done: Mapping[str, Any]
) -> tuple[frozenset[str], dict[str, Decimal]]:
    """Ids in the raw table of one venue's stream that are not deleted, and what they are worth."""
    provider, stream = done["provider"], done["stream"]
    field = {"field": SQUARE_FIELDS.get(stream, "amount_money")}
    currency, amount = CURRENCY[provider] % field, AMOUNT[provider] % field
    rows = session.execute(
        text(
            f"select {currency} as currency, array_agg(id) as ids, sum({amount}) as amount "
            f"from raw_{provider}.{stream} where {OF_ACCOUNT} group by 1"
        ),
        {"venue_id": done["venue_id"], "account_id": account_id},
    ).all()
    sums = {}
    for row in rows:
        if row.currency is not None and row.amount is not None:
            digits = 0 if provider == "quickbooks" else get_currency_precision(row.currency)
            sums[row.currency] = row.amount.scaleb(-digits)
    return frozenset(id for row in rows for id in row.ids), sums


def _count(session: Session, account_id: str, done: Mapping[str, Any]) -> int:
    counted = session.execute(
        text(f"select count(*) from raw_{done['provider']}.{done['stream']} where {OF_ACCOUNT}"),
        {"venue_id": done["venue_id"], "account_id": account_id},
    )
    return int(counted.scalar_one())


def _reported(session: Session, account_id: str, done: Mapping[str, Any]) -> dict[str, Decimal]:
    """The figure that all landed months of a report come to."""
    lines = (
        "(select * from staging.stg_quickbooks__report_lines "
        f"where {OF_ACCOUNT} and basis = 'Accrual' and report = :report) as lines"
    )
    rows = session.execute(
        text(f"{REPORTS[done['stream']].format(lines=lines)} group by currency"),
        {
            "venue_id": done["venue_id"],
            "account_id": account_id,
            "report": done["stream"].title().replace("_", ""),
        },
    )
    return {row.currency: row.sum for row in rows}


def _amounts(sums: Mapping[str, Decimal]) -> str:
    """As people write them: EUR 12,345.60."""
    return ", ".join(f"{currency} {amount:,f}" for currency, amount in sorted(sums.items()))


if __name__ == "__main__":
    main()
