"""Bodies of Stripe's objects in API version 2026-10-28.endive, with every field that it shows.

Plain values in, JSON out: amounts in the currency's minor unit, times in Unix seconds. A function
gives the object as it is when it has just been created.
"""

from typing import TYPE_CHECKING, Any

from provider_sandbox.ledger import Json
from provider_sandbox.stripe.endpoints import API_VERSION

if TYPE_CHECKING:
    from provider_sandbox.stripe.account import StripeAccount

NO_ADDRESS: Json = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def listing(rows: list[Json], url: str, *, has_more: bool = False) -> Json:
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}


def account(owner: "StripeAccount") -> Json:
    requirements: Json = {
        "alternatives": [], "current_deadline": None, "currently_due": [],
        "disabled_reason": None, "errors": [], "eventually_due": [], "past_due": [],
        "pending_verification": [],
    }  # fmt: skip
    return {
        "id": owner.id,
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": "7922",
            "name": owner.name,
            "product_description": None,
            "support_address": None,
            "support_email": f"office@{owner.slug}.example",
            "support_phone": None,
            "support_url": None,
            "url": f"https://{owner.slug}.example",
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": owner.country,
        "created": owner.created,
        "default_currency": owner.currency,
        "details_submitted": True,
        "email": f"office@{owner.slug}.example",
        "external_accounts": listing([], f"/v1/accounts/{owner.id}/external_accounts"),
        "future_requirements": requirements,
        "metadata": {},
        "payouts_enabled": True,
        "requirements": requirements,
        "settings": {
            "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
            "card_payments": {
                "decline_on": {"avs_failure": True, "cvc_failure": True},
                "statement_descriptor_prefix": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "dashboard": {"display_name": owner.name, "timezone": owner.timezone},
            "payments": {
                "statement_descriptor": owner.name[:22].upper(),
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
            },
            "payouts": {
                "debit_negative_balances": True,
                "schedule": {"delay_days": 2, "interval": "daily"},
                "statement_descriptor": None,
            },
        },
        "tos_acceptance": {"date": owner.created, "ip": None, "user_agent": None},
        "type": "standard",
    }


def webhook_endpoint(id: str, created: int) -> Json:
    return {
        "id": id, "object": "webhook_endpoint", "api_version": None, "application": None,
        "created": created, "description": None, "enabled_events": [], "livemode": False,
        "metadata": {}, "status": "enabled", "url": "",
    }  # fmt: skip


def event(id: str, type: str, data: Json, at: int, *, request: str | None) -> Json:
    return {
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": at,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": request, "idempotency_key": None},
        "type": type,
    }


