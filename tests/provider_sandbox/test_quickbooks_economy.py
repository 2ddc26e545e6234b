"""The books of a company agree with each other to the cent."""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from provider_sandbox import Sandbox
from provider_sandbox.quickbooks import QuickBooks, QuickBooksAccount
from provider_sandbox.quickbooks import reports as report_module
from provider_sandbox.quickbooks.books import STREAM_OF_TYPE, opened
from provider_sandbox.quickbooks.economy import KINDS
from provider_sandbox.quickbooks.economy.edits import DELETED, VOIDED
from provider_sandbox.quickbooks.endpoints import BY_STREAM, STREAMS

from .conftest import NOW

DAY = 86_400
ZERO = Decimal(0)
SALES = ("sales_receipts", "invoices", "refund_receipts", "credit_memos", "estimates")
COMPANIES = {
    "usd": {"currency": "USD"},
    "jpy": {"currency": "JPY"},
    "kwd": {"currency": "KWD"},
    "many": {"currency": "GBP", "currencies": ("EUR", "JPY")},
}
ONE_CURRENCY = [name for name, company in COMPANIES.items() if "currencies" not in company]
"""Where several are used, documents are posted at their own rates, and balances are not."""


@pytest.fixture(scope="module", params=list(COMPANIES))
def books(request: pytest.FixtureRequest) -> QuickBooksAccount:
    """A company after its history, random changes and four more weeks."""
    account = QuickBooks(seed=3, now=NOW).create_account(
        f"venue-{request.param}", size=250, **COMPANIES[request.param]
    )
    account.economy.mutate(200, step=60)
    account.economy.advance(28 * DAY, mutations=80)
    return account


@pytest.fixture
def account() -> QuickBooksAccount:
    return QuickBooks(seed=5, now=NOW).create_account("red-room", size=80, months=1)


def by_id(account: QuickBooksAccount, stream: str) -> dict[str, Any]:
    return {one["Id"]: one for one in account.objects(stream)}


def test_every_stream_has_rows(books: QuickBooksAccount) -> None:
    assert [stream for stream in STREAMS if not books.objects(stream)] == []


@pytest.mark.parametrize("stream", SALES)
def test_a_sale_is_its_lines_less_the_discount_plus_tax(
    books: QuickBooksAccount, stream: str
) -> None:
    for found in books.objects(stream):
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        for line in opened(found["Line"]):
            amounts[line["DetailType"]] += line["Amount"]
            if line["DetailType"] == "SalesItemLineDetail":
                detail = line["SalesItemLineDetail"]
                currency = found["CurrencyRef"]["value"]
                exact = Decimal(detail["UnitPrice"]) * detail["Qty"]
                assert line["Amount"] == books.amount(exact, currency)
        tax = found["TxnTaxDetail"]
        assert tax["TotalTax"] == sum(line["Amount"] for line in tax.get("TaxLine", ()))
        assert amounts["SubTotalLineDetail"] == amounts["SalesItemLineDetail"]
        net = amounts["SalesItemLineDetail"] - amounts["DiscountLineDetail"]
        assert found["TotalAmt"] == net + tax["TotalTax"]


def test_a_bundle_is_sold_as_the_items_in_it_each_on_its_own_account(
    account: QuickBooksAccount,
) -> None:
    (bundle,) = [one for one in account.objects("items") if one["Type"] == "Group"]
    receipt = account.economy.do("sell_bundle")
    line = receipt["Line"][0]
    detail = line["GroupLineDetail"]
    assert detail["GroupItemRef"]["value"] == bundle["Id"]
    assert line["Amount"] == sum(one["Amount"] for one in detail["Line"])
    assert [
        (one["SalesItemLineDetail"]["ItemRef"], one["SalesItemLineDetail"]["Qty"])
        for one in detail["Line"]
    ] == [
        (part["ItemRef"], part["Qty"] * detail["Quantity"])
        for part in bundle["ItemGroupDetail"]["ItemGroupLine"]
    ]
    ids = [one["Id"] for one in (line, *opened(receipt["Line"])) if "Id" in one]
    assert len(ids) == len(set(ids)) >= 5
    posted = dict(account.books.entries["sales_receipts", receipt["Id"]].postings)
    for one in detail["Line"]:
        assert posted[one["SalesItemLineDetail"]["ItemAccountRef"]["value"]] < 0
    account.economy.do("refund", receipt["Id"])
    voided = account.economy.do("void", "sales_receipts", receipt["Id"])
    assert {one["Amount"] for one in (*voided["Line"], *opened(voided["Line"]))} == {0}
    assert sum(account.books.balances.values()) == 0


