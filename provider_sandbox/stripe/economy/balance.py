"""The account's balance: what charges bring, what Stripe keeps, what is paid out."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from provider_sandbox.ledger import Json
from provider_sandbox.life import HOUR
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import DAY, StripeAccount
from provider_sandbox.stripe.economy.catalogue import Catalogue
from provider_sandbox.stripe.money import converted, exchange_rate, minor, share

FEE_TAXES = {"JP": "0.1", "AU": "0.1", "CA": "0.05"}
"""Countries in which Stripe adds tax to its own fee."""


class Unswept(NamedTuple):
    """A balance transaction that no payout has paid out."""

    id: str
    available_on: int
    net: int


class Balance(Catalogue):
    """Settles in the account's own currency."""

    def __init__(self, account: StripeAccount, *, currencies: Sequence[str]) -> None:
        super().__init__(account, currencies=currencies)
        self.bank = account.id_for("ba")
        self._unswept: list[Unswept] = []

    def _credit(self, charge: Json, amount: int) -> Json:
        """The balance transaction of a captured charge: its amount less Stripe's fee."""
        account = self.account
        rate = exchange_rate(charge["currency"], account.currency, self.random)
        gross = converted(amount, rate)
        # No fee eats up the charge: the smallest amounts pay their percentage only.
        fixed = minor(0.30, account.currency)
        fee = share(gross, Decimal("0.029")) + (fixed if gross > 4 * fixed else 0)
        details = [shapes.fee_detail(fee, account.currency, "stripe_fee", "Stripe processing fees")]
        if account.country in FEE_TAXES:
            tax = share(fee, Decimal(FEE_TAXES[account.country]))
            details.append(shapes.fee_detail(tax, account.currency, "tax", "Tax"))
        kind = "charge" if charge["id"].startswith("ch_") else "payment"
        return self._transact(
            kind,
            "charge",
            gross,
            charge["id"],
            charge["description"],
            rate,
            fees=details,
            delay=2 * DAY,
        )

    def _transact(
        self,
        type: str,
        category: str,
        amount: int,
        source: str,
        description: str | None,
        rate: float | None,
        *,
        fees: Sequence[Json] = (),
        delay: int = 0,
        swept_by: str = "",
    ) -> Json:
        available_on = self.at + delay
        if delay:
            available_on += DAY - available_on % DAY
        transaction = shapes.balance_transaction(
            self.account.id_for("txn"),
            self.at,
            type=type,
            category=category,
            amount=amount,
            fee_details=list(fees),
            currency=self.account.currency,
            exchange_rate=rate,
            source=source,
            description=description,
            available_on=available_on,
            available=not delay,
        )
        self.account.save("balance_transactions", transaction)
        if swept_by:
            self.account.swept[transaction["id"]] = swept_by
        else:
            self._unswept.append(Unswept(transaction["id"], available_on, transaction["net"]))
        return transaction

    def end_day(self) -> None:
        """Pay out, and again tomorrow."""
        self.pay_out()
        self.schedule(self.at + DAY, "end_day")

    def pay_out(self) -> Json | None:
        """Pay out what has become available; nothing where that is not above zero."""
        due = [one for one in self._unswept if one.available_on <= self.at]
        amount = sum(one.net for one in due)
        if amount <= 0:
            return None
        arrival = self.at + 2 * DAY - self.at % DAY
        payout = shapes.payout(
            self.account.id_for("po"),
            self.at,
            amount=amount,
            currency=self.account.currency,
            arrival=arrival,
            bank=self.bank,
        )
        self.account.swept |= {one.id: payout["id"] for one in due}
        self._unswept = [one for one in self._unswept if one.available_on > self.at]
        transaction = self._transact(
            "payout",
            "payout",
            -amount,
            payout["id"],
            "STRIPE PAYOUT",
            None,
            delay=DAY,
            swept_by=payout["id"],
        )
        payout["balance_transaction"] = transaction["id"]
        self._added("payouts", "payout.created", payout)
        self.schedule(arrival + 7 * HOUR, "settle_payout", payout["id"])
        return payout

    def settle_payout(self, payout_id: str) -> Json | None:
        """The bank takes a payout, or returns it, and the money goes into a later one."""
        payout = self._existing("payouts", payout_id)
        if payout["status"] != "in_transit":
            return None
        change = self.account.change
        if self.random.random() < 0.03:
            transaction = self._transact(
                "payout_failure",
                "payout_reversal",
                payout["amount"],
                payout_id,
                "STRIPE PAYOUT FAILURE",
                None,
            )
            changes = {
                "status": "failed",
                "failure_balance_transaction": transaction["id"],
                "failure_code": "account_closed",
                "failure_message": "The bank account has been closed.",
            }
            return change("payouts", payout_id, changes, at=self.at, event="payout.failed")
        changes = {"status": "paid", "trace_id": {"status": "supported", "value": payout_id[3:15]}}
        change("payouts", payout_id, changes, at=self.at, event="payout.paid")
        changes = {"reconciliation_status": "completed"}
        event = "payout.reconciliation_completed"
        return change("payouts", payout_id, changes, at=self.at, event=event)
