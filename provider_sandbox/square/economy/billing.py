"""Invoices and subscriptions."""

from datetime import date, timedelta

from provider_sandbox.ledger import Json
from provider_sandbox.square import shapes
from provider_sandbox.square.account import DAY, Ref, SquareAccount, iso
from provider_sandbox.square.economy.sales import Sales
from provider_sandbox.square.money import shares

PERIOD = 30


class Billing(Sales):
    """Invoices, each with an order of its own, and subscriptions, that send invoices."""

    def __init__(self, account: SquareAccount) -> None:
        super().__init__(account)
        self._invoiced: dict[str, str] = {}

    def add_invoice(self, *, subscription: Json | None = None) -> Ref | None:
        """A draft for hall hire, one in three to be paid in two parts; it is sent within a day."""
        customer = (
            self.account.existing("customers", subscription["customer_id"])
            if subscription
            else self.one_of("customers", lambda one: "email_address" in one)
        )
        if customer is None:
            return None
        location = subscription["location_id"] if subscription else self._a_location()
        price = self.price(12, 12) if subscription else self.price(200, 1500)
        title = "Friends of the Hall" if subscription else "Hall hire “Süd”"
        order, at = self._order(
            location, [self._line(title, "", price, 1, "CUSTOM_AMOUNT")], source="Invoices"
        )
        order["customer_id"] = customer["id"]
        self._total(order, tip=0)
        self.added("orders", order, at)
        due = order["total_money"]["amount"]
        parts = shares(due, [1, 1]) if due > 1 and not subscription and self.chance(0.3) else [due]
        types = ("DEPOSIT", "BALANCE") if len(parts) == 2 else ("BALANCE",)
        today = self.local_date(self.at)
        requests = [
            shapes.payment_request(
                self.account.uuid(), type, (today + timedelta(days=14 * (n + 1))).isoformat(),
                self.cash(part),
            )
            for n, (type, part) in enumerate(zip(types, parts, strict=True))
        ]  # fmt: skip
        names = ("given_name", "family_name", "email_address", "phone_number")
        recipient = {name: customer[name] for name in names if name in customer}
        invoice = shapes.invoice(
            f"inv:0-{self.account.id_for(29)}", at, order=order["id"], location=location,
            recipient={"customer_id": customer["id"], **recipient}, requests=requests,
            number=f"{len(self.account.table('invoices')) + 1:06d}", title=title,
            due=self.cash(parts[0]), timezone=self.account.timezone,
            subscription=subscription["id"] if subscription else None,
        )  # fmt: skip
        self._invoiced[order["id"]] = invoice["id"]
        if subscription is None:
            self.schedule(self.later(0.05, 1), "publish_invoice", invoice["id"])
        return self.added("invoices", invoice, at)

    def publish_invoice(self, id: str = "") -> Ref | None:
        """A draft is sent: from now on it can be paid or canceled, but not deleted."""
        found = self._an_invoice(id, "DRAFT")
        if found is None:
            return None
        changes = {"status": "UNPAID", "public_url": f"https://squareup.com/pay-invoice/{id}"}
        self.schedule(self.later(1, 20), "pay_invoice", found["id"])
        return self.changed("invoices", found["id"], changes, verb="published")

    def pay_invoice(self, id: str = "") -> Ref | None:
        """The next part is paid by card; with the last one the order is complete."""
        found = self._an_invoice(id, "UNPAID", "PARTIALLY_PAID")
        if found is None:
            return None
        order = self.account.existing("orders", found["order_id"])
        requests = found["payment_requests"]
        open_ones = [one for one in requests if one["total_completed_amount_money"]["amount"] == 0]
        amount = open_ones[0]["computed_amount_money"]
        payment = self._charge(order, amount["amount"])
        open_ones[0]["total_completed_amount_money"] = amount
        last = len(open_ones) == 1
        if last:
            self._close(order["id"], [payment])
        else:
            self._tendered(order["id"], [payment])
            self.schedule(self.later(1, 20), "pay_invoice", found["id"])
        changes = {
            "status": "PAID" if last else "PARTIALLY_PAID", "payment_requests": requests,
            "next_payment_amount_money": None if last else open_ones[1]["computed_amount_money"],
        }  # fmt: skip
        return self.changed("invoices", found["id"], changes, verb="payment_made")

    def cancel_invoice(self, id: str = "") -> Ref | None:
        """An invoice that was sent is called off, and its order with it."""
        found = self._an_invoice(id, "UNPAID")
        if found is None:
            return None
        self._cancel_order(found["order_id"])
        changes = {"status": "CANCELED", "next_payment_amount_money": None}
        return self.changed("invoices", found["id"], changes, verb="canceled")

    def delete_invoice(self, id: str = "") -> Ref | None:
        """A draft is deleted for good; its order stays, canceled."""
        found = self._an_invoice(id, "DRAFT")
        if found is None:
            return None
        self._cancel_order(found["order_id"])
        del self._invoiced[found["order_id"]]
        self.account.delete("invoices", found["id"], at=self.stamp())
        return Ref("invoices", found["id"])

    def refund(self, payment_id: str = "", amount: int = 0) -> Ref | None:
        ref = super().refund(payment_id, amount)
        if ref is not None:
            refund = self.account.existing("refunds", ref.id)
            payment = self.account.existing("payments", refund["payment_id"])
            invoice = self._invoiced.get(payment["order_id"])
            if invoice is not None and self._an_invoice(invoice, "PAID", "PARTIALLY_REFUNDED"):
                order = self.account.existing("orders", payment["order_id"])
                whole = payment["refunded_money"] == order["total_money"]
                status = "REFUNDED" if whole else "PARTIALLY_REFUNDED"
                self.changed("invoices", invoice, {"status": status}, verb="refunded")
        return ref

    def _an_invoice(self, id: str, *statuses: str) -> Json | None:
        if id and self.account.find("invoices", id) is None:
            return None
        return self.chosen("invoices", id, lambda one: one["status"] in statuses)

    def _cancel_order(self, id: str) -> None:
        changes = {"state": "CANCELED", "closed_at": iso(self.stamp())}
        self.changed("orders", id, changes)

    # Subscriptions

    def subscribe(self) -> Ref | None:
        """A customer subscribes, one in five from a later day on."""
        customer = self.one_of("customers", lambda one: "email_address" in one)
        if customer is None:
            return None
        at, pending = self.stamp(), self.chance(0.2)
        starts = self.at + 5 * DAY if pending else self.at
        found = shapes.subscription(
            self.account.uuid(), at, location=self._a_location(), plan=self.plan,
            customer=customer["id"], start=self.local_date(starts).isoformat(),
            status="PENDING" if pending else "ACTIVE", timezone=self.account.timezone,
        )  # fmt: skip
        ref = self.added("subscriptions", found, at)
        if pending:
            self.schedule(starts, "renew", found["id"])
        else:
            self.renew(found["id"])
        return ref

    def renew(self, id: str = "") -> Ref | None:
        """A month begins: an invoice is sent and paid. Nothing in a subscription tells when it was
        changed but its version."""
        found = self.chosen("subscriptions", id, lambda one: one["status"] in ("ACTIVE", "PENDING"))
        if found is None or self.account.find("customers", found["customer_id"]) is None:
            return None
        invoice = self.add_invoice(subscription=found)
        assert invoice is not None
        self.publish_invoice(invoice.id)
        self.pay_invoice(invoice.id)
        until = date.fromisoformat(found.get("charged_through_date") or found["start_date"])
        changes = {
            "status": "ACTIVE", "invoice_ids": [*found.get("invoice_ids", ()), invoice.id],
            "charged_through_date": (until + timedelta(days=PERIOD)).isoformat(),
        }  # fmt: skip
        self.schedule(self.at + PERIOD * DAY, "renew", found["id"])
        return self.changed("subscriptions", found["id"], changes)

    def pause_subscription(self, id: str = "") -> Ref | None:
        """Paused for a month: an action says when it goes on."""
        found = self.chosen("subscriptions", id, lambda one: one["status"] == "ACTIVE")
        if found is None:
            return None
        resumes = self.local_date(self.at + PERIOD * DAY).isoformat()
        action = {"id": self.account.uuid(), "type": "RESUME", "effective_date": resumes}
        self.schedule(self.at + PERIOD * DAY, "resume_subscription", found["id"])
        changes = {"status": "PAUSED", "actions": [action]}
        return self.changed("subscriptions", found["id"], changes)

    def resume_subscription(self, id: str = "") -> Ref | None:
        found = self.chosen("subscriptions", id, lambda one: one["status"] == "PAUSED")
        changes = {"status": "ACTIVE", "actions": None}
        return self.changed("subscriptions", found["id"], changes) if found else None

    def cancel_subscription(self, id: str = "") -> Ref | None:
        """It will end with the month that is paid: until then an action says so."""
        found = self.chosen(
            "subscriptions",
            id,
            lambda one: one["status"] == "ACTIVE" and "canceled_date" not in one,
        )
        if found is None:
            return None
        ends = found.get("charged_through_date", found["start_date"])
        action = {"id": self.account.uuid(), "type": "CANCEL", "effective_date": ends}
        self.schedule(self.at + PERIOD * DAY, "end_subscription", found["id"])
        changes = {"canceled_date": ends, "actions": [action]}
        return self.changed("subscriptions", found["id"], changes)

    def end_subscription(self, id: str = "") -> Ref | None:
        found = self.chosen("subscriptions", id, lambda one: "canceled_date" in one)
        changes = {"status": "CANCELED", "actions": None}
        return self.changed("subscriptions", found["id"], changes) if found else None