@pytest.mark.parametrize("stream", ["bills", "purchases", "vendor_credits", "deposits"])
def test_an_expense_or_deposit_is_the_sum_of_its_lines(
    books: QuickBooksAccount, stream: str
) -> None:
    for found in books.objects(stream):
        assert found["TotalAmt"] == sum(line["Amount"] for line in found["Line"])


def test_a_payment_is_what_it_settles_less_credits_plus_what_is_unapplied(
    books: QuickBooksAccount,
) -> None:
    for stream in ("payments", "bill_payments"):
        for found in books.objects(stream):
            signs = {"CreditMemo": -1, "VendorCredit": -1}
            settled = sum(
                line["Amount"] * signs.get(line["LinkedTxn"][0]["TxnType"], 1)
                for line in found["Line"]
            )
            assert found["TotalAmt"] == settled + found.get("UnappliedAmt", 0)


def test_what_is_open_of_a_document_is_its_total_less_the_payments_that_name_it(
    books: QuickBooksAccount,
) -> None:
    paid: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    links: dict[tuple[str, str], set[str]] = defaultdict(set)
    for stream in ("payments", "bill_payments"):
        for found in books.objects(stream):
            for line in found["Line"]:
                link = line["LinkedTxn"][0]
                paid[STREAM_OF_TYPE[link["TxnType"]], link["TxnId"]] += line["Amount"]
                links[STREAM_OF_TYPE[link["TxnType"]], link["TxnId"]].add(found["Id"])
    assert paid
    for stream, field in (
        ("invoices", "Balance"), ("credit_memos", "RemainingCredit"), ("bills", "Balance"),
        ("vendor_credits", "Balance"),
    ):  # fmt: skip
        for id, found in by_id(books, stream).items():
            assert found[field] == found["TotalAmt"] - paid.pop((stream, id), ZERO)
            named = {link["TxnId"] for link in found["LinkedTxn"] if link["TxnType"] != "Estimate"}
            assert named == links[stream, id]
    assert not paid, "a payment names a document that does not exist"


def test_links_between_estimates_and_invoices_are_mutual(books: QuickBooksAccount) -> None:
    invoices = by_id(books, "invoices")
    closed = [one for one in books.objects("estimates") if one["LinkedTxn"]]
    assert closed
    for estimate in closed:
        (link,) = estimate["LinkedTxn"]
        assert estimate["TxnStatus"] == "Closed"
        named = [one["TxnId"] for one in invoices[link["TxnId"]]["LinkedTxn"]]
        assert estimate["Id"] in named


def test_customers_and_vendors_show_what_is_open_of_them(books: QuickBooksAccount) -> None:
    for parties, reference, documents in (
        ("customers", "CustomerRef", (
            ("invoices", "Balance", 1), ("credit_memos", "RemainingCredit", -1),
            ("payments", "UnappliedAmt", -1),
        )),
        ("vendors", "VendorRef", (("bills", "Balance", 1), ("vendor_credits", "Balance", -1))),
    ):  # fmt: skip
        owed: dict[str, Decimal] = defaultdict(Decimal)
        for stream, field, sign in documents:
            for found in books.objects(stream):
                owed[found[reference]["value"]] += sign * found[field]
        for id, found in by_id(books, parties).items():
            assert found["Balance"] == owed[id]


def test_nothing_is_deposited_twice_and_what_waits_is_in_undeposited_funds(
    books: QuickBooksAccount,
) -> None:
    deposited = Counter(
        (link["TxnType"], link["TxnId"])
        for deposit in books.objects("deposits")
        for line in deposit["Line"]
        for link in line.get("LinkedTxn", ())
    )
    assert deposited
    assert set(deposited.values()) == {1}
    undeposited = next(
        one for one in books.objects("accounts") if one["AccountSubType"] == "UndepositedFunds"
    )
    waits = sum(
        (
            Decimal(one["TotalAmt"])
            for type, stream in (("SalesReceipt", "sales_receipts"), ("Payment", "payments"))
            for one in books.objects(stream)
            if one["DepositToAccountRef"]["value"] == undeposited["Id"]
            and (type, one["Id"]) not in deposited
        ),
        ZERO,
    )
    assert undeposited["CurrentBalance"] == waits


