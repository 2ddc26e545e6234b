"""A million rows of one stream without a history: bodies are made when they are read."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from zlib import crc32
from zoneinfo import ZoneInfo

from provider_sandbox.ledger import Json
from provider_sandbox.quickbooks import shapes
from provider_sandbox.quickbooks.account import QuickBooksAccount, Recipe, encode
from provider_sandbox.quickbooks.endpoints import BY_STREAM

ID, AMOUNT = "\0id", Decimal("7777777.77")
CREATED, UPDATED, DATE = "\0created", "\0updated", "\0date"


def fill(account: QuickBooksAccount, rows: Mapping[str, int], *, since: int, until: int) -> None:
    """Put so many rows into each stream, evenly spread over the time between two seconds.

    They name no object of another stream that exists, and post nothing. Raises ValueError for a
    stream that cannot be filled so.
    """
    for stream, count in rows.items():
        if stream not in SAMPLES:
            known = ", ".join(SAMPLES)
            raise ValueError(f"only {known} can be filled without a history, not {stream!r}")
        recipe = _recipe(SAMPLES[stream](account), account.zone)
        for number in range(count):
            created = since + (until - since) * number // count
            id = account.next_id(BY_STREAM[stream])
            account.tables[stream].add(id, created, True, recipe)


def _recipe(sample: Json, zone: ZoneInfo) -> Recipe:
    """Makes bodies like the sample, with an amount that follows from the id."""
    template = encode(sample | {
        "domain": "QBO", "sparse": False, "Id": ID, "SyncToken": "0",
        "MetaData": {"CreateTime": CREATED, "LastUpdatedTime": UPDATED},
    }).replace(b"%", b"%%")  # fmt: skip
    for mark, place in (
        (encode(ID)[1:-1], b"%(id)b"),
        (encode(CREATED)[1:-1], b"%(created)b"),
        (encode(UPDATED)[1:-1], b"%(updated)b"),
        (encode(DATE)[1:-1], b"%(date)b"),
        (str(AMOUNT).encode(), b"%(amount)d.%(cents)02d"),
    ):
        template = template.replace(mark, place)

    @lru_cache(maxsize=4096)
    def time(at: int) -> bytes:
        return datetime.fromtimestamp(at, zone).isoformat().encode()

    def recipe(id: str, created: int, updated: int) -> bytes:
        encoded = id.encode()
        at = time(created)
        cents = 100 + crc32(encoded) % 50_000
        return template % {
            b"id": encoded, b"created": at, b"updated": time(updated), b"date": at[:10],
            b"amount": cents // 100, b"cents": cents % 100,
        }  # fmt: skip

    return recipe


def _customer(account: QuickBooksAccount) -> Json:
    customer = shapes.customer(
        given="Zoë", family=f"\"Z\" Løw {ID}", company=None, email=f"{ID}@mail.example",
        phone=None, address=None, currency=account.currency, taxable=True, term=None,
    )  # fmt: skip
    return customer | {"Balance": AMOUNT}


def _sale(account: QuickBooksAccount) -> Json:
    return {
        "DocNumber": ID, "TxnDate": DATE, "TotalAmt": AMOUNT, "Balance": AMOUNT,
        "CurrencyRef": shapes.currency_ref(account.currency),
        "CustomerRef": shapes.ref("1", "Zoë \"Z\" Løw"), "PrivateNote": "Tickets & bar",
        "Line": [
            {
                "Id": "1", "LineNum": 1, "Amount": AMOUNT, "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {
                    "ItemRef": shapes.ref("1", "General Admission"), "Qty": 1,
                    "UnitPrice": AMOUNT, "TaxCodeRef": shapes.ref("NON"),
                    "ItemAccountRef": shapes.ref("14", "Ticket Sales"),
                },
            },
            shapes.subtotal_line(AMOUNT),
        ],
        "TxnTaxDetail": {"TotalTax": 0},
    }  # fmt: skip


def _invoice(account: QuickBooksAccount) -> Json:
    return _sale(account) | {"DueDate": DATE, "EmailStatus": "NotSet", "LinkedTxn": []}


def _receipt(account: QuickBooksAccount) -> Json:
    return _sale(account) | {
        "Balance": 0, "DepositToAccountRef": shapes.ref("5", "Undeposited Funds"),
    }  # fmt: skip


def _payment(account: QuickBooksAccount) -> Json:
    return {
        "TxnDate": DATE, "TotalAmt": AMOUNT, "UnappliedAmt": AMOUNT, "ProcessPayment": False,
        "CurrencyRef": shapes.currency_ref(account.currency),
        "CustomerRef": shapes.ref("1", "Zoë \"Z\" Løw"), "Line": [], "LinkedTxn": [],
        "DepositToAccountRef": shapes.ref("5", "Undeposited Funds"),
    }  # fmt: skip


SAMPLES: Mapping[str, Callable[[QuickBooksAccount], Json]] = {
    "customers": _customer,
    "invoices": _invoice,
    "sales_receipts": _receipt,
    "payments": _payment,
}
"""The streams that can be filled."""
