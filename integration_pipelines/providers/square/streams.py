"""Square's streams, as data. Source: Square's API reference, version API_VERSION of `client.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

Json = dict[str, Any]

FIRST = datetime(2009, 1, 1, tzinfo=UTC)
"""Before anything that Square can have: named where a request without a beginning hides rows."""

CATALOG_TYPES = (
    "ITEM", "ITEM_VARIATION", "CATEGORY", "IMAGE", "TAX", "DISCOUNT", "MODIFIER_LIST", "MODIFIER",
    "PRICING_RULE", "PRODUCT_SET", "TIME_PERIOD", "MEASUREMENT_UNIT", "ITEM_OPTION",
    "ITEM_OPTION_VAL", "SUBSCRIPTION_PLAN", "SUBSCRIPTION_PLAN_VARIATION",
    "CUSTOM_ATTRIBUTE_DEFINITION", "QUICK_AMOUNTS_SETTINGS", "AVAILABILITY_PERIOD",
)  # fmt: skip
"""Every type there is: those that a request does not name are left out, nested ones among them."""

CATALOG_SETS = (("ITEM",), ("ITEM_VARIATION",), CATALOG_TYPES[2:])
"""The types in sets that are read side by side."""

CATALOG_HOLDERS = {
    "ITEM_VARIATION": ("item_variation_data", "item_id"),
    "MODIFIER": ("modifier_data", "modifier_list_id"),
    "ITEM_OPTION_VAL": ("item_option_value_data", "item_option_id"),
    "SUBSCRIPTION_PLAN_VARIATION": ("subscription_plan_variation_data", "subscription_plan_id"),
}
"""Types whose objects are also written out inside another, and where they name it: a change of the
inner one moves no update time of the outer."""


@dataclass(frozen=True, slots=True)
class Span:
    """What one listing is asked for: rows of these locations (none: of all that are shown), whose
    ``field`` lies between ``since`` and ``until`` (None: no end), and of these ``types``."""

    locations: tuple[str, ...] = ()
    field: str = ""
    since: datetime = FIRST
    until: datetime | None = None
    types: tuple[str, ...] = ()


class Way(Enum):
    """How a stream is kept up to date."""

    WHOLE = "no filter tells what changed: every reading is of the whole list"
    CHANGES = "rows changed since, by `changes`"
    ENTRIES = "rows of payouts: of those that are new or not final"


class Order(Enum):
    """How a listing is sorted by the field that bounds it."""

    NONE = "in no order that is promised"
    OLDEST = "oldest first"
    NEWEST = "newest first"


@dataclass(frozen=True, slots=True)
class Batch:
    """How objects are read many at a time: path, the field that takes their ids, and how many."""

    path: str
    ids: str
    most: int


@dataclass(frozen=True, slots=True)
class SquareStream:
    """One list of the API.

    ``items``: the key of its rows; ``page``: rows a page at most (0: cannot be asked for); ``one``
    and ``key``: path of one object and its key in the answer ("": it has none), ``one_with`` what
    to ask along; ``batch``: how many are read at once; ``ask``: what a request asks of a Span.
    ``id``: the fields that a row's id is composed of, joined by ``joint``. ``version``: the field
    that grows with each change, a time or a count.

    ``bound``: a row belongs to a location, which the field ``place`` names ("": it is not told).
    ``named``: so many locations one request can name; ``all_shown``: if it names none, all are.
    ``windows``: the field by which a pass is divided into spans, sorted as ``order`` says ("": it
    is not divided); ``sets``: the types by which it is divided too. ``changes``: the field by which
    changed rows are asked for, from ``lookback`` before the last reading on. ``to_the_head``: a row
    that changes while the list is read goes to its beginning. ``holders``: by type, where a row
    names another one that it is written out in.
    """

    name: str
    method: str
    path: str
    items: str
    description: str
    page: int = 0
    one: str = ""
    key: str = ""
    one_with: tuple[tuple[str, str], ...] = ()
    batch: Batch | None = None
    ask: Callable[[Span], Json] = lambda span: {}
    id: tuple[str, ...] = ("id",)
    joint: str = ":"
    version: str = "updated_at"
    bound: bool = False
    place: str = "location_id"
    named: int = 0
    all_shown: bool = False
    way: Way = Way.WHOLE
    windows: str = ""
    order: Order = Order.NONE
    changes: str = ""
    lookback: timedelta = timedelta(hours=1)
    to_the_head: bool = False
    sets: tuple[tuple[str, ...], ...] = ((),)
    holders: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def at(time: datetime) -> str:
    """A time as Square takes it, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _range(span: Span, start: str, end: str) -> Json:
    until = {} if span.until is None else {end: at(span.until)}
    return {start: at(span.since), **until}