def test_a_payout_is_what_a_processor_collected_less_its_fee(books: QuickBooksAccount) -> None:
    payouts = [one for one in books.objects("deposits") if "PAYOUT" in one.get("PrivateNote", "")]
    assert payouts
    for payout in payouts:
        sales, fee = (line["Amount"] for line in payout["Line"])
        assert fee == -books.amount(sales * Decimal("0.029"))


def test_deposits_of_a_company_follow_the_payouts_of_its_processors(sandbox: Sandbox) -> None:
    stripe = sandbox.stripe.create_account("red-room", size=60, months=1, currency="eur")
    square = sandbox.square.create_account("red-room", size=60, months=1, country="IE")
    company = sandbox.quickbooks.create_account(
        "red-room", size=20, months=1, currency="EUR", processors=["stripe", "square"]
    )

    def deposits() -> dict[str, tuple[str, Decimal]]:
        words = {
            one["Id"]: (one["Line"][0]["Description"] or "", one["TotalAmt"])
            for one in company.objects("deposits")
            if "LinkedTxn" not in one["Line"][0]
        }
        return {name.split()[-1]: (id, amount) for id, (name, amount) in words.items()}

    def payouts() -> dict[str, Decimal]:
        found = {one["id"]: Decimal(one["amount"]) / 100
                 for one in stripe.objects("payouts") if one["status"] == "paid"}  # fmt: skip
        for one in square.objects("payouts"):
            if one["status"] == "PAID" and one["amount_money"]["amount"] > 0:
                found[one["id"]] = Decimal(one["amount_money"]["amount"]) / 100
        return found

    for account in (stripe, square, company):
        account.economy.advance(3 * DAY)
    for processor in ("stripe", "square"):
        company.economy.do("pay_out", processor)
    before = deposits()
    assert {name: amount for name, (_, amount) in before.items()} == payouts()
    assert len(before) > 20
    assert company.economy.do("pay_out", "stripe") is None
    gone = next(name for name in before if stripe.find("payouts", name))
    company.economy.do("remove", "deposits", before[gone][0])
    company.economy.do("pay_out", "stripe")
    assert {name: amount for name, (_, amount) in deposits().items()} == payouts()
    wrong = company.economy.do("misbook")
    (other,) = (name for name, (id, _) in deposits().items() if id == wrong["Id"])
    assert payouts()[other] - deposits()[other][1] == company.economy.price(5)
    earned = sum(sum(accounts.values()) for accounts in company.income().values())
    assert earned == -sum(
        company.balance(one["Id"])
        for one in company.objects("accounts")
        if one["AccountType"] == "Income"
    )
    with pytest.raises(ValueError, match="processor 'bank' is unknown: give some of stripe"):
        sandbox.quickbooks.create_account("blue-room", processors=["bank"])


def test_debits_equal_credits_and_accounts_show_what_was_posted(books: QuickBooksAccount) -> None:
    accounts = books.objects("accounts")
    assert sum(books.balance(one["Id"]) for one in accounts) == 0
    for entry in books.books.entries.values():
        assert sum(amount for _, amount in entry.postings) == 0
    for found in accounts:
        sign = {"Asset": 1, "Liability": -1, "Equity": -1}.get(found["Classification"], 0)
        assert found["CurrentBalance"] == sign * books.balance(found["Id"])


@pytest.mark.parametrize("books", ONE_CURRENCY, indirect=True)
def test_receivables_are_what_customers_owe(books: QuickBooksAccount) -> None:
    shown = {one["AccountType"]: one["CurrentBalance"] for one in books.objects("accounts")}
    for type, parties in (("Accounts Receivable", "customers"), ("Accounts Payable", "vendors")):
        assert shown[type] == sum(one["Balance"] for one in books.objects(parties))


def test_home_amounts_follow_the_exchange_rate(books: QuickBooksAccount) -> None:
    for stream in ("invoices", "bills"):
        for found in books.objects(stream):
            if not books.multicurrency:
                assert not found.keys() & {"ExchangeRate", "HomeTotalAmt", "HomeBalance"}
                continue
            rate = Decimal(found["ExchangeRate"])
            if found["CurrencyRef"]["value"] == books.currency:
                assert rate == 1
            assert found["HomeBalance"] == books.amount(found["Balance"] * rate)
            if "HomeTotalAmt" in found:
                assert found["HomeTotalAmt"] == books.amount(found["TotalAmt"] * rate)


