"""Profit and loss, balance sheet and cash flow, computed from the postings."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from provider_sandbox.ledger import Json
from provider_sandbox.quickbooks.account import QuickBooksAccount
from provider_sandbox.quickbooks.faults import invalid_parameter

Values = list[Decimal]
"""One amount a column."""

ZERO = Decimal(0)
PARAMETERS = (
    "start_date", "end_date", "date_macro", "accounting_method", "summarize_column_by",
)  # fmt: skip
PROFIT_AND_LOSS = frozenset(
    ("Income", "Cost of Goods Sold", "Expense", "Other Income", "Other Expense")
)


@dataclass(frozen=True, slots=True)
class Period:
    """A column: both days belong to it."""

    title: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str
    type: str
    subtype: str


class Statement:
    """The amounts of one report by account and period, debits positive."""

    def __init__(self, account: QuickBooksAccount, periods: Sequence[Period], method: str) -> None:
        self.periods = periods
        self.accounts = [
            Account(one["Id"], one["Name"], one["AccountType"], one["AccountSubType"])
            for one in account.objects("accounts")
        ]
        self._days: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(
            lambda: defaultdict(Decimal)
        )
        for entry in account.books.basis(method):
            for id, amount in entry.postings:
                self._days[id][entry.date] += amount

    def moved(self, id: str, since: Callable[[Period], date] | None = None) -> Values:
        """What was posted in each period, or since another day than its first."""
        return [
            self._between(id, (since(one) if since else one.first).isoformat(), one.last)
            for one in self.periods
        ]

    def stands(self, id: str) -> Values:
        """What was posted up to the end of each period."""
        return [self._between(id, "", one.last) for one in self.periods]

    def stood(self, id: str) -> Values:
        """What was posted before each period."""
        return [self._between(id, "", one.first - timedelta(days=1)) for one in self.periods]

    def _between(self, id: str, first: str, last: date) -> Decimal:
        until = last.isoformat()
        days = self._days[id]
        return sum((amount for day, amount in days.items() if first <= day <= until), ZERO)

    def nothing(self) -> Values:
        return [ZERO] * len(self.periods)

    def of(self, *types: str) -> Iterable[Account]:
        return (one for one in self.accounts if one.type in types)

    def income(self, values: Callable[[str], Values]) -> Values:
        """Income less expenses."""
        return total(
            [_turned(values(one.id), -1) for one in self.of(*PROFIT_AND_LOSS)], self.nothing()
        )

    def rows(
        self, accounts: Iterable[Account], values: Callable[[str], Values], sign: int
    ) -> tuple[list[Json], Values]:
        """A row for each account that has an amount, and their total."""
        rows, amounts = [], []
        for one in accounts:
            found = _turned(values(one.id), sign)
            if any(found):
                rows.append({"ColData": _cells(one.name, found, one.id), "type": "Data"})
                amounts.append(found)
        return rows, total(amounts, self.nothing())


def total(amounts: Iterable[Values], start: Values) -> Values:
    for one in amounts:
        start = [left + right for left, right in zip(start, one, strict=True)]
    return start


def _turned(values: Values, sign: int) -> Values:
    return [sign * value for value in values]


def _cells(name: str, values: Values, id: str | None = None) -> list[Json]:
    """A label and an amount for each period, and (of several) their sum."""
    first: Json = {"value": name} if id is None else {"value": name, "id": id}
    return [first, *({"value": f"{value:.2f}"} for value in values)]


def report(account: QuickBooksAccount, name: str, query: Mapping[str, str], time: str) -> Json:
    """The body of a report. Raises Refused for a parameter that cannot be."""
    for parameter in query:
        if parameter not in PARAMETERS:
            raise invalid_parameter(parameter, query[parameter])
    today = date.fromisoformat(account.date(account.clock.now()))
    first, last = _range(query, today)
    summarized = _choice(query, "summarize_column_by", ("Total", *SPLITS))
    method = _choice(query, "accounting_method", ("Accrual", "Cash"))
    split = summarized != "Total"
    whole = Period("Total", first, last)
    periods = [*SPLITS[summarized](first, last)] if split else [whole]
    if split and name != "BalanceSheet":
        periods.append(whole)
    statement = Statement(account, periods, method)
    rows = BODIES[name](statement)
    columns = [_column("", "Account", {"ColKey": "account"})]
    for period in periods:
        key = {"ColKey": "total"} if period is whole else {
            "StartDate": period.first.isoformat(), "EndDate": period.last.isoformat(),
            "ColKey": period.title,
        }  # fmt: skip
        columns.append(_column(period.title, "Money", key))
    macro = query.get("date_macro") or (None if "start_date" in query else DEFAULT_MACRO)
    header: Json = {"Time": time, "ReportName": name}
    if macro is not None:
        header["DateMacro"] = macro.lower()
    options = {"AccountingStandard": "GAAP", "NoReportData": str(not account.books.entries).lower()}
    header |= {
        "ReportBasis": method, "StartPeriod": first.isoformat(), "EndPeriod": last.isoformat(),
        "SummarizeColumnsBy": summarized, "Currency": account.currency,
        "Option": [{"Name": name, "Value": value} for name, value in options.items()],
    }  # fmt: skip
    return {"Header": header, "Columns": {"Column": columns}, "Rows": {"Row": rows}}


def _column(title: str, type: str, keys: Mapping[str, str]) -> Json:
    pairs = [{"Name": name, "Value": value} for name, value in keys.items()]
    return {"ColTitle": title, "ColType": type, "MetaData": pairs}


def _choice(query: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    value = query.get(name, choices[0])
    if value not in choices:
        raise invalid_parameter(name, value)
    return value


def _range(query: Mapping[str, str], today: date) -> tuple[date, date]:
    macro = query.get("date_macro", DEFAULT_MACRO)
    if macro not in MACROS:
        raise invalid_parameter("date_macro", macro)
    first, last = MACROS[macro](today)
    for name in ("start_date", "end_date"):
        if name in query:
            try:
                day = date.fromisoformat(query[name])
            except ValueError:
                raise invalid_parameter(name, query[name]) from None
            first, last = (day, last) if name == "start_date" else (first, day)
    if first > last and "start_date" not in query:
        first = date(last.year, 1, 1)
    if first > last:
        raise invalid_parameter("start_date", query["start_date"])
    return first, last


def _month_after(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


ONE_DAY = timedelta(days=1)
DEFAULT_MACRO = "This Fiscal Year-to-date"
MACROS: Mapping[str, Callable[[date], tuple[date, date]]] = {
    "Today": lambda today: (today, today),
    "Yesterday": lambda today: (today - ONE_DAY, today - ONE_DAY),
    "This Month": lambda today: (today.replace(day=1), _month_after(today) - ONE_DAY),
    "This Month-to-date": lambda today: (today.replace(day=1), today),
    "Last Month": lambda today: (
        (today.replace(day=1) - ONE_DAY).replace(day=1), today.replace(day=1) - ONE_DAY,
    ),
    "This Fiscal Year": lambda today: (date(today.year, 1, 1), date(today.year, 12, 31)),
    "This Fiscal Year-to-date": lambda today: (date(today.year, 1, 1), today),
    "Last Fiscal Year": lambda today: (
        date(today.year - 1, 1, 1), date(today.year - 1, 12, 31),
    ),
    "This Calendar Year": lambda today: (date(today.year, 1, 1), date(today.year, 12, 31)),
    "This Calendar Year-to-date": lambda today: (date(today.year, 1, 1), today),
    "All": lambda today: (date(2000, 1, 1), today),
}  # fmt: skip
"""First and last day by the name of a range; the fiscal year is the calendar's."""


