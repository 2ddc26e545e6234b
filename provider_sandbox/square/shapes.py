"""Bodies of Square's objects, with the fields that it shows; what is empty is left out.

Plain values in, JSON out: amounts in the currency's minor unit, times in Unix milliseconds. A
function gives the object as it is when it has just been created.
"""

from typing import TYPE_CHECKING

from provider_sandbox.ledger import Json
from provider_sandbox.square.account import iso, iso_seconds
from provider_sandbox.square.money import money

if TYPE_CHECKING:
    from provider_sandbox.square.account import SquareAccount

CATALOG_LIMITS: Json = {
    "batch_delete_max_object_ids": 200,
    "batch_retrieve_max_object_ids": 1000,
    "batch_upsert_max_objects_per_batch": 1000,
    "batch_upsert_max_total_objects": 10000,
    "search_max_page_limit": 1000,
    "update_item_modifier_lists_max_item_ids": 1000,
    "update_item_modifier_lists_max_modifier_lists_to_disable": 1000,
    "update_item_modifier_lists_max_modifier_lists_to_enable": 1000,
    "update_item_taxes_max_item_ids": 1000,
    "update_item_taxes_max_taxes_to_disable": 1000,
    "update_item_taxes_max_taxes_to_enable": 1000,
}


def filled(found: Json) -> Json:
    """The object without its empty fields: Square leaves them out; False and 0 stay."""
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def merchant(owner: "SquareAccount") -> Json:
    return {
        "id": owner.id,
        "business_name": owner.name,
        "country": owner.country,
        "language_code": owner.place.language,
        "currency": owner.currency,
        "status": "ACTIVE",
        "main_location_id": owner.main_location,
        "created_at": iso(owner.created * 1000),
    }


def location(
    id: str, at: int, *, owner: "SquareAccount", name: str, active: bool, mobile: bool
) -> Json:
    return {
        "id": id,
        "name": name,
        "address": {
            "address_line_1": "12 “Old” Harbour St",
            "locality": owner.place.city,
            "postal_code": "10117",
            "country": owner.country,
        },
        "timezone": owner.timezone,
        "capabilities": ["CREDIT_CARD_PROCESSING", "AUTOMATIC_TRANSFERS"],
        "status": "ACTIVE" if active else "INACTIVE",
        "created_at": iso(at),
        "merchant_id": owner.id,
        "country": owner.country,
        "language_code": owner.place.language,
        "currency": owner.currency,
        "business_name": owner.name,
        "type": "MOBILE" if mobile else "PHYSICAL",
        "business_hours": {},
        "mcc": "7922",
    }


def team_member(
    id: str, at: int, *, given: str, family: str, owner: bool, locations: list[str],
    hourly: Json | None,
) -> Json:  # fmt: skip
    assigned: Json = {"assignment_type": "ALL_CURRENT_AND_FUTURE_LOCATIONS"}
    if locations:
        assigned = {"assignment_type": "EXPLICIT_LOCATIONS", "location_ids": locations}
    wage: Json = {
        "team_member_id": id,
        "job_assignments": [{"job_title": "Bar", "pay_type": "HOURLY", "hourly_rate": hourly}],
        "is_overtime_exempt": False,
        "version": 1,
        "created_at": iso_seconds(at),
        "updated_at": iso_seconds(at),
    }
    return filled(
        {
            "id": id,
            "is_owner": owner,
            "status": "ACTIVE",
            "given_name": given,
            "family_name": family,
            "created_at": iso_seconds(at),
            "updated_at": iso_seconds(at),
            "assigned_locations": assigned,
            "wage_setting": wage if hourly else None,
        }
    )


def catalog_object(id: str, at: int, type: str, data: Json) -> Json:
    return {
        "type": type,
        "id": id,
        "updated_at": iso(at),
        "version": at,
        "is_deleted": False,
        "present_at_all_locations": True,
        f"{type.lower()}_data": filled(data),
    }


def inventory_count(variation: str, location: str, state: str, quantity: int, at: int) -> Json:
    return {
        "catalog_object_id": variation,
        "catalog_object_type": "ITEM_VARIATION",
        "state": state,
        "location_id": location,
        "quantity": str(quantity),
        "calculated_at": iso(at),
    }


def customer(
    id: str, at: int, *, given: str | None, family: str | None, email: str | None,
    phone: str | None, company: str | None, source: str, reference: str | None,
    note: str | None, country: str,
) -> Json:  # fmt: skip
    return filled(
        {
            "id": id,
            "created_at": iso(at),
            "updated_at": iso(at),
            "given_name": given,
            "family_name": family,
            "company_name": company,
            "email_address": email,
            "phone_number": phone,
            "address": {"locality": "Kraków", "country": country} if given else None,
            "reference_id": reference,
            "note": note,
            "preferences": {"email_unsubscribed": False},
            "creation_source": source,
            "version": 0,
        }
    )