# Reports


def report(account: QuickBooksAccount, name: str, **query: str) -> dict[str, Any]:
    return report_module.report(account, name, query, account.time(account.clock.now()))


def groups(body: dict[str, Any]) -> dict[str, list[Decimal]]:
    """Amounts of each group of a report, one a column."""
    found: dict[str, list[Decimal]] = {}

    def visit(rows: list[Any]) -> None:
        for row in rows:
            cells = row.get("Summary", row).get("ColData", ())
            if "group" in row:
                found[row["group"]] = [Decimal(cell["value"] or "0") for cell in cells[1:]]
            visit(row.get("Rows", {}).get("Row", []))

    visit(body["Rows"]["Row"])
    return found


def posted(account: QuickBooksAccount, first: str, last: str, method: str) -> Decimal:
    """Income less expenses of the postings between two days."""
    kinds = {one["Id"]: one["Classification"] for one in account.objects("accounts")}
    return -sum(
        (
            amount
            for entry in account.books.basis(method)
            if first <= entry.date <= last
            for id, amount in entry.postings
            if kinds[id] in ("Revenue", "Expense")
        ),
        ZERO,
    )


@pytest.mark.parametrize("method", ["Accrual", "Cash"])
def test_assets_equal_liabilities_and_equity_on_every_day(
    books: QuickBooksAccount, method: str
) -> None:
    days = [books.date(books.clock.now() - number * 17 * DAY) for number in range(6)]
    for day in days:
        found = groups(report(books, "BalanceSheet", end_date=day, accounting_method=method))
        assert found["TotalAssets"] == found["TotalLiabilitiesAndEquity"]
        assert found["Liabilities"][0] + found["Equity"][0] == found["TotalAssets"][0]
    assert groups(report(books, "BalanceSheet"))["TotalAssets"][0] > 0


@pytest.mark.parametrize("method", ["Accrual", "Cash"])
def test_net_income_is_what_was_posted(books: QuickBooksAccount, method: str) -> None:
    today = books.date(books.clock.now())
    body = report(books, "ProfitAndLoss", accounting_method=method)
    found = groups(body)
    first = body["Header"]["StartPeriod"]
    assert (first, body["Header"]["EndPeriod"]) == (f"{today[:4]}-01-01", today)
    assert found["NetIncome"] == [posted(books, first, today, method)]
    gross = found["Income"][0] - found.get("COGS", [ZERO])[0]
    assert found["GrossProfit"][0] == gross
    assert found["NetOperatingIncome"][0] == gross - found["Expenses"][0]
    sheet = groups(report(books, "BalanceSheet", accounting_method=method))
    assert sheet["NetIncome"] == found["NetIncome"]


def test_cash_basis_counts_what_is_paid(books: QuickBooksAccount) -> None:
    """What accrual and cash basis differ by is what is open between the company and others."""
    for entry in books.books.basis("Cash"):
        assert sum(amount for _, amount in entry.postings) == 0
    sheet = report(books, "BalanceSheet", accounting_method="Cash")
    accrual = report(books, "BalanceSheet")
    assert groups(sheet)["NetIncome"] != groups(accrual)["NetIncome"]


def test_columns_add_up_to_the_total(books: QuickBooksAccount) -> None:
    for split, columns in (("Month", 12), ("Quarter", 4), ("Days", 365)):
        query = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
        body = report(books, "ProfitAndLoss", summarize_column_by=split, **query)
        assert len(body["Columns"]["Column"]) == columns + 2
        for values in groups(body).values():
            assert sum(values[:-1]) == values[-1]
    periods = body["Columns"]["Column"][1:-1]
    days = [{pair["Name"]: pair["Value"] for pair in one["MetaData"]} for one in periods]
    assert days[31]["StartDate"] == days[31]["EndDate"] == "2026-02-01"


def test_cash_flow_ends_with_the_cash_of_the_balance_sheet(books: QuickBooksAccount) -> None:
    first = books.date(books.clock.now() - 45 * DAY)
    found = groups(report(books, "CashFlow", start_date=first))
    cash = {
        one["Id"] for one in books.objects("accounts")
        if one["AccountType"] == "Bank" or one["AccountSubType"] == "UndepositedFunds"
    }  # fmt: skip
    before = sum(
        (
            amount
            for entry in books.books.entries.values()
            if entry.date < first
            for id, amount in entry.postings
            if id in cash
        ),
        ZERO,
    )
    assert found["BeginningCash"] == [before]
    assert found["EndingCash"] == [sum(books.balance(id) for id in cash)]
    assert found["EndingCash"][0] == before + found["CashIncrease"][0]


