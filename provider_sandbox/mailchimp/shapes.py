"""Bodies of the objects of Mailchimp's Marketing API 3.0, less `_links`, and those links.

Plain values in, JSON out: times in ISO 8601, "" where there is none, as Mailchimp writes it. A
function gives the object as it is when it has just been created.
"""

from typing import TYPE_CHECKING, Any

from provider_sandbox.ledger import Json, encode

if TYPE_CHECKING:
    from provider_sandbox.mailchimp.account import MailchimpAccount

INDUSTRY = "Music and Musicians"


def root(owner: "MailchimpAccount", *, since: str, now: str, subscribers: int) -> Json:
    return {
        "account_id": owner.id,
        "login_id": owner.login_id,
        "account_name": owner.name,
        "email": f"office@{owner.slug}.example",
        "first_name": "",
        "last_name": "",
        "username": owner.slug,
        "avatar_url": "",
        "role": "owner",
        "member_since": since,
        "pricing_plan_type": "monthly",
        "first_payment": since,
        "account_timezone": owner.timezone,
        "account_industry": INDUSTRY,
        "contact": {
            "company": owner.name, "addr1": "Quay 4", "addr2": "", "city": "Kraków", "state": "",
            "zip": "30-001", "country": owner.country,
        },
        "pro_enabled": False,
        "last_login": now,
        "total_subscribers": subscribers,
        "industry_stats": {
            "open_rate": 0.2188, "bounce_rate": 0.0056, "click_rate": 0.0294,
        },
    }  # fmt: skip


def metadata(owner: "MailchimpAccount") -> Json:
    """What `/oauth2/metadata` tells the holder of a token."""
    email = f"office@{owner.slug}.example"
    return {
        "dc": owner.dc,
        "role": "owner",
        "accountname": owner.name,
        "user_id": owner.user_id,
        "login": {
            "email": email, "avatar": None, "login_id": owner.user_id, "login_name": owner.slug,
            "login_email": email,
        },
        "login_url": "https://login.mailchimp.com",
        "api_endpoint": f"https://{owner.dc}.api.mailchimp.com",
    }  # fmt: skip


def audience(
    owner: "MailchimpAccount", id: str, created: str, *, web_id: int, name: str, language: str,
    double_optin: bool, permissions: bool,
) -> Json:  # fmt: skip
    return {
        "id": id,
        "web_id": web_id,
        "name": name,
        "contact": {
            "company": owner.name, "address1": "Quay 4", "address2": "", "city": "Kraków",
            "state": "", "zip": "30-001", "country": owner.country, "phone": "",
        },
        "permission_reminder": f"You signed up at {owner.name}'s box office.",
        "use_archive_bar": True,
        "campaign_defaults": {
            "from_name": owner.name, "from_email": f"news@{owner.slug}.example", "subject": "",
            "language": language,
        },
        "notify_on_subscribe": "",
        "notify_on_unsubscribe": "",
        "date_created": created,
        "list_rating": 0,
        "email_type_option": False,
        "subscribe_url_short": f"http://eepurl.com/{id}",
        "subscribe_url_long": (
            f"https://{owner.slug}.{owner.dc}.list-manage.com/subscribe?u={owner.id}&id={id}"
        ),
        "beamer_address": f"{owner.dc}-{id}@inbound.mailchimp.com",
        "visibility": "prv",
        "double_optin": double_optin,
        "has_welcome": False,
        "marketing_permissions": permissions,
        "modules": [],
        "stats": {
            "member_count": 0, "total_contacts": 0, "unsubscribe_count": 0, "cleaned_count": 0,
            "member_count_since_send": 0, "unsubscribe_count_since_send": 0,
            "cleaned_count_since_send": 0, "campaign_count": 0, "campaign_last_sent": "",
            "merge_field_count": 0, "avg_sub_rate": 0, "avg_unsub_rate": 0, "target_sub_rate": 0,
            "open_rate": 0, "click_rate": 0, "last_sub_date": "", "last_unsub_date": "",
        },
    }  # fmt: skip


