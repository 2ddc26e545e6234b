"""QuickBooks' streams, as data. Source: Intuit's Accounting API reference, minor version 75."""

from dataclasses import dataclass
from datetime import timedelta

from integration_pipelines.core.provider import Cadence, Metering


@dataclass(frozen=True, slots=True)
class QuickBooksStream:
    """One entity, or one report.

    ``entity`` is its name in queries and change data; ``has_active``: inactive ones are hidden
    unless asked for; ``captured``: change data capture knows of it; ``is_report``: ``entity`` names
    a report, read by basis and year.
    """

    name: str
    entity: str
    description: str
    has_active: bool = False
    captured: bool = True
    is_report: bool = False


def _list(name: str, entity: str, description: str, *, captured: bool = True) -> QuickBooksStream:
    return QuickBooksStream(name, entity, description, has_active=True, captured=captured)


def _report(name: str, entity: str, description: str) -> QuickBooksStream:
    return QuickBooksStream(name, entity, description, captured=False, is_report=True)


STREAMS = (
    QuickBooksStream("company_info", "CompanyInfo", "The company."),
    _list("accounts", "Account", "The chart of accounts."),
    _list("customers", "Customer", "Customers and jobs."),
    _list("vendors", "Vendor", "Who the company buys from."),
    _list("employees", "Employee", "Who works for the company."),
    _list("items", "Item", "Products and services."),
    QuickBooksStream("invoices", "Invoice", "Invoices with all their lines."),
    QuickBooksStream("payments", "Payment", "What customers paid towards invoices."),
    QuickBooksStream("sales_receipts", "SalesReceipt", "Sales that were paid at once."),
    QuickBooksStream("refund_receipts", "RefundReceipt", "Refunds that were paid at once."),
    QuickBooksStream("credit_memos", "CreditMemo", "Credits given to customers."),
    QuickBooksStream("estimates", "Estimate", "Offers to customers."),
    QuickBooksStream("bills", "Bill", "Bills of vendors."),
    QuickBooksStream("bill_payments", "BillPayment", "Payments of bills."),
    QuickBooksStream("purchases", "Purchase", "Expenses, cheques and card charges."),
    QuickBooksStream("vendor_credits", "VendorCredit", "Credits of vendors."),
    QuickBooksStream("deposits", "Deposit", "Deposits to bank accounts."),
    QuickBooksStream("transfers", "Transfer", "Transfers between accounts."),
    QuickBooksStream("journal_entries", "JournalEntry", "Journal entries with all their lines."),
    _list("tax_codes", "TaxCode", "Sales tax codes.", captured=False),
    _list("tax_rates", "TaxRate", "Sales tax rates.", captured=False),
    QuickBooksStream("tax_agencies", "TaxAgency", "Who taxes are paid to.", captured=False),
    _list("classes", "Class", "Classes that lines are put in."),
    _list("departments", "Department", "Departments, which QuickBooks shows as locations."),
    _list("terms", "Term", "Payment terms."),
    _list("payment_methods", "PaymentMethod", "Payment methods."),
    QuickBooksStream(
        "time_activities", "TimeActivity", "Hours that people worked.", captured=False
    ),
    _list("budgets", "Budget", "Budgets by account and month."),
    _report("profit_and_loss", "ProfitAndLoss", "QuickBooks' own profit and loss, by month."),
    _report("balance_sheet", "BalanceSheet", "QuickBooks' own balance sheet, by month."),
    _report("cash_flow", "CashFlow", "QuickBooks' own statement of cash flows, by month."),
)
"""Every stream, in the order in which they are read."""

BY_NAME = {stream.name: stream for stream in STREAMS}

BASES = ("Accrual", "Cash")

CAPTURED = tuple(stream.name for stream in STREAMS if stream.captured)
QUERIED = tuple(s.name for s in STREAMS if not s.captured and not s.is_report)
REPORTS = tuple(stream.name for stream in STREAMS if stream.is_report)

METERING = Metering(
    monthly_reads=lambda settings: int(settings.quickbooks_monthly_reads),
    cadences=(
        Cadence(CAPTURED, reads=1, every=timedelta(minutes=15), with_events=timedelta(hours=6)),
        Cadence(QUERIED, reads=len(QUERIED), every=timedelta(hours=6)),
        Cadence(REPORTS, reads=len(REPORTS) * len(BASES), every=timedelta(days=1)),
        Cadence(
            tuple(stream.name for stream in STREAMS),
            # Each list and three years of each report, and what led up to it.
            reads=2 * len(CAPTURED) + len(QUERIED) + 3 * len(REPORTS) * len(BASES),
            every=timedelta(days=7),
            full=True,
        ),
    ),
)
"""Change data first, which is one read for all; then queries; then what reads everything."""
