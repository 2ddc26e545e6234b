"""What a venue sets up before it trades: its accounts, taxes, lists, items and people."""

from collections.abc import Mapping
from decimal import Decimal

from provider_sandbox.ledger import Json
from provider_sandbox.quickbooks import shapes
from provider_sandbox.quickbooks.economy.ground import USD_VALUE, Ground

ACCOUNTS = (
    ("checking", "Checking", "Bank", "Checking", "Asset", "1000"),
    ("savings", "Savings", "Bank", "Savings", "Asset", "1010"),
    ("stripe", "Stripe Clearing", "Other Current Asset", "OtherCurrentAssets", "Asset", "1100"),
    ("square", "Square Clearing", "Other Current Asset", "OtherCurrentAssets", "Asset", "1110"),
    ("undeposited", "Undeposited Funds", "Other Current Asset", "UndepositedFunds", "Asset", None),
    ("equipment", "Sound & Light Equipment", "Fixed Asset", "MachineryAndEquipment", "Asset",
     "1500"),
    ("card", "Venue “Platinum” Card", "Credit Card", "CreditCard", "Liability", "2100"),
    ("tips", "Tips Payable", "Other Current Liability", "OtherCurrentLiabilities", "Liability",
     "2200"),
    ("payroll", "Payroll Liabilities", "Other Current Liability", "PayrollTaxPayable", "Liability",
     "2300"),
    ("loan", "Loan Payable", "Long Term Liability", "NotesPayable", "Liability", "2500"),
    ("opening", "Opening Balance Equity", "Equity", "OpeningBalanceEquity", "Equity", None),
    ("owner", "Owner's Equity", "Equity", "OwnersEquity", "Equity", "3000"),
    ("retained", "Retained Earnings", "Equity", "RetainedEarnings", "Equity", None),
    ("tickets", "Ticket Sales", "Income", "ServiceFeeIncome", "Revenue", "4000"),
    ("bar", "Bar Sales", "Income", "SalesOfProductIncome", "Revenue", "4100"),
    ("memberships", "Membership Income", "Income", "ServiceFeeIncome", "Revenue", "4200"),
    ("merchandise", "Merchandise", "Income", "SalesOfProductIncome", "Revenue", "4300"),
    ("hire", "Private Hire", "Income", "ServiceFeeIncome", "Revenue", "4400"),
    ("discounts", "Discounts given", "Income", "DiscountsRefundsGiven", "Revenue", "4900"),
    ("drinks", "Beverage Purchases", "Cost of Goods Sold", "SuppliesMaterialsCogs", "Expense",
     "5000"),
    ("artists", "Artist Fees", "Cost of Goods Sold", "CostOfLaborCos", "Expense", "5100"),
    ("rent", "Rent & Lease", "Expense", "RentOrLeaseOfBuildings", "Expense", "6000"),
    ("utilities", "Utilities", "Expense", "Utilities", "Expense", "6100"),
    ("wages", "Wages", "Expense", "PayrollExpenses", "Expense", "6200"),
    ("payroll_tax", "Payroll Taxes", "Expense", "PayrollExpenses", "Expense", "6210"),
    ("fees", "Merchant Fees", "Expense", "BankCharges", "Expense", "6300"),
    ("advertising", "Advertising", "Expense", "AdvertisingPromotional", "Expense", "6400"),
    ("supplies", "Café & Bar Supplies", "Expense", "SuppliesMaterials", "Expense", "6500"),
    ("repairs", "Repairs & Maintenance", "Expense", "RepairMaintenance", "Expense", "6600"),
    ("depreciation", "Depreciation", "Other Expense", "Depreciation", "Expense", "8000"),
    ("exchange", "Exchange Gain or Loss", "Other Expense", "ExchangeGainOrLoss", "Expense", None),
    ("interest", "Interest Earned", "Other Income", "InterestEarned", "Revenue", "7000"),
    ("old", "Coat Check (old)", "Income", "OtherPrimaryIncome", "Revenue", None),
)  # fmt: skip
"""Role, name, type, subtype, classification, number."""
FINE = "Soda 0.3 l"
"""An item whose price has more decimals than the currency."""
ITEMS: tuple[tuple[str, str, float | Decimal, str, bool, str | None, str | None], ...] = (
    ("General Admission", "Service", 25, "tickets", True, None, "TIX-GA"),
    ("Balcony Seat", "Service", 42.5, "tickets", True, None, "TIX-BAL"),
    ("VIP \"Meet & Greet\"", "Service", 120, "tickets", True, None, "TIX-VIP"),
    ("Pint of Pilsner", "NonInventory", 7.25, "bar", True, "drinks", "BAR-001"),
    ("Rosé, glass", "NonInventory", 11, "bar", True, "drinks", "BAR-002"),
    ("Crème de Menthe", "NonInventory", 9.75, "bar", True, "drinks", None),
    (FINE, "NonInventory", Decimal("3.333333"), "bar", True, "drinks", "BAR-004"),
    ("Poster 日本ツアー", "NonInventory", 18, "merchandise", True, None, "M-01"),
    ("Membership, month", "Service", 15, "memberships", False, None, None),
    ("Membership, year", "Service", 150, "memberships", False, None, None),
    ("Private Hire, hour", "Service", 380, "hire", True, None, None),
    ("Sound Engineer, hour", "Service", 65, "hire", False, None, None),
    ("Tips", "Service", 0, "tips", False, None, None),
    ("Coat Check", "Service", 2, "old", False, None, None),
)  # fmt: skip
"""Name, type, price in US dollars, role of the income account, taxable, of the expense account,
SKU."""
BUNDLE = "Night Out"
BUNDLED = (("General Admission", 1), ("Pint of Pilsner", 2), ("Poster 日本ツアー", 1))
"""Items that are sold together, on income accounts of their own."""
GIVEN = ("Zoë", "Søren", "Aoife", "María José", "Jürgen", "Amélie", "Kenji", "Anne-Marie", "Łukasz")
FAMILY = ("O'Brien", "Nuñez", "Müller", "Żółć", "d'Arcy", "Tanaka", "Smith", "van der Berg", "Løw")
COMPANIES = (
    "Rock & Roll \"Legends\" Ltd.", "Café Müller GmbH", "O'Neill's Weddings", "東京レコード",
    "Smith; DROP TABLE, LLC", "Quartet No. 5", "L'Été Productions", "Backslash \\ Co",
)  # fmt: skip
VENDORS = (
    ("Northside Brewery", "drinks"), ("Vins d'Alsace", "drinks"), ("The Señor Moments", "artists"),
    ("DJ \"Ökonom\"", "artists"), ("Harbour Estates", "rent"), ("City Power & Light", "utilities"),
    ("Poster Press", "advertising"), ("Fix-It Brothers", "repairs"), ("Bar Supply Co.", "supplies"),
)  # fmt: skip
CITIES = (("Oakland", "CA", "94607"), ("Galway", None, "H91"), ("Kraków", None, "31-008"))
TAXES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "USD": (("State", "6.25", "State Tax Board"), ("City", "2.625", "City Treasurer")),
    "JPY": (("消費税", "10", "国税庁"),),
    "KWD": (),
}
"""Name, percent and agency of the sales taxes by home currency; others have one of 20 %."""
OTHER_TAXES = (("VAT", "20", "Revenue"),)