def _days(first: date, last: date) -> Iterable[Period]:
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        yield Period(f"{day:%b} {day.day}, {day.year}", day, day)


def _months(first: date, last: date, length: int = 1) -> Iterable[Period]:
    while first <= last:
        end = first.replace(day=1)
        for _ in range(length - (end.month - 1) % length):
            end = _month_after(end)
        until = min(end - ONE_DAY, last)
        title = f"{first:%b %Y}" if length == 1 else f"{first:%b} - {until:%b %Y}"
        yield Period(str(first.year) if length == 12 else title, first, until)
        first = end


SPLITS: Mapping[str, Callable[[date, date], Iterable[Period]]] = {
    "Days": _days,
    "Month": _months,
    "Quarter": lambda first, last: _months(first, last, 3),
    "Year": lambda first, last: _months(first, last, 12),
}


def _section(
    title: str | None, rows: Sequence[Json], label: str, values: Values, group: str
) -> Json:
    """A section with its summary; without a title it is the summary alone."""
    section: Json = {}
    if title is not None:
        blank = [{"value": ""} for _ in values]
        section["Header"] = {"ColData": [{"value": title}, *blank]}
        section["Rows"] = {"Row": list(rows)} if rows else {}
    section["Summary"] = {"ColData": _cells(label, values)}
    return section | {"type": "Section", "group": group}


