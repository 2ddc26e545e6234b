"""What every part of a company's life stands on: its time, its queue, and small tools."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from provider_sandbox.ledger import Json
from provider_sandbox.life import Life
from provider_sandbox.quickbooks import shapes
from provider_sandbox.quickbooks.account import QuickBooksAccount

USD_VALUE = {
    "USD": Decimal("1"), "EUR": Decimal("1.0832"), "GBP": Decimal("1.2714"),
    "JPY": Decimal("0.00671"), "KWD": Decimal("3.2552"), "CAD": Decimal("0.7312"),
    "AUD": Decimal("0.6598"), "CHF": Decimal("1.1324"),
}  # fmt: skip
"""US dollars for one unit; the currencies that the stand-in knows."""

SHOWN_AT_HOME = frozenset(
    (
        "invoices", "sales_receipts", "refund_receipts", "credit_memos", "estimates", "deposits",
        "journal_entries",
    )
)  # fmt: skip
"""Transactions with HomeTotalAmt."""


class Ground(Life[QuickBooksAccount]):
    """Steps are methods; one due later waits in a queue until the company's time comes to it.

    ``safe``: what waits to be deposited, by type and id; ``deposited``: deposits by the payout that
    they are of.
    """

    def __init__(self, account: QuickBooksAccount) -> None:
        super().__init__(account)
        self.role: dict[str, Json] = {}
        self.safe: dict[tuple[str, str], None] = {}
        self.deposited: dict[str, str] = {}

    def add(self, stream: str, fields: Json, *, id: str | None = None) -> Json:
        return self.account.add(stream, fields, at=self.at, id=id)

    def change(self, stream: str, id: str, changes: Json) -> Json:
        return self.account.change(stream, id, changes, at=self.at)

    def existing(self, stream: str, id: str) -> Json:
        """Raises LookupError."""
        found = self.account.find(stream, id)
        if found is None:
            raise LookupError(f"there is no {id!r} in {stream} of company {self.account.slug!r}")
        return found

    def first(self, stream: str, fits: Callable[[Json], Any] = bool) -> Json | None:
        """A random active object that fits, or None."""
        return next((one for one in self.account.any_of(stream) if fits(one)), None)

    def some(self, stream: str) -> Json:
        """A random active object of a stream that is never empty."""
        found = self.first(stream)
        if found is None:
            raise LookupError(f"company {self.account.slug!r} has no active {stream} left")
        return found

    def one_of(self, *steps: Callable[[], Json | None]) -> Json | None:
        for step in self.random.sample(steps, len(steps)):
            done = step()
            if done is not None:
                return done
        return None

    def price(self, dollars: float | Decimal, currency: str | None = None) -> Decimal:
        """An amount in US dollars as a likely amount of a currency (None: the company's own)."""
        currency = currency or self.account.currency
        return self.account.amount(Decimal(dollars) / USD_VALUE[currency], currency)

    def today(self) -> str:
        return self.account.date(self.at)

    def transact(self, stream: str, currency: str, total: Decimal, **fields: Any) -> Json:
        """Add a transaction of today; in a company of several currencies with its exchange rate
        and, where the API shows them, with what is due and its total in home currency."""
        account = self.account
        common: Json = {"TxnDate": self.today(), "CurrencyRef": shapes.currency_ref(currency)}
        if account.multicurrency:
            rate = common["ExchangeRate"] = self.rate(currency)
            if stream in SHOWN_AT_HOME:
                common["HomeTotalAmt"] = account.amount(total * rate)
            if stream in ("invoices", "bills"):
                common["HomeBalance"] = account.amount(total * rate)
        return self.add(stream, common | {"TotalAmt": total} | shapes.present(**fields))

    def rate(self, currency: str) -> Decimal:
        """Home currency for one unit, moving by a percent either way."""
        if currency == self.account.currency:
            return Decimal(1)
        rate = USD_VALUE[currency] / USD_VALUE[self.account.currency]
        wobble = Decimal(str(round(self.random.uniform(0.99, 1.01), 4)))
        return (rate * wobble).quantize(Decimal("0.000001"))

    def spread(self, count: int, since: int, until: int) -> Sequence[int]:
        """So many seconds between two, some of them equal."""
        times = []
        for _ in range(count):
            at = self.random.randint(since, until)
            times.append(at - at % 60 if self.random.random() < 0.1 else at)
        return sorted(times)