def test_a_new_year_moves_net_income_into_retained_earnings() -> None:
    now = int(datetime(2026, 2, 10, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp())
    account = QuickBooks(now=now).create_account("winter", size=80)
    body = report(account, "BalanceSheet")
    assert groups(body)["TotalAssets"] == groups(body)["TotalLiabilitiesAndEquity"]
    (this_year,) = groups(body)["NetIncome"]
    assert this_year == posted(account, "2026-01-01", "2026-02-10", "Accrual")
    assert "Retained Earnings" in str(body)
    assert f"{posted(account, '', '2025-12-31', 'Accrual'):.2f}" in str(body)


# Ids, times and determinism


def test_ids_are_small_and_repeat_between_kinds_and_companies(account: QuickBooksAccount) -> None:
    transactions = Counter(
        id
        for stream, entity in BY_STREAM.items()
        if entity.ids == "transactions"
        for id in account.ids(stream)
    )
    assert set(transactions.values()) == {1}
    assert all(int(id) < 1000 for id in transactions)
    people = set(account.ids("customers")) | set(account.ids("vendors"))
    assert people & set(transactions)
    assert set(account.ids("tax_codes")) >= {"TAX", "NON"}


def test_a_change_moves_the_sync_token_and_the_update_time(account: QuickBooksAccount) -> None:
    before = account.objects("customers")[0]
    after = account.economy.update("customers", before["Id"], {"Notes": "Löwe & Bär"})
    assert int(after["SyncToken"]) == int(before["SyncToken"]) + 1
    assert after["MetaData"]["CreateTime"] == before["MetaData"]["CreateTime"]
    updated = datetime.fromisoformat(after["MetaData"]["LastUpdatedTime"])
    assert updated.timestamp() == account.clock.now()
    assert updated.utcoffset() == timedelta(hours=-7)
    assert updated > datetime.fromisoformat(before["MetaData"]["LastUpdatedTime"])


def test_history_ends_at_the_accounts_time_and_some_updates_share_a_second(
    books: QuickBooksAccount,
) -> None:
    times = Counter(one["MetaData"]["LastUpdatedTime"] for one in books.objects("invoices"))
    assert max(datetime.fromisoformat(one).timestamp() for one in times) <= books.clock.now()
    books.economy.do("edit_together")
    latest = books.time(books.clock.now())
    for stream in ("invoices", "customers"):
        same = [one["MetaData"]["LastUpdatedTime"] for one in books.objects(stream)]
        assert same.count(latest) > 3


def test_the_same_seed_gives_the_same_company() -> None:
    def lived(seed: int) -> dict[str, Any]:
        account = QuickBooks(seed=seed, now=NOW).create_account("twin", size=60, months=1)
        account.economy.mutate(40)
        return {stream: account.objects(stream) for stream in STREAMS}

    assert lived(1) == lived(1)
    assert lived(1) != lived(2)


def test_a_company_without_a_set_clock_ends_its_history_with_the_last_full_hour() -> None:
    account = QuickBooks().create_account("today", size=20, months=1)
    assert not account.clock.is_set
    for stream in STREAMS:
        for found in account.objects(stream):
            at = datetime.fromisoformat(found["MetaData"]["LastUpdatedTime"]).timestamp()
            assert at <= account.clock.now() // 3600 * 3600
    made = account.economy.do("sell")
    assert made
    at = datetime.fromisoformat(made["MetaData"]["CreateTime"]).timestamp()
    assert abs(at - account.clock.now()) < 5


# Changes


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mutation_leaves_something_behind(
    account: QuickBooksAccount, kind: str
) -> None:
    account.economy.mutate(30, kinds=["create"])
    (done,) = account.economy.mutate(1, kinds=[kind])
    assert done["kind"] == kind
    assert sum(account.books.balances.values()) == 0


def test_a_void_sets_amounts_to_zero_and_frees_what_was_linked(account: QuickBooksAccount) -> None:
    payment = next(one for one in account.objects("payments") if one["Line"])
    invoice_id = payment["Line"][0]["LinkedTxn"][0]["TxnId"]
    before = account.find("invoices", invoice_id)
    assert before
    economy = account.economy
    economy.do("void", "invoices", invoice_id)
    voided = account.find("invoices", invoice_id)
    freed = account.find("payments", payment["Id"])
    assert voided and freed
    assert voided["PrivateNote"] == "Voided"
    assert (voided["TotalAmt"], voided["Balance"], voided["LinkedTxn"]) == (0, 0, [])
    assert all(line["Amount"] == 0 for line in voided["Line"])
    assert freed["UnappliedAmt"] == payment["UnappliedAmt"] + payment["Line"][0]["Amount"]
    for stream in VOIDED:
        assert economy.do("void", stream)
    assert sum(account.books.balances.values()) == 0


@pytest.mark.parametrize("stream", DELETED)
def test_a_deleted_transaction_vanishes_from_stream_and_books(
    account: QuickBooksAccount, stream: str
) -> None:
    account.economy.do("move")
    gone = account.economy.do("remove", stream)
    assert gone
    assert account.find(stream, gone["Id"]) is None
    assert account.deleted(stream)[-1] == gone["Id"]
    assert (stream, gone["Id"]) not in account.books.entries
    assert sum(account.books.balances.values()) == 0


def test_lists_are_made_inactive_and_never_deleted(account: QuickBooksAccount) -> None:
    customer = account.ids("customers", active=True)[0]
    before = account.find("customers", customer)
    left = account.economy.do("inactivate", "customers", customer)
    assert before and left
    assert left["DisplayName"] == f"{before['DisplayName']} (deleted)"
    assert customer in account.ids("customers", active=False)
    with pytest.raises(ValueError, match="never deleted"):
        account.economy.delete("customers", customer)
    back = account.economy.do("reactivate", "customers", customer)
    assert back and back["DisplayName"] == before["DisplayName"]


def test_balances_change_silently(account: QuickBooksAccount) -> None:
    invoice = account.economy.do("invoice")
    assert invoice
    customer = invoice["CustomerRef"]["value"]
    silent = [one for one in account.silent_changes if one.stream == "customers"]
    assert {(one.id, one.field) for one in silent} == {
        (customer, "Balance"), (customer, "BalanceWithJobs")
    }  # fmt: skip
    found = account.find("customers", customer)
    assert found
    updated = datetime.fromisoformat(found["MetaData"]["LastUpdatedTime"]).timestamp()
    assert updated < account.clock.now()
    fields = {(one.stream, one.field) for one in account.silent_changes}
    account.economy.mutate(60)
    fields = {(one.stream, one.field) for one in account.silent_changes}
    assert fields == {
        ("accounts", "CurrentBalance"), ("accounts", "CurrentBalanceWithSubAccounts"),
        ("customers", "Balance"), ("customers", "BalanceWithJobs"), ("vendors", "Balance"),
    }  # fmt: skip


def test_time_that_passes_pays_invoices_bills_and_staff(account: QuickBooksAccount) -> None:
    before = {stream: len(account.ids(stream)) for stream in STREAMS}
    account.economy.advance(30 * DAY)
    grown = {stream for stream in STREAMS if len(account.ids(stream)) > before[stream]}
    assert grown >= {"payments", "bills", "bill_payments", "deposits", "journal_entries"}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda economy: economy.do("fly"), ValueError),
        (lambda economy: economy.mutate(1, kinds=["fly"]), ValueError),
        (lambda economy: economy.do("void", "bills"), ValueError),
        (lambda economy: economy.do("refund", "99999"), LookupError),
        (lambda economy: economy.update("customers", "99999", {}), LookupError),
    ],
)
def test_what_cannot_be_is_told_by_name(
    account: QuickBooksAccount, call: Callable[[Any], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(account.economy)


def test_a_stream_can_be_filled_without_a_history() -> None:
    provider = QuickBooks(seed=1, now=NOW)
    rows = {"customers": 50, "invoices": 2000, "sales_receipts": 50, "payments": 50}
    account = provider.create_account("big", only=rows)
    assert {stream: len(account.ids(stream)) for stream in rows} == rows
    found = account.objects("invoices")
    assert len({one["Id"] for one in found}) == 2000
    assert account.sums("invoices") == {"USD": sum(one["TotalAmt"] for one in found)}
    with pytest.raises(ValueError, match="budgets"):
        provider.create_account("other", only={"budgets": 5})
