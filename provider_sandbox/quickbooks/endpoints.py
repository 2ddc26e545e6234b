"""The entities that the stand-in serves: their names, what a query may filter and sort by, and
what change data capture tells.

Held to the published schema by tests; nothing that is not in this table is accepted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

MINOR_VERSION = 75
PAGE, MOST = 100, 1000
CAPTURED_DAYS = 30
MOST_CAPTURED = 1000


class Kind(Enum):
    """How a property is compared in a query."""

    ID = auto()
    TEXT = auto()
    NUMBER = auto()
    DATE = auto()
    TIME = auto()
    FLAG = auto()
    REF = auto()


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of object. ``ids`` names the counter that its ids come from; those with ``Active``
    hide the inactive ones unless a query asks for them; ``captured``: known to CDC."""

    stream: str
    name: str
    filters: Mapping[str, Kind]
    ids: str
    has_active: bool = False
    captured: bool = True

    @property
    def path(self) -> str:
        """Its segment in a URL."""
        return self.name.lower()


_COMMON = {"Id": Kind.ID, "MetaData.CreateTime": Kind.TIME, "MetaData.LastUpdatedTime": Kind.TIME}
_PERSON = dict.fromkeys(
    ("DisplayName", "GivenName", "MiddleName", "FamilyName", "PrintOnCheckName"), Kind.TEXT
)
_COMPANY = _PERSON | {"CompanyName": Kind.TEXT, "Balance": Kind.NUMBER}
_NUMBERED = {"DocNumber": Kind.TEXT, "TxnDate": Kind.DATE}
_TOTAL = {"TotalAmt": Kind.NUMBER}
_SALE = _NUMBERED | _TOTAL | {"CustomerRef": Kind.REF}
_NAMED = {"Name": Kind.TEXT}
_TREE = _NAMED | {"FullyQualifiedName": Kind.TEXT}


def _list(stream: str, name: str, filters: Mapping[str, Kind], ids: str | None = None) -> Entity:
    held = {**_COMMON, **filters, "Active": Kind.FLAG}
    return Entity(stream, name, held, ids or stream, has_active=True)


def _transaction(stream: str, name: str, filters: Mapping[str, Kind]) -> Entity:
    return Entity(stream, name, {**_COMMON, **filters}, "transactions")


ENTITIES = (
    Entity("company_info", "CompanyInfo", _COMMON, "company_info"),
    _list("accounts", "Account", _TREE | {
        "AccountType": Kind.TEXT, "AccountSubType": Kind.TEXT, "Classification": Kind.TEXT,
        "CurrentBalance": Kind.NUMBER, "SubAccount": Kind.FLAG, "ParentRef": Kind.REF,
    }),
    _list("customers", "Customer", _COMPANY | {"FullyQualifiedName": Kind.TEXT}, "names"),
    _list("vendors", "Vendor", _COMPANY, "names"),
    _list("employees", "Employee", _PERSON, "names"),
    _list("items", "Item", _TREE | {"Type": Kind.TEXT, "Sku": Kind.TEXT, "UnitPrice": Kind.NUMBER}),
    _transaction("invoices", "Invoice", _SALE | {"DueDate": Kind.DATE, "Balance": Kind.NUMBER}),
    _transaction("payments", "Payment", {
        "TxnDate": Kind.DATE, "TotalAmt": Kind.NUMBER, "CustomerRef": Kind.REF,
        "PaymentRefNum": Kind.TEXT,
    }),
    _transaction("sales_receipts", "SalesReceipt", _SALE),
    _transaction("refund_receipts", "RefundReceipt", _SALE),
    _transaction("credit_memos", "CreditMemo", _SALE),
    _transaction("estimates", "Estimate", _SALE | {"TxnStatus": Kind.TEXT}),
    _transaction("bills", "Bill", _NUMBERED | _TOTAL | {
        "VendorRef": Kind.REF, "DueDate": Kind.DATE, "Balance": Kind.NUMBER,
    }),
    _transaction("bill_payments", "BillPayment", _NUMBERED | _TOTAL | {"VendorRef": Kind.REF}),
    _transaction("purchases", "Purchase", _NUMBERED | _TOTAL | {
        "PaymentType": Kind.TEXT, "AccountRef": Kind.REF,
    }),
    _transaction("vendor_credits", "VendorCredit", _NUMBERED | _TOTAL | {"VendorRef": Kind.REF}),
    _transaction("deposits", "Deposit", {"TxnDate": Kind.DATE}),
    _transaction("transfers", "Transfer", {"TxnDate": Kind.DATE}),
    _transaction("journal_entries", "JournalEntry", _NUMBERED),
    Entity(
        "tax_codes", "TaxCode", {**_COMMON, **_NAMED, "Active": Kind.FLAG}, "tax_codes",
        has_active=True, captured=False,
    ),
    Entity(
        "tax_rates", "TaxRate", {**_COMMON, **_NAMED, "Active": Kind.FLAG}, "tax_rates",
        has_active=True, captured=False,
    ),
    Entity(
        "tax_agencies", "TaxAgency", {**_COMMON, "DisplayName": Kind.TEXT}, "tax_agencies",
        captured=False,
    ),
    _list("classes", "Class", _TREE),
    _list("departments", "Department", _TREE),
    _list("terms", "Term", _NAMED),
    _list("payment_methods", "PaymentMethod", _NAMED | {"Type": Kind.TEXT}),
    Entity(
        "time_activities", "TimeActivity", {**_COMMON, "TxnDate": Kind.DATE}, "time_activities",
        captured=False,
    ),
    _list("budgets", "Budget", _NAMED | {"StartDate": Kind.DATE, "EndDate": Kind.DATE}),
)  # fmt: skip

STREAMS = tuple(entity.stream for entity in ENTITIES)
BY_STREAM = {entity.stream: entity for entity in ENTITIES}
BY_NAME = {entity.name: entity for entity in ENTITIES}
BY_PATH = {entity.path: entity for entity in ENTITIES}

REPORTS = ("ProfitAndLoss", "BalanceSheet", "CashFlow")