def _profit_and_loss(statement: Statement) -> list[Json]:
    rows: list[Json] = []
    amounts: dict[str, Values] = {}
    for type, title, group, sign in (
        ("Income", "Income", "Income", -1),
        ("Cost of Goods Sold", "Cost of Goods Sold", "COGS", 1),
        (None, "Gross Profit", "GrossProfit", 0),
        ("Expense", "Expenses", "Expenses", 1),
        (None, "Net Operating Income", "NetOperatingIncome", 0),
        ("Other Income", "Other Income", "OtherIncome", -1),
        ("Other Expense", "Other Expenses", "OtherExpenses", 1),
        (None, "Net Other Income", "NetOtherIncome", 0),
        (None, "Net Income", "NetIncome", 0),
    ):
        if type is None:
            plus, minus = DIFFERENCES[group]
            amounts[group] = total([amounts[plus], _turned(amounts[minus], -1)],
                                   statement.nothing())  # fmt: skip
            if group == "NetIncome":
                amounts[group] = total([amounts["NetOtherIncome"]], amounts["NetOperatingIncome"])
            rows.append(_section(None, (), title, amounts[group], group))
            continue
        inner, amounts[group] = statement.rows(statement.of(type), statement.moved, sign)
        if inner or group in ("Income", "Expenses"):
            rows.append(_section(title, inner, f"Total {title}", amounts[group], group))
    return rows


DIFFERENCES = {
    "GrossProfit": ("Income", "COGS"),
    "NetOperatingIncome": ("GrossProfit", "Expenses"),
    "NetOtherIncome": ("OtherIncome", "OtherExpenses"),
    "NetIncome": ("NetOperatingIncome", "NetOtherIncome"),
}

ASSETS = (
    ("Current Assets", "CurrentAssets", (
        ("Bank Accounts", "BankAccounts", "Bank"),
        ("Accounts Receivable", "AR", "Accounts Receivable"),
        ("Other Current Assets", "OtherCurrentAssets", "Other Current Asset"),
    )),
    ("Fixed Assets", "FixedAssets", "Fixed Asset"),
)  # fmt: skip
LIABILITIES = (
    ("Current Liabilities", "CurrentLiabilities", (
        ("Accounts Payable", "AP", "Accounts Payable"),
        ("Credit Cards", "CreditCards", "Credit Card"),
        ("Other Current Liabilities", "OtherCurrentLiabilities", "Other Current Liability"),
    )),
    ("Long-Term Liabilities", "LongTermLiabilities", "Long Term Liability"),
)  # fmt: skip


def _tree(statement: Statement, branches: Sequence, sign: int) -> tuple[list[Json], Values]:  # type: ignore[type-arg]
    """Sections of (title, group, account type or smaller branches), and their total."""
    rows, amounts = [], []
    for title, group, inner in branches:
        if isinstance(inner, str):
            found, values = statement.rows(statement.of(inner), statement.stands, sign)
        else:
            found, values = _tree(statement, inner, sign)
        if found:
            rows.append(_section(title, found, f"Total {title}", values, group))
            amounts.append(values)
    return rows, total(amounts, statement.nothing())