def customer(
    id: str, at: int, *, name: str | None, email: str | None, country: str, city: str,
    phone: str | None, metadata: Json,
) -> Json:  # fmt: skip
    return {
        "id": id,
        "object": "customer",
        "address": {**NO_ADDRESS, "city": city, "country": country},
        "balance": 0,
        "created": at,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": email,
        "invoice_prefix": id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": metadata,
        "name": name,
        "next_invoice_sequence": 1,
        "phone": phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def product(id: str, at: int, *, name: str, description: str | None, metadata: Json) -> Json:
    return {
        "id": id,
        "object": "product",
        "active": True,
        "created": at,
        "default_price": None,
        "description": description,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": metadata,
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": "txcd_20030000",
        "type": "service",
        "unit_label": None,
        "updated": at,
        "url": None,
    }


def price(
    id: str, at: int, *, product: str, currency: str, unit_amount: int | None,
    interval: str | None = None, tiers_mode: str | None = None, nickname: str | None = None,
    lookup_key: str | None = None,
) -> Json:  # fmt: skip
    recurring = None if interval is None else {
        "interval": interval, "interval_count": 1, "meter": None, "trial_period_days": None,
        "usage_type": "licensed",
    }  # fmt: skip
    return {
        "id": id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit" if tiers_mode is None else "tiered",
        "created": at,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": lookup_key,
        "metadata": {},
        "nickname": nickname,
        "product": product,
        "recurring": recurring,
        "tax_behavior": "exclusive",
        "tiers_mode": tiers_mode,
        "transform_quantity": None,
        "type": "one_time" if interval is None else "recurring",
        "unit_amount": unit_amount,
        "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
    }


def plan(price: Json) -> Json:
    """The plan that a recurring price still carries in a subscription item."""
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": price["recurring"]["interval"],
        "interval_count": 1,
        "livemode": False,
        "metadata": {},
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def payment_intent(
    id: str, at: int, *, amount: int, currency: str, customer: str | None, tip: int | None,
    capture_method: str, description: str | None, metadata: Json, secret: str,
) -> Json:  # fmt: skip
    return {
        "id": id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {} if tip is None else {"amount": tip}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": capture_method,
        "client_secret": f"{id}_secret_{secret}",
        "confirmation_method": "automatic",
        "created": at,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": description,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None, "mandate_options": None, "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }  # fmt: skip


def charge(
    id: str, at: int, *, intent: Json, payment_method: str, brand: str, last4: str, country: str,
    name: str | None, email: str | None, payment_method_type: str = "card",
) -> Json:  # fmt: skip
    """A charge that its card's bank has approved but that is not captured yet."""
    return {
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": {**NO_ADDRESS, "country": country},
            "email": email,
            "name": name,
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": "TICKETS AND BAR",
        "captured": False,
        "created": at,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 12,
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": payment_method,
        "payment_method_details": _method_details(
            payment_method_type, brand, last4, country, intent
        ),
        "receipt_email": email,
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.com/receipts/payment/{id[3:]}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def _method_details(type: str, brand: str, last4: str, country: str, intent: Json) -> Json:
    if type != "card":
        return {type: {"bank_code": "37040044", "country": country,
                       "fingerprint": f"{last4}Fp", "last4": last4, "mandate": None,
                       "branch_code": None}, "type": type}  # fmt: skip
    return {
        "card": {
            "amount_authorized": intent["amount"],
            "authorization_code": None,
            "brand": brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "pass",
            },
            "country": country,
            "exp_month": 8,
            "exp_year": 2031,
            "extended_authorization": {"status": "disabled"},
            "fingerprint": f"{brand}{last4}Fp",
            "funding": "credit",
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": last4,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": brand,
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {
                "maximum_amount_capturable": intent["amount"],
                "status": "unavailable",
            },
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "wallet": None,
        },
        "type": "card",
    }


def refund(
    id: str, at: int, *, charge: Json, amount: int, status: str, reason: str | None,
    metadata: Json,
) -> Json:  # fmt: skip
    return {
        "id": id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": at,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy",
    "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication",
    "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
    "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id",
    "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address",
    "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def dispute(id: str, at: int, *, charge: Json, amount: int, reason: str, due_by: int) -> Json:
    return {
        "id": id,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": at,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": due_by,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }


def balance_transaction(
    id: str, at: int, *, type: str, category: str, amount: int, fee_details: list[Json],
    currency: str, exchange_rate: float | None, source: str, description: str | None,
    available_on: int, available: bool,
) -> Json:  # fmt: skip
    fee = sum(detail["amount"] for detail in fee_details)
    return {
        "id": id,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": available_on,
        "balance_type": "payments",
        "created": at,
        "currency": currency,
        "description": description,
        "exchange_rate": exchange_rate,
        "fee": fee,
        "fee_details": fee_details,
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "available" if available else "pending",
        "type": type,
    }


def fee_detail(amount: int, currency: str, type: str, description: str) -> Json:
    return {
        "amount": amount,
        "application": None,
        "currency": currency,
        "description": description,
        "type": type,
    }


def payout(id: str, at: int, *, amount: int, currency: str, arrival: int, bank: str) -> Json:
    return {
        "id": id,
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": arrival,
        "automatic": True,
        "balance_transaction": None,
        "created": at,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": bank,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }


def coupon(
    id: str, at: int, *, name: str, percent_off: float | None, amount_off: int | None,
    currency: str | None, duration: str,
) -> Json:  # fmt: skip
    return {
        "id": id,
        "object": "coupon",
        "amount_off": amount_off,
        "created": at,
        "currency": currency,
        "duration": duration,
        "duration_in_months": 3 if duration == "repeating" else None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "name": name,
        "percent_off": percent_off,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    }


def promotion_code(id: str, at: int, *, code: str, coupon: str, expires_at: int | None) -> Json:
    return {
        "id": id,
        "object": "promotion_code",
        "active": True,
        "code": code,
        "created": at,
        "customer": None,
        "customer_account": None,
        "expires_at": expires_at,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "promotion": {"coupon": coupon, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": False,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
    }


def invoice_item(
    id: str, at: int, *, customer: str, price: Json, quantity: int, amount: int, description: str
) -> Json:
    return {
        "id": id,
        "object": "invoiceitem",
        "amount": amount,
        "currency": price["currency"],
        "customer": customer,
        "customer_account": None,
        "date": at,
        "description": description,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": amount,
        "parent": None,
        "period": {"end": at, "start": at},
        "pricing": _pricing(price),
        "proration": False,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "tax_rates": [],
        "test_clock": None,
    }


def _pricing(price: Json) -> Json:
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def line(
    id: str, *, invoice: str, amount: int, price: Json, quantity: int, description: str,
    period: tuple[int, int], item: str | None, subscription: str | None,
    subscription_item: str | None, discount: tuple[str, int] | None, tax: Json | None,
) -> Json:  # fmt: skip
    """A line of an invoice, from an invoice item or else from a subscription's item."""
    prorated = {"proration": False, "proration_details": {"credited_items": None}}
    parent: Json = {
        "invoice_item_details": None,
        "subscription_item_details": None,
        "type": "invoice_item_details" if item else "subscription_item_details",
    }
    if item:
        parent["invoice_item_details"] = {"invoice_item": item, "subscription": None, **prorated}
    else:
        parent["subscription_item_details"] = {
            "invoice_item": None, "subscription": subscription,
            "subscription_item": subscription_item, **prorated,
        }  # fmt: skip
    return {
        "id": id,
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [] if discount is None else [
            {"amount": discount[1], "discount": discount[0]}
        ],
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [] if discount is None else [
            {"amount": discount[1], "discount": discount[0], "type": "discount"}
        ],
        "pricing": _pricing(price),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription,
        "subtotal": amount,
        "taxes": [] if tax is None else [tax],
    }  # fmt: skip


def tax(amount: int, rate: str, taxable: int) -> Json:
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": rate},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def invoice(
    id: str, at: int, *, owner: "StripeAccount", customer: Json, currency: str, reason: str,
    lines: Json, subscription: str | None, subtotal: int, discount: tuple[str, int] | None,
    tax: Json | None, period: tuple[int, int], collection_method: str, due_date: int | None,
) -> Json:  # fmt: skip
    """A draft invoice."""
    excluding = subtotal - (discount[1] if discount else 0)
    total = excluding + (tax["amount"] if tax else 0)
    parent = None if subscription is None else {
        "quote_details": None,
        "subscription_details": {"metadata": {}, "subscription": subscription},
        "type": "subscription_details",
    }  # fmt: skip
    return {
        "id": id,
        "object": "invoice",
        "account_country": owner.country,
        "account_name": owner.name,
        "account_tax_ids": None,
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": total,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": collection_method,
        "created": at,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [discount[0]] if discount else [],
        "due_date": due_date,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": lines,
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": parent,
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
        },
        "period_end": period[1],
        "period_start": period[0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "test_clock": None,
        "total": total,
        "total_discount_amounts": [{"amount": discount[1], "discount": discount[0]}]
        if discount else [],
        "total_excluding_tax": excluding,
        "total_pretax_credit_amounts": [
            {"amount": discount[1], "discount": discount[0], "type": "discount"}
        ] if discount else [],
        "total_taxes": [tax] if tax else [],
        "webhooks_delivered_at": at,
    }  # fmt: skip


def invoice_payment(
    id: str, at: int, *, invoice: str, amount: int, currency: str, intent: str
) -> Json:
    return {
        "id": id,
        "object": "invoice_payment",
        "amount_paid": amount,
        "amount_requested": amount,
        "created": at,
        "currency": currency,
        "invoice": invoice,
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": at},
    }


def subscription_item(
    id: str, at: int, *, subscription: str, price: Json, quantity: int, period: tuple[int, int]
) -> Json:
    return {
        "id": id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": at,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": {},
        "plan": plan(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def subscription(
    id: str, at: int, *, customer: str, currency: str, items: Json, discounts: list[str],
    status: str, trial_end: int | None, metadata: Json,
) -> Json:  # fmt: skip
    return {
        "id": id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": at,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": at,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": discounts,
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": items,
        "latest_invoice": None,
        "livemode": False,
        "metadata": metadata,
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None, "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": at,
        "status": status,
        "test_clock": None,
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None if trial_end is None else at,
    }  # fmt: skip


def credit_note_line(
    id: str, *, amount: int, description: str | None, invoice_line: str, quantity: int
) -> Json:
    return {
        "id": id,
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": invoice_line,
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "type": "invoice_line_item",
        "unit_amount": None,
        "unit_amount_decimal": None,
    }


def credit_note(
    id: str, at: int, *, invoice: Json, lines: Json, amount: int, number: str,
    refund: Json | None, reason: str,
) -> Json:  # fmt: skip
    refunds = [] if refund is None else [{
        "amount_refunded": amount, "payment_record_refund": None, "refund": refund["id"],
        "type": "refund",
    }]  # fmt: skip
    return {
        "id": id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": at,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": at,
        "invoice": invoice["id"],
        "lines": lines,
        "livemode": False,
        "memo": None,
        "metadata": {},
        "number": number,
        "out_of_band_amount": None,
        "pdf": f"https://pay.stripe.com/credit_notes/{id}/pdf",
        "post_payment_amount": amount if refund else 0,
        "pre_payment_amount": 0 if refund else amount,
        "pretax_credit_amounts": [],
        "reason": reason,
        "refunds": refunds,
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": "post_payment" if refund else "pre_payment",
        "voided_at": None,
    }


def checkout_item(
    id: str, *, price: Json, quantity: int, description: str, subtotal: int, discount: int, tax: int
) -> Json:
    return {
        "id": id,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": discount,
        "amount_subtotal": subtotal,
        "amount_tax": tax,
        "amount_total": subtotal - discount + tax,
        "currency": price["currency"],
        "description": description,
        "metadata": {},
        "price": price,
        "quantity": quantity,
    }


def checkout_session(
    id: str, at: int, *, mode: str, currency: str, customer: str | None, email: str | None,
    name: str | None, subtotal: int, discount: int, tax: int, discounts: list[Json],
    metadata: Json, slug: str,
) -> Json:  # fmt: skip
    """An open session."""
    return {
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": True,
        "amount_subtotal": subtotal,
        "amount_total": subtotal - discount + tax,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": f"https://{slug}.example/cancelled",
        "client_reference_id": None,
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": at,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "customer": customer,
        "customer_account": None,
        "customer_creation": "if_required" if mode == "payment" else "always",
        "customer_details": {
            "address": None, "business_name": None, "email": email, "individual_name": None,
            "name": name, "phone": None, "tax_exempt": "none", "tax_ids": None,
        },
        "customer_email": email,
        "discounts": discounts,
        "expires_at": at + 86_400,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": None,
        "metadata": metadata,
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": f"https://{slug}.example/thanks?session_id={{CHECKOUT_SESSION_ID}}",
        "total_details": {"amount_discount": discount, "amount_shipping": 0, "amount_tax": tax},
        "ui_mode": "hosted_page",
        "url": f"https://checkout.stripe.com/c/pay/{id}",
        "wallet_options": None,
    }  # fmt: skip


def payment_error(code: str, decline_code: str | None, message: str, charge: str | None) -> Json:
    error: dict[str, Any] = {
        "code": code,
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "message": message,
        "type": "card_error",
    }
    if charge is not None:
        error["charge"] = charge
    if decline_code is not None:
        error["decline_code"] = decline_code
    return error