def _since(span: Span, name: str) -> Json:
    return {} if span.since == FIRST else {name: at(span.since)}


def _location(span: Span) -> Json:
    return {"location_id": span.locations[0]} if span.locations else {}


def _catalog(span: Span) -> Json:
    return {
        "object_types": list(span.types or CATALOG_TYPES),
        "include_deleted_objects": True,
        **_since(span, "begin_time"),
    }


def _counts(span: Span) -> Json:
    return {"location_ids": list(span.locations), **_since(span, "updated_after")}


def _customers(span: Span) -> Json:
    return {
        "query": {
            "filter": {span.field: _range(span, "start_at", "end_at")},
            "sort": {"field": "CREATED_AT", "order": "ASC"},
        }
    }


def _orders(span: Span) -> Json:
    return {
        "location_ids": list(span.locations),
        "query": {
            "filter": {"date_time_filter": {span.field: _range(span, "start_at", "end_at")}},
            "sort": {"sort_field": span.field.upper(), "sort_order": "ASC"},
        },
    }


def _payments(span: Span) -> Json:
    """Both windows are named: without `begin_time` what was created over a year ago is hidden."""
    prefix = "updated_at_" if span.field == "updated_at" else ""
    return {
        "begin_time": at(FIRST),
        **_range(span, f"{prefix}begin_time", f"{prefix}end_time"),
        **_location(span),
        "sort_field": span.field.upper(),
        "sort_order": "ASC",
    }


def _payouts(span: Span) -> Json:
    return {**_range(span, "begin_time", "end_time"), **_location(span), "sort_order": "ASC"}


def _subscriptions(span: Span) -> Json:
    named = {"query": {"filter": {"location_ids": list(span.locations)}}} if span.locations else {}
    return {"include": ["actions"], **named}


def _loyalty_events(span: Span) -> Json:
    created = _range(span, "start_at", "end_at")
    return {"query": {"filter": {"date_time_filter": {"created_at": created}}}}


