"""QuickBooks' streams, as data. Source: Intuit's Accounting API reference, minor version 75."""

from dataclasses import dataclass
from datetime import timedelta

from integration_pipelines.core.provider import Cadence, Metering


@dataclass(frozen=True, slots=True)
class QuickBooksStream:
    """One entity, or one report.

    ``entity`` is its name in queries and change data; ``has_active``: inactive ones are hidden
    unless asked for; ``captured``: change data capture knows of it; ``is_report``: ``entity`` names
    a report, read by basis and month; ``divided``: there may be so many that a pass reads windows
    of them side by side. A row's id is its ``Id``, a report's "BASIS/YYYY-MM".
    """

    name: str
    entity: str
    description: str
    has_active: bool = False
    captured: bool = True
    is_report: bool = False
    divided: bool = False


def _list(name: str, entity: str, description: str, *, captured: bool = True) -> QuickBooksStream:
    return QuickBooksStream(name, entity, description, has_active=True, captured=captured)


def _transactions(
    name: str, entity: str, description: str, *, captured: bool = True
) -> QuickBooksStream:
    return QuickBooksStream(name, entity, description, captured=captured, divided=True)


def _report(name: str, entity: str, description: str) -> QuickBooksStream:
    return QuickBooksStream(name, entity, description, captured=False, is_report=True)


STREAMS = (
    QuickBooksStream("company_info", "CompanyInfo", "The company."),
    _list("accounts", "Account", "The chart of accounts."),
    _list("customers", "Customer", "Customers and jobs."),
    _list("vendors", "Vendor", "Who the company buys from."),
    _list("employees", "Employee", "Who works for the company."),
    _list("items", "Item", "Products and services."),
    _transactions("invoices", "Invoice", "Invoices with all their lines."),
    _transactions("payments", "Payment", "What customers paid towards invoices."),
    _transactions("sales_receipts", "SalesReceipt", "Sales that were paid at once."),
    _transactions("refund_receipts", "RefundReceipt", "Refunds that were paid at once."),
    _transactions("credit_memos", "CreditMemo", "Credits given to customers."),
    _transactions("estimates", "Estimate", "Offers to customers."),
    _transactions("bills", "Bill", "Bills of vendors."),
    _transactions("bill_payments", "BillPayment", "Payments of bills."),
    _transactions("purchases", "Purchase", "Expenses, cheques and card charges."),
    _transactions("vendor_credits", "VendorCredit", "Credits of vendors."),
    _transactions("deposits", "Deposit", "Deposits to bank accounts."),
    _transactions("transfers", "Transfer", "Transfers between accounts."),
    _transactions("journal_entries", "JournalEntry", "Journal entries with all their lines."),
    _list("tax_codes", "TaxCode", "Sales tax codes.", captured=False),
    _list("tax_rates", "TaxRate", "Sales tax rates.", captured=False),
    QuickBooksStream("tax_agencies", "TaxAgency", "Who taxes are paid to.", captured=False),
    _list("classes", "Class", "Classes that lines are put in."),
    _list("departments", "Department", "Departments, which QuickBooks shows as locations."),
    _list("terms", "Term", "Payment terms."),
    _list("payment_methods", "PaymentMethod", "Payment methods."),
    _transactions("time_activities", "TimeActivity", "Hours that people worked.", captured=False),
    _list("budgets", "Budget", "Budgets by account and month."),
    _report("profit_and_loss", "ProfitAndLoss", "QuickBooks' own profit and loss of a month."),
    _report("balance_sheet", "BalanceSheet", "QuickBooks' own balance sheet of a month."),
    _report("cash_flow", "CashFlow", "QuickBooks' own statement of cash flows of a month."),
)
"""Every stream, in the order in which they are read."""

BY_NAME = {stream.name: stream for stream in STREAMS}

BASES = ("Accrual", "Cash")

CAPTURED = tuple(stream.name for stream in STREAMS if stream.captured)
QUERIED = tuple(s.name for s in STREAMS if not s.captured and not s.is_report)
REPORTS = tuple(stream.name for stream in STREAMS if stream.is_report)

REPORT_MONTHS = 36
"""Months of reports that a first load reads, where the company is that old."""
REPORTS_A_MONTH = len(REPORTS) * len(BASES)
READ_AGAIN = 1
"""Months whose reports have changed since they were read, as a rule: the present one."""


def _whole(stream: QuickBooksStream) -> int:
    """Reads of a full pass: what is new, and then every page, or every month."""
    if stream.is_report:
        return len(BASES) * (1 + READ_AGAIN + 1 + REPORT_MONTHS) + 3
    return 2 if stream.divided else 1


METERING = Metering(
    monthly_reads=lambda settings: int(settings.quickbooks_monthly_reads),
    cadences=(
        Cadence(CAPTURED, reads=1, every=timedelta(minutes=15), with_events=timedelta(hours=6)),
        Cadence(QUERIED, reads=len(QUERIED), every=timedelta(hours=6)),
        Cadence(REPORTS, reads=1 + REPORTS_A_MONTH * (1 + READ_AGAIN), every=timedelta(days=1)),
        *(
            Cadence((stream.name,), reads=_whole(stream), every=timedelta(days=7), reading="pass")
            for stream in STREAMS
        ),
        # A number of each, and since when there are reports.
        Cadence(
            tuple(stream.name for stream in STREAMS),
            reads=len(STREAMS) - len(REPORTS) + 2,
            every=timedelta(days=7),
            reading="census",
        ),
    ),
)
"""Change data first, which is one read for all; then queries; then what reads everything, a stream
by itself so that they can take turns; then what counts."""
