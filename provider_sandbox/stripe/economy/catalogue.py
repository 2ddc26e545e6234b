"""What is on sale and who buys: products, prices, coupons, codes and customers."""

from collections.abc import Sequence
from decimal import Decimal

from provider_sandbox.ledger import Json, encode
from provider_sandbox.life import MONTH
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import StripeAccount
from provider_sandbox.stripe.economy.ground import Ground
from provider_sandbox.stripe.money import minor, share

NAMES = (
    "Ada Lind", "Zoë O'Connor", "Łukasz Wójcik", "山田 花子", "عبد الله", "Renée \"Red\" Dubois",
    "Back\\Slash Ltd", "Tab\tbed & Sons", "Søren Ångström", "Ngọc Trần", "Müßig GmbH & Co. KG",
    "Иван Петров", "Δήμητρα Παπά", "Noor 🎷 Quartet", "O'Brien — Events", "Line\nBreak", "कविता",
)  # fmt: skip
CITIES = ("Reykjavík", "São Paulo", "Zürich", "Montréal", "東京", "Kraków", "Portland", "Κέρκυρα")
GOODS = (
    ("Standing ticket", 32.5), ("Balcony seat", 58), ("Two-day pass", 119), ("Lager 0.5 l", 7.2),
    ("House \"Negroni\"", 12.75), ("Café crème", 4.1), ("Vinyl LP", 27.99), ("Cloakroom", 2.5),
    ("VIP table — 6 guests", 640), ("T-shirt, black", 24.9), ("Sound engineer, hour", 55),
    ("Hall rental, evening", 1850), ("Crêpe jambon/fromage", 8.6), ("Poster 50/70 cm", 15),
)  # fmt: skip
MEMBERSHIPS = (("Friends of the house", 9.9), ("Patron", 49), ("Rehearsal room", 180))
TAX_RATES = {"US": "0.08875", "DE": "0.19", "FR": "0.2", "GB": "0.2", "JP": "0.1", "CH": "0.081"}


class Catalogue(Ground):
    """Prices are kept at hand; all else is drawn from the account."""

    def __init__(self, account: StripeAccount, *, currencies: Sequence[str]) -> None:
        super().__init__(account, currencies=currencies)
        self.tax_rate = Decimal(TAX_RATES.get(account.country, "0"))
        self._one_time: list[Json] = []
        self._recurring: list[Json] = []

    def stock(self) -> None:
        """Put everything on sale that the venue sells, and a few coupons."""
        for name, dollars in GOODS:
            self.add_product(name, dollars)
        for name, dollars in MEMBERSHIPS:
            self.add_product(name, dollars, interval="month")
        for _ in range(5):
            self.add_coupon()
        for _ in range(8):
            self.add_promotion_code()

    def add_product(self, name: str, dollars: float, *, interval: str | None = None) -> Json:
        """A product and its prices, one in each currency; memberships have a yearly one too."""
        account = self.account
        product = shapes.product(
            account.id_for("prod", 14),
            self.at,
            name=name,
            description=None if self.random.random() < 0.5 else f"{name}\nat {account.name}",
            metadata={"category": "membership" if interval else "goods"},
        )
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
            self.account.id_for("price"),
            self.at,
            product=product["id"],
            currency=currency,
            unit_amount=minor(dollars, currency),
            interval=interval,
            nickname=None if self.random.random() < 0.6 else f"{product['name']} ({currency})",
        )
        (self._recurring if interval else self._one_time).append(price)
        return self._added("prices", "price.created", price)

    def _add_tiered_price(self, product: Json, dollars: float) -> Json:
        currency = self.account.currency
        price = shapes.price(
            self.account.id_for("price"),
            self.at,
            product=product["id"],
            currency=currency,
            unit_amount=None,
            interval="month",
            tiers_mode="graduated",
        )
        tiers: list[Json] = [
            {
                "flat_amount": None,
                "flat_amount_decimal": None,
                "up_to": up_to,
                "unit_amount": minor(dollars * part, currency),
                "unit_amount_decimal": str(minor(dollars * part, currency)),
            }
            for up_to, part in ((10, 1.0), (None, 0.8))
        ]
        self.account.nested["tiers", price["id"]] = [encode(tier) for tier in tiers]
        return self._added("prices", "price.created", price)

    def add_coupon(self) -> Json:
        percent = self.random.choice((5.0, 10.0, 12.5, 25.0, 33.3, None))
        currency = None if percent else self.account.currency
        coupon = shapes.coupon(
            self.account.id_for("c", 8)[2:],
            self.at,
            name=f"{percent}% off" if percent else "Voucher “Encore”",
            percent_off=percent,
            amount_off=None if currency is None else minor(5, currency),
            currency=currency,
            duration=self.random.choice(("once", "forever", "repeating")),
        )
        return self._added("coupons", "coupon.created", coupon)

    def add_promotion_code(self) -> Json | None:
        for coupon in self.account.any_of("coupons"):
            code = shapes.promotion_code(
                self.account.id_for("promo"),
                self.at,
                code=f"ENCORE{self.random.randrange(10**6)}",
                coupon=coupon["id"],
                expires_at=None if self.random.random() < 0.5 else self.at + 6 * MONTH,
            )
            return self._added("promotion_codes", "promotion_code.created", code)
        return None

    def add_customer(self) -> Json:
        number = len(self.account.streams["customers"]) + 1
        name = self.random.choice(NAMES)
        customer = shapes.customer(
            self.account.id_for("cus", 14),
            self.at,
            name=None if self.random.random() < 0.05 else name,
            email=None if self.random.random() < 0.1 else f"guest.{number}@mail.example",
            country=self.account.country,
            city=self.random.choice(CITIES),
            phone=None if self.random.random() < 0.7 else f"+1555{number:07d}",
            metadata={} if self.random.random() < 0.7 else {"seat": 'Row "C"\t12', "vip": "true"},
        )
        return self._added("customers", "customer.created", customer)

    def _a_customer(self) -> Json:
        if self.random.random() < 0.75:
            found = self._first("customers")
            if found is not None:
                return found
        return self.add_customer()

    def _prices(self, among: list[Json], currency: str) -> list[Json]:
        """The prices in this currency that are still there; a venue without any is stocked."""
        streams = self.account.streams
        found = [
            price
            for price in among
            if price["currency"] == currency
            and price["id"] in streams["prices"]
            and price["product"] in streams["products"]
        ]
        if not found:
            self.stock()
            found = [price for price in among if price["currency"] == currency]
        return found

    def _part(self, amount: int, rate: Decimal, currency: str) -> int:
        """A share of an amount that can be paid in this currency."""
        part = share(amount, rate)
        return part - part % 10 if currency == "kwd" else part

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
