"""Invoices, credit notes and subscriptions."""

from collections.abc import Sequence

from provider_sandbox.ledger import Json, decode, encode
from provider_sandbox.life import HOUR, MONTH
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import DAY, EMBEDDED, StripeAccount
from provider_sandbox.stripe.economy.payments import Payments


class Billing(Payments):
    """Every line is rounded by itself, and a paper is the sum of its lines."""

    def __init__(self, account: StripeAccount, *, currencies: Sequence[str]) -> None:
        super().__init__(account, currencies=currencies)
        self.tax_rate_id = account.id_for("txr")
        self._invoices = 0
        self._discounts: dict[str, tuple[str | None, Json | None]] = {}
        self._subscribed: dict[str, list[str]] = {}

    def open_long_papers(self) -> None:
        """An invoice, a subscription and a credit note that are longer than what is embedded."""
        invoice = self.bill(120, fate="paid")
        self.subscribe(13)
        self.schedule(self.at + 3 * DAY, "credit", invoice["id"], 12)

    def bill(self, line_count: int | None = None, *, fate: str | None = None) -> Json:
        """A one-off invoice of 1 to 25 lines, now and then of more than a hundred."""
        customer = self._a_customer()
        currency = self._a_currency()
        prices = self._prices(self._one_time, currency)
        if line_count is None:
            long = self.random.random() < 0.02
            line_count = self.random.randrange(101, 140) if long else self.random.randrange(1, 26)
        id = self.account.id_for("in")
        discount, coupon = self._a_discount()
        lines = []
        for _ in range(line_count):
            price, quantity = self.random.choice(prices), self.random.randrange(1, 5)
            amount = price["unit_amount"] * quantity
            name = self._existing("products", price["product"])["name"]
            item = shapes.invoice_item(
                self.account.id_for("ii"),
                self.at,
                customer=customer["id"],
                price=price,
                quantity=quantity,
                amount=amount,
                description=name,
            )
            self._added("invoiceitems", "invoiceitem.created", item)
            self.account.change("invoiceitems", item["id"], {"invoice": id}, at=self.at)
            lines.append(
                self._line(
                    id,
                    price,
                    quantity,
                    amount,
                    name,
                    (self.at, self.at),
                    item=item["id"],
                    discount=discount,
                    coupon=coupon,
                )
            )
        invoice = self._draft(id, customer, currency, "manual", lines, coupon, discount)
        fates = ("paid", "open", "draft", "void", "sent")
        fate = fate or self.random.choices(fates, (70, 8, 8, 6, 8))[0]
        if fate == "draft":
            return invoice
        self.schedule(self.at + HOUR, "finish_invoice", id, fate)
        if self.random.random() < 0.3:
            self.finish_invoice(id, fate)
        return invoice

    def _line(
        self,
        invoice: str,
        price: Json,
        quantity: int,
        amount: int,
        description: str,
        period: tuple[int, int],
        *,
        item: str | None = None,
        subscription: str | None = None,
        subscription_item: str | None = None,
        discount: str | None,
        coupon: Json | None,
    ) -> Json:
        off = self._off(amount, coupon, price["currency"])
        taxable = amount - off
        tax = self._part(taxable, self.tax_rate, price["currency"])
        return shapes.line(
            self.account.id_for("il"),
            invoice=invoice,
            amount=amount,
            price=price,
            quantity=quantity,
            description=description,
            period=period,
            item=item,
            subscription=subscription,
            subscription_item=subscription_item,
            discount=None if discount is None else (discount, off),
            tax=shapes.tax(tax, self.tax_rate_id, taxable) if tax else None,
        )

    def _draft(
        self,
        id: str,
        customer: Json,
        currency: str,
        reason: str,
        lines: list[Json],
        coupon: Json | None,
        discount: str | None,
        *,
        subscription: str | None = None,
        period: tuple[int, int] | None = None,
    ) -> Json:
        off = sum(one["discount_amounts"][0]["amount"] for one in lines if one["discount_amounts"])
        taxes = [tax for one in lines for tax in one["taxes"]]
        tax = shapes.tax(
            sum(one["amount"] for one in taxes),
            self.tax_rate_id,
            sum(one["taxable_amount"] for one in taxes),
        )
        sent = subscription is None and self.random.random() < 0.3
        invoice = shapes.invoice(
            id,
            self.at,
            owner=self.account,
            customer=customer,
            currency=currency,
            reason=reason,
            lines=self.account.keep_lines("invoices", id, lines, f"/v1/invoices/{id}/lines"),
            subscription=subscription,
            subtotal=sum(one["amount"] for one in lines),
            discount=None if discount is None else (discount, off),
            tax=tax if taxes else None,
            period=period or (self.at, self.at),
            collection_method="send_invoice" if sent else "charge_automatically",
            due_date=self.at + 14 * DAY if sent else None,
        )
        if coupon is not None:
            self._redeem(coupon)
        return self._added("invoices", "invoice.created", invoice)

    def finish_invoice(self, invoice_id: str, fate: str = "paid") -> Json | None:
        """Finalize a draft, and pay it, void it, or leave it open."""
        invoice = self.account.find("invoices", invoice_id)
        if invoice is None or invoice["status"] != "draft":
            return None
        self._invoices += 1
        changes: Json = {
            "status": "open",
            "number": f"{self.account.slug[:6].upper()}-{self._invoices:05d}",
            "effective_at": self.at,
            "status_transitions.finalized_at": self.at,
            "auto_advance": fate == "paid",
            "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice_id}",
            "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice_id}/pdf",
        }
        self._set_invoice(invoice_id, "invoice.finalized", changes)
        match fate:
            case "paid":
                return self.pay_invoice(invoice_id)
            case "void":
                self.soon(600)
                changes = {
                    "status": "void",
                    "status_transitions.voided_at": self.at,
                    "amount_remaining": invoice["amount_remaining"],
                }
                return self._set_invoice(invoice_id, "invoice.voided", changes)
            case "sent":
                self.account.emit(
                    "invoice.sent", self._existing("invoices", invoice_id), at=self.at
                )
                self.schedule(self.later(1, 20), "pay_invoice", invoice_id)
            case "open":
                self.schedule(self.later(20, 60), "give_up", invoice_id)
        return self._existing("invoices", invoice_id)

    def pay_invoice(self, invoice_id: str) -> Json | None:
        """Charge an open invoice; the first attempt may be declined."""
        invoice = self._existing("invoices", invoice_id)
        if invoice["status"] != "open":
            return None
        due = invoice["amount_remaining"]
        customer = self.account.find("customers", invoice["customer"])
        if due > 0:
            intent = self._open_intent(
                due,
                invoice["currency"],
                customer,
                metadata={},
                description=f"Payment for Invoice {invoice['number']}",
            )
            if self.random.random() < 0.06:
                self._decline(intent, customer)
                changes = {
                    "attempted": True,
                    "attempt_count": invoice["attempt_count"] + 1,
                    "next_payment_attempt": self.at + 3 * DAY,
                }
                self._set_invoice(invoice_id, "invoice.payment_failed", changes)
                self.schedule(self.at + 3 * DAY, "pay_invoice", invoice_id)
                self._mark_subscription(invoice, "active", "past_due")
                self._cancel_intent(intent, "failed_invoice")
                return None
            self._pay(intent, customer)
            payment = shapes.invoice_payment(
                self.account.id_for("inpay"),
                self.at,
                invoice=invoice_id,
                amount=due,
                currency=invoice["currency"],
                intent=intent["id"],
            )
            self.account.nested["payments", invoice_id] = [encode(payment)]
            self.account.emit("invoice_payment.paid", payment, at=self.at)
        changes = {
            "status": "paid",
            "status_transitions.paid_at": self.at,
            "attempted": True,
            "attempt_count": invoice["attempt_count"] + (due > 0),
            "amount_paid": due,
            "amount_remaining": 0,
            "next_payment_attempt": None,
        }
        paid = self._set_invoice(invoice_id, "invoice.paid", changes)
        self.account.emit("invoice.payment_succeeded", paid, at=self.at)
        self._mark_subscription(invoice, "past_due", "active")
        return paid

    def _mark_subscription(self, invoice: Json, from_status: str, to_status: str) -> None:
        if invoice["parent"] is not None:
            id = invoice["parent"]["subscription_details"]["subscription"]
            if self._existing("subscriptions", id)["status"] == from_status:
                self._set_subscription(id, {"status": to_status})

    def give_up(self, invoice_id: str) -> Json | None:
        """Write an open invoice off."""
        invoice = self._existing("invoices", invoice_id)
        if invoice["status"] != "open":
            return None
        changes = {"status": "uncollectible", "status_transitions.marked_uncollectible_at": self.at}
        return self._set_invoice(invoice_id, "invoice.marked_uncollectible", changes)

    def _set_invoice(self, id: str, event: str, changes: Json) -> Json:
        return self.account.change("invoices", id, changes, at=self.at, event=event)

    def credit(self, invoice_id: str | None = None, line_count: int = 0) -> Json | None:
        """A credit note for some lines of an invoice: of a paid one with a refund, of an open one
        less to pay."""
        if invoice_id is None:
            found = self._first("invoices", lambda one: one["status"] in ("paid", "open"))
            if found is None:
                return None
            invoice_id = str(found["id"])
        invoice = self._existing("invoices", invoice_id)
        lines = self.account.lines("invoices", invoice_id)
        most = max(1, len(lines) * 2 // 3) if self.random.random() < 0.5 else 1
        most = line_count or most
        id = self.account.id_for("cn")
        credited = [
            shapes.credit_note_line(
                self.account.id_for("cnli"),
                amount=line["amount"],
                quantity=line["quantity"],
                description=line["description"],
                invoice_line=line["id"],
            )
            for line in lines[:most]
        ]
        amount = sum(line["amount"] for line in credited)
        refund = None
        if invoice["status"] == "paid":
            payments = self.account.nested.get(("payments", invoice_id))
            if not payments:
                return None
            intent = self._existing("payment_intents", _intent_of(payments[0]))
            charge = self._existing("charges", intent["latest_charge"])
            left = charge["amount_captured"] - self._refunded(charge)
            if amount > left:
                return None
            refund = self.refund(charge["id"], amount)
            if refund is None:
                return None
        elif amount > invoice["amount_remaining"]:
            return None
        number = len(self.account.streams["credit_notes"]) + 1
        url = f"/v1/credit_notes/{id}/lines"
        note = shapes.credit_note(
            id,
            self.at,
            invoice=invoice,
            amount=amount,
            number=f"{invoice['number']}-CN-{number:02d}",
            lines=self.account.keep_lines("credit_notes", id, credited, url),
            refund=refund,
            reason=self.random.choice(("order_change", "product_unsatisfactory")),
        )
        self._added("credit_notes", "credit_note.created", note)
        if refund is not None:
            total = invoice["post_payment_credit_notes_amount"] + amount
            changes: Json = {"post_payment_credit_notes_amount": total}
        else:
            changes = {
                "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"]
                + amount,
                "amount_due": invoice["amount_due"] - amount,
                "amount_remaining": invoice["amount_remaining"] - amount,
            }
        self._set_invoice(invoice_id, "invoice.updated", changes)
        return note

    def subscribe(self, item_count: int | None = None) -> Json:
        """A subscription and its first invoice; some have more items than are embedded."""
        customer = self._a_customer()
        currency = self._a_currency()
        prices = [
            one
            for one in self._prices(self._recurring, currency)
            if one["recurring"]["interval"] == "month"
        ]
        many = self.random.random() < 0.1
        count = item_count or (
            self.random.randrange(11, 16) if many else self.random.randrange(1, 3)
        )
        id = self.account.id_for("sub")
        trial_end = self.at + 14 * DAY if self.random.random() < 0.15 else None
        period = (self.at, trial_end or self.at + MONTH)
        for _ in range(count):
            item = shapes.subscription_item(
                self.account.id_for("si", 14),
                self.at,
                subscription=id,
                price=self.random.choice(prices),
                quantity=self.random.randrange(1, 4),
                period=period,
            )
            self.account.save("subscription_items", item)
            self._subscribed.setdefault(id, []).append(item["id"])
        self._discounts[id] = discount, coupon = self._a_discount()
        subscription = shapes.subscription(
            id,
            self.at,
            customer=customer["id"],
            currency=currency,
            items=self._embedded_items(id),
            discounts=[discount] if discount else [],
            trial_end=trial_end,
            status="trialing" if trial_end else "active",
            metadata={"tier": "Fördermitglied"},
        )
        if coupon is not None:
            self._redeem(coupon)
        self._added("subscriptions", "customer.subscription.created", subscription)
        if trial_end is None:
            self._bill_period(id, "subscription_create")
        self.schedule(period[1], "renew", id)
        if self.random.random() < 0.25:
            self.schedule(self.later(5, 120), "unsubscribe", id)
        return self._existing("subscriptions", id)

    def _items_of(self, subscription_id: str) -> list[Json]:
        return [
            self._existing("subscription_items", id) for id in self._subscribed[subscription_id]
        ]

    def _embedded_items(self, subscription_id: str) -> Json:
        """The list of a subscription's items as it is embedded: the newest ten."""
        mine = self._items_of(subscription_id)[::-1]
        url = f"/v1/subscription_items?subscription={subscription_id}"
        return shapes.listing(mine[:EMBEDDED], url, has_more=len(mine) > EMBEDDED)

    def _bill_period(self, subscription_id: str, reason: str) -> Json | None:
        subscription = self._existing("subscriptions", subscription_id)
        customer = self.account.find("customers", subscription["customer"])
        if customer is None:
            return None
        id = self.account.id_for("in")
        discount, coupon = self._discounts.get(subscription_id, (None, None))
        lines = []
        for item in self._items_of(subscription_id):
            price = item["price"]
            period = (item["current_period_start"], item["current_period_end"])
            name = self.account.find("products", price["product"])
            lines.append(
                self._line(
                    id,
                    price,
                    item["quantity"],
                    price["unit_amount"] * item["quantity"],
                    f"{item['quantity']} of {name['name'] if name else 'Membership'}",
                    period,
                    subscription=subscription_id,
                    subscription_item=item["id"],
                    discount=discount,
                    coupon=coupon,
                )
            )
        invoice = self._draft(
            id,
            customer,
            subscription["currency"],
            reason,
            lines,
            coupon,
            discount,
            subscription=subscription_id,
            period=period,
        )
        changes = {"latest_invoice": id}
        self._set_subscription(subscription_id, changes)
        if reason == "subscription_create":
            self.finish_invoice(id, "paid")
        else:
            self.schedule(self.at + HOUR, "finish_invoice", id, "paid")
        return invoice

    def _set_subscription(self, id: str, changes: Json) -> Json:
        event = "customer.subscription.updated"
        return self.account.change("subscriptions", id, changes, at=self.at, event=event)

    def renew(self, subscription_id: str) -> Json | None:
        """The next period begins and is billed."""
        subscription = self._existing("subscriptions", subscription_id)
        if subscription["status"] not in ("active", "trialing", "past_due"):
            return None
        if subscription["cancel_at_period_end"]:
            return self.unsubscribe(subscription_id, at_once=True)
        period = (self.at, self.at + MONTH)
        for item in self._items_of(subscription_id):
            item |= {"current_period_start": period[0], "current_period_end": period[1]}
            self.account.save("subscription_items", item)
        changes = {"items": self._embedded_items(subscription_id), "status": "active"}
        self._set_subscription(subscription_id, changes)
        self._bill_period(subscription_id, "subscription_cycle")
        self.schedule(period[1], "renew", subscription_id)
        return self._existing("subscriptions", subscription_id)

    def unsubscribe(self, subscription_id: str, *, at_once: bool | None = None) -> Json | None:
        """Cancel at once, or at the end of the period."""
        subscription = self._existing("subscriptions", subscription_id)
        if subscription["status"] == "canceled" or (
            subscription["cancel_at_period_end"] and not at_once
        ):
            return None
        if at_once is None and self.random.random() < 0.5:
            end = subscription["items"]["data"][0]["current_period_end"]
            changes: Json = {
                "cancel_at_period_end": True,
                "cancel_at": end,
                "canceled_at": self.at,
                "cancellation_details.reason": "cancellation_requested",
            }
            return self._set_subscription(subscription_id, changes)
        changes = {
            "status": "canceled",
            "ended_at": self.at,
            "canceled_at": subscription["canceled_at"] or self.at,
            "cancellation_details.reason": "cancellation_requested",
        }
        event = "customer.subscription.deleted"
        return self.account.change(
            "subscriptions", subscription_id, changes, at=self.at, event=event
        )

    def resize(self, subscription_id: str) -> Json:
        """Change the quantity of one of the items."""
        item = self.random.choice(self._items_of(subscription_id))
        item["quantity"] += 1
        self.account.save("subscription_items", item)
        return self._set_subscription(
            subscription_id, {"items": self._embedded_items(subscription_id)}
        )


def _intent_of(payment: bytes) -> str:
    id: str = decode(payment)["payment"]["payment_intent"]
    return id
