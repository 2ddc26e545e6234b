"""Checkout sessions."""

from provider_sandbox.ledger import Json, encode
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import SilentChange
from provider_sandbox.stripe.economy.billing import Billing


class Checkout(Billing):
    """Sessions that end in a payment, or in nothing."""

    def check_out(self) -> Json:
        """A checkout session opens, for which Stripe sends no event; most are completed."""
        account = self.account
        currency = self._a_currency()
        prices = self._prices(self._one_time, currency)
        customer = self._a_customer() if self.random.random() < 0.6 else None
        coupon = self._percent_coupon() if self.random.random() < 0.2 else None
        lines = []
        for _ in range(self.random.choices((1, 2, 5, 14), (6, 5, 3, 1))[0]):
            price, quantity = self.random.choice(prices), self.random.randrange(1, 4)
            subtotal = price["unit_amount"] * quantity
            off = self._off(subtotal, coupon, currency)
            lines.append(
                shapes.checkout_item(
                    account.id_for("li"),
                    price=price,
                    quantity=quantity,
                    subtotal=subtotal,
                    description=self._existing("products", price["product"])["name"],
                    discount=off,
                    tax=self._part(subtotal - off, self.tax_rate, currency),
                )
            )
        id = account.id_for("cs_test", 58)
        session = shapes.checkout_session(
            id,
            self.at,
            mode="payment",
            currency=currency,
            customer=customer["id"] if customer else None,
            email=customer["email"] if customer else "walk-in@mail.example",
            name=customer["name"] if customer else None,
            subtotal=sum(line["amount_subtotal"] for line in lines),
            discount=sum(line["amount_discount"] for line in lines),
            tax=sum(line["amount_tax"] for line in lines),
            discounts=[{"coupon": coupon["id"], "promotion_code": None}] if coupon else [],
            metadata={"door": "Süd"},
            slug=account.slug,
        )
        account.nested["checkout_sessions", id] = [encode(line) for line in lines]
        account.save("checkout_sessions", session)
        account.silent_changes.append(SilentChange(self.at, "checkout_sessions", id, "created"))
        if self.random.random() < 0.8:
            self.schedule(self.at + self.random.randrange(30, 900), "complete_session", id)
        else:
            self.schedule(session["expires_at"], "expire_session", id)
        return session

    def complete_session(self, session_id: str) -> Json | None:
        """The buyer pays."""
        session = self._existing("checkout_sessions", session_id)
        if session["status"] != "open":
            return None
        customer = self.account.find("customers", session["customer"] or "")
        intent = self._open_intent(
            session["amount_total"],
            session["currency"],
            customer,
            metadata={"door": "Süd", "tax": str(session["total_details"]["amount_tax"])},
            description="Checkout",
        )
        self._pay(intent, customer)
        changes = {
            "status": "complete",
            "payment_status": "paid",
            "payment_intent": intent["id"],
            "url": None,
        }
        for discount in session["discounts"]:
            coupon = self.account.find("coupons", discount["coupon"])
            if coupon is not None:
                self._redeem(coupon)
        event = "checkout.session.completed"
        return self.account.change(
            "checkout_sessions", session_id, changes, at=self.at, event=event
        )

    def expire_session(self, session_id: str) -> Json | None:
        session = self._existing("checkout_sessions", session_id)
        if session["status"] != "open":
            return None
        changes = {"status": "expired", "url": None}
        event = "checkout.session.expired"
        return self.account.change(
            "checkout_sessions", session_id, changes, at=self.at, event=event
        )
