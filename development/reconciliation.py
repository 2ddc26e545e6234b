"""The end of `make demo`: payouts against deposits, sales against books, both held to the ledger.

Before it, the books take in what the processors paid out, and one bookkeeper errs: what marts find
must be that, and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision
from sqlalchemy import Connection as Session
from sqlalchemy import text

from development.stage import VENUES, Stage, StageVenue
from integration_pipelines.cli.output import console, table

PROCESSORS = ("stripe", "square")
ERRS_AT = "zum-anker"
PAYOUTS = (
    "select venue_id, provider, payout_id, deposit_id, status, currency, payout_amount,"
    " deposit_amount, difference from marts.payout_reconciliation order by 1, 2, arrives_on"
)
SALES = (
    "select venue_id, to_char(starts_on, 'YYYY-MM') as month, currency, processor_amount,"
    " books_amount, report_amount, sales_difference, report_status, differing_accounts"
    " from marts.sales_to_books where period = 'month' and ledger_account_id is null"
    " order by 1, 2 desc, 3"
)
ACCOUNTS = (
    "select venue_id, to_char(starts_on, 'YYYY-MM') as month, ledger_account_name as account,"
    " books_amount, report_amount from marts.sales_to_books"
    " where period = 'month' and ledger_account_id is not null"
)
REVENUE = (
    "select venue_id, to_char(business_date, 'YYYY-MM') as month, currency,"
    " sum(gross_amount - refund_amount) as taken from marts.daily_revenue group by 1, 2, 3"
)
MONTHS_SHOWN = 2
TO_COME = ("on_its_way", "awaiting_deposit")
"""How a payout stands whose deposit nobody need have entered yet."""


class Planted(NamedTuple):
    """The deposit that was entered wrong."""

    venue_id: str
    deposit_id: str


def keep_books(stage: Stage) -> Planted:
    """Have the books take in every payout that arrived, and one deposit be entered wrong."""
    for venue in VENUES:
        for processor in PROCESSORS:
            stage.do(venue.venue_id, "quickbooks", "pay_out", processor)
    deposit = stage.do(ERRS_AT, "quickbooks", "misbook")
    print(
        f"\nMeanwhile the books take in what was paid out, and a bookkeeper of {ERRS_AT} errs in "
        f"deposit {deposit['Id']}."
    )
    return Planted(ERRS_AT, deposit["Id"])


def reconciled(session: Session, stage: Stage, planted: Planted) -> bool:
    """Show both comparisons; whether their figures are the ledger's and what was planted is what
    they find."""
    equal = _payouts_reconciled(session, stage, planted)
    return _sales_reconciled(session, stage) and equal


# Payouts.

Payout = tuple[str, str, str]
"""Venue, processor and id; a deposit's own, where it is no payout's."""


def _payouts_reconciled(session: Session, stage: Stage, planted: Planted) -> bool:
    rows = {
        (row.venue_id, row.provider, row.payout_id or row.deposit_id): row
        for row in session.execute(text(PAYOUTS))
    }
    found = {of: (row.status, row.payout_amount, row.deposit_amount) for of, row in rows.items()}
    true = dict(_payouts(stage))
    shown = []
    for venue in VENUES:
        for processor in PROCESSORS:
            account = (venue.venue_id, processor)
            mine = [row for of, row in rows.items() if of[:2] == account]
            states = [row.status for row in mine]
            same = all(
                found.get(of) == true.get(of)
                for of in found.keys() | true.keys()
                if of[:2] == account
            )
            shown.append(
                {
                    "venue": venue.venue_id,
                    "processor": processor,
                    "payouts": len(mine),
                    "paid out": _sum(mine, "payout_amount", venue.currency),
                    "in the books": _sum(mine, "deposit_amount", venue.currency),
                    "matched": states.count("matched"),
                    "to come": sum(map(states.count, TO_COME)),
                    "differ": sum(state not in ("matched", *TO_COME) for state in states),
                    "as the ledger": "yes" if same else "NO",
                }
            )
    console().print(table(shown, tuple(shown[0]), title="\nPayouts against QuickBooks' deposits"))
    named = False
    for of, row in rows.items():
        if row.status in ("matched", *TO_COME) and found[of] == true.get(of):
            continue
        if found[of] != true.get(of):
            why = "which was NOT PLANTED"
        elif (row.venue_id, row.deposit_id) == planted:
            named, why = True, "as was planted"
        else:
            why = "as was planted by an earlier demo"
        print(
            f"{row.venue_id}: {row.status}: {row.provider} paid out {row.currency} "
            f"{_money(row.payout_amount)} ({row.payout_id}), deposit {row.deposit_id} "
            f"says {_money(row.deposit_amount)}: {_money(row.difference)}, {why}"
        )
    for venue_id, processor, payout_id in sorted(true.keys() - rows.keys()):
        print(f"NOT FOUND: {venue_id}: {processor} paid out {payout_id}")
    if not named:
        print(f"NOT FOUND: deposit {planted.deposit_id} of {planted.venue_id} was entered wrong")
    return named and found == true


def _payouts(stage: Stage) -> Iterator[tuple[Payout, tuple[str, Decimal, Decimal | None]]]:
    """What is true of each payout: how it stands to the books, its amount and its deposit's."""
    for venue in VENUES:
        deposits: dict[str, Decimal] = {}
        for deposit in stage.objects(venue.venue_id, "quickbooks", "deposits"):
            words = deposit["Line"][0].get("Description", "").split()
            if words and words[0] in PROCESSORS and Decimal(deposit["TotalAmt"]):
                deposits[words[1]] = Decimal(deposit["TotalAmt"])
        for processor in PROCESSORS:
            for payout in stage.objects(venue.venue_id, processor, "payouts"):
                amount = _major(payout.get("amount_money") or payout)
                status = payout["status"].lower()
                if amount <= 0 or status not in ("paid", "in_transit", "sent"):
                    continue
                deposited = deposits.get(payout["id"])
                if deposited is None:
                    # The books follow payouts day by day: what they lack is of the last.
                    standing = "awaiting_deposit" if status == "paid" else "on_its_way"
                else:
                    standing = "matched" if deposited == amount else "amount_differs"
                yield (venue.venue_id, processor, payout["id"]), (standing, amount, deposited)


