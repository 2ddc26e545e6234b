"""What a venue buys and owes: bills, purchases, wages, transfers and working hours."""

from decimal import Decimal

from provider_sandbox.ledger import Json
from provider_sandbox.life import HOUR
from provider_sandbox.quickbooks import shapes
from provider_sandbox.quickbooks.economy.sales import Sales

ZERO = Decimal(0)
PURCHASES = ("supplies", "repairs", "advertising", "drinks")


class Spending(Sales):
    """Bills and how they are paid, purchases, payroll, transfers and time."""

    def bill(self, vendor_id: str | None = None, dollars: float | None = None) -> Json:
        """A vendor's bill of one to three lines; most are paid within the month."""
        vendor = self.some("vendors") if vendor_id is None else self.existing("vendors", vendor_id)
        currency = vendor["CurrencyRef"]["value"]
        lines = [
            self._spent(number, vendor, dollars or self.random.uniform(40, 900), currency)
            for number in range(1, 2 if dollars else self.random.randint(2, 4))
        ]
        total = sum((line["Amount"] for line in lines), ZERO)
        bill = self.transact(
            "bills", currency, total, DocNumber=f"INV-{self.random.randrange(10**6)}", Line=lines,
            VendorRef=shapes.to(vendor), APAccountRef=shapes.to(self.role[f"payable {currency}"]),
            SalesTermRef=shapes.to(self.role["net 30"]), DueDate=self.account.later(self.at, 30),
            Balance=total, LinkedTxn=[],
        )  # fmt: skip
        if self.random.random() < 0.85:
            self.schedule(self.later(5, 28), "pay_bill", bill["Id"])
        return bill

    def pay_bill(self, bill_id: str) -> Json | None:
        """Pay a bill and what else of its vendor is open, less a credit, by check or card."""
        bill = self.account.find("bills", bill_id)
        if bill is None or not bill["Balance"]:
            return None
        vendor, currency = bill["VendorRef"], bill["CurrencyRef"]["value"]
        other = self.first(
            "bills",
            lambda one: (
                one["VendorRef"]["value"] == vendor["value"]
                and one["Balance"]
                and one["Id"] != bill_id
            ),
        )
        same = [bill] if other is None else [bill, other]
        lines = [shapes.applied_line(Decimal(one["Balance"]), "Bill", one["Id"]) for one in same]
        total = sum((line["Amount"] for line in lines), ZERO)
        credit = self.first(
            "vendor_credits",
            lambda one: one["VendorRef"]["value"] == vendor["value"] and 0 < one["Balance"] < total,
        )
        if credit is not None:
            used = Decimal(credit["Balance"])
            lines.append(shapes.applied_line(used, "VendorCredit", credit["Id"]))
            total -= used
        by_check = self.random.random() < 0.7
        way = {
            "PayType": "Check",
            "CheckPayment": {
                "BankAccountRef": shapes.to(self.role["checking"]), "PrintStatus": "NeedToPrint",
            },
        } if by_check else {
            "PayType": "CreditCard",
            "CreditCardPayment": {"CCAccountRef": shapes.to(self.role["card"])},
        }  # fmt: skip
        payment = self.transact(
            "bill_payments", currency, total, VendorRef=vendor, Line=lines, **way,
            APAccountRef=bill["APAccountRef"],
            DocNumber=self.number("bill_payments") if by_check else None,
        )  # fmt: skip
        self.settle(payment, paid_by(payment))
        return payment

    def purchase(self) -> Json:
        """An expense paid at once, by card, check or in cash; some are money back."""
        type = self.random.choice(("CreditCard", "CreditCard", "Check", "Cash"))
        vendor = self.first("vendors", lambda one: self._is_domestic(one))
        currency = self.account.currency
        line = self._spent(1, vendor, self.random.uniform(4, 300), currency)
        back = type == "CreditCard" and self.random.random() < 0.1
        paid_from = self.role["card" if type == "CreditCard" else "checking"]
        return self.transact(
            "purchases", currency, line["Amount"], AccountRef=shapes.to(paid_from), Line=[line],
            PaymentType=type, Credit=back, DocNumber=self.number("purchases"),
            EntityRef=vendor and shapes.ref(vendor["Id"], vendor["DisplayName"], "Vendor"),
            PrintStatus="NeedToPrint" if type == "Check" else "NotSet",
            PrivateNote="Bought at the “Cash & Carry”" if type == "Cash" else None,
        )  # fmt: skip

    def vendor_credit(self, vendor_id: str | None = None) -> Json:
        """A vendor takes something back, which the next payment to it counts."""
        vendor = self.some("vendors") if vendor_id is None else self.existing("vendors", vendor_id)
        currency = vendor["CurrencyRef"]["value"]
        line = self._spent(1, vendor, self.random.uniform(5, 60), currency)
        return self.transact(
            "vendor_credits", currency, line["Amount"], VendorRef=shapes.to(vendor), Line=[line],
            APAccountRef=shapes.to(self.role[f"payable {currency}"]), Balance=line["Amount"],
            LinkedTxn=[],
        )  # fmt: skip

    def pay_staff(self) -> Json:
        """Two weeks' wages as a journal entry: gross, employer's tax, what is withheld, net."""
        gross = self.price(self.random.uniform(3000, 5000))
        tax, withheld = self.account.amount(gross / 13), self.account.amount(gross / 5)
        self.schedule(self.at + 14 * 24 * HOUR, "pay_staff")
        return self.journal(
            [
                (self.role["wages"], gross, "Debit"), (self.role["payroll_tax"], tax, "Debit"),
                (self.role["payroll"], withheld + tax, "Credit"),
                (self.role["checking"], gross - withheld, "Credit"),
            ],
            "Payroll",
        )  # fmt: skip

    def end_month(self) -> None:
        """Rent and power are billed, equipment loses value, the card and the savings get theirs."""
        self.bill(self.role["vendor rent"]["Id"], 2400)
        self.bill(self.role["vendor utilities"]["Id"], 310)
        worn = self.price(750)
        self.journal(
            [(self.role["depreciation"], worn, "Debit"), (self.role["equipment"], worn, "Credit")],
            "Depreciation",
        )
        self.move("checking", "savings", self.price(500))
        owed = -self.account.balance(self.role["card"]["Id"])
        if owed > 0:
            self.move("checking", "card", owed)
        self.schedule(self.at + 30 * 24 * HOUR, "end_month")

    def move(
        self, source: str = "checking", target: str = "savings", amount: Decimal | None = None
    ) -> Json:
        """A transfer between two accounts of the venue, by their roles."""
        fields: Json = {
            "FromAccountRef": shapes.to(self.role[source]),
            "ToAccountRef": shapes.to(self.role[target]),
            "Amount": self.price(100) if amount is None else amount, "TxnDate": self.today(),
            "CurrencyRef": shapes.currency_ref(self.account.currency),
        }  # fmt: skip
        if self.account.multicurrency:
            fields["ExchangeRate"] = Decimal(1)
        return self.add("transfers", fields)

    def clock_in(self) -> Json:
        """One shift of a member of the staff."""
        employee = self.some("employees")
        hours = self.random.randint(3, 8)
        return self.add("time_activities", {
            "TxnDate": self.today(), "NameOf": "Employee", "EmployeeRef": shapes.to(employee),
            "DepartmentRef": shapes.to(self.some("departments")), "BillableStatus": "NotBillable",
            "ItemRef": shapes.to(self.role["item Sound Engineer, hour"]), "Taxable": False,
            "HourlyRate": employee["CostRate"], "Hours": hours,
            "Minutes": self.random.choice((0, 15, 30, 45)), "Seconds": 0,
            "Description": f"Shift of {employee['DisplayName']}",
        })  # fmt: skip

    def _spent(self, number: int, vendor: Json | None, dollars: float, currency: str) -> Json:
        role = self.role[self.random.choice(PURCHASES)]
        account = role if vendor is None else self.role.get(f"role {vendor['Id']}", role)
        return shapes.expense_line(
            number, account, self.price(round(dollars, 2), currency),
            f"{account['Name']} №{self.random.randrange(1000)}", klass=self.first("classes"),
        )  # fmt: skip


def paid_by(payment: Json) -> str:
    """The TxnType under which a document names this payment of bills."""
    return f"BillPayment{payment['PayType']}"
