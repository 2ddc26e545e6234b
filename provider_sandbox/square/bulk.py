"""A million rows of one stream without a history: bodies are made when they are read."""

from collections.abc import Callable, Mapping
from zlib import crc32

from provider_sandbox.ledger import Json, Recipe, encode
from provider_sandbox.square import shapes
from provider_sandbox.square.account import EVENTS_KEPT, SquareAccount, iso
from provider_sandbox.square.money import money

ID, CREATED, AMOUNT, LOCATION = "\0id", 7_777_777_777_000, 8_888_888_888, "\0location"


def fill(
    account: SquareAccount, rows: Mapping[str, int], *, locations: int, since: int, until: int
) -> None:
    """Put so many rows into each stream, evenly spread over the time between two seconds and over
    the locations, all of which are active.

    They name no object of another stream that exists. Raises ValueError for a stream that cannot
    be filled so.
    """
    for stream in rows:
        if stream not in SAMPLES:
            known = ", ".join(SAMPLES)
            raise ValueError(f"only {known} can be filled without a history, not {stream!r}")
    account.events_since = until - EVENTS_KEPT
    economy = account.economy
    economy.at = economy.horizon = since
    economy.stock_up(locations)
    economy.open_program()
    places = account.ids("locations")
    for stream, count in rows.items():
        make_id, sample = SAMPLES[stream]
        table, template = account.table(stream), sample(account)
        recipes = [_recipe(template, place) for place in places]
        located = stream != "customers"
        for number in range(count):
            created = (since * 1000) + (until - since) * 1000 * number // count
            place = number % len(places)
            table.add(
                make_id(account), created, recipes[place],
                closed=created if stream == "orders" else None,
                location=places[place] if located else "", name="" if located else "zoë \"z\"løw",
            )  # fmt: skip
    economy.play(until)


def _recipe(sample: Json, location: str) -> Recipe:
    """Makes bodies like the sample, with an amount that follows from the id."""
    template = encode(sample).replace(b"%", b"%%")
    for mark, place in (
        (encode(ID)[1:-1], b"%(id)b"),
        (iso(CREATED).encode(), b"%(created)b"),
        (str(AMOUNT).encode(), b"%(amount)d"),
        (encode(LOCATION)[1:-1], location.encode()),
    ):
        template = template.replace(mark, place)

    def recipe(id: str, created: int) -> bytes:
        encoded = id.encode()
        return template % {
            b"id": encoded, b"created": iso(created).encode(),
            b"amount": 100 + crc32(encoded) % 50_000,
        }  # fmt: skip

    return recipe


def _customer(account: SquareAccount) -> Json:
    return shapes.customer(
        ID, CREATED, given="Zoë \"Z\"", family="Løw", email=f"{ID}@mail.example", phone=None,
        company=None, source="IMPORT", reference=None, note=None, country=account.country,
    )  # fmt: skip


def _order(account: SquareAccount) -> Json:
    amount = money(AMOUNT, account.currency)
    zero = money(0, account.currency)
    line = {
        "uid": ID, "name": "Draught beer", "quantity": "1", "item_type": "CUSTOM_AMOUNT",
        "base_price_money": amount, "variation_total_price_money": amount,
        "gross_sales_money": amount, "total_tax_money": zero, "total_discount_money": zero,
        "total_money": amount, "total_service_charge_money": zero,
    }  # fmt: skip
    return {
        "id": ID,
        "location_id": LOCATION,
        "line_items": [line],
        "net_amounts": shapes.amounts(account.currency, total=AMOUNT),
        "created_at": iso(CREATED),
        "updated_at": iso(CREATED),
        "closed_at": iso(CREATED),
        "state": "COMPLETED",
        "total_money": amount,
        "total_tax_money": zero,
        "total_discount_money": zero,
        "total_tip_money": zero,
        "total_service_charge_money": zero,
        "net_amount_due_money": zero,
    }


def _payment(account: SquareAccount) -> Json:
    payment = shapes.payment(
        ID, CREATED, source="CARD", amount=AMOUNT, tip=0, currency=account.currency,
        location=LOCATION, order=f"o{ID}", customer=None, token=f"v{ID}", team_member=None,
        product="SQUARE_POS",
    )  # fmt: skip
    payment["receipt_number"] = "bulk"
    payment["card_details"] = shapes.card_details(
        CREATED, brand="VISA", last_4="1111", entry="EMV", fingerprint=f"sq-1-{ID}"
    )
    payment["card_details"]["auth_result_code"] = "bulk01"
    return payment


def _token_id(account: SquareAccount) -> str:
    return account.id_for(27, end="ZY")


SAMPLES: Mapping[str, tuple[Callable[[SquareAccount], str], Callable[[SquareAccount], Json]]] = {
    "customers": (lambda account: account.upper_id(26), _customer),
    "orders": (_token_id, _order),
    "payments": (_token_id, _payment),
}
"""The streams that can be filled: how their ids are made, and a sample."""