def amounts(
    currency: str, *, total: int, tax: int = 0, discount: int = 0, tip: int = 0, service: int = 0
) -> Json:
    return {
        "total_money": money(total, currency),
        "tax_money": money(tax, currency),
        "discount_money": money(discount, currency),
        "tip_money": money(tip, currency),
        "service_charge_money": money(service, currency),
    }


def tender(payment: Json) -> Json:
    """A payment as its order shows it."""
    types = {"CARD": "CARD", "CASH": "CASH", "EXTERNAL": "OTHER"}
    shown: Json = {
        "id": payment["id"],
        "location_id": payment["location_id"],
        "transaction_id": payment["order_id"],
        "created_at": payment["created_at"],
        "note": payment.get("note"),
        "amount_money": payment["total_money"],
        "tip_money": payment.get("tip_money"),
        "customer_id": payment.get("customer_id"),
        "type": types[payment["source_type"]],
        "payment_id": payment["id"],
    }
    if "card_details" in payment:
        details = payment["card_details"]
        names = ("status", "card", "entry_method")
        shown["card_details"] = {name: details[name] for name in names if name in details}
        if details["card"]["card_brand"] == "SQUARE_GIFT_CARD":
            shown["type"] = "SQUARE_GIFT_CARD"
    if "cash_details" in payment:
        cash = payment["cash_details"]
        shown["cash_details"] = {
            "buyer_tendered_money": cash["buyer_supplied_money"],
            "change_back_money": cash["change_back_money"],
        }
    return filled(shown)


def payment(
    id: str, at: int, *, source: str, amount: int, tip: int, currency: str, location: str,
    order: str, customer: str | None, token: str, team_member: str | None, product: str,
) -> Json:  # fmt: skip
    """A payment that is complete at once, without the details of its source."""
    return filled(
        {
            "id": id,
            "created_at": iso(at),
            "updated_at": iso(at),
            "amount_money": money(amount, currency),
            "tip_money": money(tip, currency) if tip else None,
            "total_money": money(amount + tip, currency),
            "approved_money": money(amount + tip, currency),
            "status": "COMPLETED",
            "source_type": source,
            "location_id": location,
            "order_id": order,
            "customer_id": customer,
            "team_member_id": team_member,
            "receipt_number": id[:4],
            "receipt_url": f"https://squareup.com/receipt/preview/{id}",
            "application_details": {"square_product": product},
            "version_token": token,
        }
    )


def card_details(at: int, *, brand: str, last_4: str, entry: str, fingerprint: str) -> Json:
    return {
        "status": "CAPTURED",
        "card": {
            "card_brand": brand,
            "last_4": last_4,
            "exp_month": 11,
            "exp_year": 2029,
            "fingerprint": fingerprint,
            "card_type": "CREDIT",
            "prepaid_type": "NOT_PREPAID",
            "bin": "411111",
        },
        "entry_method": entry,
        "cvv_status": "CVV_ACCEPTED",
        "avs_status": "AVS_ACCEPTED",
        "auth_result_code": fingerprint[-6:],
        "statement_description": "SQ *VENUE",
        "card_payment_timeline": {"authorized_at": iso(at), "captured_at": iso(at)},
    }


def refund(
    id: str, at: int, *, amount: Json, payment: Json, order: str, reason: str | None, status: str
) -> Json:
    cash = {"cash_details": {"seller_supplied_money": amount}}
    external = {"external_details": {"type": "OTHER", "source": "by hand"}}
    details: dict[str, Json] = {"CASH": cash, "EXTERNAL": external}
    return filled(
        {
            "id": id,
            "status": status,
            "location_id": payment["location_id"],
            "unlinked": False,
            "destination_type": payment["source_type"],
            "destination_details": details.get(payment["source_type"]),
            "amount_money": amount,
            "payment_id": payment["id"],
            "order_id": order,
            "reason": reason,
            "created_at": iso(at),
            "updated_at": iso(at),
        }
    )


def dispute(id: str, at: int, due: int, *, payment: Json, reason: str, brand_id: str) -> Json:
    return {
        "id": id,
        "dispute_id": id,
        "amount_money": payment["total_money"],
        "reason": reason,
        "state": "EVIDENCE_REQUIRED",
        "due_at": iso(due),
        "disputed_payment": {"payment_id": payment["id"]},
        "card_brand": payment["card_details"]["card"]["card_brand"],
        "created_at": iso(at),
        "updated_at": iso(at),
        "brand_dispute_id": brand_id,
        "reported_at": iso(at),
        "version": 1,
        "location_id": payment["location_id"],
    }


