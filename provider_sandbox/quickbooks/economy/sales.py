"""What a venue sells, what it is paid, and what it pays back."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count

from provider_sandbox.ledger import Json, PaidOut
from provider_sandbox.quickbooks import shapes
from provider_sandbox.quickbooks.books import STREAM_OF_TYPE, opened
from provider_sandbox.quickbooks.economy.setup import Setup

ZERO = Decimal(0)
FEE = Decimal("0.029")
OPEN_FIELDS = {
    "invoices": ("Balance",), "credit_memos": ("Balance", "RemainingCredit"),
    "bills": ("Balance",), "vendor_credits": ("Balance",),
}  # fmt: skip
"""The fields that show what of a document is open."""

Sold = tuple[Json, Decimal]
"""An item and a quantity."""


class Sales(Setup):
    """Receipts, invoices, payments, refunds, credits, estimates and deposits."""

    def sell(self, sold: Sequence[Sold] = ()) -> Json:
        """A sales receipt for tickets or drinks, paid at once through a processor or in cash."""
        if not sold:
            number = self.random.randint(1, 4)
            night = self.random.random() < 0.6
            streams = ("tickets", "merchandise") if night else ("bar",)
            wanted = [self._item_of(*streams) for _ in range(number)]
            sold = [(item, Decimal(self.random.randint(1, 6))) for item in wanted]
        discount = self.random.choice((10, 15, None)) if self.random.random() < 0.15 else None
        tip = self.price(self.random.choice((1, 2.5, 5))) if self.random.random() < 0.3 else None
        customer = (
            self.first("customers", self._is_domestic) if self.random.random() < 0.4 else None
        )
        method = self.random.choice(("stripe", "stripe", "square", "cash"))
        fields = self._sale("sales_receipts", self.account.currency, sold, discount, tip)
        receipt = self.transact(
            "sales_receipts", self.account.currency, fields.pop("TotalAmt"), **fields,
            CustomerRef=customer and shapes.to(customer), Balance=ZERO,
            PaymentMethodRef=shapes.to(self.role[f"by {method}"]),
            PaymentRefNum=f"{method}-{self.random.randrange(10**9)}" if method != "cash" else None,
            DepositToAccountRef=shapes.to(self.role.get(method, self.role["undeposited"])),
            DepartmentRef=shapes.to(self.some("departments")),
            CustomerMemo={"value": 'Thanks! “See you soon”'} if tip else None,
        )  # fmt: skip
        if method == "cash":
            self.safe["SalesReceipt", receipt["Id"]] = None
        return receipt

    def sell_bundle(self) -> Json | None:
        """A sales receipt for a night out, and a drink besides."""
        bundle = self.first("items", lambda one: one["Type"] == "Group")
        many = Decimal(self.random.randint(1, 3))
        return bundle and self.sell([(bundle, many), (self._item_of("bar"), many)])

    def invoice(self, customer_id: str | None = None, estimate: Json | None = None) -> Json:
        """An invoice for a hire, memberships or tickets; most are paid in time."""
        customer = self._customer(customer_id)
        currency = customer["CurrencyRef"]["value"]
        links = []
        if estimate is None:
            sold = [
                (self._item_of("hire", "memberships", "tickets"), self._quantity())
                for _ in range(self.random.choice((1, 1, 2, 3, 12)))
            ]
            fields = self._sale("invoices", currency, sold, None, None)
        else:
            fields = {name: estimate[name] for name in ("Line", "TxnTaxDetail", "TotalAmt")
                      if name in estimate}  # fmt: skip
            fields |= {"DocNumber": self.number("invoices"), "ApplyTaxAfterDiscount": True}
            links = [shapes.link("Estimate", estimate["Id"])]
        total = fields.pop("TotalAmt")
        invoice = self.transact(
            "invoices", currency, total, **fields, CustomerRef=shapes.to(customer),
            BillAddr=customer.get("BillAddr"), LinkedTxn=links, Balance=total,
            SalesTermRef=shapes.to(self.role["net 15"]), DueDate=self.account.later(self.at, 15),
            PrintStatus="NeedToPrint", EmailStatus="NotSet",
            BillEmail=customer.get("PrimaryEmailAddr"), AllowOnlineACHPayment=False,
            AllowOnlineCreditCardPayment=False,
        )  # fmt: skip
        if self.random.random() < 0.8:
            self.schedule(self.later(2, 25), "pay", invoice["Id"])
        return invoice

    def estimate(self) -> Json:
        """An offer; most are accepted, and invoiced then."""
        customer = self._customer(None)
        currency = customer["CurrencyRef"]["value"]
        fields = self._sale(
            "estimates", currency, [(self._item_of("hire"), self._quantity())], None, None
        )
        estimate = self.transact(
            "estimates", currency, fields.pop("TotalAmt"), **fields, TxnStatus="Pending",
            CustomerRef=shapes.to(customer), ExpirationDate=self.account.later(self.at, 30),
            EmailStatus="NotSet", PrintStatus="NeedToPrint", LinkedTxn=[],
        )  # fmt: skip
        if self.random.random() < 0.7:
            self.schedule(self.later(1, 9), "accept", estimate["Id"])
        return estimate

    def accept(self, estimate_id: str) -> Json | None:
        """An estimate is accepted and becomes an invoice."""
        estimate = self.account.find("estimates", estimate_id)
        if estimate is None or estimate["TxnStatus"] != "Pending":
            return None
        invoice = self.invoice(estimate["CustomerRef"]["value"], estimate)
        self.change("estimates", estimate_id, {
            "TxnStatus": "Closed", "AcceptedDate": self.today(), "AcceptedBy": "the customer",
            "LinkedTxn": [shapes.link("Invoice", invoice["Id"])],
        })  # fmt: skip
        return invoice

    def pay(self, invoice_id: str, amount: Decimal | None = None) -> Json | None:
        """A customer pays an invoice (and now and then too much), or a part of it. Open credits of
        the customer are used up first."""
        invoice = self.account.find("invoices", invoice_id)
        if invoice is None or not invoice["Balance"]:
            return None
        currency = invoice["CurrencyRef"]["value"]
        foreign = currency != self.account.currency
        customer = invoice["CustomerRef"]
        due = Decimal(invoice["Balance"])
        if amount is None and not foreign and self.random.random() < 0.2:
            amount = self.account.amount(due / 2)
        paid = due if amount is None else min(Decimal(str(amount)), due)
        credit = None if foreign else self.first(
            "credit_memos",
            lambda one: one["CustomerRef"]["value"] == customer["value"]
            and 0 < one["RemainingCredit"] <= paid,
        )  # fmt: skip
        used = Decimal(credit["RemainingCredit"]) if credit else ZERO
        over = (
            self.price(5) if paid == due and not foreign and self.random.random() < 0.05 else ZERO
        )
        lines = [shapes.applied_line(paid, "Invoice", invoice_id)]
        if credit:
            lines.append(shapes.applied_line(used, "CreditMemo", credit["Id"]))
        method = self.random.choice(("check", "stripe", "cash"))
        to = "checking" if foreign else "stripe" if method == "stripe" else "undeposited"
        payment = self.transact(
            "payments", currency, paid - used + over, CustomerRef=customer, UnappliedAmt=over,
            DepositToAccountRef=shapes.to(self.role[to]), ProcessPayment=False, Line=lines,
            PaymentMethodRef=shapes.to(self.role[f"by {method}"]), LinkedTxn=[],
            PaymentRefNum=f"{self.random.randrange(10**5)}" if method == "check" else None,
        )  # fmt: skip
        self.settle(payment, "Payment")
        if to == "undeposited":
            self.safe["Payment", payment["Id"]] = None
        if paid < due:
            self.schedule(self.later(5, 20), "pay", invoice_id)
        return payment

    def settle(self, payment: Json, type: str, *, undo: bool = False) -> None:
        """Show in the documents that a payment names that they are settled by so much, or (undo)
        are no longer."""
        for line in payment["Line"]:
            link = line["LinkedTxn"][0]
            stream, id = STREAM_OF_TYPE[link["TxnType"]], link["TxnId"]
            document = self.account.find(stream, id)
            if document is None:
                continue
            links = [one for one in document.get("LinkedTxn", ()) if not (
                one["TxnType"] == type and one["TxnId"] == payment["Id"]
            )]  # fmt: skip
            if not undo:
                links.append(shapes.link(type, payment["Id"]))
            due = document["Balance"] + (line["Amount"] if undo else -line["Amount"])
            changes: Json = dict.fromkeys(OPEN_FIELDS[stream], due) | {"LinkedTxn": links}
            if "HomeBalance" in document:
                changes["HomeBalance"] = self.account.amount(
                    due * Decimal(document["ExchangeRate"])
                )
            self.change(stream, id, changes)

    def refund(self, receipt_id: str | None = None, amount: Decimal | None = None) -> Json | None:
        """Give back the price of one ticket or drink of a sales receipt, with its tax, or an
        amount without one."""
        receipt = self.first("sales_receipts", _has_value) if receipt_id is None else (
            self.existing("sales_receipts", receipt_id)
        )  # fmt: skip
        if receipt is None:
            return None
        if amount is None:
            detail = next(opened(receipt["Line"]))["SalesItemLineDetail"]
            sold = [(self.existing("items", detail["ItemRef"]["value"]), Decimal(1))]
            fields = self._sale("refund_receipts", self.account.currency, sold, None, None)
        else:
            fields = self._sale(
                "refund_receipts", self.account.currency, (), None, Decimal(str(amount))
            )
        return self.transact(
            "refund_receipts", self.account.currency, fields.pop("TotalAmt"), **fields,
            CustomerRef=receipt.get("CustomerRef"), Balance=ZERO, RemainingCredit=ZERO,
            PaymentMethodRef=receipt["PaymentMethodRef"], PrintStatus="NeedToPrint",
            DepositToAccountRef=self._refunded_from(receipt),
            PrivateNote=f"Refund of receipt {receipt['DocNumber']}",
        )  # fmt: skip

    def credit(self, customer_id: str | None = None) -> Json:
        """A credit memo, used by the customer's next payment."""
        customer = self._customer(customer_id)
        currency = customer["CurrencyRef"]["value"]
        sold = [(self._item_of("tickets", "memberships"), Decimal(1))]
        fields = self._sale("credit_memos", currency, sold, None, None)
        total = fields.pop("TotalAmt")
        return self.transact(
            "credit_memos", currency, total, **fields, CustomerRef=shapes.to(customer),
            Balance=total, RemainingCredit=total, PrintStatus="NeedToPrint", EmailStatus="NotSet",
            LinkedTxn=[],
        )  # fmt: skip

    def bank(self) -> Json | None:
        """Cash and checks that waited in Undeposited Funds go to the bank."""
        waiting = self.waiting()[:40]
        if not waiting:
            return None
        lines = [
            shapes.deposited_line(position, found, type)
            for position, (type, found) in enumerate(waiting, 1)
        ]
        total = sum((Decimal(line["Amount"]) for line in lines), ZERO)
        for type, found in waiting:
            del self.safe[type, found["Id"]]
        return self.transact(
            "deposits", self.account.currency, total, Line=lines,
            DepositToAccountRef=shapes.to(self.role["checking"]), PrivateNote="Night drop",
        )  # fmt: skip

    def pay_out(self, processor: str | None = None) -> Json | None:
        """A processor pays what it collected, less its fee, to the bank; where the company follows
        its payouts, each that arrived in its currency becomes a deposit, and does so again where
        that is gone."""
        processor = processor or self.random.choice(("stripe", "square"))
        if processor in self.account.payouts:
            deposit = None
            for payout in self.account.payouts[processor]():
                if payout.currency != self.account.currency or payout.arrived > self.today():
                    continue
                if not self._is_deposited(payout.id):
                    deposit = self._deposit(processor, payout)
            return deposit
        collected = self.account.balance(self.role[processor]["Id"])
        if collected <= 0:
            return None
        fee = self.account.amount(collected * FEE)
        reference = f"po_{self.random.randrange(10**12):x}"
        lines = [
            shapes.deposit_line(1, collected, self.role[processor], f"{processor} sales"),
            shapes.deposit_line(2, -fee, self.role["fees"], f"{processor} fees"),
        ]
        return self.transact(
            "deposits", self.account.currency, collected - fee, Line=lines,
            DepositToAccountRef=shapes.to(self.role["checking"]),
            PrivateNote=f"{processor.upper()} PAYOUT {reference}",
        )  # fmt: skip

    def misbook(self) -> Json | None:
        """A bookkeeper takes a fee of the bank's off the last deposit of a payout."""
        held = [id for payout, id in self.deposited.items() if self._is_deposited(payout)]
        if not held:
            return None
        deposit = self.existing("deposits", held[-1])
        (line,) = deposit["Line"]
        total = deposit["TotalAmt"]
        left = total - min(self.price(5), self.account.amount(Decimal(total) / 2))
        changes: Json = {"TotalAmt": left, "Line": [line | {"Amount": left}]}
        if "HomeTotalAmt" in deposit:
            changes["HomeTotalAmt"] = left
        return self.change("deposits", deposit["Id"], changes)

    def _is_deposited(self, payout: str) -> bool:
        deposit = self.account.find("deposits", self.deposited.get(payout, ""))
        return deposit is not None and deposit["TotalAmt"] > 0

    def _deposit(self, processor: str, payout: PaidOut) -> Json:
        line = shapes.deposit_line(
            1, payout.amount, self.role[processor], f"{processor} {payout.id}"
        )
        deposit = self.transact(
            "deposits", payout.currency, payout.amount, Line=[line],
            DepositToAccountRef=shapes.to(self.role["checking"]),
            PrivateNote=f"{processor.upper()} PAYOUT",
        )  # fmt: skip
        self.deposited[payout.id] = deposit["Id"]
        return deposit

    def waiting(self) -> list[tuple[str, Json]]:
        """Receipts and payments that are not deposited yet, with their types, oldest first."""
        found = ((type, self.account.find(STREAM_OF_TYPE[type], id)) for type, id in self.safe)
        return [(type, one) for type, one in found if one is not None and one["TotalAmt"]]

    def _sale(
        self, stream: str, currency: str, sold: Sequence[Sold], discount: int | None,
        tip: Decimal | None,
    ) -> Json:  # fmt: skip
        """Lines, taxes and total: lines + tip - discount + tax."""
        taxable = total = ZERO
        klass = self.first("classes")
        numbers = count(1)
        lines = [self._line(numbers, item, quantity, currency, klass) for item, quantity in sold]
        for line in opened(lines):
            total += line["Amount"]
            if line["SalesItemLineDetail"]["TaxCodeRef"]["value"] == "TAX":
                taxable += line["Amount"]
        if tip is not None:
            item = self.role["item Tips"]
            one = Decimal(1)
            lines.append(shapes.item_line(
                next(numbers), item, one, tip, tip, klass=None, tax_code="NON"
            ))  # fmt: skip
            total += tip
        lines.append(shapes.subtotal_line(total))
        if discount is not None:
            off = self.account.amount(total * discount / 100, currency)
            lines.append(shapes.discount_line(next(numbers), off, discount, self.role["discounts"]))
            taxable -= self.account.amount(taxable * discount / 100, currency)
            total -= off
        fields: Json = {
            "DocNumber": self.number(stream), "Line": lines, "ApplyTaxAfterDiscount": True,
        }  # fmt: skip
        if "tax" in self.role:
            taxes = [
                shapes.tax_line(
                    self.account.amount(taxable * rate["RateValue"] / 100, currency), rate, taxable
                )
                for rate in self.role["rates"]["rates"]
            ]
            tax = sum((line["Amount"] for line in taxes), ZERO)
            fields["TxnTaxDetail"] = {
                "TxnTaxCodeRef": shapes.ref(self.role["tax"]["Id"]), "TotalTax": tax,
                "TaxLine": taxes,
            }  # fmt: skip
            total += tax
        else:
            fields["TxnTaxDetail"] = {"TotalTax": ZERO}
        return fields | {"TotalAmt": total}

    def _line(
        self, numbers: Iterator[int], item: Json, quantity: Decimal, currency: str,
        klass: Json | None,
    ) -> Json:  # fmt: skip
        """A line of an item, or of a bundle with those of the items in it."""
        number = next(numbers)
        if item["Type"] == "Group":
            parts = item["ItemGroupDetail"]["ItemGroupLine"]
            return shapes.bundle_line(number, item, quantity, [
                self._line(
                    numbers, self.existing("items", part["ItemRef"]["value"]),
                    part["Qty"] * quantity, currency, klass,
                )
                for part in parts
            ])  # fmt: skip
        price = item["UnitPrice"] * 1
        if currency != self.account.currency:
            price = self.price(Decimal(item["UnitPrice"]), currency)
        amount = self.account.amount(price * quantity, currency)
        return shapes.item_line(
            number, item, quantity, price, amount, klass=klass,
            tax_code="TAX" if item["Taxable"] else "NON",
        )  # fmt: skip

    def _refunded_from(self, receipt: Json) -> Json:
        """Cash goes out of the bank, the rest through the processor."""
        account: Json = receipt["DepositToAccountRef"]
        if account["value"] == self.role["undeposited"]["Id"]:
            account = shapes.to(self.role["checking"])
        return account

    def _item_of(self, *roles: str) -> Json:
        accounts = {self.role[role]["Id"] for role in roles}
        found = self.first(
            "items", lambda one: one.get("IncomeAccountRef", {}).get("value") in accounts
        )
        return found or self.role["item General Admission"]

    def _customer(self, id: str | None) -> Json:
        return self.some("customers") if id is None else self.existing("customers", id)

    def _is_domestic(self, customer: Json) -> bool:
        return bool(customer["CurrencyRef"]["value"] == self.account.currency)

    def _quantity(self) -> Decimal:
        return Decimal(self.random.choice(("1", "2", "3", "4.5", "0.25")))


def _has_value(found: Json) -> bool:
    return bool(found["TotalAmt"])