def _balance_sheet(statement: Statement) -> list[Json]:
    def new_year(period: Period) -> date:
        return date(period.last.year, 1, 1)

    assets, asset_total = _tree(statement, ASSETS, 1)
    owed, owed_total = _tree(statement, LIABILITIES, -1)
    net = statement.income(lambda id: statement.moved(id, new_year))
    earlier = total([_turned(net, -1)], statement.income(statement.stands))
    retained = next(one for one in statement.accounts if one.subtype == "RetainedEarnings")

    def equity_of(id: str) -> Values:
        values = statement.stands(id)
        return total([_turned(earlier, -1)], values) if id == retained.id else values

    equity, equity_total = statement.rows(statement.of("Equity"), equity_of, -1)
    equity.append({"ColData": _cells("Net Income", net), "type": "Data", "group": "NetIncome"})
    equity_total = total([net], equity_total)
    both = [
        _section("Liabilities", owed, "Total Liabilities", owed_total, "Liabilities"),
        _section("Equity", equity, "Total Equity", equity_total, "Equity"),
    ]
    return [
        _section("ASSETS", assets, "TOTAL ASSETS", asset_total, "TotalAssets"),
        _section(
            "LIABILITIES AND EQUITY", both, "TOTAL LIABILITIES AND EQUITY",
            total([owed_total], equity_total), "TotalLiabilitiesAndEquity",
        ),
    ]  # fmt: skip


def _cash_flow(statement: Statement) -> list[Json]:
    cash = [
        one for one in statement.accounts
        if one.type == "Bank" or one.subtype == "UndepositedFunds"
    ]  # fmt: skip

    def others(*types: str) -> Iterable[Account]:
        return (one for one in statement.of(*types) if one not in cash)

    net = statement.income(statement.moved)
    adjusted, adjustment = statement.rows(
        others("Accounts Receivable", "Other Current Asset", "Accounts Payable", "Credit Card",
               "Other Current Liability"),
        statement.moved, -1,
    )  # fmt: skip
    invested, investment = statement.rows(others("Fixed Asset"), statement.moved, -1)
    financed, financing = statement.rows(
        others("Long Term Liability", "Equity"), statement.moved, -1
    )
    operating = total([adjustment], net)
    change = total([investment, financing], operating)
    before = total([statement.stood(one.id) for one in cash], statement.nothing())
    label = "Adjustments to reconcile Net Income to Net Cash provided by operations:"
    rows: list[Json] = [
        {"ColData": _cells("Net Income", net), "type": "Data", "group": "NetIncome"},
        _section(label, adjusted, f"Total {label}", adjustment, "OperatingAdjustments"),
    ]
    sections = [
        _section("OPERATING ACTIVITIES", rows, "Net cash provided by operating activities",
                 operating, "OperatingActivities"),
    ]  # fmt: skip
    for title, found, values, group in (
        ("INVESTING", invested, investment, "InvestingActivities"),
        ("FINANCING", financed, financing, "FinancingActivities"),
    ):
        if found:
            label = f"Net cash provided by {title.lower()} activities"
            sections.append(_section(f"{title} ACTIVITIES", found, label, values, group))
    return [
        *sections,
        _section(None, (), "NET CASH INCREASE FOR PERIOD", change, "CashIncrease"),
        {
            "ColData": _cells("Cash at beginning of period", before), "type": "Data",
            "group": "BeginningCash",
        },
        _section(None, (), "CASH AT END OF PERIOD", total([change], before), "EndingCash"),
    ]  # fmt: skip


BODIES: Mapping[str, Callable[[Statement], list[Json]]] = {
    "ProfitAndLoss": _profit_and_loss,
    "BalanceSheet": _balance_sheet,
    "CashFlow": _cash_flow,
}
