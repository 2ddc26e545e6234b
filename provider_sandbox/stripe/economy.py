"""What goes on in an account: sales, refunds, disputes, payouts, invoices and all that follows.

Every step keeps the books to the cent and tells it by the events that Stripe sends, and only
those. Steps due later wait in a queue, so that a clock that moves on plays them.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any
from zoneinfo import ZoneInfo

from provider_sandbox.ledger import Json, decode, encode
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import DAY, EMBEDDED, EVENTS_KEPT, SilentChange, StripeAccount
from provider_sandbox.stripe.endpoints import values_at
from provider_sandbox.stripe.money import USD_VALUE, converted, exchange_rate, minor, share

HOUR = 3600
MONTH = 30 * DAY

HOURS = (9, 6, 4, 4, 3, 1, 0, 0, 0, 1, 2, 3, 5, 5, 3, 3, 4, 6, 9, 12, 12, 10, 10, 10)
"""How much is sold in each local hour: evenings, and the small hours about midnight and four."""
WEEKDAYS = (2, 2, 3, 4, 7, 8, 4)

NAMES = (
    "Ada Lindqvist", "Zoë O'Connor", "Łukasz Wójcik", "山田 花子", "عبد الله الصباح", "Renée \"Red\" Dubois",
    "Back\\Slash Ltd", "Tab\tbed & Sons", "Søren Ångström", "Ngọc Trần", "Müßig GmbH & Co. KG",
    "Иван Петров", "Δήμητρα Παπά", "Noor 🎷 Quartet", "O’Brien — Events", "Line\nBreak Café", "कविता राव",
)  # fmt: skip
CITIES = ("Reykjavík", "São Paulo", "Zürich", "Montréal", "東京", "Kraków", "Portland", "Κέρκυρα")
GOODS = (
    ("Standing ticket", 32.5), ("Balcony seat", 58), ("Two-day pass", 119), ("Lager 0.5 l", 7.2),
    ("House \"Negroni\"", 12.75), ("Café crème", 4.1), ("Vinyl LP", 27.99), ("Cloakroom", 2.5),
    ("VIP table — 6 guests", 640), ("T-shirt, black", 24.9), ("Sound engineer, hour", 55),
    ("Hall rental, evening", 1850), ("Crêpe jambon/fromage", 8.6), ("Poster 50×70", 15),
)  # fmt: skip
MEMBERSHIPS = (("Friends of the house", 9.9), ("Patron", 49), ("Rehearsal room", 180))
BRANDS = ("visa", "mastercard", "amex", "discover", "jcb", "unionpay")
DECLINES = (
    ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    ("card_declined", "generic_decline", "Your card was declined."),
    ("expired_card", None, "Your card has expired."),
)
REFUND_REASONS = (None, "requested_by_customer", "duplicate", "fraudulent")
DISPUTE_REASONS = ("fraudulent", "product_not_received", "duplicate", "general", "unrecognized")
TAX_RATES = {"US": "0.08875", "DE": "0.19", "FR": "0.2", "GB": "0.2", "JP": "0.1", "CH": "0.081"}
FEE_TAXES = {"JP": "0.1", "AU": "0.1", "CA": "0.05"}
"""Countries in which Stripe adds tax to its own fee."""
ADDED_CURRENCIES = {"usd": ("eur",), "eur": ("usd", "gbp"), "jpy": ("usd",), "kwd": ("usd", "eur")}


class Economy:
    """Plays one account's life. ``currencies`` are those it sells in; it settles in its own."""

    def __init__(self, account: StripeAccount, *, currencies: Sequence[str]) -> None:
        self.account = account
        self.random = account.random
        self.currencies = tuple(currencies)
        self.at = account.created
        self.horizon = account.created
        self.bank = account.id_for("ba")
        self.tax_rate = Decimal(TAX_RATES.get(account.country, "0"))
        self.tax_rate_id = account.id_for("txr")
        self._queue: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self._queued = 0
        self._invoices = 0
        self._unswept: list[str] = []
        self._discounts: dict[str, tuple[str | None, Json | None]] = {}
        self._subscribed: dict[str, list[str]] = {}
        self._one_time: list[Json] = []
        self._recurring: list[Json] = []

    # Time

    def schedule(self, at: int, step: str, *arguments: Any) -> None:
        """Have ``step`` played when the account's time comes to ``at``."""
        self._queued += 1
        heappush(self._queue, (at, self._queued, step, arguments))

    def play(self, until: int) -> None:
        """Play what is due."""
        self.horizon = until
        while self._queue and self._queue[0][0] <= until:
            self.at, _, step, arguments = heappop(self._queue)
            getattr(self, step)(*arguments)
        self.at = until

    def soon(self, seconds: int) -> int:
        """So many seconds later, but never ahead of the account's time."""
        self.at = min(self.at + seconds, self.horizon)
        return self.at

    def open(self, *, size: int, since: int, until: int) -> None:
        """The history: about ``size`` charges between two seconds, and what goes with them."""
        self.account.events_since = until - EVENTS_KEPT
        self.at, self.horizon = since, until
        for name, dollars in GOODS:
            self.add_product(name, dollars)
        for name, dollars in MEMBERSHIPS:
            self.add_product(name, dollars, interval="month")
        for _ in range(5):
            self.add_coupon()
        for _ in range(8):
            self.add_promotion_code()
        steps = (
            ("sell", 78), ("check_out", 9), ("bill", 5), ("subscribe", 2), ("add_customer", 12),
            ("edit", 5), ("remove", 0.4), ("add_coupon", 0.3), ("credit", 0.6),
        )  # fmt: skip
        for step, percent in steps:
            for at in self._times(max(round(size * percent / 100), 3), since, until):
                self.schedule(at, step)
        for day in range(since - since % DAY + DAY + 2 * HOUR, until + DAY, DAY):
            self.schedule(day, "pay_out")
        self.play(until)

    def _times(self, count: int, since: int, until: int) -> list[int]:
        zone = ZoneInfo(self.account.timezone)
        first = datetime.fromtimestamp(since, zone).replace(hour=0, minute=0, second=0)
        days = [first + timedelta(days=n) for n in range((until - since) // DAY + 1)]
        chosen = self.random.choices(days, [WEEKDAYS[day.weekday()] for day in days], k=count)
        hours = self.random.choices(range(24), HOURS, k=count)
        times = []
        for day, hour in zip(chosen, hours, strict=True):
            # Every tenth falls upon a full minute, so that many share their second.
            second = 0 if self.random.random() < 0.1 else self.random.randrange(60)
            local = day.replace(hour=hour, minute=self.random.randrange(60), second=second)
            at = int(local.astimezone(UTC).timestamp())
            times.append(min(max(at, since + HOUR), until))
        return times

    # Catalogue

    def add_product(self, name: str, dollars: float, *, interval: str | None = None) -> Json:
        """A product and its prices, one in each currency; memberships have a yearly one too."""
        account = self.account
        product = shapes.product(
            account.id_for("prod", 14), self.at, name=name,
            description=None if self.random.random() < 0.5 else f"{name}\nat {account.name}",
            metadata={"category": "membership" if interval else "goods"},
        )  # fmt: skip
        account.save("products", product)
        account.emit("product.created", product, at=self.at)
        prices = [
            self._add_price(product, currency, dollars, interval) for currency in self.currencies
        ]
        if interval:
            self._add_price(product, account.currency, dollars * 10, "year")
            self._add_tiered_price(product, dollars)
        changes = {"default_price": prices[0]["id"], "updated": self.at}
        return account.change(
            "products", product["id"], changes, at=self.at, event="product.updated"
        )

    def _add_price(
        self, product: Json, currency: str, dollars: float, interval: str | None
    ) -> Json:
        price = shapes.price(
            self.account.id_for("price"), self.at, product=product["id"], currency=currency,
            unit_amount=minor(dollars, currency), interval=interval,
            nickname=None if self.random.random() < 0.6 else f"{product['name']} ({currency})",
        )  # fmt: skip
        (self._recurring if interval else self._one_time).append(price)
        return self._added("prices", "price.created", price)

    def _add_tiered_price(self, product: Json, dollars: float) -> Json:
        currency = self.account.currency
        price = shapes.price(
            self.account.id_for("price"), self.at, product=product["id"], currency=currency,
            unit_amount=None, interval="month", tiers_mode="graduated",
        )  # fmt: skip
        tiers: list[Json] = [
            {"flat_amount": None, "flat_amount_decimal": None, "up_to": up_to,
             "unit_amount": minor(dollars * part, currency),
             "unit_amount_decimal": str(minor(dollars * part, currency))}
            for up_to, part in ((10, 1.0), (None, 0.8))
        ]  # fmt: skip
        self.account.nested["tiers", price["id"]] = [encode(tier) for tier in tiers]
        return self._added("prices", "price.created", price)

    def add_coupon(self) -> Json:
        percent = self.random.choice((5.0, 10.0, 12.5, 25.0, 33.3, None))
        currency = None if percent else self.account.currency
        coupon = shapes.coupon(
            self.account.id_for("c", 8)[2:], self.at,
            name=f"{percent}% off" if percent else "Voucher “Encore”",
            percent_off=percent, amount_off=None if currency is None else minor(5, currency),
            currency=currency, duration=self.random.choice(("once", "forever", "repeating")),
        )  # fmt: skip
        return self._added("coupons", "coupon.created", coupon)

    def add_promotion_code(self) -> Json | None:
        for coupon in self.account.any_of("coupons"):
            code = shapes.promotion_code(
                self.account.id_for("promo"), self.at, code=f"ENCORE{self.random.randrange(10**6)}",
                coupon=coupon["id"],
                expires_at=None if self.random.random() < 0.5 else self.at + 6 * MONTH,
            )  # fmt: skip
            return self._added("promotion_codes", "promotion_code.created", code)
        return None

    def add_customer(self) -> Json:
        number = len(self.account.streams["customers"]) + 1
        name = self.random.choice(NAMES)
        customer = shapes.customer(
            self.account.id_for("cus", 14), self.at,
            name=None if self.random.random() < 0.05 else name,
            email=None if self.random.random() < 0.1 else f"guest.{number}@mail.example",
            country=self.account.country, city=self.random.choice(CITIES),
            phone=None if self.random.random() < 0.7 else f"+1555{number:07d}",
            metadata={} if self.random.random() < 0.7 else {"seat": "Row \"C\"\t12", "vip": "true"},
        )  # fmt: skip
        return self._added("customers", "customer.created", customer)

    # Payments

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
        )[0]  # fmt: skip
        intent = self._open_intent(
            amount + (tip or 0), currency, customer, tip=tip, metadata=metadata,
            capture_method="manual" if outcome == "authorized" else "automatic",
            description=None if self.random.random() < 0.4 else "Tickets & bar",
        )  # fmt: skip
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

    def _prices(self, among: list[Json], currency: str) -> list[Json]:
        return [price for price in among if price["currency"] == currency]

    def _part(self, amount: int, rate: Decimal, currency: str) -> int:
        """A share of an amount that can be paid in this currency."""
        part = share(amount, rate)
        return part - part % 10 if currency == "kwd" else part

    def _open_intent(
        self, amount: int, currency: str, customer: Json | None, *, metadata: Json,
        description: str | None, tip: int | None = None, capture_method: str = "automatic",
    ) -> Json:  # fmt: skip
        intent = shapes.payment_intent(
            self.account.id_for("pi"), self.at, amount=amount, currency=currency, tip=tip,
            customer=customer["id"] if customer else None, capture_method=capture_method,
            description=description, metadata=metadata, secret=self.account.id_for("s")[2:],
        )  # fmt: skip
        return self._added("payment_intents", "payment_intent.created", intent)

    def _attempt(self, intent: Json, customer: Json | None, method: str = "card") -> Json:
        return shapes.charge(
            self.account.id_for("ch" if method == "card" else "py"), self.at, intent=intent,
            payment_method=self.account.id_for("pm"), brand=self.random.choice(BRANDS),
            last4=f"{self.random.randrange(10_000):04d}", country=self.account.country,
            name=customer["name"] if customer else None,
            email=customer["email"] if customer else None, payment_method_type=method,
        )  # fmt: skip

    def _pay(self, intent: Json, customer: Json | None, method: str = "card") -> Json:
        """The intent's charge succeeds and is captured at once."""
        self.soon(self.random.randrange(3))
        charge = self._attempt(intent, customer, method)
        charge |= {"captured": True, "amount_captured": charge["amount"]}
        charge["balance_transaction"] = self._credit(charge, charge["amount"])["id"]
        self._added("charges", "charge.succeeded", charge)
        self._set_intent(
            intent, "payment_intent.succeeded", status="succeeded", last_payment_error=None,
            amount_received=charge["amount"], latest_charge=charge["id"],
            payment_method=charge["payment_method"], payment_method_types=[method],
        )  # fmt: skip
        if self.random.random() < 0.06:
            self.schedule(self._later(0.1, 20), "refund", charge["id"])
        if self.random.random() < 0.012:
            self.schedule(self._later(3, 40), "dispute", charge["id"])
        return charge

    def _decline(self, intent: Json, customer: Json | None) -> Json:
        code, decline, message = self.random.choice(DECLINES)
        charge = self._attempt(intent, customer)
        charge |= {
            "status": "failed", "paid": False, "failure_code": code, "failure_message": message,
            "outcome": {
                **charge["outcome"], "network_status": "declined_by_network",
                "reason": decline or code, "type": "issuer_declined",
                "seller_message": "The bank returned the decline code.",
            },
        }  # fmt: skip
        self._added("charges", "charge.failed", charge)
        error = shapes.payment_error(code, decline, message, charge["id"])
        self._set_intent(
            intent, "payment_intent.payment_failed", status="requires_payment_method",
            last_payment_error=error, latest_charge=charge["id"],
        )  # fmt: skip
        return charge

    def _authorize(self, intent: Json, customer: Json | None) -> Json:
        charge = self._added("charges", "charge.succeeded", self._attempt(intent, customer))
        self._set_intent(
            intent, "payment_intent.amount_capturable_updated", status="requires_capture",
            amount_capturable=charge["amount"], latest_charge=charge["id"],
            payment_method=charge["payment_method"],
        )  # fmt: skip
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
            "captured": True, "amount_captured": amount, "amount_refunded": rest,
            "balance_transaction": transaction["id"],
        }  # fmt: skip
        charge = self.account.change(
            "charges", charge["id"], changes, at=self.at, event="charge.captured"
        )
        if rest:
            self._add_refund(charge, rest, status="succeeded", reason=None)
        return self._set_intent(
            intent, "payment_intent.succeeded", status="succeeded", amount_capturable=0,
            amount_received=amount,
        )  # fmt: skip

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
            intent, "payment_intent.canceled", status="canceled", canceled_at=self.at,
            cancellation_reason=reason, amount_capturable=0,
        )  # fmt: skip

    def _set_intent(self, intent: Json, event: str, **changes: Any) -> Json:
        intent |= changes
        self.account.save("payment_intents", intent)
        self.account.emit(event, intent, at=self.at)
        return intent

    # The balance

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
            kind, "charge", gross, charge["id"], charge["description"], rate, fees=details,
            delay=2 * DAY,
        )  # fmt: skip

    def _transact(
        self, type: str, category: str, amount: int, source: str, description: str | None,
        rate: float | None, *, fees: Sequence[Json] = (), delay: int = 0, swept_by: str = "",
    ) -> Json:  # fmt: skip
        available_on = self.at + delay
        if delay:
            available_on += DAY - available_on % DAY
        transaction = shapes.balance_transaction(
            self.account.id_for("txn"), self.at, type=type, category=category, amount=amount,
            fee_details=list(fees), currency=self.account.currency, exchange_rate=rate,
            source=source, description=description, available_on=available_on,
            available=not delay,
        )  # fmt: skip
        self.account.save("balance_transactions", transaction)
        if swept_by:
            self.account.swept[transaction["id"]] = swept_by
        else:
            self._unswept.append(transaction["id"])
        return transaction

    def pay_out(self) -> Json | None:
        """Pay out what has become available; nothing where that is not above zero."""
        transactions = [self._existing("balance_transactions", id) for id in self._unswept]
        due = [one for one in transactions if one["available_on"] <= self.at]
        amount = sum(one["net"] for one in due)
        if amount <= 0:
            return None
        arrival = self.at + 2 * DAY - self.at % DAY
        payout = shapes.payout(
            self.account.id_for("po"), self.at, amount=amount, currency=self.account.currency,
            arrival=arrival, bank=self.bank,
        )  # fmt: skip
        self.account.swept |= {one["id"]: payout["id"] for one in due}
        swept = {one["id"] for one in due}
        self._unswept = [id for id in self._unswept if id not in swept]
        transaction = self._transact(
            "payout", "payout", -amount, payout["id"], "STRIPE PAYOUT", None, delay=DAY,
            swept_by=payout["id"],
        )  # fmt: skip
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
                "payout_failure", "payout_reversal", payout["amount"], payout_id,
                "STRIPE PAYOUT FAILURE", None,
            )  # fmt: skip
            changes = {
                "status": "failed", "failure_balance_transaction": transaction["id"],
                "failure_code": "account_closed",
                "failure_message": "The bank account has been closed.",
            }  # fmt: skip
            return change("payouts", payout_id, changes, at=self.at, event="payout.failed")
        changes = {"status": "paid", "trace_id": {"status": "supported", "value": payout_id[3:15]}}
        change("payouts", payout_id, changes, at=self.at, event="payout.paid")
        changes = {"reconciliation_status": "completed"}
        event = "payout.reconciliation_completed"
        return change("payouts", payout_id, changes, at=self.at, event=event)

    # Refunds and disputes

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
            charge, amount, status=status, reason=self.random.choice(REFUND_REASONS),
            moves_money=True,
        )  # fmt: skip
        total = charge["amount_refunded"] + amount
        changes = {"amount_refunded": total, "refunded": total >= charge["amount"]}
        self.account.change("charges", charge_id, changes, at=self.at, event="charge.refunded")
        if status == "pending":
            self.schedule(self._later(1, 5), "settle_refund", refund["id"])
        return refund

    def _refunded(self, charge: Json) -> int:
        """What of the captured amount has been refunded."""
        released: int = charge["amount"] - charge["amount_captured"]
        refunded: int = charge["amount_refunded"]
        return refunded - released if charge["captured"] else refunded

    def _add_refund(
        self, charge: Json, amount: int, *, status: str, reason: str | None,
        moves_money: bool = False,
    ) -> Json:  # fmt: skip
        refund = shapes.refund(
            self.account.id_for("re"), self.at, charge=charge, amount=amount, status=status,
            reason=reason, metadata={} if self.random.random() < 0.8 else {"note": "“sorry”\n\\o/"},
        )  # fmt: skip
        if moves_money:
            rate = self._rate_of(charge)
            kind = "refund" if charge["id"].startswith("ch_") else "payment_refund"
            transaction = self._transact(
                kind, "refund", -converted(amount, rate), refund["id"],
                f"REFUND FOR CHARGE ({charge['description'] or ''})", rate, delay=2 * DAY,
            )  # fmt: skip
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
            "refund_failure", "refund_failure", -taken["amount"], refund_id, "REFUND FAILURE",
            taken["exchange_rate"],
        )  # fmt: skip
        changes = {
            "status": "failed", "failure_reason": "expired_or_canceled_card",
            "failure_balance_transaction": transaction["id"],
        }  # fmt: skip
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
            account.id_for("dp"), self.at, charge=charge, amount=charge["amount_captured"],
            reason=self.random.choice(DISPUTE_REASONS), due_by=self.at + 9 * DAY,
        )  # fmt: skip
        rate = self._rate_of(charge)
        fee = shapes.fee_detail(
            minor(15, account.currency), account.currency, "stripe_fee", "Dispute fee"
        )
        withdrawn = self._transact(
            "adjustment", "dispute", -converted(dispute["amount"], rate), dispute["id"],
            f"Chargeback withdrawal for {charge_id}", rate, fees=[fee],
        )  # fmt: skip
        dispute["balance_transactions"] = [withdrawn]
        account.change("charges", charge_id, {"disputed": True}, at=self.at)
        self._added("disputes", "charge.dispute.created", dispute)
        account.emit("charge.dispute.funds_withdrawn", dispute, at=self.at)
        self.schedule(self._later(2, 8), "answer_dispute", dispute["id"])
        return dispute

    def answer_dispute(self, dispute_id: str) -> Json | None:
        """Hand in evidence."""
        dispute = self._existing("disputes", dispute_id)
        if dispute["status"] != "needs_response":
            return None
        changes = {
            "status": "under_review", "evidence_details.has_evidence": True,
            "evidence_details.submission_count": 1,
            "evidence.uncategorized_text": "Ticket scanned at the door.",
        }  # fmt: skip
        self.schedule(self._later(5, 30), "close_dispute", dispute_id)
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
                "adjustment", "dispute_reversal", -withdrawn["amount"], dispute_id,
                f"Chargeback reversal for {dispute['charge']}", withdrawn["exchange_rate"],
            )  # fmt: skip
            changes["balance_transactions"] = [withdrawn, back]
        dispute = account.change(
            "disputes", dispute_id, changes, at=self.at, event="charge.dispute.closed"
        )
        if won:
            account.emit("charge.dispute.funds_reinstated", dispute, at=self.at)
        return dispute

    # Invoices

    def bill(self, line_count: int | None = None) -> Json:
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
                self.account.id_for("ii"), self.at, customer=customer["id"], price=price,
                quantity=quantity, amount=amount, description=name,
            )  # fmt: skip
            self._added("invoiceitems", "invoiceitem.created", item)
            self.account.change("invoiceitems", item["id"], {"invoice": id}, at=self.at)
            lines.append(
                self._line(
                    id, price, quantity, amount, name, (self.at, self.at), item=item["id"],
                    discount=discount, coupon=coupon,
                )
            )  # fmt: skip
        invoice = self._draft(id, customer, currency, "manual", lines, coupon, discount)
        fate = self.random.choices(("paid", "open", "draft", "void", "sent"), (70, 8, 8, 6, 8))[0]
        if fate == "draft":
            return invoice
        self.schedule(self.at + HOUR, "finish_invoice", id, fate)
        if self.random.random() < 0.3:
            self.finish_invoice(id, fate)
        return invoice

    def _line(
        self, invoice: str, price: Json, quantity: int, amount: int, description: str,
        period: tuple[int, int], *, item: str | None = None, subscription: str | None = None,
        subscription_item: str | None = None, discount: str | None, coupon: Json | None,
    ) -> Json:  # fmt: skip
        off = self._off(amount, coupon, price["currency"])
        taxable = amount - off
        tax = self._part(taxable, self.tax_rate, price["currency"])
        return shapes.line(
            self.account.id_for("il"), invoice=invoice, amount=amount, price=price,
            quantity=quantity, description=description, period=period, item=item,
            subscription=subscription, subscription_item=subscription_item,
            discount=None if discount is None else (discount, off),
            tax=shapes.tax(tax, self.tax_rate_id, taxable) if tax else None,
        )  # fmt: skip

    def _draft(
        self, id: str, customer: Json, currency: str, reason: str, lines: list[Json],
        coupon: Json | None, discount: str | None, *, subscription: str | None = None,
        period: tuple[int, int] | None = None,
    ) -> Json:  # fmt: skip
        off = sum(one["discount_amounts"][0]["amount"] for one in lines if one["discount_amounts"])
        taxes = [tax for one in lines for tax in one["taxes"]]
        tax = shapes.tax(
            sum(one["amount"] for one in taxes), self.tax_rate_id,
            sum(one["taxable_amount"] for one in taxes),
        )  # fmt: skip
        sent = subscription is None and self.random.random() < 0.3
        invoice = shapes.invoice(
            id, self.at, owner=self.account, customer=customer, currency=currency, reason=reason,
            lines=self.account.keep_lines("invoices", id, lines, f"/v1/invoices/{id}/lines"),
            subscription=subscription, subtotal=sum(one["amount"] for one in lines),
            discount=None if discount is None else (discount, off),
            tax=tax if taxes else None, period=period or (self.at, self.at),
            collection_method="send_invoice" if sent else "charge_automatically",
            due_date=self.at + 14 * DAY if sent else None,
        )  # fmt: skip
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
            "status": "open", "number": f"{self.account.slug[:6].upper()}-{self._invoices:05d}",
            "effective_at": self.at, "status_transitions.finalized_at": self.at,
            "auto_advance": fate == "paid",
            "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice_id}",
            "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice_id}/pdf",
        }  # fmt: skip
        self._set_invoice(invoice_id, "invoice.finalized", changes)
        match fate:
            case "paid":
                return self.pay_invoice(invoice_id)
            case "void":
                self.soon(600)
                changes = {
                    "status": "void", "status_transitions.voided_at": self.at,
                    "amount_remaining": invoice["amount_remaining"],
                }  # fmt: skip
                return self._set_invoice(invoice_id, "invoice.voided", changes)
            case "sent":
                self.account.emit(
                    "invoice.sent", self._existing("invoices", invoice_id), at=self.at
                )
                self.schedule(self._later(1, 20), "pay_invoice", invoice_id)
            case "open":
                self.schedule(self._later(20, 60), "give_up", invoice_id)
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
                due, invoice["currency"], customer, metadata={},
                description=f"Payment for Invoice {invoice['number']}",
            )  # fmt: skip
            if self.random.random() < 0.06:
                self._decline(intent, customer)
                changes = {
                    "attempted": True, "attempt_count": invoice["attempt_count"] + 1,
                    "next_payment_attempt": self.at + 3 * DAY,
                }  # fmt: skip
                self._set_invoice(invoice_id, "invoice.payment_failed", changes)
                self.schedule(self.at + 3 * DAY, "pay_invoice", invoice_id)
                self._cancel_intent(intent, "failed_invoice")
                return None
            self._pay(intent, customer)
            payment = shapes.invoice_payment(
                self.account.id_for("inpay"), self.at, invoice=invoice_id, amount=due,
                currency=invoice["currency"], intent=intent["id"],
            )  # fmt: skip
            self.account.nested["payments", invoice_id] = [encode(payment)]
            self.account.emit("invoice_payment.paid", payment, at=self.at)
        changes = {
            "status": "paid", "status_transitions.paid_at": self.at, "attempted": True,
            "attempt_count": invoice["attempt_count"] + (due > 0), "amount_paid": due,
            "amount_remaining": 0, "next_payment_attempt": None,
        }  # fmt: skip
        paid = self._set_invoice(invoice_id, "invoice.paid", changes)
        self.account.emit("invoice.payment_succeeded", paid, at=self.at)
        return paid

    def give_up(self, invoice_id: str) -> Json | None:
        """Write an open invoice off."""
        invoice = self._existing("invoices", invoice_id)
        if invoice["status"] != "open":
            return None
        changes = {"status": "uncollectible", "status_transitions.marked_uncollectible_at": self.at}
        return self._set_invoice(invoice_id, "invoice.marked_uncollectible", changes)

    def _set_invoice(self, id: str, event: str, changes: Json) -> Json:
        return self.account.change("invoices", id, changes, at=self.at, event=event)

    def credit(self, invoice_id: str | None = None) -> Json | None:
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
        id = self.account.id_for("cn")
        credited = [
            shapes.credit_note_line(
                self.account.id_for("cnli"), amount=line["amount"], quantity=line["quantity"],
                description=line["description"], invoice_line=line["id"],
            )
            for line in lines[:most]
        ]  # fmt: skip
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
        number = sum(1 for _ in self.account.streams["credit_notes"]) + 1
        note = shapes.credit_note(
            id, self.at, invoice=invoice, amount=amount, number=f"{invoice['number']}-CN-{number:02d}",
            lines=self.account.keep_lines("credit_notes", id, credited, f"/v1/credit_notes/{id}/lines"),
            refund=refund, reason=self.random.choice(("order_change", "product_unsatisfactory")),
        )  # fmt: skip
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

    # Subscriptions

    def subscribe(self, item_count: int | None = None) -> Json:
        """A subscription and its first invoice; some have more items than are embedded."""
        customer = self._a_customer()
        currency = self._a_currency()
        prices = [
            one for one in self._recurring
            if one["currency"] == currency and one["recurring"]["interval"] == "month"
        ]  # fmt: skip
        many = self.random.random() < 0.1
        count = item_count or (
            self.random.randrange(11, 16) if many else self.random.randrange(1, 3)
        )
        id = self.account.id_for("sub")
        trial_end = self.at + 14 * DAY if self.random.random() < 0.15 else None
        period = (self.at, trial_end or self.at + MONTH)
        for _ in range(count):
            item = shapes.subscription_item(
                self.account.id_for("si", 14), self.at, subscription=id,
                price=self.random.choice(prices), quantity=self.random.randrange(1, 4), period=period,
            )  # fmt: skip
            self.account.save("subscription_items", item)
            self._subscribed.setdefault(id, []).append(item["id"])
        self._discounts[id] = discount, coupon = self._a_discount()
        subscription = shapes.subscription(
            id, self.at, customer=customer["id"], currency=currency, items=self._embedded_items(id),
            discounts=[discount] if discount else [], trial_end=trial_end,
            status="trialing" if trial_end else "active", metadata={"tier": "Fördermitglied"},
        )  # fmt: skip
        if coupon is not None:
            self._redeem(coupon)
        self._added("subscriptions", "customer.subscription.created", subscription)
        if trial_end is None:
            self._bill_period(id, "subscription_create")
        self.schedule(period[1], "renew", id)
        if self.random.random() < 0.25:
            self.schedule(self._later(5, 120), "unsubscribe", id)
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
                    id, price, item["quantity"], price["unit_amount"] * item["quantity"],
                    f"{item['quantity']} × {name['name'] if name else 'Membership'}", period,
                    subscription=subscription_id, subscription_item=item["id"],
                    discount=discount, coupon=coupon,
                )
            )  # fmt: skip
        invoice = self._draft(
            id, customer, subscription["currency"], reason, lines, coupon, discount,
            subscription=subscription_id, period=period,
        )  # fmt: skip
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
        if (
            subscription["status"] == "canceled"
            or (subscription["cancel_at_period_end"]
            and not at_once)
        ):
            return None
        if at_once is None and self.random.random() < 0.5:
            end = subscription["items"]["data"][0]["current_period_end"]
            changes: Json = {
                "cancel_at_period_end": True, "cancel_at": end, "canceled_at": self.at,
                "cancellation_details.reason": "cancellation_requested",
            }  # fmt: skip
            return self._set_subscription(subscription_id, changes)
        changes = {
            "status": "canceled", "ended_at": self.at,
            "canceled_at": subscription["canceled_at"] or self.at,
            "cancellation_details.reason": "cancellation_requested",
        }  # fmt: skip
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

    # Checkout

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
                    account.id_for("li"), price=price, quantity=quantity, subtotal=subtotal,
                    description=self._existing("products", price["product"])["name"],
                    discount=off, tax=self._part(subtotal - off, self.tax_rate, currency),
                )
            )  # fmt: skip
        id = account.id_for("cs_test", 58)
        session = shapes.checkout_session(
            id, self.at, mode="payment", currency=currency,
            customer=customer["id"] if customer else None,
            email=customer["email"] if customer else "walk-in@mail.example",
            name=customer["name"] if customer else None,
            subtotal=sum(line["amount_subtotal"] for line in lines),
            discount=sum(line["amount_discount"] for line in lines),
            tax=sum(line["amount_tax"] for line in lines),
            discounts=[{"coupon": coupon["id"], "promotion_code": None}] if coupon else [],
            metadata={"door": "Süd"}, slug=account.slug,
        )  # fmt: skip
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
            session["amount_total"], session["currency"], customer,
            metadata={"door": "Süd", "tax": str(session["total_details"]["amount_tax"])},
            description="Checkout",
        )  # fmt: skip
        self._pay(intent, customer)
        changes = {
            "status": "complete", "payment_status": "paid", "payment_intent": intent["id"],
            "url": None,
        }  # fmt: skip
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

    # Edits and removals

    def edit(self) -> Json | None:
        """Change a field of some customer, product, price, charge, intent, code or subscription."""
        return self._one_of(
            self._edit_customer, self._edit_customer, self._edit_product, self._edit_price,
            self._edit_charge, self._edit_intent, self._edit_code, self._edit_subscription,
        )  # fmt: skip

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
        changes = {"description": f'Edited "{self.at}"', "updated": self.at}
        if product and product["metadata"]["category"] == "goods" and self.random.random() < 0.2:
            changes["active"] = not product["active"]
        return product and self._edited("products", product, "product.updated", changes)

    def _edit_price(self) -> Json | None:
        price = self._first("prices")
        changes = (
            {"nickname": f"was {price['nickname']}"[:60], "metadata": {"edited": "yes"}}
            if price
            else {}
        )
        if price and price["type"] == "one_time" and self.random.random() < 0.2:
            changes["active"] = not price["active"]
        return price and self._edited("prices", price, "price.updated", changes)

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

    # Mutations

    def mutate(
        self, count: int = 1, *, kinds: Sequence[str] = (), step: int = 1
    ) -> list[dict[str, str]]:
        """Play ``count`` random steps of the given kinds (none: of all) now, and tell what each
        left behind. A clock that is set moves ``step`` seconds for each."""
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"kind {kind!r} is unknown: give some of {', '.join(KINDS)}")
        done: list[dict[str, str]] = []
        weights = [KINDS[kind][0] for kind in kinds or KINDS]
        with self.account.lock:
            for _ in range(count * 20):
                if len(done) == count:
                    break
                kind = self.random.choices(list(kinds or KINDS), weights)[0]
                self.now(step)
                left = getattr(self, self.random.choice(KINDS[kind][1]))()
                if left is not None:
                    done.append({"kind": kind, "object": left["object"], "id": left["id"]})
            self.account.refresh()
        return done

    def now(self, step: int = 0) -> int:
        """Bring the economy to the account's time, moved ``step`` seconds on where it is set."""
        clock = self.account.clock
        if clock.is_set:
            clock.set(clock.now() + step)
        self.at = self.horizon = clock.now()
        return self.at

    def advance(self, seconds: int = 0, *, mutations: int = 0) -> None:
        """Let a set clock move on and play what falls due, with random steps strewn in. A clock
        that follows this machine's cannot be moved: only what is due by now is played."""
        account = self.account
        with account.lock:
            start = account.clock.now()
            if seconds and not account.clock.is_set:
                raise ValueError("the clock follows this machine's: set it before it is advanced")
            for _ in range(mutations):
                self.schedule(start + self.random.randrange(seconds + 1), "mutate_one")
            self.play(start + seconds)
            if account.clock.is_set:
                account.clock.set(start + seconds)
            account.refresh()

    def mutate_one(self) -> None:
        """One random step at the time that is being played."""
        kind = self.random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        getattr(self, self.random.choice(KINDS[kind][1]))()

    def update(self, stream: str, id: str, changes: Json) -> Json:
        """Change fields of one object now, with the event that Stripe sends for it, if any."""
        with self.account.lock:
            return self.account.change(
                stream, id, changes, at=self.now(1), event=UPDATED.get(stream)
            )

    def delete(self, stream: str, id: str) -> None:
        """Delete one object now."""
        if stream not in DELETED:
            raise ValueError(f"Stripe deletes no {stream}: give one of {', '.join(DELETED)}")
        with self.account.lock:
            self.account.delete(stream, id, at=self.now(1), event=DELETED[stream])

    def refund_any(self) -> Json | None:
        found = self._first("charges", lambda one: one["captured"] and not one["refunded"])
        return found and self.refund(found["id"])

    def dispute_any(self) -> Json | None:
        found = self._first("charges", lambda one: one["captured"])
        return found and self.dispute(found["id"])

    def settle_any(self) -> Json | None:
        """Something that was under way ends: an authorization, a refund, a dispute, a session, a
        draft or open invoice, a payout."""
        step, stream, status = self.random.choice(UNDER_WAY)
        found = self._first(stream, lambda one: one["status"] == status)
        done: Json | None = getattr(self, step)(found["id"]) if found else None
        return done

    def cancel_any(self) -> Json | None:
        found = self._first("subscriptions", lambda one: one["status"] != "canceled")
        return found and self.unsubscribe(found["id"])

    # Small tools

    def _added(self, stream: str, event: str, found: Json) -> Json:
        self.account.save(stream, found)
        self.account.emit(event, found, at=self.at)
        return found

    def _existing(self, stream: str, id: str) -> Json:
        found = self.account.find(stream, id)
        if found is None:
            raise LookupError(f"there is no {id!r} in {stream} of account {self.account.slug!r}")
        return found

    def _first(self, stream: str, fits: Callable[[Json], bool] = bool) -> Json | None:
        """A random object that fits, or None."""
        return next((one for one in self.account.any_of(stream) if fits(one)), None)

    def _one_of(self, *steps: Callable[[], Json | None]) -> Json | None:
        for step in self.random.sample(steps, len(steps)):
            done = step()
            if done is not None:
                return done
        return None

    def _later(self, first_day: float, last_day: float) -> int:
        return self.at + round(self.random.uniform(first_day, last_day) * DAY)

    def _a_currency(self) -> str:
        if len(self.currencies) == 1 or self.random.random() < 0.7:
            return self.currencies[0]
        return self.random.choice(self.currencies[1:])

    def _a_customer(self) -> Json:
        if self.random.random() < 0.75:
            found = self._first("customers")
            if found is not None:
                return found
        return self.add_customer()

    def _percent_coupon(self) -> Json | None:
        return self._first("coupons", lambda one: one["percent_off"] is not None and one["valid"])

    def _a_discount(self) -> tuple[str | None, Json | None]:
        """The id of a discount and its coupon, mostly none."""
        coupon = self._percent_coupon() if self.random.random() < 0.15 else None
        return (self.account.id_for("di"), coupon) if coupon else (None, None)

    def _off(self, amount: int, coupon: Json | None, currency: str) -> int:
        if coupon is None:
            return 0
        return self._part(amount, Decimal(str(coupon["percent_off"])) / 100, currency)

    def _redeem(self, coupon: Json) -> None:
        """Count a redemption, which Stripe does without an event."""
        found = self.account.find("coupons", coupon["id"])
        if found is not None:
            changes = {"times_redeemed": found["times_redeemed"] + 1}
            self.account.change("coupons", found["id"], changes, at=self.at)


KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "create": (40, ("sell", "sell", "sell", "add_customer", "check_out", "bill", "subscribe")),
    "update": (25, ("edit",)),
    "refund": (10, ("refund_any",)),
    "dispute": (3, ("dispute_any",)),
    "settle": (10, ("settle_any",)),
    "cancel": (3, ("cancel_any",)),
    "credit": (3, ("credit",)),
    "delete": (4, ("remove",)),
    "payout": (2, ("pay_out",)),
    "offer": (2, ("add_coupon", "add_promotion_code")),
}
"""Kinds of mutation: how often they are drawn, and the steps they may be."""

UNDER_WAY = (
    ("settle_authorization", "payment_intents", "requires_capture"),
    ("settle_refund", "refunds", "pending"),
    ("answer_dispute", "disputes", "needs_response"),
    ("close_dispute", "disputes", "under_review"),
    ("complete_session", "checkout_sessions", "open"),
    ("finish_invoice", "invoices", "draft"),
    ("pay_invoice", "invoices", "open"),
    ("settle_payout", "payouts", "in_transit"),
)
UPDATED = {
    "charges": "charge.updated", "checkout_sessions": None, "coupons": "coupon.updated",
    "credit_notes": "credit_note.updated", "customers": "customer.updated",
    "disputes": "charge.dispute.updated", "invoices": "invoice.updated",
    "payouts": "payout.updated", "prices": "price.updated", "products": "product.updated",
    "promotion_codes": "promotion_code.updated", "refunds": "refund.updated",
    "subscriptions": "customer.subscription.updated",
}  # fmt: skip
"""The event that tells of an edit; payment intents, invoice items and balance transactions have
none."""
DELETED = {
    "coupons": "coupon.deleted", "customers": "customer.deleted", "invoices": "invoice.deleted",
    "invoiceitems": "invoiceitem.deleted", "prices": "price.deleted",
    "products": "product.deleted",
}  # fmt: skip


def default_currencies(currency: str) -> tuple[str, ...]:
    """What an account sells in besides its own currency, where nothing else is said."""
    if currency not in USD_VALUE:
        raise ValueError(f"currency {currency!r} is unknown: give one of {', '.join(USD_VALUE)}")
    return (currency, *ADDED_CURRENCIES.get(currency, ()))


def _intent_of(payment: bytes) -> str:
    id: str = decode(payment)["payment"]["payment_intent"]
    return id