# Sales.


def _sales_reconciled(session: Session, stage: Stage) -> bool:
    rows = [dict(row._mapping) for row in session.execute(text(SALES))]
    revenue = {
        (row.venue_id, row.month, row.currency): row.taken for row in session.execute(text(REVENUE))
    }
    accounts = session.execute(text(ACCOUNTS)).all()
    shown, equal = [], True
    for venue in VENUES:
        mine = [row for row in rows if row["venue_id"] == venue.venue_id]
        taken = _taken(stage, venue)
        same_taken = taken == {
            key[1:]: sold for key, sold in revenue.items() if key[0] == venue.venue_id
        }
        earned = {
            (month, account): amount
            for month, amounts in stage.income(venue.venue_id).items()
            for account, amount in amounts.items()
            if amount
        }
        same_books = all(
            earned
            == {
                (row.month, row.account): getattr(row, figure)
                for row in accounts
                if row.venue_id == venue.venue_id and getattr(row, figure)
            }
            for figure in ("books_amount", "report_amount")
        )
        equal &= same_taken and same_books
        months = sorted({row["month"] for row in mine}, reverse=True)[:MONTHS_SHOWN]
        shown += [
            {
                "venue": venue.venue_id,
                "month": row["month"],
                "currency": row["currency"],
                "taken": _money(revenue.get((venue.venue_id, row["month"], row["currency"]))),
                "of it sales": _money(row["processor_amount"]),
                "in the books": _money(row["books_amount"]),
                "QuickBooks' report": _money(row["report_amount"]),
                "accounts that differ": ", ".join(row["differing_accounts"]) or None,
                "as the ledger": "yes" if same_taken and same_books else "NO",
            }
            for row in mine
            if row["month"] in months
        ]
    title = "\nSales against the books, and these against QuickBooks' own profit and loss"
    console().print(table(shown, tuple(shown[0]), title=title))
    return equal and not any(row["differing_accounts"] for row in rows)


def _taken(stage: Stage, venue: StageVenue) -> dict[tuple[str, str], Decimal]:
    """What was paid to the venue less what it gave back, by month of its own days and currency."""
    taken: dict[tuple[str, str], Decimal] = defaultdict(Decimal)

    def add(instant: int | str, money: Mapping[str, Any], sign: int, field: str = "amount") -> None:
        month, amount = _month(venue, instant), _major(money, field)
        taken[month, money["currency"].upper()] += sign * amount

    for charge in stage.objects(venue.venue_id, "stripe", "charges"):
        if charge["status"] == "succeeded" and charge["captured"]:
            add(charge["created"], charge, 1, "amount_captured")
    for refund in stage.objects(venue.venue_id, "stripe", "refunds"):
        # Without a movement it releases what was only authorized.
        if refund["status"] in ("succeeded", "pending") and refund["balance_transaction"]:
            add(refund["created"], refund, -1)
    for payment in stage.objects(venue.venue_id, "square", "payments"):
        if payment["status"] == "COMPLETED":
            offline = payment.get("offline_payment_details", {})
            at = offline.get("client_created_at", payment["created_at"])
            add(at, payment["total_money"], 1)
    for refund in stage.objects(venue.venue_id, "square", "refunds"):
        if refund["status"] in ("COMPLETED", "PENDING"):
            add(refund["created_at"], refund["amount_money"], -1)
    return dict(taken)


def _month(venue: StageVenue, instant: int | str) -> str:
    """The month of the venue's own day, of epoch seconds or an ISO time."""
    at = (
        datetime.fromtimestamp(instant, UTC)
        if isinstance(instant, int)
        else datetime.fromisoformat(instant)
    )
    opening = time.fromisoformat(venue.day_starts_at)
    local = at.astimezone(ZoneInfo(venue.timezone)).replace(tzinfo=None)
    return f"{local - timedelta(hours=opening.hour, minutes=opening.minute):%Y-%m}"


def _major(money: Mapping[str, Any], field: str = "amount") -> Decimal:
    """Minor units in the currency's own."""
    return Decimal(money[field]).scaleb(-get_currency_precision(money["currency"].upper()))


def _sum(rows: list[Any], figure: str, currency: str) -> str:
    total = sum((Decimal(getattr(row, figure) or 0) for row in rows), Decimal(0))
    return f"{currency} {_money(total)}"


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:,f}"