def member(
    id: str, *, email: str, list_id: str, web_id: int, unique_email_id: str, contact_id: str,
    status: str, merge_fields: Json, interests: dict[str, bool], opted: str, signed_up: str,
    changed: str, source: str, ip: str, language: str = "", vip: bool = False,
    email_type: str = "html",
) -> Json:  # fmt: skip
    found: Json = {
        "id": id,
        "email_address": email,
        "unique_email_id": unique_email_id,
        "contact_id": contact_id,
        "full_name": full_name(merge_fields),
        "web_id": web_id,
        "email_type": email_type,
        "status": status,
        "consents_to_one_to_one_messaging": True,
        "sms_phone_number": "",
        "sms_subscription_status": "",
        "sms_subscription_last_updated": "",
        "merge_fields": merge_fields,
        "interests": interests,
        "stats": {"avg_open_rate": 0, "avg_click_rate": 0},
        "ip_signup": ip if signed_up else "",
        "timestamp_signup": signed_up,
        "ip_opt": ip if opted else "",
        "timestamp_opt": opted,
        "member_rating": 2,
        "last_changed": changed,
        "language": language,
        "vip": vip,
        "email_client": "",
        "location": location("", ""),
        "source": source,
        "tags_count": 0,
        "tags": [],
        "list_id": list_id,
    }  # fmt: skip
    if not interests:
        del found["interests"]
    return found


def location(country: str, timezone: str) -> Json:
    """Where a member was last seen; nothing but noughts where that is not known."""
    known = bool(country)
    return {
        "latitude": 50.0614 if known else 0,
        "longitude": 19.9366 if known else 0,
        "gmtoff": 1 if known else 0,
        "dstoff": 2 if known else 0,
        "country_code": country,
        "timezone": timezone,
        "region": "MA" if known else "",
    }


def full_name(merge_fields: Json) -> str:
    return f"{merge_fields.get('FNAME', '')} {merge_fields.get('LNAME', '')}".strip()


def merge_field(
    id: int, *, list_id: str, tag: str, name: str, type: str, order: int, public: bool = False,
    choices: tuple[str, ...] = (),
) -> Json:  # fmt: skip
    options: Json = {}
    match type:
        case "text" | "number":
            options["size"] = 25
        case "dropdown" | "radio":
            options["choices"] = list(choices)
        case "address":
            options["default_country"] = 164
        case "phone":
            options["phone_format"] = "none"
        case "birthday":
            options["date_format"] = "MM/DD"
        case "date":
            options["date_format"] = "MM/DD/YYYY"
    return {
        "merge_id": id,
        "tag": tag,
        "name": name,
        "type": type,
        "required": False,
        "default_value": "",
        "public": public,
        "display_order": order,
        "options": options,
        "help_text": "",
        "list_id": list_id,
    }


def segment(
    id: int, created: str, *, list_id: str, name: str, type: str, conditions: list[Json]
) -> Json:
    found: Json = {
        "id": id,
        "name": name,
        "member_count": 0,
        "type": type,
        "created_at": created,
        "updated_at": created,
    }
    if type != "static":
        found["options"] = {"match": "all", "conditions": conditions}
    found["list_id"] = list_id
    return found


def interest_category(id: str, *, list_id: str, title: str, type: str, order: int) -> Json:
    return {"list_id": list_id, "id": id, "title": title, "display_order": order, "type": type}


def interest(id: str, *, list_id: str, category_id: str, name: str, order: int) -> Json:
    return {
        "category_id": category_id,
        "list_id": list_id,
        "id": id,
        "name": name,
        "subscriber_count": "0",
        "display_order": order,
    }


NO_SALES: Json = {"total_orders": 0, "total_spent": 0, "total_revenue": 0}


def campaign(
    owner: "MailchimpAccount", id: str, created: str, *, type: str, list_id: str, list_name: str,
    subject: str, title: str, web_id: int, parent: str | None = None, preview: str = "",
    segment_opts: Json | None = None, variate: Json | None = None, rss: Json | None = None,
) -> Json:  # fmt: skip
    archive = f"https://mailchi.mp/{owner.slug}/{id}"
    found: Json = {"id": id, "web_id": web_id}
    if parent is not None:
        found["parent_campaign_id"] = parent
    found |= {
        "type": type,
        "create_time": created,
        "archive_url": f"http://eepurl.com/{id}",
        "long_archive_url": archive,
        "status": "save",
        "emails_sent": 0,
        "send_time": "",
        "content_type": "plaintext" if type == "plaintext" else "template",
        "needs_block_refresh": False,
        "resendable": False,
        "recipients": {
            "list_id": list_id, "list_is_active": True, "list_name": list_name, "segment_text": "",
            "recipient_count": 0,
        },
        "settings": {
            "subject_line": subject, "preview_text": preview, "title": title,
            "from_name": owner.name, "reply_to": f"news@{owner.slug}.example",
            "use_conversation": False, "to_name": "*|FNAME|*", "folder_id": "",
            "authenticate": True, "auto_footer": False, "inline_css": False, "auto_tweet": False,
            "fb_comments": True, "timewarp": False, "template_id": 0, "drag_and_drop": True,
        },
        "tracking": {
            "opens": True, "html_clicks": True, "text_clicks": False, "goal_tracking": False,
            "ecomm360": False, "google_analytics": "", "clicktale": "",
        },
        "delivery_status": {"enabled": False},
    }  # fmt: skip
    if segment_opts is not None:
        found["recipients"] |= {"segment_text": "<p>A segment</p>", "segment_opts": segment_opts}
    if variate is not None:
        found["variate_settings"] = variate
    if rss is not None:
        found["rss_opts"] = rss
    return found


