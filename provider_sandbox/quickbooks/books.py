"""The general ledger: what each transaction posts to which account, in the home currency.

Debits are positive. The postings of a transaction add up to nothing; what the rounding of an
exchange rate leaves goes to the account for exchange gains and losses.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from provider_sandbox.ledger import Json

Posting = tuple[str, Decimal]
"""Account id and amount."""
Find = Callable[[str, str], Json | None]
"""The object of a stream with this id."""

ZERO = Decimal(0)
STREAM_OF_TYPE = {
    "Invoice": "invoices", "CreditMemo": "credit_memos", "Payment": "payments",
    "SalesReceipt": "sales_receipts", "Bill": "bills", "VendorCredit": "vendor_credits",
    "BillPaymentCheck": "bill_payments", "BillPaymentCreditCard": "bill_payments",
    "Estimate": "estimates", "Deposit": "deposits", "RefundReceipt": "refund_receipts",
}  # fmt: skip
"""Streams by the TxnType of a link."""
ON_CREDIT = frozenset(("invoices", "credit_memos", "bills", "vendor_credits"))
"""What a cash-basis report counts only when it is paid."""


@dataclass(slots=True)
class Chart:
    """The accounts that transactions post to without naming them. ``receivable`` and ``payable``
    are by currency, ``tax`` by the id of the tax rate."""

    receivable: dict[str, str]
    payable: dict[str, str]
    tax: dict[str, str]
    undeposited: str
    exchange: str
    places: Decimal


@dataclass(slots=True)
class Entry:
    """The postings of one transaction on its date, YYYY-MM-DD."""

    date: str
    postings: tuple[Posting, ...]


class Books:
    """The entries of all transactions that exist, on accrual basis, and by request on cash basis.

    ``version`` grows with each change.
    """

    def __init__(self, chart: Chart, find: Find) -> None:
        self.chart = chart
        self.find = find
        self.entries: dict[tuple[str, str], Entry] = {}
        self.balances: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.version = 0
        self._cash: tuple[int, list[Entry]] = (-1, [])

    def post(self, stream: str, found: Json) -> set[str]:
        """Enter a transaction in the place of what it posted before; gives the accounts touched."""
        touched = self.remove(stream, found["Id"])
        entry = Entry(found.get("TxnDate", ""), tuple(self._postings(stream, found)))
        for account, amount in entry.postings:
            self.balances[account] += amount
            touched.add(account)
        self.entries[stream, found["Id"]] = entry
        return touched

    def remove(self, stream: str, id: str) -> set[str]:
        self.version += 1
        entry = self.entries.pop((stream, id), None)
        if entry is None:
            return set()
        for account, amount in entry.postings:
            self.balances[account] -= amount
        return {account for account, _ in entry.postings}

    def basis(self, method: str) -> Iterable[Entry]:
        """All entries on the basis "Accrual" or "Cash"."""
        if method == "Accrual":
            return self.entries.values()
        if self._cash[0] != self.version:
            self._cash = (self.version, [*self._on_cash_basis()])
        return self._cash[1]

    def _on_cash_basis(self) -> Iterator[Entry]:
        for (stream, id), entry in self.entries.items():
            if stream in ON_CREDIT:
                continue
            if stream in ("payments", "bill_payments"):
                found = self.find(stream, id)
                if found is not None:
                    yield Entry(entry.date, tuple(self._paid(stream, found)))
            else:
                yield entry

    def _paid(self, stream: str, found: Json) -> Iterator[Posting]:
        """What a payment posts where income and expenses count when they are paid."""
        over = ZERO
        for account, amount, paid in self._settlement(stream, found):
            over -= amount
            entry = self.entries.get(paid) if paid else None
            if entry is None or not entry.postings:
                yield account, amount
                continue
            (_, owed), *rest = entry.postings
            left = amount
            for position, (against, share) in enumerate(rest):
                part = self._round(share * amount / -owed)
                if position == len(rest) - 1:
                    part = left
                left -= part
                yield against, part
        if over:
            yield self.chart.exchange, over

    def _postings(self, stream: str, found: Json) -> Iterator[Posting]:
        left = ZERO
        for account, amount in _RULES[stream](self, found) if stream in _RULES else ():
            if amount:
                left -= amount
                yield account, amount
        if left:
            yield self.chart.exchange, left

    def _home(self, amount: Decimal | int, found: Json) -> Decimal:
        return self._round(amount * Decimal(found.get("ExchangeRate", 1)))

    def _round(self, amount: Decimal) -> Decimal:
        return amount.quantize(self.chart.places, ROUND_HALF_UP)

    def _sale(self, found: Json) -> Iterator[Posting]:
        yield from self._sold(found, 1)

    def _return(self, found: Json) -> Iterator[Posting]:
        yield from self._sold(found, -1)

    def _sold(self, found: Json, sign: int) -> Iterator[Posting]:
        to = found.get("DepositToAccountRef")
        account = to["value"] if to else self.chart.receivable[found["CurrencyRef"]["value"]]
        yield account, sign * self._home(found["TotalAmt"], found)
        for line in opened(found["Line"]):
            amount = sign * self._home(line["Amount"], found)
            match line["DetailType"]:
                case "SalesItemLineDetail":
                    yield line["SalesItemLineDetail"]["ItemAccountRef"]["value"], -amount
                case "DiscountLineDetail":
                    yield line["DiscountLineDetail"]["DiscountAccountRef"]["value"], amount
        for line in found.get("TxnTaxDetail", {}).get("TaxLine", ()):
            rate = line["TaxLineDetail"]["TaxRateRef"]["value"]
            yield self.chart.tax[rate], -sign * self._home(line["Amount"], found)

    def _settlement(
        self, stream: str, found: Json
    ) -> Iterator[tuple[str, Decimal, tuple[str, str] | None]]:
        """Postings of a payment, each with the document that it settles, if any."""
        currency = found["CurrencyRef"]["value"]
        received = stream == "payments"
        accounts = self.chart.receivable if received else self.chart.payable
        sign = 1 if received else -1
        yield _paid_through(found, received), sign * self._home(found["TotalAmt"], found), None
        for line in found["Line"]:
            (link,) = line["LinkedTxn"]
            settled = STREAM_OF_TYPE[link["TxnType"]], link["TxnId"]
            document = self.find(*settled) or found
            way = -sign if settled[0] in ("invoices", "bills") else sign
            yield accounts[currency], way * self._home(line["Amount"], document), settled
        if found.get("UnappliedAmt"):
            yield accounts[currency], -sign * self._home(found["UnappliedAmt"], found), None

    def _payment(self, found: Json) -> Iterator[Posting]:
        for account, amount, _ in self._settlement("payments", found):
            yield account, amount

    def _bill_payment(self, found: Json) -> Iterator[Posting]:
        for account, amount, _ in self._settlement("bill_payments", found):
            yield account, amount

    def _bill(self, found: Json) -> Iterator[Posting]:
        yield from self._spent(found, found["APAccountRef"]["value"], 1)

    def _vendor_credit(self, found: Json) -> Iterator[Posting]:
        yield from self._spent(found, found["APAccountRef"]["value"], -1)

    def _purchase(self, found: Json) -> Iterator[Posting]:
        yield from self._spent(found, found["AccountRef"]["value"], -1 if found["Credit"] else 1)

    def _spent(self, found: Json, account: str, sign: int) -> Iterator[Posting]:
        yield account, -sign * self._home(found["TotalAmt"], found)
        for line in found["Line"]:
            detail = line["AccountBasedExpenseLineDetail"]
            yield detail["AccountRef"]["value"], sign * self._home(line["Amount"], found)

    def _deposit(self, found: Json) -> Iterator[Posting]:
        yield found["DepositToAccountRef"]["value"], self._home(found["TotalAmt"], found)
        for line in found["Line"]:
            detail = line.get("DepositLineDetail")
            account = detail["AccountRef"]["value"] if detail else self.chart.undeposited
            yield account, -self._home(line["Amount"], found)

    def _transfer(self, found: Json) -> Iterator[Posting]:
        yield found["ToAccountRef"]["value"], found["Amount"]
        yield found["FromAccountRef"]["value"], -found["Amount"]

    def _journal_entry(self, found: Json) -> Iterator[Posting]:
        for line in found["Line"]:
            detail = line["JournalEntryLineDetail"]
            sign = 1 if detail["PostingType"] == "Debit" else -1
            yield detail["AccountRef"]["value"], sign * line["Amount"]


def opened(lines: Iterable[Json]) -> Iterator[Json]:
    """The lines of a sale, bundles as those of the items in them."""
    for line in lines:
        yield from line["GroupLineDetail"]["Line"] if "GroupLineDetail" in line else (line,)


def _paid_through(found: Json, received: bool) -> str:
    if received:
        account: str = found["DepositToAccountRef"]["value"]
    elif found["PayType"] == "Check":
        account = found["CheckPayment"]["BankAccountRef"]["value"]
    else:
        account = found["CreditCardPayment"]["CCAccountRef"]["value"]
    return account


_RULES: Mapping[str, Callable[[Books, Json], Iterator[Posting]]] = {
    "invoices": Books._sale,
    "sales_receipts": Books._sale,
    "refund_receipts": Books._return,
    "credit_memos": Books._return,
    "payments": Books._payment,
    "bills": Books._bill,
    "bill_payments": Books._bill_payment,
    "vendor_credits": Books._vendor_credit,
    "purchases": Books._purchase,
    "deposits": Books._deposit,
    "transfers": Books._transfer,
    "journal_entries": Books._journal_entry,
}
