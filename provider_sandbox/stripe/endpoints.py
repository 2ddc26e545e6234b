"""The lists that the stand-in serves: paths, documented filters, what can be expanded.

Held to the published specification by tests; nothing that is not in this table is accepted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from provider_sandbox.ledger import Json

API_VERSION = "2026-10-28.endive"
MOST_TYPES = 20


class Kind(Enum):
    """How a parameter is written in the query."""

    TEXT = auto()
    TEXTS = auto()
    FLAG = auto()
    RANGE = auto()
    CHOICE = auto()


@dataclass(frozen=True, slots=True)
class Filter:
    """One documented filter of a list; ``values`` gives an object's values that it compares."""

    kind: Kind
    values: Callable[[Json], Iterator[Any]]
    choices: tuple[str, ...] = ()


def values_at(path: str) -> Callable[[Json], Iterator[Any]]:
    """Values at a dotted path, through lists; nothing where the path leads nowhere."""
    steps = path.split(".")

    def values(found: Any, position: int = 0) -> Iterator[Any]:
        if isinstance(found, list):
            for one in found:
                yield from values(one, position)
        elif position == len(steps):
            yield found
        elif isinstance(found, dict) and steps[position] in found:
            yield from values(found[steps[position]], position + 1)

    return values


def text(path: str) -> Filter:
    return Filter(Kind.TEXT, values_at(path))


def texts(path: str) -> Filter:
    return Filter(Kind.TEXTS, values_at(path))


def flag(path: str) -> Filter:
    return Filter(Kind.FLAG, values_at(path))


def choice(path: str, *choices: str) -> Filter:
    return Filter(Kind.CHOICE, values_at(path), choices)


def seconds(path: str) -> Filter:
    return Filter(Kind.RANGE, values_at(path))


def flag_of(holds: Callable[[Json], bool]) -> Filter:
    return Filter(Kind.FLAG, lambda found: iter((holds(found),)))


def _subscription_statuses(subscription: Json) -> Iterator[str]:
    status = subscription["status"]
    yield status
    yield "all"
    if status in ("canceled", "incomplete_expired"):
        yield "ended"
    if status != "canceled":
        yield NOT_CANCELED


