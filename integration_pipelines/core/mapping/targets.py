"""What may be mapped: entities of the canonical model, their fields, and the raw rows that they are
made from. The entities' dbt models take the same fields through the macro `mapped`."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

FieldType = Literal["text", "number", "integer", "boolean", "date", "timestamp"]

CUSTOM = "custom."
"""Before the name of a field of a venue's own, which analysts find in the column custom_fields."""

ADDED_UP = frozenset({"payments", "refunds", "disputes", "payouts", "ledger_accounts"})
"""Entities that revenue and reconciliation add up: no row of these is kept out, for what belongs to
it, such as the refunds of a payment, would be added up without it."""


class Target(NamedTuple):
    """One entity: by provider the streams whose payloads a rule reads, its fields' types, and by
    provider what a payload contains that is of the entity, where the streams have others too."""

    streams: Mapping[str, tuple[str, ...]]
    fields: Mapping[str, FieldType]
    only: Mapping[str, Mapping[str, str | bool]] = {}


TARGETS: Mapping[str, Target] = {
    "customers": Target(
        {"stripe": ("customers",), "square": ("customers",), "quickbooks": ("customers",)},
        {
            "name": "text",
            "email": "text",
            "phone": "text",
            "address_line1": "text",
            "address_line2": "text",
            "city": "text",
            "state": "text",
            "postal_code": "text",
            "country": "text",
        },
    ),
    "products": Target(
        {"stripe": ("products",), "square": ("catalog",), "quickbooks": ("items",)},
        {
            "name": "text",
            "description": "text",
            "is_active": "boolean",
            "unit_label": "text",
            "tax_code": "text",
        },
        {"square": {"type": "ITEM"}},
    ),
    "prices": Target(
        {"stripe": ("prices",), "square": ("catalog",), "quickbooks": ("items",)},
        {
            "name": "text",
            "is_active": "boolean",
        },
        {"square": {"type": "ITEM_VARIATION"}},
    ),
    "inventory_levels": Target(
        {"square": ("inventory_counts",), "quickbooks": ("items",)},
        {
            "location_name": "text",
            "product_name": "text",
            "variation_name": "text",
            "sku": "text",
            "alert_quantity": "number",
        },
        {"quickbooks": {"TrackQtyOnHand": True}},
    ),
    "orders": Target(
        {"stripe": ("checkout_sessions",), "square": ("orders",)},
        {
            "location_name": "text",
            "channel": "text",
            "reference": "text",
            "customer_email": "text",
        },
        {"stripe": {"status": "complete"}},
    ),
    "payments": Target(
        {"stripe": ("charges",), "square": ("payments",)},
        {"description": "text", "payment_method_type": "text"},
        {"stripe": {"captured": True, "paid": True}, "square": {"status": "COMPLETED"}},
    ),
    "refunds": Target(
        {"stripe": ("refunds",), "square": ("refunds",)},
        {
            "reason": "text",
            "failure_reason": "text",
        },
    ),
    "disputes": Target(
        {"stripe": ("disputes",), "square": ("disputes",)},
        {
            "reason": "text",
            "has_evidence": "boolean",
        },
    ),
    "payouts": Target(
        {"stripe": ("payouts",), "square": ("payouts",)},
        {
            "method": "text",
            "description": "text",
            "failure_message": "text",
        },
    ),
    "subscriptions": Target(
        {"stripe": ("subscriptions",), "square": ("subscriptions",)},
        {
            "description": "text",
        },
    ),
    "invoices": Target(
        {"stripe": ("invoices",), "square": ("invoices",), "quickbooks": ("invoices",)},
        {
            "invoice_number": "text",
            "description": "text",
        },
    ),
    "expenses": Target(
        {"quickbooks": ("purchases", "bills", "vendor_credits")},
        {
            "document_number": "text",
            "vendor_name": "text",
            "note": "text",
        },
    ),
    "ledger_accounts": Target(
        {"quickbooks": ("accounts",)},
        {
            "name": "text",
            "full_name": "text",
            "account_number": "text",
            "account_subtype": "text",
            "is_active": "boolean",
        },
    ),
    "audience_members": Target(
        {"mailchimp": ("members",)},
        {
            "name": "text",
            "phone": "text",
            "country": "text",
            "is_vip": "boolean",
        },
    ),
    "campaigns": Target(
        {"mailchimp": ("campaigns",)},
        {
            "title": "text",
            "subject": "text",
            "from_name": "text",
            "reply_to": "text",
        },
    ),
    "campaign_reports": Target(
        {"mailchimp": ("reports",)},
        {
            "title": "text",
            "subject": "text",
        },
    ),
    "loyalty_accounts": Target(
        {"square": ("loyalty_accounts",)},
        {"phone": "text", "points_name": "text"},
    ),
}