def rss_options(url: str) -> Json:
    days = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
    return {
        "feed_url": url,
        "frequency": "weekly",
        "schedule": {
            "hour": 10, "daily_send": dict.fromkeys(days, False), "weekly_send_day": "thursday",
            "monthly_send_date": 0,
        },
        "last_sent": "",
        "constrain_rss_img": False,
    }  # fmt: skip


def report(campaign: Json) -> Json:
    """The report of a campaign before anything was counted."""
    no_opens: Json = {
        "opens_total": 0, "proxy_excluded_opens": 0, "unique_opens": 0,
        "proxy_excluded_unique_opens": 0, "open_rate": 0, "proxy_excluded_open_rate": 0,
        "last_open": "",
    }  # fmt: skip
    return {
        "id": campaign["id"],
        "campaign_title": campaign["settings"]["title"],
        "type": campaign["type"],
        "list_id": campaign["recipients"]["list_id"],
        "list_is_active": True,
        "list_name": campaign["recipients"]["list_name"],
        "subject_line": campaign["settings"]["subject_line"],
        "preview_text": campaign["settings"]["preview_text"],
        "emails_sent": 0,
        "abuse_reports": 0,
        "unsubscribed": 0,
        "send_time": campaign["send_time"],
        "bounces": {"hard_bounces": 0, "soft_bounces": 0, "syntax_errors": 0},
        "forwards": {"forwards_count": 0, "forwards_opens": 0},
        "opens": no_opens,
        "clicks": {
            "clicks_total": 0, "unique_clicks": 0, "unique_subscriber_clicks": 0, "click_rate": 0,
            "last_click": "",
        },
        "facebook_likes": {"recipient_likes": 0, "unique_likes": 0, "facebook_likes": 0},
        "industry_stats": {
            "type": INDUSTRY, "open_rate": 0.2188, "click_rate": 0.0294, "bounce_rate": 0.0056,
            "unopen_rate": 0.7756, "unsub_rate": 0.0028, "abuse_rate": 0.0001,
        },
        "list_stats": {
            "sub_rate": 0, "unsub_rate": 0, "open_rate": 0, "proxy_excluded_open_rate": 0,
            "click_rate": 0,
        },
        "timeseries": [],
        "ecommerce": {**NO_SALES, "currency_code": "USD"},
        "delivery_status": {"enabled": False},
    }  # fmt: skip


def email_activity(campaign: str, list_id: str, id: str, email: str, activity: list[Json]) -> Json:
    return {
        "campaign_id": campaign,
        "list_id": list_id,
        "list_is_active": True,
        "email_id": id,
        "email_address": email,
        "activity": activity,
    }


def unsubscribe(campaign: str, member: Json, at: str, reason: str) -> Json:
    return {
        "email_id": member["id"],
        "email_address": member["email_address"],
        "merge_fields": member["merge_fields"],
        "vip": member["vip"],
        "timestamp": at,
        "reason": reason,
        "campaign_id": campaign,
        "list_id": member["list_id"],
        "list_is_active": True,
    }


NO_REPORT: Json = {
    "opens": 0, "unique_opens": 0, "open_rate": 0, "clicks": 0, "subscriber_clicks": 0,
    "click_rate": 0,
}  # fmt: skip


def automation(
    owner: "MailchimpAccount", id: str, created: str, *, list_id: str, list_name: str, title: str
) -> Json:
    return {
        "id": id,
        "create_time": created,
        "start_time": "",
        "status": "save",
        "emails_sent": 0,
        "recipients": {
            "list_id": list_id, "list_is_active": True, "list_name": list_name,
            "segment_opts": {}, "store_id": "",
        },
        "settings": {
            "title": title, "from_name": owner.name, "reply_to": f"news@{owner.slug}.example",
            "use_conversation": False, "to_name": "*|FNAME|*", "authenticate": True,
            "auto_footer": False, "inline_css": False,
        },
        "tracking": {
            "opens": True, "html_clicks": True, "text_clicks": False, "goal_tracking": False,
            "ecomm360": False, "google_analytics": "", "clicktale": "",
        },
        "trigger_settings": {
            "workflow_type": "welcomeSeries", "workflow_title": title,
            "runtime": {
                "days": ["monday", "wednesday", "friday"], "hours": {"type": "send_asap"},
            },
            "workflow_emails_count": 0,
        },
        "report_summary": dict(NO_REPORT),
    }  # fmt: skip


