"""Countries that Square serves, their currencies and minor units, and shares of an amount."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from provider_sandbox.ledger import Json


@dataclass(frozen=True, slots=True)
class Country:
    """``usd`` is the value of one unit of the currency in US dollars, ``exponent`` the number of
    its decimals; ``tax`` the sales tax in percent, contained in prices where ``inclusive``; cash is
    rounded to ``cash_step`` minor units."""

    currency: str
    timezone: str
    language: str
    city: str
    usd: float
    tax: str
    inclusive: bool
    exponent: int = 2
    cash_step: int = 1


COUNTRIES: dict[str, Country] = {
    "US": Country("USD", "America/New_York", "en-US", "Brooklyn", 1.0, "8.875", False),
    "CA": Country(
        "CAD", "America/Montreal", "fr-CA", "Montréal", 0.73, "14.975", False, cash_step=5
    ),
    "GB": Country("GBP", "Europe/London", "en-GB", "Glasgow", 1.27, "20", True),
    "IE": Country("EUR", "Europe/Dublin", "en-IE", "Galway", 1.08, "23", True),
    "FR": Country("EUR", "Europe/Paris", "fr-FR", "Besançon", 1.08, "20", True),
    "ES": Country("EUR", "Europe/Madrid", "es-ES", "Logroño", 1.08, "21", True),
    "AU": Country(
        "AUD", "Australia/Sydney", "en-AU", "Wagga Wagga", 0.66, "10", True, cash_step=5
    ),
    "JP": Country(
        "JPY", "Asia/Tokyo", "ja-JP", "東京", 0.0067, "10", True, exponent=0
    ),
}  # fmt: skip
COUNTRIES_RETURNING_FEES = frozenset(("JP", "AU"))
"""Where a refund brings back its share of the processing fee."""


def minor(dollars: float, country: Country) -> int:
    """An amount in US dollars as a likely price in minor units, in steps of ten (a quarter)."""
    units = dollars / country.usd * float(10**country.exponent)
    step = 10 if country.exponent == 0 else 25
    return max(round(units / step) * step, step)


def money(amount: int, currency: str) -> Json:
    return {"amount": amount, "currency": currency}


def percent(amount: int, percentage: str) -> int:
    """So many percent, rounded half to even as Square rounds."""
    return _rounded(Decimal(amount) * Decimal(percentage) / 100)


def contained(amount: int, percentage: str) -> int:
    """The tax that an amount contains."""
    rate = Decimal(percentage)
    return _rounded(Decimal(amount) * rate / (100 + rate))


def shares(amount: int, weights: list[int]) -> list[int]:
    """``amount`` split by weight, to the last unit; a weight of zero gets nothing."""
    total, seen, given, split = sum(weights), 0, 0, []
    for weight in weights:
        seen += weight
        until = _rounded(Decimal(amount) * seen / total) if total else 0
        split.append(until - given)
        given = until
    return split


def _rounded(exact: Decimal) -> int:
    return int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
