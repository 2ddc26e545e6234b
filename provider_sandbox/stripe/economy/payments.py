"""Payments and what undoes them: refunds and disputes."""

from decimal import Decimal
from typing import Any

from provider_sandbox.ledger import Json
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import DAY
from provider_sandbox.stripe.economy.balance import Balance
from provider_sandbox.stripe.money import converted, minor

BRANDS = ("visa", "mastercard", "amex", "discover", "jcb", "unionpay")
DECLINES = (
    ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    ("card_declined", "generic_decline", "Your card was declined."),
    ("expired_card", None, "Your card has expired."),
)
REFUND_REASONS = (None, "requested_by_customer", "duplicate", "fraudulent")
DISPUTE_REASONS = ("fraudulent", "product_not_received", "duplicate", "general", "unrecognized")


class Payments(Balance):
    """Intents, charges, refunds and disputes, each with its balance transactions."""

    def sell(self) -> Json:
        """One payment: most succeed; some are declined first, some for good, some are only
        authorized and captured later, in part or never."""
        currency = self._a_currency()
        amount, tax = self._basket(currency)
        tip = self._part(amount, Decimal("0.1"), currency) if self.random.random() < 0.25 else None
        customer = self._a_customer() if self.random.random() < 0.7 else None
        metadata: Json = {"order_reference": f"#{self.random.randrange(10**6):06d}"}
        if tax:
            metadata["tax"] = str(tax)
        if self.random.random() < 0.2:
            metadata["table"] = "Terrasse “Süd” \\ 4"
        outcome = self.random.choices(
            ("paid", "retried", "failed", "authorized", "abandoned", "debit"),
            (80, 4, 4, 6, 3, 3),
        )[0]
        intent = self._open_intent(
            amount + (tip or 0),
            currency,
            customer,
            tip=tip,
            metadata=metadata,
            capture_method="manual" if outcome == "authorized" else "automatic",
            description=None if self.random.random() < 0.4 else "Tickets & bar",
        )
        match outcome:
            case "abandoned":
                self._cancel_intent(intent, "abandoned")
            case "failed":
                self._decline(intent, customer)
            case "authorized":
                self._authorize(intent, customer)
                self.schedule(self.at + 2 * DAY, "settle_authorization", intent["id"])
            case "retried":
                self._decline(intent, customer)
                self.soon(40)
                self._pay(intent, customer)
            case _:
                self._pay(intent, customer, "sepa_debit" if outcome == "debit" else "card")
        return intent

    def _basket(self, currency: str) -> tuple[int, int]:
        """An amount and the tax that is in it."""
        prices = self._prices(self._one_time, currency)
        basket = self.random.choices(prices, k=self.random.randrange(1, 4))
        amount = sum(price["unit_amount"] * self.random.randrange(1, 3) for price in basket)
        return amount, amount - self._part(amount, 1 / (1 + self.tax_rate), currency)

    def _open_intent(
        self,
        amount: int,
        currency: str,
        customer: Json | None,
        *,
        metadata: Json,
        description: str | None,
        tip: int | None = None,
        capture_method: str = "automatic",
    ) -> Json:
        intent = shapes.payment_intent(
            self.account.id_for("pi"),
            self.at,
            amount=amount,
            currency=currency,
            tip=tip,
            customer=customer["id"] if customer else None,
            capture_method=capture_method,
            description=description,
            metadata=metadata,
            secret=self.account.id_for("s")[2:],
        )
        return self._added("payment_intents", "payment_intent.created", intent)

    def _attempt(self, intent: Json, customer: Json | None, method: str = "card") -> Json:
        return shapes.charge(
            self.account.id_for("ch" if method == "card" else "py"),
            self.at,
            intent=intent,
            payment_method=self.account.id_for("pm"),
            brand=self.random.choice(BRANDS),
            last4=f"{self.random.randrange(10_000):04d}",
            country=self.account.country,
            name=customer["name"] if customer else None,
            email=customer["email"] if customer else None,
            payment_method_type=method,
        )

    def _pay(self, intent: Json, customer: Json | None, method: str = "card") -> Json:
        """The intent's charge succeeds and is captured at once."""
        self.soon(self.random.randrange(3))
        charge = self._attempt(intent, customer, method)
        charge |= {"captured": True, "amount_captured": charge["amount"]}
        charge["balance_transaction"] = self._credit(charge, charge["amount"])["id"]
        self._added("charges", "charge.succeeded", charge)
        self._set_intent(
            intent,
            "payment_intent.succeeded",
            status="succeeded",
            last_payment_error=None,
            amount_received=charge["amount"],
            latest_charge=charge["id"],
            payment_method=charge["payment_method"],
            payment_method_types=[method],
        )
        if self.random.random() < 0.06:
            self.schedule(self.later(0.1, 20), "refund", charge["id"])
        if self.random.random() < 0.012:
            self.schedule(self.later(3, 40), "dispute", charge["id"])
        return charge

    def _decline(self, intent: Json, customer: Json | None) -> Json:
        code, decline, message = self.random.choice(DECLINES)
        charge = self._attempt(intent, customer)
        charge |= {
            "status": "failed",
            "paid": False,
            "failure_code": code,
            "failure_message": message,
            "outcome": {
                **charge["outcome"],
                "network_status": "declined_by_network",
                "reason": decline or code,
                "type": "issuer_declined",
                "seller_message": "The bank returned the decline code.",
            },
        }
        self._added("charges", "charge.failed", charge)
        error = shapes.payment_error(code, decline, message, charge["id"])
        self._set_intent(
            intent,
            "payment_intent.payment_failed",
            status="requires_payment_method",
            last_payment_error=error,
            latest_charge=charge["id"],
        )
        return charge

    def _authorize(self, intent: Json, customer: Json | None) -> Json:
        charge = self._added("charges", "charge.succeeded", self._attempt(intent, customer))
        self._set_intent(
            intent,
            "payment_intent.amount_capturable_updated",
            status="requires_capture",
            amount_capturable=charge["amount"],
            latest_charge=charge["id"],
            payment_method=charge["payment_method"],
        )
        return charge

    def settle_authorization(self, intent_id: str) -> Json | None:
        """Capture an authorized payment in full or in part, or let it go."""
        intent = self.account.find("payment_intents", intent_id)
        if intent is None or intent["status"] != "requires_capture":
            return None
        how = self.random.choices(("all", "part", "cancel"), (6, 3, 2))[0]
        if how == "cancel":
            return self._release(intent)
        held = intent["amount_capturable"]
        return self.capture(
            intent_id,
            held if how == "all" else self._part(held, Decimal("0.6"), intent["currency"]),
        )

    def capture(self, intent_id: str, amount: int) -> Json:
        """Capture ``amount`` of an authorized payment; the rest of it is released, which Stripe
        shows as a refund without a balance transaction."""
        intent = self._existing("payment_intents", intent_id)
        charge = self._existing("charges", intent["latest_charge"])
        rest = charge["amount"] - amount
        transaction = self._credit(charge, amount)
        changes = {
            "captured": True,
            "amount_captured": amount,
            "amount_refunded": rest,
            "balance_transaction": transaction["id"],
        }
        charge = self.account.change(
            "charges", charge["id"], changes, at=self.at, event="charge.captured"
        )
        if rest:
            self._add_refund(charge, rest, status="succeeded", reason=None)
        return self._set_intent(
            intent,
            "payment_intent.succeeded",
            status="succeeded",
            amount_capturable=0,
            amount_received=amount,
        )

    def _release(self, intent: Json) -> Json:
        charge = self._existing("charges", intent["latest_charge"])
        changes = {"amount_refunded": charge["amount"], "refunded": True}
        charge = self.account.change(
            "charges", charge["id"], changes, at=self.at, event="charge.refunded"
        )
        self._add_refund(charge, charge["amount"], status="succeeded", reason=None)
        return self._cancel_intent(intent, "requested_by_customer")

    def _cancel_intent(self, intent: Json, reason: str) -> Json:
        return self._set_intent(
            intent,
            "payment_intent.canceled",
            status="canceled",
            canceled_at=self.at,
            cancellation_reason=reason,
            amount_capturable=0,
        )

    def _set_intent(self, intent: Json, event: str, **changes: Any) -> Json:
        intent |= changes
        self.account.save("payment_intents", intent)
        self.account.emit(event, intent, at=self.at)
        return intent

    def refund(self, charge_id: str, amount: int | None = None) -> Json | None:
        """Refund a charge in part or in full (a random amount where none is given); some refunds
        are pending first and some fail. None where nothing is left to refund."""
        charge = self._existing("charges", charge_id)
        left = charge["amount_captured"] - self._refunded(charge)
        if left <= 0 or charge["disputed"] or charge["status"] != "succeeded":
            return None
        if amount is None:
            rate = Decimal(self.random.randrange(10, 90)) / 100
            part = self._part(left, rate, charge["currency"])
            amount = left if self.random.random() < 0.5 or part <= 0 else part
        if not 0 < amount <= left:
            raise ValueError(f"amount is {amount}: {left} is left to refund of {charge_id}")
        status = "pending" if self.random.random() < 0.12 else "succeeded"
        refund = self._add_refund(
            charge,
            amount,
            status=status,
            reason=self.random.choice(REFUND_REASONS),
            moves_money=True,
        )
        total = charge["amount_refunded"] + amount
        changes = {"amount_refunded": total, "refunded": total >= charge["amount"]}
        self.account.change("charges", charge_id, changes, at=self.at, event="charge.refunded")
        if status == "pending":
            self.schedule(self.later(1, 5), "settle_refund", refund["id"])
        return refund

    def _refunded(self, charge: Json) -> int:
        """What of the captured amount has been refunded."""
        released: int = charge["amount"] - charge["amount_captured"]
        refunded: int = charge["amount_refunded"]
        return refunded - released if charge["captured"] else refunded

    def _add_refund(
        self,
        charge: Json,
        amount: int,
        *,
        status: str,
        reason: str | None,
        moves_money: bool = False,
    ) -> Json:
        refund = shapes.refund(
            self.account.id_for("re"),
            self.at,
            charge=charge,
            amount=amount,
            status=status,
            reason=reason,
            metadata={} if self.random.random() < 0.8 else {"note": "“sorry”\n\\o/"},
        )
        if moves_money:
            rate = self._rate_of(charge)
            kind = "refund" if charge["id"].startswith("ch_") else "payment_refund"
            transaction = self._transact(
                kind,
                "refund",
                -converted(amount, rate),
                refund["id"],
                f"REFUND FOR CHARGE ({charge['description'] or ''})",
                rate,
                delay=2 * DAY,
            )
            refund["balance_transaction"] = transaction["id"]
        return self._added("refunds", "refund.created", refund)

    def _rate_of(self, charge: Json) -> float | None:
        transaction = self._existing("balance_transactions", charge["balance_transaction"])
        rate: float | None = transaction["exchange_rate"]
        return rate

    def settle_refund(self, refund_id: str) -> Json | None:
        """A pending refund succeeds or fails; a failed one gives the money back to the balance."""
        refund = self._existing("refunds", refund_id)
        if refund["status"] != "pending":
            return None
        change = self.account.change
        if self.random.random() < 0.7:
            return change(
                "refunds", refund_id, {"status": "succeeded"}, at=self.at, event="refund.updated"
            )
        charge = self._existing("charges", refund["charge"])
        taken = self._existing("balance_transactions", refund["balance_transaction"])
        transaction = self._transact(
            "refund_failure",
            "refund_failure",
            -taken["amount"],
            refund_id,
            "REFUND FAILURE",
            taken["exchange_rate"],
        )
        changes = {
            "status": "failed",
            "failure_reason": "expired_or_canceled_card",
            "failure_balance_transaction": transaction["id"],
        }
        refund = change("refunds", refund_id, changes, at=self.at, event="refund.failed")
        restored = {
            "amount_refunded": charge["amount_refunded"] - refund["amount"],
            "refunded": False,
        }
        change("charges", charge["id"], restored, at=self.at, event="charge.updated")
        return refund

    def dispute(self, charge_id: str) -> Json | None:
        """A cardholder disputes a charge: its amount and a fee leave the balance. The charge's
        ``disputed`` turns true without an event of its own."""
        charge = self._existing("charges", charge_id)
        if charge["disputed"] or charge["amount_refunded"] or not charge["captured"]:
            return None
        account = self.account
        dispute = shapes.dispute(
            account.id_for("dp"),
            self.at,
            charge=charge,
            amount=charge["amount_captured"],
            reason=self.random.choice(DISPUTE_REASONS),
            due_by=self.at + 9 * DAY,
        )
        rate = self._rate_of(charge)
        fee = shapes.fee_detail(
            minor(15, account.currency), account.currency, "stripe_fee", "Dispute fee"
        )
        withdrawn = self._transact(
            "adjustment",
            "dispute",
            -converted(dispute["amount"], rate),
            dispute["id"],
            f"Chargeback withdrawal for {charge_id}",
            rate,
            fees=[fee],
        )
        dispute["balance_transactions"] = [withdrawn]
        account.change("charges", charge_id, {"disputed": True}, at=self.at)
        self._added("disputes", "charge.dispute.created", dispute)
        account.emit("charge.dispute.funds_withdrawn", dispute, at=self.at)
        self.schedule(self.later(2, 8), "answer_dispute", dispute["id"])
        return dispute

    def answer_dispute(self, dispute_id: str) -> Json | None:
        """Hand in evidence."""
        dispute = self._existing("disputes", dispute_id)
        if dispute["status"] != "needs_response":
            return None
        changes = {
            "status": "under_review",
            "evidence_details.has_evidence": True,
            "evidence_details.submission_count": 1,
            "evidence.uncategorized_text": "Ticket scanned at the door.",
        }
        self.schedule(self.later(5, 30), "close_dispute", dispute_id)
        event = "charge.dispute.updated"
        return self.account.change("disputes", dispute_id, changes, at=self.at, event=event)

    def close_dispute(self, dispute_id: str, won: bool | None = None) -> Json | None:
        """The bank decides; a dispute that is won brings the amount back, not the fee."""
        dispute = self._existing("disputes", dispute_id)
        if dispute["status"] in ("won", "lost"):
            return None
        won = self.random.random() < 0.45 if won is None else won
        changes: Json = {"status": "won" if won else "lost"}
        account = self.account
        if won:
            withdrawn = dispute["balance_transactions"][0]
            back = self._transact(
                "adjustment",
                "dispute_reversal",
                -withdrawn["amount"],
                dispute_id,
                f"Chargeback reversal for {dispute['charge']}",
                withdrawn["exchange_rate"],
            )
            changes["balance_transactions"] = [withdrawn, back]
        dispute = account.change(
            "disputes", dispute_id, changes, at=self.at, event="charge.dispute.closed"
        )
        if won:
            account.emit("charge.dispute.funds_reinstated", dispute, at=self.at)
        return dispute