NOT_CANCELED = "not canceled"
COLLECTION_METHODS = ("charge_automatically", "send_invoice")
CREATED: Mapping[str, Filter] = {"created": seconds("created")}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A list and the objects in it.

    ``called`` is the name in "No such ..."; ``permission`` the one a restricted key needs;
    ``filters`` by parameter, nested ones as `recurring[interval]`; ``required`` parameters;
    ``defaults`` hold where the parameter is not given; ``expands`` maps a field to the stream
    whose id it has, or to None where the field holds objects of its own; ``lines`` are the lists
    below an object, by the last part of their path.
    """

    stream: str
    path: str
    called: str
    permission: str
    filters: Mapping[str, Filter]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    expands: Mapping[str, str | None] = field(default_factory=dict)
    lines: Mapping[str, str] = field(default_factory=dict)


CHARGED: Mapping[str, str | None] = {
    "balance_transaction": "balance_transactions",
    "customer": "customers",
    "payment_intent": "payment_intents",
}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "customers", "/v1/customers", "customer", "rak_customer_read",
        {**CREATED, "email": text("email"), "test_clock": text("test_clock")},
    ),
    Endpoint(
        "products", "/v1/products", "product", "rak_product_read",
        {
            **CREATED, "active": flag("active"), "ids": texts("id"),
            "shippable": flag("shippable"), "url": text("url"),
        },
        expands={"default_price": "prices"},
    ),
    Endpoint(
        "prices", "/v1/prices", "price", "rak_plan_read",
        {
            **CREATED, "active": flag("active"), "currency": text("currency"),
            "lookup_keys": texts("lookup_key"), "product": text("product"),
            "recurring[interval]": choice("recurring.interval", "day", "month", "week", "year"),
            "recurring[usage_type]": choice("recurring.usage_type", "licensed", "metered"),
            "type": choice("type", "one_time", "recurring"),
        },
        expands={"product": "products", "tiers": None},
    ),
    Endpoint(
        "payment_intents", "/v1/payment_intents", "payment_intent", "rak_payment_intent_read",
        {**CREATED, "customer": text("customer")},
        expands={"customer": "customers", "latest_charge": "charges"},
    ),
    Endpoint(
        "charges", "/v1/charges", "charge", "rak_charge_read",
        {
            **CREATED, "customer": text("customer"), "payment_intent": text("payment_intent"),
            "transfer_group": text("transfer_group"),
        },
        expands={**CHARGED, "refunds": None},
    ),
    Endpoint(
        "refunds", "/v1/refunds", "refund", "rak_charge_read",
        {**CREATED, "charge": text("charge"), "payment_intent": text("payment_intent")},
        expands={**CHARGED, "charge": "charges"},
    ),
    Endpoint(
        "disputes", "/v1/disputes", "dispute", "rak_dispute_read",
        {**CREATED, "charge": text("charge"), "payment_intent": text("payment_intent")},
        expands={"charge": "charges", "payment_intent": "payment_intents"},
    ),
    Endpoint(
        "balance_transactions", "/v1/balance_transactions", "balance transaction",
        "rak_balance_read",
        {
            **CREATED, "currency": text("currency"), "payout": text("payout"),
            "source": text("source"), "type": text("type"),
        },
        expands={"source": "charges"},
    ),
    Endpoint(
        "payouts", "/v1/payouts", "payout", "rak_payout_read",
        {
            **CREATED, "arrival_date": seconds("arrival_date"),
            "destination": text("destination"), "status": text("status"),
        },
        expands={"balance_transaction": "balance_transactions"},
    ),
    Endpoint(
        "invoices", "/v1/invoices", "invoice", "rak_invoice_read",
        {
            **CREATED, "collection_method": choice("collection_method", *COLLECTION_METHODS),
            "customer": text("customer"), "due_date": seconds("due_date"),
            "status": choice("status", "draft", "open", "paid", "uncollectible", "void"),
            "subscription": text("parent.subscription_details.subscription"),
        },
        expands={"customer": "customers", "lines": None, "payments": None},
        lines={"lines": "line item"},
    ),
    Endpoint(
        "invoiceitems", "/v1/invoiceitems", "invoiceitem", "rak_invoice_read",
        {
            "created": seconds("date"), "customer": text("customer"), "invoice": text("invoice"),
            "pending": flag_of(lambda item: item["invoice"] is None),
        },
        expands={"customer": "customers", "invoice": "invoices"},
    ),
    Endpoint(
        "subscriptions", "/v1/subscriptions", "subscription", "rak_subscription_read",
        {
            **CREATED, "collection_method": choice("collection_method", *COLLECTION_METHODS),
            "current_period_end": seconds("items.data.current_period_end"),
            "current_period_start": seconds("items.data.current_period_start"),
            "customer": text("customer"), "price": text("items.data.price.id"),
            "status": Filter(
                Kind.CHOICE, _subscription_statuses,
                ("active", "all", "canceled", "ended", "incomplete", "incomplete_expired",
                 "past_due", "paused", "trialing", "unpaid"),
            ),
            "test_clock": text("test_clock"),
        },
        defaults={"status": NOT_CANCELED},
        expands={"customer": "customers", "latest_invoice": "invoices", "items": None},
    ),
    Endpoint(
        "subscription_items", "/v1/subscription_items", "subscription_item",
        "rak_subscription_read", {"subscription": text("subscription")},
        required=("subscription",),
    ),
    Endpoint("coupons", "/v1/coupons", "coupon", "rak_coupon_read", CREATED),
    Endpoint(
        "promotion_codes", "/v1/promotion_codes", "promotion code", "rak_promotion_code_read",
        {
            **CREATED, "active": flag("active"), "code": text("code"),
            "coupon": text("promotion.coupon"), "customer": text("customer"),
        },
        expands={"customer": "customers"},
    ),
    Endpoint(
        "credit_notes", "/v1/credit_notes", "credit note", "rak_credit_note_read",
        {**CREATED, "customer": text("customer"), "invoice": text("invoice")},
        expands={"customer": "customers", "invoice": "invoices", "lines": None},
        lines={"lines": "line item"},
    ),
    Endpoint(
        "checkout_sessions", "/v1/checkout/sessions", "checkout.session",
        "rak_checkout_session_read",
        {
            **CREATED, "customer": text("customer"), "payment_intent": text("payment_intent"),
            "payment_link": text("payment_link"),
            "status": choice("status", "complete", "expired", "open"),
            "subscription": text("subscription"),
        },
        expands={
            "customer": "customers", "invoice": "invoices", "line_items": None,
            "payment_intent": "payment_intents", "subscription": "subscriptions",
        },
        lines={"line_items": "line item"},
    ),
    Endpoint(
        "events", "/v1/events", "event", "rak_event_read",
        {
            **CREATED, "delivery_success": flag_of(lambda event: event["pending_webhooks"] == 0),
            "type": text("type"), "types": texts("type"),
        },
    ),
)  # fmt: skip

BY_PATH: Mapping[str, Endpoint] = {endpoint.path: endpoint for endpoint in ENDPOINTS}
BY_STREAM: Mapping[str, Endpoint] = {endpoint.stream: endpoint for endpoint in ENDPOINTS}
STREAMS: tuple[str, ...] = tuple(BY_STREAM)