def automation_email(campaign: Json, *, workflow: str, position: int, days: int) -> Json:
    """An email of an automation; it is a campaign too, and has its id."""
    return {
        "id": campaign["id"],
        "web_id": campaign["web_id"],
        "workflow_id": workflow,
        "position": position,
        "delay": {
            "amount": days, "type": "day", "direction": "after", "action": "signup",
            "action_description": "subscribers join the list",
            "full_description": f"{days} day(s) after subscribers join the list",
        },
        "create_time": campaign["create_time"],
        "start_time": "",
        "archive_url": campaign["archive_url"],
        "status": "save",
        "emails_sent": 0,
        "send_time": "",
        "content_type": "template",
        "needs_block_refresh": False,
        "has_logo_merge_tag": False,
        "recipients": campaign["recipients"],
        "settings": campaign["settings"],
        "tracking": campaign["tracking"],
        "report_summary": dict(NO_REPORT),
    }  # fmt: skip


def webhook(id: str, list_id: str, url: str, events: Json, sources: Json) -> Json:
    return {"id": id, "url": url, "events": events, "sources": sources, "list_id": list_id}


def problem(status: int, title: str, detail: str, instance: str, errors: list[Json]) -> Json:
    """An error, as Mailchimp writes it by RFC 7807."""
    found: Json = {
        "type": "https://mailchimp.com/developer/marketing/docs/errors/",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    return found | {"errors": errors} if errors else found


RELATED: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "": (
        ("lists", "/lists", "GET", "Lists/Collection"),
        ("campaigns", "/campaigns", "GET", "Campaigns/Collection"),
        ("reports", "/reports", "GET", "Reports/Collection"),
        ("automations", "/automations", "GET", "Automations/Collection"),
    ),
    "lists": (
        ("update", "", "PATCH", "Lists/Instance"),
        ("delete", "", "DELETE", ""),
        ("members", "/members", "GET", "Lists/Members/Collection"),
        ("merge-fields", "/merge-fields", "GET", "Lists/MergeFields/Collection"),
        ("segments", "/segments", "GET", "Lists/Segments/Collection"),
        ("webhooks", "/webhooks", "GET", "Lists/Webhooks/Collection"),
        (
            "interest-categories", "/interest-categories", "GET",
            "Lists/InterestCategories/Collection",
        ),
    ),
    "members": (
        ("update", "", "PATCH", "Lists/Members/Instance"),
        ("upsert", "", "PUT", "Lists/Members/Instance"),
        ("delete", "", "DELETE", ""),
        ("activity", "/activity", "GET", "Lists/Members/Activity/Collection"),
        ("goals", "/goals", "GET", "Lists/Members/Goals/Collection"),
        ("notes", "/notes", "GET", "Lists/Members/Notes/Collection"),
        ("events", "/events", "POST", "Lists/Members/Events/POST"),
        ("delete_permanent", "/actions/delete-permanent", "POST", ""),
    ),
    "campaigns": (
        ("delete", "", "DELETE", ""),
        ("send", "/actions/send", "POST", ""),
        ("content", "/content", "GET", "Campaigns/Content/Instance"),
        ("send_checklist", "/send-checklist", "GET", "Campaigns/Checklist/Collection"),
    ),
    "reports": (
        ("email-activity", "/email-activity", "GET", "Reports/EmailActivity/Collection"),
        ("unsubscribed", "/unsubscribed", "GET", "Reports/Unsubs/Collection"),
        ("sent-to", "/sent-to", "GET", "Reports/SentTo/Collection"),
    ),
    "automations": (("emails", "/emails", "GET", "Automations/Emails/Collection"),),
    "segments": (
        ("update", "", "PATCH", "Lists/Segments/Instance"),
        ("delete", "", "DELETE", ""),
        ("members", "/members", "GET", "Lists/Segments/Members/Collection"),
    ),
}  # fmt: skip
"""Links of an object besides `self` and `parent`, by its stream: rel, path, method, schema."""


def links(base: str, dc: str, stream: str, path: str, parent: str) -> bytes:
    """`_links` of what is at ``path``, whose stream decides what is related to it."""
    schemas = f"https://{dc}.api.mailchimp.com/schema/3.0/Definitions"
    told: list[Any] = [
        {"rel": "self", "href": base + path, "method": "GET"},
        {"rel": "parent", "href": base + parent, "method": "GET"},
    ]
    for rel, below, method, schema in RELATED.get(stream, ()):
        link = {"rel": rel, "href": f"{base}{path.rstrip('/')}{below}", "method": method}
        if schema:
            link["targetSchema"] = f"{schemas}/{schema}Response.json"
        told.append(link)
    return encode(told)