STREAMS = (
    SquareStream(
        "locations", "GET", "/v2/locations", "locations",
        "Places where the venue sells, closed ones too.",
        one="/v2/locations", key="location", version="", bound=True, place="id",
        all_shown=True,
    ),
    SquareStream(
        "catalog", "POST", "/v2/catalog/search", "objects",
        "What is sold and how: items, variations, categories, taxes, discounts, modifiers, plans.",
        page=1000, batch=Batch("/v2/catalog/batch-retrieve", "object_ids", 1000), ask=_catalog,
        way=Way.CHANGES, changes="updated_at", sets=CATALOG_SETS, holders=CATALOG_HOLDERS,
    ),
    SquareStream(
        "inventory_counts", "POST", "/v2/inventory/counts/batch-retrieve", "counts",
        "How many of a variation are in a state at a location.",
        page=1000,
        batch=Batch("/v2/inventory/counts/batch-retrieve", "catalog_object_ids", 100),
        ask=_counts, id=("catalog_object_id", "location_id", "state"),
        version="calculated_at", bound=True, named=100, way=Way.CHANGES, changes="calculated_at",
        to_the_head=True,
    ),
    SquareStream(
        "customers", "POST", "/v2/customers/search", "customers",
        "People in the venue's directory.",
        page=100, one="/v2/customers", key="customer", ask=_customers,
        way=Way.CHANGES, windows="created_at", order=Order.OLDEST, changes="updated_at",
    ),
    SquareStream(
        "orders", "POST", "/v2/orders/search", "orders",
        "Sales and returns with their lines, taxes, discounts and tenders.",
        page=1000, batch=Batch("/v2/orders/batch-retrieve", "order_ids", 100),
        ask=_orders, bound=True, named=10,
        way=Way.CHANGES, windows="updated_at", order=Order.OLDEST, changes="updated_at",
        lookback=timedelta(hours=72),
    ),
    SquareStream(
        "payments", "GET", "/v2/payments", "payments",
        "Money taken by card, cash or wallet, with its fees.",
        page=100, one="/v2/payments", key="payment", ask=_payments, bound=True, named=1,
        way=Way.CHANGES, windows="updated_at", order=Order.OLDEST, changes="updated_at",
    ),
    SquareStream(
        "refunds", "GET", "/v2/refunds", "refunds",
        "Money given back on a payment, whole or in part.",
        page=100, one="/v2/refunds", key="refund", ask=_payments, bound=True, named=1,
        all_shown=True,
        way=Way.CHANGES, windows="updated_at", order=Order.OLDEST, changes="updated_at",
    ),
    SquareStream(
        "disputes", "GET", "/v2/disputes", "disputes",
        "Payments questioned at the payer's bank, in all states.",
        one="/v2/disputes", key="dispute", ask=_location, bound=True, named=1, all_shown=True,
    ),
    SquareStream(
        "payouts", "GET", "/v2/payouts", "payouts",
        "Transfers of a location's balance to the bank.",
        page=100, one="/v2/payouts", key="payout", ask=_payouts, bound=True, named=1,
        way=Way.CHANGES, windows="created_at", order=Order.OLDEST, changes="created_at",
        lookback=timedelta(days=60),
    ),
    SquareStream(
        "payout_entries", "GET", "/v2/payouts/:id/payout-entries", "payout_entries",
        "What a payout is made of: gross, fee and net of each charge, refund and adjustment.",
        page=100, id=("payout_id", "id"), joint="/", version="", bound=True, place="",
        named=1, way=Way.ENTRIES, windows="created_at",
    ),
    SquareStream(
        "invoices", "GET", "/v2/invoices", "invoices",
        "Invoices and their payment requests.",
        page=200, one="/v2/invoices", key="invoice", ask=_location, bound=True, named=1,
    ),
    SquareStream(
        "subscriptions", "POST", "/v2/subscriptions/search", "subscriptions",
        "Recurring memberships, ended ones too, with their scheduled actions.",
        page=200, one="/v2/subscriptions", key="subscription",
        one_with=(("include", "actions"),), ask=_subscriptions,
        version="version", bound=True, named=10, all_shown=True,
    ),
    SquareStream(
        "loyalty_programs", "GET", "/v2/loyalty/programs", "programs",
        "The loyalty programme and its reward tiers.",
        one="/v2/loyalty/programs", key="program",
    ),
    SquareStream(
        "loyalty_accounts", "POST", "/v2/loyalty/accounts/search", "loyalty_accounts",
        "Members of the loyalty programme and their points.",
        page=200, one="/v2/loyalty/accounts", key="loyalty_account",
    ),
    SquareStream(
        "loyalty_events", "POST", "/v2/loyalty/events/search", "events",
        "Every change of a member's points.",
        page=30, ask=_loyalty_events, version="",
        way=Way.CHANGES, windows="created_at", order=Order.NEWEST, changes="created_at",
    ),
    SquareStream(
        "gift_cards", "GET", "/v2/gift-cards", "gift_cards",
        "Gift cards and their balances.",
        page=200, one="/v2/gift-cards", key="gift_card", version="",
    ),
    SquareStream(
        "team_members", "POST", "/v2/team-members/search", "team_members",
        "People who work for the venue, inactive ones too.",
        page=200, one="/v2/team-members", key="team_member",
    ),
)  # fmt: skip
"""Every stream, in the order in which they are read."""

BY_NAME = {stream.name: stream for stream in STREAMS}
