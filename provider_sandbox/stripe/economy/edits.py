"""Edits and removals by the venue's staff."""

from provider_sandbox.ledger import Json
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.economy.catalogue import CITIES, NAMES
from provider_sandbox.stripe.economy.checkout import Checkout
from provider_sandbox.stripe.endpoints import values_at
from provider_sandbox.stripe.money import minor


class Edits(Checkout):
    """Changes that no money follows."""

    def edit(self) -> Json | None:
        """Change a field of some customer, product, price, charge, intent, code or subscription."""
        return self._one_of(
            self._edit_customer,
            self._edit_customer,
            self._edit_product,
            self._edit_price,
            self._edit_charge,
            self._edit_intent,
            self._edit_code,
            self._edit_subscription,
        )

    def _edit_customer(self) -> Json | None:
        customer = self._first("customers")
        changes = self.random.choice(
            (
                {"name": self.random.choice(NAMES)},
                {"metadata": {"vip": "true", "note": f"seen {self.at}"}},
                {"balance": -minor(self.random.uniform(1, 20), self.account.currency)},
                {"address.city": self.random.choice(CITIES), "phone": "+15550000000"},
            )
        )
        return customer and self._edited("customers", customer, "customer.updated", changes)

    def _edit_product(self) -> Json | None:
        product = self._first("products")
        changes: Json = {"description": f'Edited "{self.at}"', "updated": self.at}
        if product and product["metadata"]["category"] == "goods" and self.random.random() < 0.2:
            changes["active"] = not product["active"]
        return product and self._edited("products", product, "product.updated", changes)

    def _edit_price(self) -> Json | None:
        price = self._first("prices")
        if price is None:
            return None
        changes: Json = {"nickname": f"edited at {self.at}", "metadata": {"edited": "yes"}}
        if price["type"] == "one_time" and self.random.random() < 0.2:
            changes["active"] = not price["active"]
        return self._edited("prices", price, "price.updated", changes)

    def _edit_charge(self) -> Json | None:
        charge = self._first("charges")
        changes = {"description": f"Table {self.at % 90} “{self.random.choice(CITIES)}”"}
        return charge and self._edited("charges", charge, "charge.updated", changes)

    def _edit_intent(self) -> Json | None:
        """Stripe has no event for edited metadata of an intent that is paid; an open one is
        canceled instead."""
        intent = self._first(
            "payment_intents", lambda one: one["status"] == "requires_payment_method"
        )
        return intent and self._cancel_intent(intent, "requested_by_customer")

    def _edit_code(self) -> Json | None:
        code = self._first("promotion_codes", lambda one: one["active"])
        changes = {"active": False}
        event = "promotion_code.updated"
        return code and self._edited("promotion_codes", code, event, changes)

    def _edit_subscription(self) -> Json | None:
        found = self._first("subscriptions", lambda one: one["status"] == "active")
        return found and self.resize(found["id"])

    def _edited(self, stream: str, found: Json, event: str, changes: Json) -> Json:
        return self.account.change(stream, found["id"], changes, at=self.at, event=event)

    def remove(self) -> Json | None:
        """Delete some customer, coupon, pending invoice item or draft invoice, or a product that
        nothing sells."""
        return self._one_of(
            self._remove_customer, self._remove_coupon, self._remove_draft, self._remove_product
        )

    def _remove_customer(self) -> Json | None:
        found = self._first("customers")
        if found is None:
            return None
        rows = self.account.streams["subscriptions"].with_value(
            "customer", values_at("customer"), found["id"]
        )
        for row in list(rows):
            self.unsubscribe(row.id, at_once=True)
        self.account.delete("customers", found["id"], at=self.at, event="customer.deleted")
        return found

    def _remove_coupon(self) -> Json | None:
        if len(self.account.streams["coupons"]) < 4:
            return None
        found = self._first("coupons")
        if found is not None:
            self.account.delete("coupons", found["id"], at=self.at, event="coupon.deleted")
        return found

    def _remove_draft(self) -> Json | None:
        found = self._first("invoices", lambda one: one["status"] == "draft" and not one["parent"])
        if found is None:
            return None
        for line in self.account.lines("invoices", found["id"]):
            item = line["parent"]["invoice_item_details"]["invoice_item"]
            self.account.delete("invoiceitems", item, at=self.at, event="invoiceitem.deleted")
        self.account.delete("invoices", found["id"], at=self.at, event="invoice.deleted")
        del self.account.nested["invoices", found["id"]]
        return found

    def _remove_product(self) -> Json:
        """A product made by mistake: it has no price, so Stripe lets it be deleted."""
        product = shapes.product(
            self.account.id_for("prod", 14), self.at, name="Typo", description=None, metadata={}
        )
        self._added("products", "product.created", product)
        self.account.delete("products", product["id"], at=self.at, event="product.deleted")
        return product
