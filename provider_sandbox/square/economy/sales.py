"""Sales and what undoes them: orders, payments, refunds and disputes."""

from collections.abc import Sequence

from provider_sandbox.ledger import Json
from provider_sandbox.life import HOUR
from provider_sandbox.square import shapes
from provider_sandbox.square.account import DAY, Ref, iso
from provider_sandbox.square.economy.balance import Balance
from provider_sandbox.square.money import (
    COUNTRIES_RETURNING_FEES,
    contained,
    money,
    percent,
    shares,
)

BRANDS = ("VISA", "MASTERCARD", "AMERICAN_EXPRESS", "JCB", "DISCOVER")
DECLINES = (
    ("INSUFFICIENT_FUNDS", "The card has insufficient funds."),
    ("GENERIC_DECLINE", "The card was declined."),
    ("CARD_EXPIRED", "The card has expired."),
)
DISPUTE_REASONS = ("NO_KNOWLEDGE", "NOT_RECEIVED", "DUPLICATE", "AMOUNT_DIFFERS", "CANCELLED")
REASONS = (None, "Show “cancelled”", "Wrong size", "Returned goods")
TOTALS = ("total", "tax", "discount", "tip", "service_charge")


class Sales(Balance):
    """Orders with their lines, and the payments, refunds and disputes of them."""

    def sell(self) -> Ref:
        """One sale over the counter: most are paid by card, some in cash, by gift card, by two
        tenders or by other means; some cards are declined first, some authorized only."""
        order, at = self._basket(source=self.random.choice(("Point of Sale", None)))
        tip = percent(order["total_money"]["amount"], "15") if self.chance(0.25) else 0
        how = self.random.choices(
            ("card", "cash", "external", "split", "gift", "declined", "authorized", "open"),
            (60, 18, 4, 4, 3, 3, 5, 3),
        )[0]
        return self._pay(order, at, how, tip)

    def authorize(self) -> Ref:
        """One sale whose card is authorized only, to be captured or canceled later."""
        order, at = self._basket(source="Point of Sale")
        return self._pay(order, at, "authorized", 0)

    def sell_online(self) -> Ref:
        """One sale in the web shop, for pick-up, with the platform's fee on it."""
        order, at = self._basket(source="Web shop", online=True)
        return self._pay(order, at, "card", 0, app_fee=True)

    def sell_offline(self) -> Ref:
        """A sale that the till kept for hours, up to three days, before it was sent: its order is
        created and updated back then, but listed only now; its payment is created now."""
        order, at = self._basket(source="Point of Sale")
        taken = at - self.random.randrange(HOUR, 71 * HOUR) * 1000
        order["created_at"] = order["updated_at"] = iso(taken)
        return self._pay(order, at, "offline", 0, taken=taken)

    def cash_up(self) -> Ref | None:
        """Something is sold, and paid out at once with what else is owed there."""
        order = self.account.existing("orders", self.sell_online().id)
        for tender in order.get("tenders", ()):
            self.assess(tender["payment_id"])
        return self.pay_out(order["location_id"])

    def sell_gift_card(self) -> Ref:
        """A gift card is bought by card."""
        value = self.price(25, 100)
        line = self._line("Gift card", "", value, 1, item_type="GIFT_CARD")
        order, at = self._order(self._a_location(), [line], source="Point of Sale")
        order |= {"taxes": []}
        self._total(order, tip=0)
        ref = self._pay(order, at, "card", 0)
        self.issue_gift_card(value, order.get("customer_id"))
        return ref

    # The order

    def _a_location(self) -> str:
        return self.random.choice(self.open_locations())

    def _basket(self, *, source: str | None, online: bool = False) -> tuple[Json, int]:
        location = self._a_location()
        lines = [
            line
            for _ in range(self.random.choices((1, 2, 3, 5, 9), (40, 30, 15, 10, 5))[0])
            if (line := self._a_line(location)) is not None
        ]
        if not lines or self.chance(0.06):
            lines.append(self._line("Custom amount", "", self.price(3, 20), 1, "CUSTOM_AMOUNT"))
        order, at = self._order(location, lines, source=source, online=online)
        tax = self.account.existing("catalog", self.tax)
        place = self.account.place
        order["taxes"] = [
            {
                "uid": self.account.id_for(22), "catalog_object_id": self.tax,
                "catalog_version": tax["version"], "name": "Sales tax",
                "type": "INCLUSIVE" if place.inclusive else "ADDITIVE", "percentage": place.tax,
                "scope": "ORDER",
            }
        ]  # fmt: skip
        if self.chance(0.2):
            order["discounts"] = [self._discount(lines)]
        if self.chance(0.08):
            order["service_charges"] = [
                {
                    "uid": self.account.id_for(22), "name": "Gratuity “large party”",
                    "percentage": "18", "calculation_phase": "SUBTOTAL_PHASE", "taxable": False,
                    "type": "AUTO_GRATUITY", "treatment_type": "LINE_ITEM_TREATMENT",
                    "scope": "ORDER",
                }
            ]  # fmt: skip
        self._total(order, tip=0)
        return order, at

    def _a_line(self, location: str) -> Json | None:
        variation = self._a_variation()
        if variation is None:
            return None
        data = variation["item_variation_data"]
        item = self.account.existing("catalog", data["item_id"])
        quantity = self.random.choices((1, 2, 3, 6), (70, 20, 6, 4))[0]
        line = self._line(item["item_data"]["name"], data["name"], 0, quantity)
        line["catalog_object_id"] = variation["id"]
        line["catalog_version"] = variation["version"]
        line["base_price_money"] = data["price_money"]
        lists = item["item_data"].get("modifier_list_info")
        if lists and self.chance(0.4):
            held = self.account.existing("catalog", lists[0]["modifier_list_id"])
            line["modifiers"] = [
                {
                    "uid": self.account.id_for(22), "catalog_object_id": one["id"],
                    "catalog_version": one["version"], "name": one["modifier_data"]["name"],
                    "quantity": "1", "base_price_money": one["modifier_data"]["price_money"],
                    "total_price_money": self.cash(
                        one["modifier_data"]["price_money"]["amount"] * quantity
                    ),
                }
                for one in self.random.sample(held["modifier_list_data"]["modifiers"], 2)
            ]  # fmt: skip
        if self.chance(0.05):
            line["note"] = "“No foam”, 2nd round\n"
        self._take(variation["id"], location, quantity)
        return line

    def _line(
        self, name: str, variation: str, price: int, quantity: int, item_type: str = "ITEM"
    ) -> Json:
        return shapes.filled(
            {
                "uid": self.account.id_for(22),
                "name": name,
                "variation_name": variation,
                "quantity": str(quantity),
                "item_type": item_type,
                "base_price_money": self.cash(price),
            }
        )

    def _discount(self, lines: Sequence[Json]) -> Json:
        uid = self.account.id_for(22)
        if self.chance(0.5):
            version = self.account.existing("catalog", self.happy_hour)["version"]
            return {
                "uid": uid, "catalog_object_id": self.happy_hour, "catalog_version": version,
                "name": "Happy hour", "type": "FIXED_PERCENTAGE", "percentage": "10",
                "scope": "ORDER",
            }  # fmt: skip
        dearest = max(one["base_price_money"]["amount"] for one in lines)
        return {
            "uid": uid, "name": "Voucher", "type": "FIXED_AMOUNT", "scope": "ORDER",
            "amount_money": self.cash(max(dearest // 3, 1)),
        }  # fmt: skip

    def _order(
        self, location: str, lines: list[Json], *, source: str | None, online: bool = False
    ) -> tuple[Json, int]:
        at = self.stamp()
        customer = self.one_of("customers") if self.chance(0.5) else None
        order = shapes.filled(
            {
                "id": self.account.id_for(27, end="ZY"),
                "location_id": location,
                "source": {"name": source} if source else None,
                "customer_id": customer["id"] if customer else None,
                "line_items": lines,
                "created_at": iso(at),
                "updated_at": iso(at),
                "state": "OPEN",
                "version": 1 if online else None,
                "reference_id": f"web-{self.random.randrange(10**6)}" if online else None,
            }
        )
        if online:
            name = customer.get("given_name", "Guest") if customer else "Guest"
            order["fulfillments"] = [
                {
                    "uid": self.account.id_for(22), "type": "PICKUP", "state": "PROPOSED",
                    "pickup_details": {
                        "recipient": {"display_name": name}, "schedule_type": "ASAP",
                        "pickup_at": iso(at + HOUR * 1000), "placed_at": iso(at),
                    },
                }
            ]  # fmt: skip
        return order, at

    def _total(self, order: Json, *, tip: int, rounding: int = 0) -> None:
        """Work out every amount of the order from its lines, discounts, taxes and charges."""
        cash, lines = self.cash, order["line_items"]
        gross = [
            int(line["quantity"])
            * (
                line["base_price_money"]["amount"]
                + sum(one["base_price_money"]["amount"] for one in line.get("modifiers", ()))
            )
            for line in lines
        ]
        cut = [0] * len(lines)
        for discount in order.get("discounts", ()):
            amount = discount.get("amount_money", {}).get("amount")
            if amount is None:
                amount = percent(sum(gross), discount["percentage"])
            amount = min(amount, sum(gross))
            discount["applied_money"] = cash(amount)
            cut = shares(amount, gross)
            for line, part in zip(lines, cut, strict=True):
                line["applied_discounts"] = [
                    {
                        "uid": self.account.id_for(22), "discount_uid": discount["uid"],
                        "applied_money": cash(part),
                    }
                ]  # fmt: skip
        taxed = additive = 0
        for line, full, less in zip(lines, gross, cut, strict=True):
            tax = added = 0
            for one in order.get("taxes", ()):
                inclusive = one["type"] == "INCLUSIVE"
                tax = (contained if inclusive else percent)(full - less, one["percentage"])
                added = 0 if inclusive else tax
                line["applied_taxes"] = [
                    {
                        "uid": self.account.id_for(22), "tax_uid": one["uid"],
                        "applied_money": cash(tax),
                    }
                ]  # fmt: skip
            taxed += tax
            additive += added
            line |= {
                "variation_total_price_money": cash(
                    int(line["quantity"]) * line["base_price_money"]["amount"]
                ),
                "gross_sales_money": cash(full),
                "total_tax_money": cash(tax),
                "total_discount_money": cash(less),
                "total_money": cash(full - less + added),
                "total_service_charge_money": cash(0),
            }
        for one in order.get("taxes", ()):
            one["applied_money"] = cash(taxed)
        net = sum(gross) - sum(cut)
        service = 0
        for charge in order.get("service_charges", ()):
            service = percent(net, charge["percentage"])
            charge |= {
                "applied_money": cash(service), "total_money": cash(service),
                "total_tax_money": cash(0),
            }  # fmt: skip
        total = net + additive + service + tip + rounding
        if rounding:
            order["rounding_adjustment"] = {
                "uid": self.account.id_for(22), "name": "Cash rounding",
                "amount_money": cash(rounding),
            }  # fmt: skip
        worked = (total, taxed, sum(cut), tip, service)
        for name, amount in zip(TOTALS, worked, strict=True):
            order["total_money" if name == "total" else f"total_{name}_money"] = cash(amount)
        order["net_amounts"] = shapes.amounts(
            self.account.currency, total=total, tax=taxed, discount=sum(cut), tip=tip,
            service=service,
        )  # fmt: skip
        order["net_amount_due_money"] = cash(total)

    def _pay(
        self, order: Json, at: int, how: str, tip: int, *, app_fee: bool = False,
        taken: int | None = None,
    ) -> Ref:  # fmt: skip
        """Put the order on the books and pay it; ``taken``: the millisecond of an offline sale."""
        step = self.account.place.cash_step
        if how == "cash" and order["total_money"]["amount"] % step:
            off = order["total_money"]["amount"] % step
            self._total(order, tip=0, rounding=-off if off * 2 < step else step - off)
            tip = 0
        elif tip and how in ("card", "split", "authorized"):
            self._total(order, tip=tip)
        else:
            tip = 0
        self.added("orders", order, at)
        due = order["total_money"]["amount"] - tip
        if how == "declined":
            self._charge(order, due, tip=0, status="FAILED")
            how = "card"
        if how == "open" or due + tip <= 0:
            return Ref("orders", order["id"])
        if taken is not None:
            self._close(order["id"], [self._charge(order, due, taken=taken)], at=taken)
            return Ref("orders", order["id"])
        if how == "authorized":
            payment = self._charge(order, due, tip=tip, status="APPROVED")
            self._tendered(order["id"], [payment])
            self.schedule(self.later(0.2, 3), "settle_authorization", payment["id"])
            return Ref("orders", order["id"])
        card = self._fitting_card(due) if how == "gift" else None
        if card is not None:
            self.redeem(card, due)
            payments = [self._charge(order, due, brand="SQUARE_GIFT_CARD")]
        elif how == "split" and due > 1:
            first = due // 2
            payments = [
                self._charge(order, first, tip=tip), self._charge(order, due - first, source="CASH")
            ]  # fmt: skip
        else:
            source = {"cash": "CASH", "external": "EXTERNAL"}.get(how, "CARD")
            payments = [self._charge(order, due, tip=tip, source=source, app_fee=app_fee)]
        self._close(order["id"], payments)
        if "customer_id" in order:
            self.earn(order["customer_id"], order)
        return Ref("orders", order["id"])

    def _fitting_card(self, due: int) -> Json | None:
        return self.one_of(
            "gift_cards",
            lambda one: one["state"] == "ACTIVE" and one["balance_money"]["amount"] >= due,
        )

    def _tendered(self, id: str, payments: Sequence[Json]) -> None:
        order = self.account.existing("orders", id)
        tenders = order.get("tenders", []) + [shapes.tender(one) for one in payments]
        paid = sum(one["total_money"]["amount"] for one in payments if one["status"] == "COMPLETED")
        due = order["net_amount_due_money"]["amount"] - paid
        changes = {"tenders": tenders, "net_amount_due_money": self.cash(due)}
        self.changed("orders", id, changes)

    def _close(self, id: str, payments: Sequence[Json], *, at: int | None = None) -> None:
        """The order is paid."""
        told = self.stamp()
        closed = told if at is None else at
        order = self.account.existing("orders", id)
        changes = {
            "tenders": order.get("tenders", []) + [shapes.tender(one) for one in payments],
            "state": "COMPLETED", "closed_at": iso(closed), "net_amount_due_money": self.cash(0),
        }  # fmt: skip
        self.account.change("orders", id, changes, at=closed, told=told)

    # Payments

    def _charge(
        self, order: Json, amount: int, *, tip: int = 0, source: str = "CARD",
        status: str = "COMPLETED", brand: str = "", app_fee: bool = False,
        taken: int | None = None,
    ) -> Json:  # fmt: skip
        account, at = self.account, self.stamp()
        staff = self.one_of("team_members")
        name = order.get("source", {}).get("name")
        payment = shapes.payment(
            account.id_for(27, end="ZY"), at, source=source, amount=amount, tip=tip,
            currency=account.currency, location=order["location_id"], order=order["id"],
            customer=order.get("customer_id"), token=account.id_for(45),
            team_member=staff["id"] if staff and name != "Web shop" else None,
            product="ECOMMERCE_API" if name == "Web shop" else "SQUARE_POS",
        )  # fmt: skip
        match source:
            case "CARD":
                payment["card_details"] = shapes.card_details(
                    at, brand=brand or self.random.choice(BRANDS),
                    last_4=f"{self.random.randrange(10_000):04d}",
                    entry="KEYED" if name == "Web shop" else self.random.choice(
                        ("EMV", "CONTACTLESS", "SWIPED")
                    ),
                    fingerprint=f"sq-1-{account.id_for(66)}",
                )  # fmt: skip
                payment |= {
                    "delay_duration": "PT168H", "delay_action": "CANCEL",
                    "delayed_until": iso(at + 7 * DAY * 1000),
                }  # fmt: skip
            case "CASH":
                step = 1000 if account.place.exponent == 0 else 500
                given = -(-amount // step) * step
                payment["cash_details"] = {
                    "buyer_supplied_money": self.cash(given),
                    "change_back_money": self.cash(given - amount),
                }
            case _:
                payment["external_details"] = {"type": "OTHER", "source": "Voucher “Süd”"}
        if app_fee:
            payment["app_fee_money"] = self.cash(percent(amount, "1"))
        if taken is not None:
            payment |= {
                "is_offline_payment": True,
                "offline_payment_details": {"client_created_at": iso(taken)},
            }
        if status == "APPROVED":
            payment["status"] = "APPROVED"
            payment["card_details"]["status"] = "AUTHORIZED"
            del payment["card_details"]["card_payment_timeline"]["captured_at"]
            payment["capabilities"] = ["EDIT_AMOUNT_UP", "EDIT_AMOUNT_DOWN"]
            del payment["receipt_url"]
        if status == "FAILED":
            self._decline(payment)
        self.added("payments", payment, at)
        if status == "COMPLETED" and source == "CARD" and not brand:
            self.schedule(self.at + self.random.randrange(30, 2 * HOUR), "assess", payment["id"])
        return payment

    def _decline(self, payment: Json) -> None:
        code, detail = self.random.choice(DECLINES)
        payment["status"] = "FAILED"
        details = payment["card_details"]
        details["status"] = "FAILED"
        details["errors"] = [{"category": "PAYMENT_METHOD_ERROR", "code": code, "detail": detail}]
        del details["card_payment_timeline"]
        for name in ("receipt_url", "receipt_number", "approved_money"):
            del payment[name]

    def assess(self, id: str = "") -> Ref | None:
        """The processing fee of a card payment becomes known, which updates the payment."""
        payment = self.chosen(
            "payments",
            id,
            lambda one: (
                one["status"] == "COMPLETED"
                and one["source_type"] == "CARD"
                and "processing_fee" not in one
                and not _by_gift_card(one)
            ),
        )
        if payment is None:
            return None
        total = payment["total_money"]["amount"]
        fee = percent(total, "2.6") + (0 if self.account.place.exponent == 0 else 10)
        fees = [
            {"effective_at": iso(self.at * 1000), "type": "INITIAL", "amount_money": self.cash(fee)}
        ]
        ref = self.changed("payments", payment["id"], {"processing_fee": fees})
        app_fee = payment.get("app_fee_money", {}).get("amount", 0)
        self.owe(
            payment["location_id"], "CHARGE", total, fee + app_fee, {"payment_id": payment["id"]}
        )
        return ref

    def settle_authorization(self, id: str = "") -> Ref | None:
        """An authorized payment is captured, or canceled with its order."""
        payment = self.chosen("payments", id, lambda one: one["status"] == "APPROVED")
        if payment is None:
            return None
        timeline = payment["card_details"]["card_payment_timeline"]
        order = self.account.existing("orders", payment["order_id"])
        at = self.stamp()
        if self.chance(0.3):
            changes: Json = {
                "status": "CANCELED", "card_details.status": "VOIDED", "capabilities": None,
                "card_details.card_payment_timeline": {**timeline, "voided_at": iso(at)},
                "receipt_number": None, "approved_money": None,
            }  # fmt: skip
            state: Json = {"state": "CANCELED", "closed_at": iso(at)}
        else:
            changes = {
                "status": "COMPLETED", "card_details.status": "CAPTURED", "capabilities": None,
                "card_details.card_payment_timeline": {**timeline, "captured_at": iso(at)},
                "receipt_url": f"https://squareup.com/receipt/preview/{payment['id']}",
            }  # fmt: skip
            state = {
                "state": "COMPLETED", "closed_at": iso(at), "net_amount_due_money": self.cash(0)
            }  # fmt: skip
            self.schedule(self.at + self.random.randrange(30, 2 * HOUR), "assess", payment["id"])
        ref = self.changed("payments", payment["id"], changes)
        payment = self.account.existing("payments", payment["id"])
        tenders = [
            shapes.tender(payment) if one["id"] == payment["id"] else one
            for one in order["tenders"]
        ]
        self.changed("orders", order["id"], {**state, "tenders": tenders})
        return ref

    def edit_order(self, id: str = "") -> Ref | None:
        """Someone adds a note to an order, or a pick-up moves on."""
        order = self.chosen("orders", id)
        if order is None:
            return None
        changes: Json = {"metadata": {"note": f"seen “{self.at}”"}}
        if "fulfillments" in order and order["fulfillments"][0]["state"] == "PROPOSED":
            changes = {"fulfillments": [{**order["fulfillments"][0], "state": "COMPLETED"}]}
        return self.changed("orders", order["id"], changes)

    # Refunds

    def refund(self, payment_id: str = "", amount: int = 0) -> Ref | None:
        """Give back an amount of a payment (0: one line of what was bought, or all that is left):
        a refund, and a new order with the return. Refunds to cards stay pending for a while."""
        payment = self.chosen(
            "payments",
            payment_id,
            lambda one: one["status"] == "COMPLETED" and _left(one) > 0 and not _by_gift_card(one),
        )
        if payment is None:
            return None
        if not 0 <= amount <= _left(payment):
            raise ValueError(f"0 to {_left(payment)} is left of {payment['id']}, not {amount}")
        at, account = self.stamp(), self.account
        returned = self._returned(payment, amount)
        back = returned["return_amounts"]["total_money"]["amount"]
        by_card = payment["source_type"] == "CARD"
        location = payment["location_id"]
        order_id = account.id_for(27, end="ZY")
        refund = shapes.refund(
            f"{payment['id']}_{account.id_for(43)}", at, amount=self.cash(back), payment=payment,
            order=order_id, reason=self.random.choice(REASONS),
            status="PENDING" if by_card else "COMPLETED",
        )  # fmt: skip
        self.added("orders", self._return_order(order_id, refund, returned, at), at)
        self.added("refunds", refund, at)
        refunded = payment.get("refunded_money", {}).get("amount", 0) + back
        changes = {
            "refunded_money": self.cash(refunded),
            "refund_ids": [*payment.get("refund_ids", ()), refund["id"]],
        }
        self.changed("payments", payment["id"], changes)
        for line in returned.get("return_line_items", ()):
            if "catalog_object_id" in line:
                self._take(line["catalog_object_id"], location, -int(line["quantity"]))
        if by_card:
            self.schedule(self.at + self.random.randrange(60, DAY), "settle_refund", refund["id"])
        return Ref("refunds", refund["id"])

    def _returned(self, payment: Json, amount: int) -> Json:
        """What comes back: a line of the sale or all of it, where one payment paid for all and
        nothing has come back yet; else a custom amount."""
        order = self.account.find("orders", payment["order_id"]) or {}
        left, currency = _left(payment), self.account.currency
        base = {"uid": self.account.id_for(22), "source_order_id": payment["order_id"]}
        at_once = bool(order) and payment["total_money"] == order["total_money"]
        if not amount and at_once and "refund_ids" not in payment:
            lines = order["line_items"]
            if "rounding_adjustment" not in order and self.chance(0.4):
                return self._return_of(base, order, lines, everything=True)
            fitting = [one for one in lines if 0 < one["total_money"]["amount"] <= left]
            if fitting:
                return self._return_of(base, order, [self.random.choice(fitting)], everything=False)
        amount = amount or max(left // 2, 1)
        line = {
            "uid": self.account.id_for(22), "name": "Custom amount", "quantity": "1",
            "item_type": "CUSTOM_AMOUNT", "base_price_money": money(amount, currency),
            "variation_total_price_money": money(amount, currency),
            "gross_return_money": money(amount, currency), "total_tax_money": money(0, currency),
            "total_discount_money": money(0, currency), "total_money": money(amount, currency),
        }  # fmt: skip
        amounts = shapes.amounts(currency, total=amount)
        return {**base, "return_line_items": [line], "return_amounts": amounts}

    def _return_of(
        self, base: Json, order: Json, lines: Sequence[Json], *, everything: bool
    ) -> Json:
        currency = self.account.currency
        kept = (
            "name", "quantity", "catalog_object_id", "catalog_version", "variation_name",
            "item_type", "base_price_money", "variation_total_price_money", "total_tax_money",
            "total_discount_money", "total_money",
        )  # fmt: skip
        returned = [
            {
                "uid": self.account.id_for(22), "source_line_item_uid": line["uid"],
                "gross_return_money": line["gross_sales_money"],
                **{name: line[name] for name in kept if name in line},
            }
            for line in lines
        ]  # fmt: skip

        def total(name: str) -> int:
            return sum(int(line[name]["amount"]) for line in lines)

        found = {**base, "return_line_items": returned}
        taxes = [
            {
                "uid": self.account.id_for(22), "source_tax_uid": one["uid"],
                "applied_money": money(total("total_tax_money"), currency),
                **{n: one[n] for n in ("name", "type", "percentage", "scope")},
            }
            for one in order.get("taxes", ())
        ]  # fmt: skip
        if taxes:
            found["return_taxes"] = taxes
        tip = service = 0
        if everything:
            tip = order["total_tip_money"]["amount"]
            service = order["total_service_charge_money"]["amount"]
        if tip:
            found["return_tips"] = [
                {"uid": self.account.id_for(22), "applied_money": money(tip, currency)}
            ]
        if service:
            charge = order["service_charges"][0]
            found["return_service_charges"] = [
                {
                    "uid": self.account.id_for(22), "source_service_charge_uid": charge["uid"],
                    **{
                        n: charge[n]
                        for n in ("name", "percentage", "applied_money", "total_money",
                                  "total_tax_money", "calculation_phase", "taxable")
                    },
                }
            ]  # fmt: skip
        found["return_amounts"] = shapes.amounts(
            currency, total=total("total_money") + tip + service, tax=total("total_tax_money"),
            discount=total("total_discount_money"), tip=tip, service=service,
        )  # fmt: skip
        return found

    def _return_order(self, id: str, refund: Json, returned: Json, at: int) -> Json:
        currency, back = self.account.currency, returned["return_amounts"]
        zero = shapes.amounts(currency, total=0)
        negative = {name: money(-one["amount"], currency) for name, one in back.items()}
        sale = self.account.find("orders", returned["source_order_id"]) or {}
        return shapes.filled(
            {
                "id": id,
                "location_id": refund["location_id"],
                "source": sale.get("source"),
                "customer_id": sale.get("customer_id"),
                "returns": [returned],
                "return_amounts": back,
                "net_amounts": negative,
                "refunds": [self._shown_refund(refund)],
                "created_at": iso(at),
                "updated_at": iso(at),
                "closed_at": iso(at),
                "state": "COMPLETED",
                "total_money": zero["total_money"],
                "total_tax_money": zero["tax_money"],
                "total_discount_money": zero["discount_money"],
                "total_tip_money": zero["tip_money"],
                "total_service_charge_money": zero["service_charge_money"],
                "net_amount_due_money": self.cash(0),
            }
        )

    def _shown_refund(self, refund: Json) -> Json:
        statuses = {"COMPLETED": "APPROVED"}
        return {
            "id": refund["id"],
            "location_id": refund["location_id"],
            "transaction_id": refund["order_id"],
            "tender_id": refund["payment_id"],
            "created_at": refund["created_at"],
            "reason": refund.get("reason", "")[:192],
            "amount_money": refund["amount_money"],
            "status": statuses.get(refund["status"], refund["status"]),
        }

    def settle_refund(self, id: str = "") -> Ref | None:
        """The bank takes a refund, or it fails and the payment is as before."""
        refund = self.chosen("refunds", id, lambda one: one["status"] == "PENDING")
        if refund is None:
            return None
        payment = self.account.existing("payments", refund["payment_id"])
        amount = refund["amount_money"]["amount"]
        if self.chance(0.05):
            status = "FAILED"
            left = payment["refunded_money"]["amount"] - amount
            changes = {"refunded_money": self.cash(left)}
            self.changed("payments", payment["id"], changes)
            ref = self.changed("refunds", refund["id"], {"status": status})
        else:
            status = "COMPLETED"
            fee = self._fee_returned(payment, amount)
            fees = [
                {
                    "effective_at": iso(self.at * 1000), "type": "INITIAL",
                    "amount_money": self.cash(-fee),
                }
            ]  # fmt: skip
            settled: Json = {"status": status, "processing_fee": fees if fee else None}
            ref = self.changed("refunds", refund["id"], settled)
            details = {"payment_id": payment["id"], "refund_id": refund["id"]}
            self.owe(payment["location_id"], "REFUND", -amount, -fee, details)
        shown = self._shown_refund({**refund, "status": status})
        self.changed("orders", refund["order_id"], {"refunds": [shown]})
        return ref

    def _fee_returned(self, payment: Json, amount: int) -> int:
        if self.account.country not in COUNTRIES_RETURNING_FEES or "processing_fee" not in payment:
            return 0
        fee = payment["processing_fee"][0]["amount_money"]["amount"]
        return int(fee * amount // payment["total_money"]["amount"])

    # Disputes

    def dispute(self, payment_id: str = "") -> Ref | None:
        """A card holder disputes a payment: its amount is held back until it is decided."""
        payment = self.chosen(
            "payments",
            payment_id,
            lambda one: (
                one["status"] == "COMPLETED"
                and "processing_fee" in one
                and "refund_ids" not in one
                and one["id"] not in self._disputed
            ),
        )
        if payment is None:
            return None
        at = self.stamp()
        dispute = shapes.dispute(
            self.account.id_for(21), at, at + 14 * DAY * 1000, payment=payment,
            reason=self.random.choice(DISPUTE_REASONS), brand_id=self.account.id_for(22),
        )  # fmt: skip
        self._disputed.add(payment["id"])
        ref = self.added("disputes", dispute, at)
        self._owe_dispute(dispute, -1)
        self.schedule(self.later(2, 9), "answer_dispute", dispute["id"])
        return ref

    def _owe_dispute(self, dispute: Json, sign: int) -> None:
        details = {
            "payment_id": dispute["disputed_payment"]["payment_id"], "dispute_id": dispute["id"]
        }  # fmt: skip
        amount = sign * dispute["amount_money"]["amount"]
        self.owe(dispute["location_id"], "DISPUTE", amount, 0, details)

    def answer_dispute(self, id: str = "") -> Ref | None:
        """The venue accepts a dispute, or sends its evidence to the bank."""
        found = self.chosen("disputes", id, lambda one: one["state"] == "EVIDENCE_REQUIRED")
        if found is None:
            return None
        if self.chance(0.25):
            return self.changed("disputes", found["id"], {"state": "ACCEPTED"})
        self.schedule(self.later(5, 20), "close_dispute", found["id"])
        changes = {"state": "PROCESSING", "evidence_ids": [self.account.id_for(22)]}
        return self.changed("disputes", found["id"], changes)

    def close_dispute(self, id: str = "") -> Ref | None:
        """The bank decides: where it is won, the money comes back."""
        found = self.chosen("disputes", id, lambda one: one["state"] == "PROCESSING")
        if found is None:
            return None
        won = self.chance(0.5)
        if won:
            self._owe_dispute(found, 1)
        return self.changed("disputes", found["id"], {"state": "WON" if won else "LOST"})


def _left(payment: Json) -> int:
    """What of a payment is not given back yet."""
    return int(
        payment["total_money"]["amount"] - payment.get("refunded_money", {}).get("amount", 0)
    )


def _by_gift_card(payment: Json) -> bool:
    details = payment.get("card_details")
    return details is not None and details["card"]["card_brand"] == "SQUARE_GIFT_CARD"
