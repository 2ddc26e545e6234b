"""Currencies, their minor units, and conversion as Stripe settles it."""

from decimal import ROUND_HALF_UP, Decimal
from random import Random

EXPONENTS = {"jpy": 0, "kwd": 3}
USD_VALUE = {
    "usd": 1.0, "eur": 1.0832, "gbp": 1.2714, "jpy": 0.00671, "kwd": 3.2552, "cad": 0.7312,
    "aud": 0.6598, "chf": 1.1324,
}  # fmt: skip
"""US dollars for one unit; the currencies that the stand-in knows."""


def minor(amount: float, currency: str) -> int:
    """An amount in US dollars as a likely price in ``currency``, in minor units. A three-decimal
    currency takes multiples of ten only, as the card networks do."""
    exponent = EXPONENTS.get(currency, 2)
    units: float = amount / USD_VALUE[currency] * 10**exponent
    return max(round(units / 10) * 10, 10) if exponent == 3 else max(round(units), 1)


def exchange_rate(currency: str, settlement: str, random: Random) -> float | None:
    """Minor units of ``settlement`` for one of ``currency``, moving by a percent either way; None
    where they are the same."""
    if currency == settlement:
        return None
    exponents = EXPONENTS.get(settlement, 2) - EXPONENTS.get(currency, 2)
    rate = USD_VALUE[currency] / USD_VALUE[settlement] * 10**exponents
    return float(f"{rate * random.uniform(0.99, 1.01):.6g}")


def converted(amount: int, rate: float | None) -> int:
    return amount if rate is None else share(amount, Decimal(repr(rate)))


def share(amount: int, rate: Decimal) -> int:
    """``amount`` times ``rate``, half a minor unit rounded away from zero."""
    return int((Decimal(amount) * rate).quantize(Decimal(1), ROUND_HALF_UP))
