"""Stripe's streams, as data. Source: Stripe's API reference, version API_VERSION."""

from dataclasses import dataclass

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Reread:
    """Objects whose changes Stripe announces by no event: while ``field`` has one of ``values``
    (None: is null) they are not final, and their `created` window is read again, at most
    ``days`` back."""

    field: str
    values: frozenset[str | None]
    days: int


@dataclass(frozen=True, slots=True)
class StripeStream:
    """One list of the API.

    ``object``: the `object` field of its members; ``params``: filters that keep the default from
    hiding rows; ``expand``: what the list leaves out unless asked for; ``nested``: the embedded
    list of which only the first 10 are given; ``recent_pages``: counters of these move without an
    event, so the newest so many pages are read each time; ``links``: fields that name an object
    of another stream which changes along with this one.
    """

    name: str
    path: str
    object: str
    description: str
    params: tuple[tuple[str, str], ...] = ()
    expand: tuple[str, ...] = ()
    nested: str | None = None
    reread: Reread | None = None
    recent_pages: int | None = None
    links: tuple[tuple[str, str], ...] = ()


STREAMS = (
    StripeStream("customers", "/v1/customers", "customer", "People and companies who pay."),
    StripeStream("products", "/v1/products", "product", "What is sold: tickets, passes, drinks."),
    StripeStream(
        "prices",
        "/v1/prices",
        "price",
        "What a product costs, by currency and interval, with its tiers.",
        expand=("tiers",),
    ),
    StripeStream(
        "payment_intents",
        "/v1/payment_intents",
        "payment_intent",
        "Attempts to collect a payment, from creation to success or cancellation.",
    ),
    StripeStream(
        "charges", "/v1/charges", "charge", "Single debits of a card or account, also failed ones."
    ),
    StripeStream(
        "refunds",
        "/v1/refunds",
        "refund",
        "Money given back on a charge, whole or in part.",
        links=(("charge", "charges"), ("payment_intent", "payment_intents")),
    ),
    StripeStream(
        "disputes",
        "/v1/disputes",
        "dispute",
        "Charges questioned at the payer's bank, and how they ended.",
        links=(("charge", "charges"),),
    ),
    StripeStream(
        "balance_transactions",
        "/v1/balance_transactions",
        "balance_transaction",
        "Every movement of the Stripe balance: gross, fee and net, in the settlement currency.",
        reread=Reread("status", frozenset({"pending"}), days=60),
    ),
    StripeStream("payouts", "/v1/payouts", "payout", "Transfers of the balance to the bank."),
    StripeStream(
        "invoices",
        "/v1/invoices",
        "invoice",
        "Invoices with all their lines and the payments made on them.",
        expand=("payments",),
        nested="lines",
    ),
    StripeStream(
        "invoice_items",
        "/v1/invoiceitems",
        "invoiceitem",
        "Amounts waiting for, or put on, an invoice.",
        reread=Reread("invoice", frozenset({None}), days=35),
    ),
    StripeStream(
        "subscriptions",
        "/v1/subscriptions",
        "subscription",
        "Recurring memberships, cancelled ones too, with all their items.",
        params=(("status", "all"),),
        nested="items",
    ),
    StripeStream(
        "coupons", "/v1/coupons", "coupon", "Discounts that can be applied.", recent_pages=5
    ),
    StripeStream(
        "promotion_codes",
        "/v1/promotion_codes",
        "promotion_code",
        "Codes that customers redeem for a coupon.",
        recent_pages=5,
    ),
    StripeStream(
        "credit_notes",
        "/v1/credit_notes",
        "credit_note",
        "Reductions of an issued invoice, with all their lines.",
        nested="lines",
        links=(("invoice", "invoices"),),
    ),
    StripeStream(
        "checkout_sessions",
        "/v1/checkout/sessions",
        "checkout.session",
        "Visits to Stripe's payment page, with their line items.",
        expand=("line_items",),
        nested="line_items",
        reread=Reread("status", frozenset({"open"}), days=3),
    ),
)
"""Every stream, in the order in which they are read."""

BY_NAME = {stream.name: stream for stream in STREAMS}
BY_OBJECT = {stream.object: stream for stream in STREAMS}
