"""How each field is filled where a venue has no rule of its own: the same in rules, as data.

The entities' dbt models do it; what stands here is shown to people, and held by a test to what
those models make. A field named in neither dictionary has nothing that fills it.
"""

from collections.abc import Mapping
from typing import Any

from integration_pipelines.core.mapping.rules import Rule

UPPER = [{"do": "case", "to": "upper"}]
LOWER = [{"do": "case", "to": "lower"}]

PATHS: Mapping[str, Mapping[str, Mapping[str, str | Mapping[str, Any]]]] = {
    "customers": {
        "stripe": {
            "name": "name",
            "email": "email",
            "phone": "phone",
            "address_line1": "address.line1",
            "address_line2": "address.line2",
            "city": "address.city",
            "state": "address.state",
            "postal_code": "address.postal_code",
            "country": "address.country",
        },
        "square": {
            "name": {
                "source_path": "given_name",
                "transforms": [
                    {"do": "join", "separator": " ", "paths": ["family_name"]},
                    {"do": "coalesce", "paths": ["company_name", "nickname"]},
                ],
            },
            "email": "email_address",
            "phone": "phone_number",
            "address_line1": "address.address_line_1",
            "address_line2": "address.address_line_2",
            "city": "address.locality",
            "state": "address.administrative_district_level_1",
            "postal_code": "address.postal_code",
            "country": {"source_path": "address.country", "transforms": UPPER},
        },
        "quickbooks": {
            "name": "DisplayName",
            "email": "PrimaryEmailAddr.Address",
            "phone": "PrimaryPhone.FreeFormNumber",
            "address_line1": "BillAddr.Line1",
            "address_line2": "BillAddr.Line2",
            "city": "BillAddr.City",
            "state": "BillAddr.CountrySubDivisionCode",
            "postal_code": "BillAddr.PostalCode",
        },
    },
    "products": {
        "stripe": {
            "name": "name",
            "description": "description",
            "is_active": "active",
            "unit_label": "unit_label",
            "tax_code": "tax_code",
        },
        "square": {
            "name": "item_data.name",
            "description": "item_data.description",
            "is_active": {
                "source_path": "item_data.is_archived",
                "transforms": [{"do": "boolean", "true": ["false"], "false": ["true"]}],
                "default": True,
            },
        },
        "quickbooks": {"name": "Name", "description": "Description", "is_active": "Active"},
    },
    "prices": {
        "stripe": {"name": "nickname", "is_active": "active"},
        "square": {
            "name": "item_variation_data.name",
            "is_active": {"source_path": "item_variation_data.sellable", "default": True},
        },
        "quickbooks": {"name": "Name", "is_active": "Active"},
    },
    "inventory_levels": {
        "square": {},
        "quickbooks": {"product_name": "Name", "sku": "Sku", "alert_quantity": "ReorderPoint"},
    },
    "orders": {
        "stripe": {
            "channel": {
                "source_path": "id",
                "transforms": [{"do": "constant", "value": "Checkout"}],
            },
            "reference": "client_reference_id",
            "customer_email": {
                "source_path": "customer_details.email",
                "transforms": [{"do": "coalesce", "paths": ["customer_email"]}],
            },
        },
        "square": {"channel": "source.name", "reference": "reference_id"},
    },
    "payments": {
        "stripe": {
            "description": "description",
            "payment_method_type": {
                "source_path": "payment_method_details.type",
                "transforms": [{"do": "coalesce", "paths": ["source.object"]}],
            },
        },
        "square": {
            "description": "note",
            "payment_method_type": {"source_path": "source_type", "transforms": LOWER},
        },
    },
    "refunds": {
        "stripe": {"reason": "reason", "failure_reason": "failure_reason"},
        "square": {"reason": "reason"},
    },
    "disputes": {
        "stripe": {"reason": "reason", "has_evidence": "evidence_details.has_evidence"},
        "square": {"reason": {"source_path": "reason", "transforms": LOWER}},
    },
    "payouts": {
        "stripe": {
            "method": "method",
            "description": "description",
            "failure_message": "failure_message",
        },
        "square": {
            "method": {
                "source_path": "type",
                "transforms": [
                    {"do": "lookup", "table": {"BATCH": "standard", "SIMPLE": "instant"}}
                ],
            },
        },
    },
    "subscriptions": {"stripe": {"description": "description"}, "square": {}},
    "invoices": {
        "stripe": {"invoice_number": "number", "description": "description"},
        "square": {
            "invoice_number": "invoice_number",
            "description": {
                "source_path": "title",
                "transforms": [{"do": "coalesce", "paths": ["description"]}],
            },
        },
        "quickbooks": {"invoice_number": "DocNumber", "description": "CustomerMemo.value"},
    },
    "expenses": {"quickbooks": {"document_number": "DocNumber", "note": "PrivateNote"}},
    "ledger_accounts": {
        "quickbooks": {
            "name": "Name",
            "full_name": "FullyQualifiedName",
            "account_number": "AcctNum",
            "account_subtype": "AccountSubType",
            "is_active": "Active",
        },
    },
    "audience_members": {
        "mailchimp": {
            "name": "full_name",
            "phone": "sms_phone_number",
            "country": {"source_path": "location.country_code", "transforms": UPPER},
            "is_vip": "vip",
        },
    },
    "campaigns": {
        "mailchimp": {
            "title": "settings.title",
            "subject": "settings.subject_line",
            "from_name": "settings.from_name",
            "reply_to": "settings.reply_to",
        },
    },
    "campaign_reports": {"mailchimp": {"title": "campaign_title", "subject": "subject_line"}},
    "loyalty_accounts": {"square": {"phone": "mapping.phone_number"}},
}
"""By entity, provider and field the path of its value, or the rest of a rule."""

ELSEWHERE: Mapping[tuple[str, str, str], str] = {
    ("customers", "quickbooks", "country"): (
        "BillAddr.Country, in two letters where it is known by three or by its name"
    ),
    ("inventory_levels", "square", "location_name"): "the name of its location",
    ("inventory_levels", "square", "product_name"): "the name of its item in the catalog",
    ("inventory_levels", "square", "variation_name"): "the name of its variation in the catalog",
    ("inventory_levels", "square", "sku"): "the SKU of its variation in the catalog",
    ("inventory_levels", "square", "alert_quantity"): (
        "the threshold of its variation's alert, at its location if that has one of its own"
    ),
    ("orders", "square", "location_name"): "the name of its location",
    ("subscriptions", "square", "description"): "the name of its plan's variation in the catalog",
    ("expenses", "quickbooks", "vendor_name"): "the display name of its vendor",
    ("loyalty_accounts", "square", "points_name"): "what its loyalty program calls points",
}
"""By entity, provider and field what fills it that no rule could: most, out of other objects than
its own."""


def default_rule(provider: str, target_table: str, target_field: str) -> Rule | None:
    """The rule that ships; None where there is none, or none could say what fills the field."""
    given = PATHS[target_table][provider].get(target_field)
    if given is None:
        return None
    rest = {"source_path": given} if isinstance(given, str) else given
    return Rule.model_validate(
        {
            "provider": provider,
            "target_table": target_table,
            "target_field": target_field,
            **rest,
        }
    )