def payout(id: str, at: int, *, amount: Json, location: str, bank: str, arrival: str) -> Json:
    return {
        "id": id,
        "status": "SENT",
        "location_id": location,
        "created_at": iso_seconds(at),
        "updated_at": iso_seconds(at),
        "amount_money": amount,
        "destination": {"type": "BANK_ACCOUNT", "id": bank},
        "version": 1,
        "type": "BATCH",
        "arrival_date": arrival,
    }


def payout_entry(
    id: str, payout: str, at: int, *, type: str, gross: int, fee: int, currency: str, details: Json
) -> Json:
    return filled(
        {
            "id": id,
            "payout_id": payout,
            "effective_at": iso_seconds(at),
            "type": type,
            "gross_amount_money": money(gross, currency),
            "fee_amount_money": money(fee, currency),
            "net_amount_money": money(gross - fee, currency),
            f"type_{type.lower()}_details": details,
        }
    )


def invoice(
    id: str, at: int, *, order: str, location: str, recipient: Json, requests: list[Json],
    number: str, title: str, due: Json, timezone: str, subscription: str | None,
) -> Json:  # fmt: skip
    return filled(
        {
            "id": id,
            "version": 0,
            "location_id": location,
            "order_id": order,
            "primary_recipient": recipient,
            "payment_requests": requests,
            "delivery_method": "EMAIL",
            "invoice_number": number,
            "title": title,
            "description": "Hall hire & bar “Süd”",
            "next_payment_amount_money": due,
            "status": "DRAFT",
            "timezone": timezone,
            "created_at": iso_seconds(at),
            "updated_at": iso_seconds(at),
            "accepted_payment_methods": {
                "card": True, "square_gift_card": False, "bank_account": False,
                "buy_now_pay_later": False, "cash_app_pay": False,
            },
            "subscription_id": subscription,
            "store_payment_method_enabled": False,
        }
    )  # fmt: skip


def payment_request(uid: str, type: str, due_date: str, amount: Json) -> Json:
    return {
        "uid": uid,
        "request_type": type,
        "due_date": due_date,
        "tipping_enabled": False,
        "automatic_payment_source": "NONE",
        "computed_amount_money": amount,
        "total_completed_amount_money": {**amount, "amount": 0},
    }


def subscription(
    id: str, at: int, *, location: str, plan: str, customer: str, start: str, status: str,
    timezone: str,
) -> Json:  # fmt: skip
    return {
        "id": id,
        "location_id": location,
        "plan_variation_id": plan,
        "customer_id": customer,
        "start_date": start,
        "status": status,
        "version": 1,
        "created_at": iso_seconds(at),
        "timezone": timezone,
        "source": {"name": "Box office"},
    }


def loyalty_program(
    id: str, at: int, *, tier: str, locations: list[str], spend: Json, discount: str
) -> Json:
    return {
        "id": id,
        "status": "ACTIVE",
        "reward_tiers": [
            {
                "id": tier,
                "points": 10,
                "name": "A drink on the house",
                "created_at": iso_seconds(at),
                "pricing_rule_reference": {"object_id": discount, "catalog_version": at},
            }
        ],
        "terminology": {"one": "Note", "other": "Notes"},
        "location_ids": locations,
        "created_at": iso_seconds(at),
        "updated_at": iso_seconds(at),
        "accrual_rules": [
            {
                "accrual_type": "SPEND",
                "points": 1,
                "spend_data": {"amount_money": spend, "tax_mode": "BEFORE_TAX"},
            }
        ],
    }


def loyalty_account(
    id: str, at: int, *, program: str, customer: str, mapping: str, phone: str
) -> Json:
    return {
        "id": id,
        "program_id": program,
        "balance": 0,
        "lifetime_points": 0,
        "customer_id": customer,
        "enrolled_at": iso_seconds(at),
        "created_at": iso_seconds(at),
        "updated_at": iso_seconds(at),
        "mapping": {"id": mapping, "created_at": iso_seconds(at), "phone_number": phone},
    }


def loyalty_event(
    id: str, at: int, *, type: str, account: str, location: str | None, details: Json
) -> Json:
    return filled(
        {
            "id": id,
            "type": type,
            "created_at": iso_seconds(at),
            type.lower(): details,
            "loyalty_account_id": account,
            "location_id": location,
            "source": "SQUARE",
        }
    )


def gift_card(id: str, at: int, *, gan: str, balance: Json, digital: bool) -> Json:
    return {
        "id": id,
        "type": "DIGITAL" if digital else "PHYSICAL",
        "gan_source": "SQUARE",
        "state": "ACTIVE",
        "balance_money": balance,
        "gan": gan,
        "created_at": iso(at),
    }
