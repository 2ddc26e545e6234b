"""A million rows of one stream without a history: bodies are made when they are read."""

from collections.abc import Callable, Mapping
from zlib import crc32

from provider_sandbox.ledger import Json, Recipe, encode
from provider_sandbox.stripe import shapes
from provider_sandbox.stripe.account import StripeAccount

ID, CREATED, AMOUNT = "\0id", 7_777_777_777, 8_888_888_888


def fill(account: StripeAccount, rows: Mapping[str, int], *, since: int, until: int) -> None:
    """Put so many rows into each stream, evenly spread over the time between two seconds.

    They name no object of another stream that exists. Raises ValueError for a stream that cannot
    be filled so.
    """
    for stream, count in rows.items():
        if stream not in SAMPLES:
            known = ", ".join(SAMPLES)
            raise ValueError(f"only {known} can be filled without a history, not {stream!r}")
        prefix, length, sample = SAMPLES[stream]
        recipe = _recipe(sample(account))
        collection = account.streams[stream]
        for number in range(count):
            created = since + (until - since) * number // count
            collection.add(account.id_for(prefix, length), created, recipe)


def _recipe(sample: Json) -> Recipe:
    """Makes bodies like the sample, with an amount that follows from the id."""
    template = encode(sample).replace(b"%", b"%%")
    for mark, place in (
        (encode(ID)[1:-1], b"%(id)b"),
        (str(CREATED).encode(), b"%(created)d"),
        (str(AMOUNT).encode(), b"%(amount)d"),
    ):
        template = template.replace(mark, place)

    def recipe(id: str, created: int) -> bytes:
        encoded = id.encode()
        return template % {
            b"id": encoded, b"created": created, b"amount": 100 + crc32(encoded) % 50_000,
        }  # fmt: skip

    return recipe


def _customer(account: StripeAccount) -> Json:
    customer = shapes.customer(
        ID, CREATED, name="Zoë \"Z\" Løw", email=f"{ID}@mail.example", country=account.country,
        city="Kraków", phone=None, metadata={"vip": "true"},
    )  # fmt: skip
    return customer | {"invoice_prefix": f"V{AMOUNT}"}


def _intent(account: StripeAccount) -> Json:
    intent = shapes.payment_intent(
        ID, CREATED, amount=AMOUNT, currency=account.currency, customer=None, tip=None,
        capture_method="automatic", description="Tickets & bar", metadata={"order": ID}, secret=ID,
    )  # fmt: skip
    return intent | {"status": "succeeded", "amount_received": AMOUNT}


def _charge(account: StripeAccount) -> Json:
    charge = shapes.charge(
        ID, CREATED, intent={**_intent(account), "id": f"pi_{ID}"}, payment_method=f"pm_{ID}",
        brand="visa", last4="4242", country=account.country, name="Zoë \"Z\" Løw", email=None,
    )  # fmt: skip
    return charge | {
        "captured": True, "amount_captured": AMOUNT, "balance_transaction": f"txn_{ID}",
    }  # fmt: skip


def _transaction(account: StripeAccount) -> Json:
    return shapes.balance_transaction(
        ID, CREATED, type="charge", category="charge", amount=AMOUNT, fee_details=[],
        currency=account.currency, exchange_rate=None, source=f"ch_{ID}", description=None,
        available_on=CREATED, available=True,
    )  # fmt: skip


SAMPLES: Mapping[str, tuple[str, int, Callable[[StripeAccount], Json]]] = {
    "customers": ("cus", 14, _customer),
    "payment_intents": ("pi", 24, _intent),
    "charges": ("ch", 24, _charge),
    "balance_transactions": ("txn", 24, _transaction),
}
"""The streams that can be filled: prefix and length of their ids, and a sample."""
