"""What the stand-in serves: streams, operations, and every parameter and field they take.

Held to the published specification by tests; nothing that is not in these tables is accepted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

API_VERSION = "2026-09-16"
"""The Square-Version that the official SDK of today sends."""


class Kind(Enum):
    """What a value is in the query or in a JSON body. A LIST stands comma-separated in a query."""

    TEXT = "a string"
    INTEGER = "an integer"
    FLAG = "a boolean"
    TIME = "a time in RFC 3339"
    CHOICE = "one of a few names"
    LIST = "an array"
    OBJECT = "an object"


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter or field that is allowed.

    ``least`` and ``most`` bound an integer, the length of a text, the number of items in a list.
    ``items`` are of what kind a list's items are, ``fields`` what an object may hold. ``served`` is
    False where the specification allows it but the stand-in answers 501.
    """

    kind: Kind
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    items: "Field | None" = None
    fields: Mapping[str, "Field"] = field(default_factory=dict)
    required: bool = False
    served: bool = True


class Excess(Enum):
    """What becomes of a page size above the most: refused, replaced by the default, or cut."""

    REFUSED = "refused"
    IGNORED = "ignored"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Limit:
    """Rows a page. ``settable`` is False where no request can change the default."""

    default: int
    most: int
    excess: Excess = Excess.REFUSED
    settable: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One method and path.

    ``name`` is the specification's operationId; ``answer`` the key of the rows or the object in the
    body; ``stream`` what is read; ``scope`` what a token needs; ``query`` and ``body`` what may be
    sent (``body`` is None where none is read).
    """

    name: str
    method: str
    path: str
    answer: str
    stream: str = ""
    scope: str = ""
    query: Mapping[str, Field] = field(default_factory=dict)
    body: Mapping[str, Field] | None = None
    limit: Limit | None = None


TEXT = Field(Kind.TEXT)
FLAG = Field(Kind.FLAG)
TIME = Field(Kind.TIME)
INTEGER = Field(Kind.INTEGER)
TEXTS = Field(Kind.LIST, items=TEXT)


def text(least: int | None = None, most: int | None = None) -> Field:
    return Field(Kind.TEXT, least, most)


def integer(least: int | None = None, most: int | None = None) -> Field:
    return Field(Kind.INTEGER, least, most)


def choice(*choices: str) -> Field:
    return Field(Kind.CHOICE, choices=choices)


def many(items: Field, *, most: int | None = None, least: int | None = None) -> Field:
    return Field(Kind.LIST, least, most, items=items)


def fields(**held: Field) -> Field:
    return Field(Kind.OBJECT, fields=held)


def required(held: Field) -> Field:
    return replace(held, required=True)


def unserved(held: Field) -> Field:
    return replace(held, served=False)


SORT_ORDER = choice("DESC", "ASC")
RANGE = fields(start_at=TIME, end_at=TIME)
ORDER_STATES = ("OPEN", "COMPLETED", "CANCELED", "DRAFT")
CATALOG_TYPES = (
    "ITEM", "IMAGE", "CATEGORY", "ITEM_VARIATION", "TAX", "DISCOUNT", "MODIFIER_LIST", "MODIFIER",
    "PRICING_RULE", "PRODUCT_SET", "TIME_PERIOD", "MEASUREMENT_UNIT",
    "SUBSCRIPTION_PLAN_VARIATION", "ITEM_OPTION", "ITEM_OPTION_VAL",
    "CUSTOM_ATTRIBUTE_DEFINITION", "QUICK_AMOUNTS_SETTINGS", "SUBSCRIPTION_PLAN",
    "AVAILABILITY_PERIOD",
)  # fmt: skip
NESTED_CATALOG_TYPES = frozenset(
    ("IMAGE", "ITEM_OPTION_VAL", "ITEM_VARIATION", "MODIFIER", "SUBSCRIPTION_PLAN_VARIATION")
)
"""Types that are left out where a request names none."""
INVENTORY_STATES = (
    "CUSTOM", "IN_STOCK", "SOLD", "RETURNED_BY_CUSTOMER", "RESERVED_FOR_SALE", "SOLD_ONLINE",
    "ORDERED_FROM_VENDOR", "RECEIVED_FROM_VENDOR", "IN_TRANSIT_TO", "NONE", "WASTE",
    "UNLINKED_RETURN", "COMPOSED", "DECOMPOSED", "SUPPORTED_BY_NEWER_VERSION", "IN_TRANSIT",
)  # fmt: skip
DISPUTE_STATES = (
    "INQUIRY_EVIDENCE_REQUIRED", "INQUIRY_PROCESSING", "INQUIRY_CLOSED", "EVIDENCE_REQUIRED",
    "PROCESSING", "WON", "LOST", "ACCEPTED",
)  # fmt: skip
LOYALTY_EVENT_TYPES = (
    "ACCUMULATE_POINTS", "CREATE_REWARD", "REDEEM_REWARD", "DELETE_REWARD", "ADJUST_POINTS",
    "EXPIRE_POINTS", "OTHER", "ACCUMULATE_PROMOTION_POINTS",
)  # fmt: skip
CREATION_SOURCES = (
    "OTHER", "APPOINTMENTS", "COUPON", "DELETION_RECOVERY", "DIRECTORY", "EGIFTING",
    "EMAIL_COLLECTION", "FEEDBACK", "IMPORT", "INVOICES", "LOYALTY", "MARKETING", "MERGE",
    "ONLINE_STORE", "INSTANT_PROFILE", "TERMINAL", "THIRD_PARTY", "THIRD_PARTY_IMPORT",
    "UNMERGE_RECOVERY",
)  # fmt: skip
MAPPING = fields(id=text(most=36), created_at=TIME, phone_number=TEXT)
TEXT_FILTER = fields(exact=TEXT, fuzzy=TEXT)
VALUES = fields(all=TEXTS, any=TEXTS, none=TEXTS)
NAMED = required(text(1))

CATALOG_QUERY = fields(
    sorted_attribute_query=unserved(
        fields(attribute_name=NAMED, initial_attribute_value=TEXT, sort_order=SORT_ORDER)
    ),
    exact_query=fields(attribute_name=NAMED, attribute_value=required(TEXT)),
    set_query=fields(attribute_name=NAMED, attribute_values=required(many(TEXT, most=250))),
    prefix_query=fields(attribute_name=NAMED, attribute_prefix=NAMED),
    range_query=fields(
        attribute_name=NAMED, attribute_min_value=INTEGER, attribute_max_value=INTEGER
    ),
    text_query=fields(keywords=required(many(TEXT, least=1, most=3))),
    items_for_tax_query=fields(tax_ids=required(TEXTS)),
    items_for_modifier_list_query=fields(modifier_list_ids=required(TEXTS)),
    items_for_item_options_query=unserved(fields(item_option_ids=TEXTS)),
    item_variations_for_item_option_values_query=unserved(fields(item_option_value_ids=TEXTS)),
)
CUSTOMER_FILTER = fields(
    creation_source=fields(
        values=many(choice(*CREATION_SOURCES)), rule=choice("INCLUDE", "EXCLUDE")
    ),
    created_at=RANGE,
    updated_at=RANGE,
    email_address=TEXT_FILTER,
    phone_number=TEXT_FILTER,
    reference_id=TEXT_FILTER,
    group_ids=VALUES,
    custom_attribute=unserved(fields()),
    segment_ids=VALUES,
)
ORDER_FILTER = fields(
    state_filter=fields(states=required(many(choice(*ORDER_STATES)))),
    date_time_filter=fields(created_at=RANGE, updated_at=RANGE, closed_at=RANGE),
    fulfillment_filter=fields(
        fulfillment_types=many(choice("PICKUP", "SHIPMENT", "DELIVERY")),
        fulfillment_states=many(
            choice("PROPOSED", "RESERVED", "PREPARED", "COMPLETED", "CANCELED", "FAILED")
        ),
    ),
    source_filter=fields(source_names=many(TEXT, most=10)),
    customer_filter=fields(customer_ids=many(TEXT, most=10)),
)

LOCATIONS = Operation(
    "ListLocations", "GET", "/v2/locations", "locations", "locations", "MERCHANT_PROFILE_READ"
)
OPERATIONS: tuple[Operation, ...] = (
    LOCATIONS,
    Operation(
        "RetrieveLocation", "GET", "/v2/locations/{location_id}", "location", "locations",
        "MERCHANT_PROFILE_READ",
    ),
    Operation("ListMerchants", "GET", "/v2/merchants", "merchant", "", "MERCHANT_PROFILE_READ",
              {"cursor": INTEGER}),
    Operation(
        "RetrieveMerchant", "GET", "/v2/merchants/{merchant_id}", "merchant", "",
        "MERCHANT_PROFILE_READ",
    ),
    Operation("RetrieveTokenStatus", "POST", "/oauth2/token/status", ""),
    Operation(
        "ListCatalog", "GET", "/v2/catalog/list", "objects", "catalog", "ITEMS_READ",
        {
            "cursor": TEXT, "types": many(choice(*CATALOG_TYPES)),
            "catalog_version": unserved(INTEGER),
        },
        limit=Limit(100, 100, settable=False),
    ),
    Operation(
        "SearchCatalogObjects", "POST", "/v2/catalog/search", "objects", "catalog", "ITEMS_READ",
        body={
            "cursor": TEXT, "object_types": many(choice(*CATALOG_TYPES)),
            "include_deleted_objects": FLAG, "include_related_objects": FLAG, "begin_time": TIME,
            "query": CATALOG_QUERY, "limit": INTEGER, "include_category_path_to_root": FLAG,
        },
        limit=Limit(100, 1000, Excess.IGNORED),
    ),
    Operation(
        "RetrieveCatalogObject", "GET", "/v2/catalog/object/{object_id}", "object", "catalog",
        "ITEMS_READ",
        {
            "include_related_objects": FLAG, "catalog_version": unserved(INTEGER),
            "include_category_path_to_root": FLAG,
        },
    ),
    Operation(
        "BatchRetrieveCatalogObjects", "POST", "/v2/catalog/batch-retrieve", "objects", "catalog",
        "ITEMS_READ",
        body={
            "object_ids": required(many(TEXT, least=1, most=1000)),
            "include_related_objects": FLAG, "catalog_version": unserved(INTEGER),
            "include_deleted_objects": FLAG, "include_category_path_to_root": FLAG,
        },
    ),
    Operation("CatalogInfo", "GET", "/v2/catalog/info", "limits", "", "ITEMS_READ"),
    Operation(
        "BatchRetrieveInventoryCounts", "POST", "/v2/inventory/counts/batch-retrieve", "counts",
        "inventory_counts", "INVENTORY_READ",
        body={
            "catalog_object_ids": TEXTS, "location_ids": TEXTS, "updated_after": TIME,
            "cursor": TEXT, "states": many(choice(*INVENTORY_STATES)), "limit": integer(1, 1000),
        },
        limit=Limit(100, 1000),
    ),
    Operation(
        "RetrieveInventoryCount", "GET", "/v2/inventory/{catalog_object_id}", "counts",
        "inventory_counts", "INVENTORY_READ", {"location_ids": TEXTS, "cursor": TEXT},
        limit=Limit(100, 100, settable=False),
    ),
    Operation(
        "ListCustomers", "GET", "/v2/customers", "customers", "customers", "CUSTOMERS_READ",
        {
            "cursor": TEXT, "limit": integer(1, 100),
            "sort_field": choice("DEFAULT", "CREATED_AT"), "sort_order": SORT_ORDER, "count": FLAG,
        },
        limit=Limit(100, 100),
    ),
    Operation(
        "SearchCustomers", "POST", "/v2/customers/search", "customers", "customers",
        "CUSTOMERS_READ",
        body={
            "cursor": TEXT, "limit": integer(1, 100),
            "query": fields(
                filter=CUSTOMER_FILTER,
                sort=fields(field=choice("DEFAULT", "CREATED_AT"), order=SORT_ORDER),
            ),
            "count": FLAG,
        },
        limit=Limit(100, 100),
    ),
    Operation(
        "RetrieveCustomer", "GET", "/v2/customers/{customer_id}", "customer", "customers",
        "CUSTOMERS_READ",
    ),
    Operation(
        "SearchOrders", "POST", "/v2/orders/search", "orders", "orders", "ORDERS_READ",
        body={
            "location_ids": required(many(TEXT, least=1, most=10)), "cursor": TEXT,
            "query": fields(
                filter=ORDER_FILTER,
                sort=fields(
                    sort_field=required(choice("CREATED_AT", "UPDATED_AT", "CLOSED_AT")),
                    sort_order=SORT_ORDER,
                ),
            ),
            "limit": integer(1, 1000), "return_entries": FLAG,
        },
        limit=Limit(500, 1000),
    ),
    Operation(
        "BatchRetrieveOrders", "POST", "/v2/orders/batch-retrieve", "orders", "orders",
        "ORDERS_READ",
        body={"location_id": TEXT, "order_ids": required(many(TEXT, least=1, most=100))},
    ),
    Operation(
        "RetrieveOrder", "GET", "/v2/orders/{order_id}", "order", "orders", "ORDERS_READ"
    ),
    Operation(
        "ListPayments", "GET", "/v2/payments", "payments", "payments", "PAYMENTS_READ",
        {
            "begin_time": TIME, "end_time": TIME, "sort_order": SORT_ORDER, "cursor": TEXT,
            "location_id": TEXT, "total": INTEGER, "last_4": TEXT, "card_brand": TEXT,
            "limit": INTEGER, "is_offline_payment": FLAG, "offline_begin_time": TIME,
            "offline_end_time": TIME, "updated_at_begin_time": TIME, "updated_at_end_time": TIME,
            "sort_field": choice("CREATED_AT", "OFFLINE_CREATED_AT", "UPDATED_AT"),
        },
        limit=Limit(100, 100, Excess.IGNORED),
    ),
    Operation(
        "GetPayment", "GET", "/v2/payments/{payment_id}", "payment", "payments", "PAYMENTS_READ"
    ),
    Operation(
        "ListPaymentRefunds", "GET", "/v2/refunds", "refunds", "refunds", "PAYMENTS_READ",
        {
            "begin_time": TIME, "end_time": TIME, "sort_order": SORT_ORDER, "cursor": TEXT,
            "location_id": TEXT, "status": TEXT, "source_type": TEXT, "limit": INTEGER,
            "updated_at_begin_time": TIME, "updated_at_end_time": TIME,
            "sort_field": choice("CREATED_AT", "UPDATED_AT"),
        },
        limit=Limit(100, 100, Excess.CUT),
    ),
    Operation(
        "GetPaymentRefund", "GET", "/v2/refunds/{refund_id}", "refund", "refunds", "PAYMENTS_READ"
    ),
    Operation(
        "ListDisputes", "GET", "/v2/disputes", "disputes", "disputes", "DISPUTES_READ",
        {"cursor": TEXT, "states": choice(*DISPUTE_STATES), "location_id": TEXT},
        limit=Limit(10, 10, settable=False),
    ),
    Operation(
        "RetrieveDispute", "GET", "/v2/disputes/{dispute_id}", "dispute", "disputes",
        "DISPUTES_READ",
    ),
    Operation(
        "ListPayouts", "GET", "/v2/payouts", "payouts", "payouts", "PAYOUTS_READ",
        {
            "location_id": TEXT, "status": choice("SENT", "FAILED", "PAID"), "begin_time": TIME,
            "end_time": TIME, "sort_order": SORT_ORDER, "cursor": TEXT, "limit": INTEGER,
        },
        limit=Limit(100, 100, Excess.IGNORED),
    ),
    Operation(
        "GetPayout", "GET", "/v2/payouts/{payout_id}", "payout", "payouts", "PAYOUTS_READ"
    ),
    Operation(
        "ListPayoutEntries", "GET", "/v2/payouts/{payout_id}/payout-entries", "payout_entries",
        "payout_entries", "PAYOUTS_READ",
        {"sort_order": SORT_ORDER, "cursor": TEXT, "limit": INTEGER},
        limit=Limit(100, 100, Excess.IGNORED),
    ),
    Operation(
        "ListInvoices", "GET", "/v2/invoices", "invoices", "invoices", "INVOICES_READ",
        {"location_id": required(TEXT), "cursor": TEXT, "limit": integer(1, 200)},
        limit=Limit(100, 200),
    ),
    Operation(
        "SearchInvoices", "POST", "/v2/invoices/search", "invoices", "invoices", "INVOICES_READ",
        body={
            "query": required(
                fields(
                    filter=required(
                        fields(
                            location_ids=required(many(TEXT, least=1, most=1)),
                            customer_ids=many(TEXT, most=1),
                        )
                    ),
                    sort=fields(field=required(choice("INVOICE_SORT_DATE")), order=SORT_ORDER),
                )
            ),
            "limit": integer(1, 200), "cursor": TEXT,
        },
        limit=Limit(100, 200),
    ),
    Operation(
        "GetInvoice", "GET", "/v2/invoices/{invoice_id}", "invoice", "invoices", "INVOICES_READ"
    ),
    Operation(
        "SearchSubscriptions", "POST", "/v2/subscriptions/search", "subscriptions",
        "subscriptions", "SUBSCRIPTIONS_READ",
        body={
            "cursor": TEXT, "limit": integer(1),
            "query": fields(
                filter=fields(customer_ids=TEXTS, location_ids=TEXTS, source_names=TEXTS)
            ),
            "include": many(choice("actions")),
        },
        limit=Limit(200, 200, Excess.CUT),
    ),
    Operation(
        "RetrieveSubscription", "GET", "/v2/subscriptions/{subscription_id}", "subscription",
        "subscriptions", "SUBSCRIPTIONS_READ", {"include": many(choice("actions"))},
    ),
    Operation(
        "ListLoyaltyPrograms", "GET", "/v2/loyalty/programs", "programs", "loyalty_programs",
        "LOYALTY_READ",
    ),
    Operation(
        "RetrieveLoyaltyProgram", "GET", "/v2/loyalty/programs/{program_id}", "program",
        "loyalty_programs", "LOYALTY_READ",
    ),
    Operation(
        "SearchLoyaltyAccounts", "POST", "/v2/loyalty/accounts/search", "loyalty_accounts",
        "loyalty_accounts", "LOYALTY_READ",
        body={
            "query": fields(mappings=many(MAPPING, most=30), customer_ids=many(TEXT, most=30)),
            "limit": integer(1, 200), "cursor": TEXT,
        },
        limit=Limit(30, 200),
    ),
    Operation(
        "RetrieveLoyaltyAccount", "GET", "/v2/loyalty/accounts/{account_id}", "loyalty_account",
        "loyalty_accounts", "LOYALTY_READ",
    ),
    Operation(
        "SearchLoyaltyEvents", "POST", "/v2/loyalty/events/search", "events", "loyalty_events",
        "LOYALTY_READ",
        body={
            "query": fields(
                filter=fields(
                    loyalty_account_filter=fields(loyalty_account_id=NAMED),
                    type_filter=fields(types=required(many(choice(*LOYALTY_EVENT_TYPES)))),
                    date_time_filter=fields(created_at=required(RANGE)),
                    location_filter=fields(location_ids=required(TEXTS)),
                    order_filter=fields(order_id=NAMED),
                )
            ),
            "limit": integer(1, 30), "cursor": TEXT,
        },
        limit=Limit(30, 30),
    ),
    Operation(
        "ListGiftCards", "GET", "/v2/gift-cards", "gift_cards", "gift_cards", "GIFTCARDS_READ",
        {
            "type": choice("PHYSICAL", "DIGITAL"),
            "state": choice("ACTIVE", "DEACTIVATED", "BLOCKED", "PENDING"),
            "limit": integer(1, 200), "cursor": TEXT, "customer_id": TEXT,
        },
        limit=Limit(30, 200),
    ),
    Operation(
        "RetrieveGiftCard", "GET", "/v2/gift-cards/{id}", "gift_card", "gift_cards",
        "GIFTCARDS_READ",
    ),
    Operation(
        "SearchTeamMembers", "POST", "/v2/team-members/search", "team_members", "team_members",
        "EMPLOYEES_READ",
        body={
            "query": fields(
                filter=fields(
                    location_ids=TEXTS, status=choice("ACTIVE", "INACTIVE"), is_owner=FLAG
                )
            ),
            "limit": integer(1, 200), "cursor": TEXT,
        },
        limit=Limit(100, 200),
    ),
    Operation(
        "RetrieveTeamMember", "GET", "/v2/team-members/{team_member_id}", "team_member",
        "team_members", "EMPLOYEES_READ",
    ),
    Operation(
        "SearchEvents", "POST", "/v2/events", "events", "events",
        body={
            "cursor": text(most=256), "limit": integer(1, 100),
            "query": fields(
                filter=fields(
                    event_types=TEXTS, merchant_ids=TEXTS, location_ids=TEXTS, created_at=RANGE
                ),
                sort=fields(field=choice("DEFAULT"), order=SORT_ORDER),
            ),
        },
        limit=Limit(100, 100),
    ),
    Operation("ListEventTypes", "GET", "/v2/events/types", "event_types", "", "",
              {"api_version": TEXT}),
)  # fmt: skip

SCOPES: tuple[str, ...] = tuple(
    dict.fromkeys(operation.scope for operation in OPERATIONS if operation.scope)
)


@dataclass(frozen=True, slots=True)
class Stream:
    """Where an object of a stream has its times and place, and what tells of it.

    ``created``, ``updated``, ``closed`` and ``location`` name fields; "" where it has none. Without
    ``updated`` a change shows nowhere in the object but in ``version``, if it has that. A stream
    that is read by something else than location (the catalog by type, entries by payout) names that
    as ``location``.
    ``event`` is the type, without its verb, of the events about it, ``event_object`` the key of the
    object inside; ``whole_seconds``: its times have no milliseconds.
    """

    name: str
    created: str = "created_at"
    updated: str = "updated_at"
    closed: str = ""
    location: str = ""
    version: str = ""
    event: str = ""
    event_object: str = ""
    whole_seconds: bool = False


STREAM_FACTS: tuple[Stream, ...] = (
    Stream("locations", updated="", event="location"),
    Stream("catalog", created="", location="type", version="version", event="catalog.version"),
    Stream(
        "inventory_counts", created="calculated_at", updated="calculated_at",
        location="location_id", event="inventory.count", event_object="inventory_counts",
    ),
    Stream("customers", version="version", event="customer", event_object="customer"),
    Stream(
        "orders", closed="closed_at", location="location_id", version="version", event="order"
    ),
    Stream(
        "payments", location="location_id", version="version_token", event="payment",
        event_object="payment",
    ),
    Stream("refunds", location="location_id", event="refund", event_object="refund"),
    Stream(
        "disputes", location="location_id", version="version", event="dispute",
        event_object="dispute",
    ),
    Stream(
        "payouts", location="location_id", version="version", event="payout",
        event_object="payout", whole_seconds=True,
    ),
    Stream(
        "payout_entries", created="effective_at", updated="", location="payout_id",
        whole_seconds=True,
    ),
    Stream(
        "invoices", location="location_id", version="version", event="invoice",
        event_object="invoice", whole_seconds=True,
    ),
    Stream(
        "subscriptions", updated="", location="location_id", version="version",
        event="subscription", event_object="subscription", whole_seconds=True,
    ),
    Stream(
        "loyalty_programs", event="loyalty.program", event_object="loyalty_program",
        whole_seconds=True,
    ),
    Stream(
        "loyalty_accounts", event="loyalty.account", event_object="loyalty_account",
        whole_seconds=True,
    ),
    Stream(
        "loyalty_events", updated="", location="location_id", event="loyalty.event",
        event_object="loyalty_event", whole_seconds=True,
    ),
    Stream("gift_cards", updated="", event="gift_card", event_object="gift_card"),
    Stream("team_members", event="team_member", event_object="team_member", whole_seconds=True),
)  # fmt: skip
FACTS: Mapping[str, Stream] = {stream.name: stream for stream in STREAM_FACTS}
STREAMS: tuple[str, ...] = tuple(FACTS)
EVENT_TYPES = (
    "catalog.version.updated", "customer.created", "customer.deleted", "customer.updated",
    "dispute.created", "dispute.state.updated", "gift_card.created", "gift_card.updated",
    "inventory.count.updated", "invoice.canceled", "invoice.created", "invoice.deleted",
    "invoice.payment_made", "invoice.published", "invoice.refunded", "invoice.updated",
    "location.created", "location.updated", "loyalty.account.created", "loyalty.account.deleted",
    "loyalty.account.updated", "loyalty.event.created", "loyalty.program.created",
    "loyalty.program.updated", "order.created", "order.updated", "payment.created",
    "payment.updated", "payout.failed", "payout.paid", "payout.sent", "refund.created",
    "refund.updated", "subscription.created", "subscription.updated", "team_member.created",
    "team_member.updated",
)  # fmt: skip