class Setup(Ground):
    """The lists. ``role`` gives the objects that transactions need by what they are for."""

    def found(self) -> None:
        """The company itself, which no company is without."""
        self.at = self.account.created
        self._company()

    def stock(self) -> None:
        """Everything that exists before the first sale, some of it no longer in use."""
        account = self.account
        self.found()
        for name, type, active in (
            ("Cash", "NON_CREDIT_CARD", True), ("Check", "NON_CREDIT_CARD", True),
            ("Stripe", "CREDIT_CARD", True), ("Square", "CREDIT_CARD", True),
            ("Voucher", "NON_CREDIT_CARD", False),
        ):  # fmt: skip
            method = self.add("payment_methods", shapes.payment_method(name, type))
            self.role[f"by {name.lower()}"] = self._used(method, "payment_methods", active)
        for name, days, discount, active in (
            ("Due on receipt", 0, 0, True), ("Net 15", 15, 0, True), ("Net 30", 30, 0, True),
            ("2% 10 Net 60", 60, 2, False),
        ):  # fmt: skip
            term = self.add("terms", shapes.term(name, days, discount=discount))
            self.role[f"net {days}"] = self._used(term, "terms", active)
        self._accounts()
        self._taxes()
        for stream, kind, names in (
            ("classes", "Class", ("Concerts", "Bar", "Private Events", "Comedy (2019)")),
            ("departments", "Department", ("Main Hall", "Cellar Bar", "Garden")),
        ):
            made = [self.add(stream, shapes.named(name, kind)) for name in names]
            self.add(stream, shapes.named("Matinée", kind, parent=made[0]))
            self._used(made[-1], stream, False)
        for name, type, dollars, income, taxable, expense, sku in ITEMS:
            price = self.price(dollars)
            if name == FINE:
                price = (Decimal(dollars) / USD_VALUE[account.currency]).quantize(
                    Decimal("0.000001")
                )
            item = self.add("items", shapes.item(
                name, type=type, price=price, income=self.role[income],
                expense=self.role[expense] if expense else None,
                cost=self.price(dollars / 3) if expense else None, sku=sku,
                taxable=taxable and "tax" in self.role, description=f"{name} at the door",
            ))  # fmt: skip
            self.role[f"item {name}"] = self._used(item, "items", income != "old")
        self.add("items", shapes.bundle(
            BUNDLE, [(self.role[f"item {name}"], Decimal(many)) for name, many in BUNDLED],
            description="A ticket, two pints and a poster",
        ))  # fmt: skip
        for name, role in VENDORS:
            self.role[f"vendor {role}"] = self.add_vendor(name, role)
        self._used(self.add_vendor("Gone & Sons", "repairs"), "vendors", False)
        for _ in range(5):
            self.add_employee()
        self._used(self.add_employee(), "employees", False)
        for _ in range(8):
            self.add_customer()
        self._used(self.add_customer(), "customers", False)
        self._used(self.role["old"], "accounts", False)
        self._open_books()
        self._budgets()

    def _used(self, found: Json, stream: str, active: bool) -> Json:
        """The object, made inactive where it is no longer in use."""
        return found if active else self.set_active(stream, found["Id"], False)

    def set_active(self, stream: str, id: str, active: bool) -> Json:
        """Make an object of a list inactive, which appends " (deleted)" to its name, or active."""
        found = self.existing(stream, id)
        changes: Json = {"Active": active}
        for name in ("Name", "DisplayName", "FullyQualifiedName"):
            if name in found:
                bare = found[name].removesuffix(" (deleted)")
                changes[name] = bare if active else f"{bare} (deleted)"
        return self.change(stream, id, changes)

    def _company(self) -> None:
        account = self.account
        self.add("company_info", shapes.company_info(
            name=account.name, country=account.country, timezone=account.timezone,
            start=self.today(), address=self._address(), email=f"books@{account.slug}.example",
            multicurrency=account.multicurrency, currency=account.currency,
        ))  # fmt: skip

    def _address(self) -> Json:
        city, region, code = self.random.choice(CITIES)
        number = self.random.randrange(1, 200)
        id = str(self.random.randrange(1, 500))
        return shapes.address(id, f'{number} Music "Row"', city, region, code, "USA")

    def _accounts(self) -> None:
        account = self.account
        for role, name, type, subtype, classification, number in ACCOUNTS:
            self.role[role] = self._account(name, type, subtype, classification, number)
        deposits = shapes.account(
            "Event Deposits", "Other Current Liability", "OtherCurrentLiabilities", "Liability",
            currency=account.currency, parent=self.role["tips"],
        )  # fmt: skip
        self.add("accounts", deposits)
        chart = account.books.chart
        for currency in account.currencies:
            suffix = "" if currency == account.currency else f" - {currency}"
            for kind, name, type, classification, held in (
                ("receivable", "A/R", "Accounts Receivable", "Asset", chart.receivable),
                ("payable", "A/P", "Accounts Payable", "Liability", chart.payable),
            ):
                made = self._account(
                    f"{type} ({name}){suffix}", type, type.replace(" ", ""), classification,
                    currency=currency,
                )  # fmt: skip
                self.role[f"{kind} {currency}"] = made
                held[currency] = made["Id"]
        chart.undeposited = self.role["undeposited"]["Id"]
        chart.exchange = self.role["exchange"]["Id"]

    def _account(
        self, name: str, type: str, subtype: str, classification: str, number: str | None = None,
        currency: str | None = None,
    ) -> Json:  # fmt: skip
        return self.add("accounts", shapes.account(
            name, type, subtype, classification, number=number,
            currency=currency or self.account.currency,
        ))  # fmt: skip

    def _taxes(self) -> None:
        account = self.account
        rates = []
        since = account.time(self.at)
        for name, percent, agency_name in TAXES.get(account.currency, OTHER_TAXES):
            agency = self.add("tax_agencies", shapes.tax_agency(agency_name, f"T-{percent}"))
            rate = shapes.tax_rate(f"{name} {percent}%", Decimal(percent), agency, since)
            rates.append(self.add("tax_rates", rate))
            payable = self._account(
                f"{agency_name} Payable", "Other Current Liability", "GlobalTaxPayable", "Liability"
            )
            account.books.chart.tax[rates[-1]["Id"]] = payable["Id"]
        if not rates:
            agency = self.add("tax_agencies", shapes.tax_agency("Customs", "T-0"))
            self.add("tax_rates", shapes.tax_rate("Exempt", Decimal(0), agency, since))
        agency = self.account.objects("tax_agencies")[0]
        old = self.add("tax_rates", shapes.tax_rate("Old rate", Decimal("5.5"), agency, since))
        self._used(old, "tax_rates", False)
        self.role["rates"] = {"rates": rates}
        for id, taxable in (("TAX", True), ("NON", False)):
            self.add("tax_codes", shapes.tax_code(id, (), taxable=taxable), id=id)
        name = " + ".join(rate["Name"] for rate in rates) or "No tax"
        code = self.add("tax_codes", shapes.tax_code(name, rates, taxable=bool(rates)))
        if rates:
            self.role["tax"] = code
        gone = self.add("tax_codes", shapes.tax_code("Old code", (), taxable=False))
        self._used(gone, "tax_codes", False)

    def add_vendor(self, name: str | None = None, role: str = "supplies") -> Json:
        """A supplier; in a company of several currencies every fourth bills in another."""
        account = self.account
        currency = account.currency
        if name is None:
            name = f"{self.random.choice(COMPANIES)} {self._next_name()}"
            if account.multicurrency and self.random.random() < 0.5:
                currency = self.random.choice(account.currencies[1:])
        elif account.multicurrency and role == "artists":
            currency = account.currencies[1]
        vendor = self.add("vendors", shapes.vendor(
            name=name, email="bills@vendor.example", currency=currency, term=self.role["net 30"],
            vendor_1099=role == "artists",
        ))  # fmt: skip
        self.role[f"role {vendor['Id']}"] = self.role[role]
        return vendor

    def add_employee(self) -> Json:
        """A member of the staff with an hourly rate."""
        return self.add("employees", shapes.employee(
            given=self.random.choice(GIVEN), address=self._address(), hired=self.today(),
            family=f"{self.random.choice(FAMILY)} {self._next_name()}",
            rate=self.price(self.random.choice((15, 17.5, 22.25))),
        ))  # fmt: skip

    def add_customer(self) -> Json:
        """A person or a company that books, hires or is a member."""
        account = self.account
        currency = account.currency
        if account.multicurrency and self.random.random() < 0.4:
            currency = self.random.choice(account.currencies[1:])
        company = self.random.random() < 0.4
        name = self._next_name()
        return self.add("customers", shapes.customer(
            given=None if company else self.random.choice(GIVEN),
            family=None if company else f"{self.random.choice(FAMILY)} {name}",
            company=f"{self.random.choice(COMPANIES)} {name}" if company else None,
            email=f"guest{name}@mail.example" if self.random.random() < 0.8 else None,
            phone="(555) 010-0147" if self.random.random() < 0.5 else None,
            address=self._address() if self.random.random() < 0.7 else None, currency=currency,
            taxable=not company, term=self.role["net 15"] if company else None,
        ))  # fmt: skip

    def _next_name(self) -> str:
        """A number that keeps display names apart, as the API demands."""
        return str(sum(len(self.account.tables[one]) + len(self.account.tables[one].deleted)
                       for one in ("customers", "vendors", "employees")) + 1)  # fmt: skip

    def _open_books(self) -> None:
        cash, equipment, loan = map(self.price, (60_000, 45_000, 30_000))
        self.journal(
            [
                (self.role["checking"], cash, "Debit"),
                (self.role["equipment"], equipment, "Debit"), (self.role["loan"], loan, "Credit"),
                (self.role["owner"], cash + equipment - loan, "Credit"),
            ],
            "Opening balances",
        )  # fmt: skip

    def journal(self, lines: list[tuple[Json, Decimal, str]], note: str) -> Json:
        """A journal entry of (account, amount, Debit or Credit) in home currency."""
        total = sum((amount for _, amount, way in lines if way == "Debit"), Decimal(0))
        return self.transact(
            "journal_entries", self.account.currency, total, Adjustment=False, PrivateNote=note,
            DocNumber=self.number("journal_entries"),
            Line=[
                shapes.journal_line(position, account, amount, way, note)
                for position, (account, amount, way) in enumerate(lines)
            ],
        )  # fmt: skip

    def number(self, stream: str) -> str:
        """The next document number."""
        table = self.account.tables[stream]
        return str(1001 + len(table) + len(table.deleted))

    def _budgets(self) -> None:
        year = self.today()[:4]
        for name, active in ((f"Budget_FY{year}_P&L", True), ("Draft budget", False)):
            budget = self.add("budgets", {
                "Name": name, "StartDate": f"{year}-01-01", "EndDate": f"{year}-12-31",
                "BudgetType": "ProfitAndLoss", "BudgetEntryType": "Monthly", "Active": True,
                "BudgetDetail": [
                    {
                        "BudgetDate": f"{year}-{month:02}-01",
                        "Amount": self.price(self.random.randrange(500, 9000)),
                        "AccountRef": shapes.to(self.role[role]),
                    }
                    for month in range(1, 13)
                    for role in ("tickets", "bar", "wages", "rent")
                ],
            })  # fmt: skip
            self._used(budget, "budgets", active)
