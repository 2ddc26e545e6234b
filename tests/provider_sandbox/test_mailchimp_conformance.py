"""The stand-in against what Mailchimp published: the parameters of its SDK, the fields of its
schema for API 3.0, its error glossary and its webhooks."""

import importlib
import inspect
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from provider_sandbox import Limit, Sandbox, running_sandbox
from provider_sandbox.faults import make_fault
from provider_sandbox.mailchimp import MailchimpAccount
from provider_sandbox.mailchimp.api import WEBHOOK_FIELDS
from provider_sandbox.mailchimp.endpoints import BY_STREAM, ENDPOINTS, STREAMS, Endpoint

REFERENCE = Path(
    os.environ.get(
        "PROVIDER_REFERENCE",
        Path(__file__).resolve().parents[3] / "shared" / "provider_reference",
    )
)
SDK = {
    "lists": ("lists_api.ListsApi", "get_all_lists", "get_list"),
    "members": ("lists_api.ListsApi", "get_list_members_info", "get_list_member"),
    "merge_fields": ("lists_api.ListsApi", "get_list_merge_fields", "get_list_merge_field"),
    "segments": ("lists_api.ListsApi", "list_segments", "get_segment"),
    "tags": ("lists_api.ListsApi", "tag_search", None),
    "interest_categories": (
        "lists_api.ListsApi", "get_list_interest_categories", "get_interest_category",
    ),
    "interests": (
        "lists_api.ListsApi", "list_interest_category_interests", "get_interest_category_interest",
    ),
    "campaigns": ("campaigns_api.CampaignsApi", "list", "get"),
    "reports": ("reports_api.ReportsApi", "get_all_campaign_reports", "get_campaign_report"),
    "email_activity": (
        "reports_api.ReportsApi", "get_email_activity_for_campaign",
        "get_email_activity_for_subscriber",
    ),
    "unsubscribes": (
        "reports_api.ReportsApi", "get_unsubscribed_list_for_campaign",
        "get_unsubscribed_list_member",
    ),
    "automations": ("automations_api.AutomationsApi", "list", "get"),
    "automation_emails": (
        "automations_api.AutomationsApi", "list_all_workflow_emails", "get_workflow_email",
    ),
    "webhooks": ("lists_api.ListsApi", "get_list_webhooks", "get_list_webhook"),
}  # fmt: skip
"""The class, and its methods that list and that read one."""
NUMBER = (int, float)
TIME = "time"
"""ISO 8601 with its offset, or "" where there is none yet."""
LISTED = {"list_id": str, "list_is_active": bool, "list_name": str}
SUMMARY = {
    "opens": int, "unique_opens": int, "open_rate": NUMBER, "clicks": int,
    "subscriber_clicks": int, "click_rate": NUMBER,
}  # fmt: skip
SALES = {"total_orders": int, "total_spent": NUMBER, "total_revenue": NUMBER}
TRACKING = {
    "opens": bool, "html_clicks": bool, "text_clicks": bool, "goal_tracking": bool,
    "ecomm360": bool, "google_analytics": str, "clicktale": str,
}  # fmt: skip
CONDITIONS = [{"condition_type": str, "field": str, "op": str, "value?": (str, list)}]
CAMPAIGN_SETTINGS = {
    "subject_line": str, "preview_text": str, "title": str, "from_name": str, "reply_to": str,
    "use_conversation": bool, "to_name": str, "folder_id": str, "authenticate": bool,
    "auto_footer": bool, "inline_css": bool, "auto_tweet": bool, "fb_comments": bool,
    "timewarp": bool, "template_id": int, "drag_and_drop": bool,
}  # fmt: skip
RECIPIENTS = {
    **LISTED, "segment_text": str, "recipient_count": int,
    "segment_opts?": {"saved_segment_id": int, "match": str, "conditions": CONDITIONS},
}  # fmt: skip
VARIATE = {
    "winning_combination_id": str, "winning_campaign_id": str, "winner_criteria": str,
    "wait_time": int, "test_size": int, "subject_lines": [str], "send_times": [str],
    "from_names": [str], "reply_to_addresses": [str], "contents": [str],
    "combinations": [
        {
            "id": str, "subject_line": int, "send_time": int, "from_name": int, "reply_to": int,
            "content_description": int, "recipients": int,
        }
    ],
}  # fmt: skip
ADDRESS = {"company": str, "city": str, "state": str, "zip": str, "country": str}
PUBLISHED: dict[str, dict[str, Any]] = {
    "root": {
        "account_id": str, "login_id": str, "account_name": str, "email": str, "first_name": str,
        "last_name": str, "username": str, "avatar_url": str, "role": str, "member_since": TIME,
        "pricing_plan_type": str, "first_payment": TIME, "account_timezone": str,
        "account_industry": str, "contact": {**ADDRESS, "addr1": str, "addr2": str},
        "pro_enabled": bool, "last_login": TIME, "total_subscribers": int,
        "industry_stats": {"open_rate": NUMBER, "bounce_rate": NUMBER, "click_rate": NUMBER},
    },
    "lists": {
        "id": str, "web_id": int, "name": str,
        "contact": {**ADDRESS, "address1": str, "address2": str, "phone": str},
        "permission_reminder": str, "use_archive_bar": bool,
        "campaign_defaults": {
            "from_name": str, "from_email": str, "subject": str, "language": str,
        },
        "notify_on_subscribe": str, "notify_on_unsubscribe": str, "date_created": TIME,
        "list_rating": int, "email_type_option": bool, "subscribe_url_short": str,
        "subscribe_url_long": str, "beamer_address": str, "visibility": str, "double_optin": bool,
        "has_welcome": bool, "marketing_permissions": bool, "modules": [str],
        "stats": {
            "member_count": int, "total_contacts": int, "unsubscribe_count": int,
            "cleaned_count": int, "member_count_since_send": int,
            "unsubscribe_count_since_send": int, "cleaned_count_since_send": int,
            "campaign_count": int, "campaign_last_sent": TIME, "merge_field_count": int,
            "avg_sub_rate": NUMBER, "avg_unsub_rate": NUMBER, "target_sub_rate": NUMBER,
            "open_rate": NUMBER, "click_rate": NUMBER, "last_sub_date": TIME,
            "last_unsub_date": TIME,
        },
    },
    "members": {
        "id": str, "email_address": str, "unique_email_id": str, "contact_id": str,
        "full_name": str, "web_id": int, "email_type": str, "status": str,
        "unsubscribe_reason?": str, "consents_to_one_to_one_messaging": bool,
        "sms_phone_number": str, "sms_subscription_status": str,
        "sms_subscription_last_updated": str, "merge_fields": dict, "interests?": dict,
        "stats": {"avg_open_rate": NUMBER, "avg_click_rate": NUMBER}, "ip_signup": str,
        "timestamp_signup": TIME, "ip_opt": str, "timestamp_opt": TIME, "member_rating": int,
        "last_changed": TIME, "language": str, "vip": bool, "email_client": str,
        "location": {
            "latitude": NUMBER, "longitude": NUMBER, "gmtoff": int, "dstoff": int,
            "country_code": str, "timezone": str, "region": str,
        },
        "marketing_permissions?": [{"marketing_permission_id": str, "text": str, "enabled": bool}],
        "last_note?": {"note_id": int, "created_at": TIME, "created_by": str, "note": str},
        "source": str, "tags_count": int, "tags": [{"id": int, "name": str}], "list_id": str,
    },
    "merge_fields": {
        "merge_id": int, "tag": str, "name": str, "type": str, "required": bool,
        "default_value": str, "public": bool, "display_order": int,
        "options": {
            "default_country?": int, "phone_format?": str, "date_format?": str, "choices?": [str],
            "size?": int,
        },
        "help_text": str, "list_id": str,
    },
    "segments": {
        "id": int, "name": str, "member_count": int, "type": str, "created_at": TIME,
        "updated_at": TIME, "options?": {"match": str, "conditions": CONDITIONS}, "list_id": str,
    },
    "tags": {"id": int, "name": str},
    "interest_categories": {
        "list_id": str, "id": str, "title": str, "display_order": int, "type": str,
    },
    "interests": {
        "category_id": str, "list_id": str, "id": str, "name": str, "subscriber_count": str,
        "display_order": int,
    },
    "campaigns": {
        "id": str, "web_id": int, "parent_campaign_id?": str, "type": str, "create_time": TIME,
        "archive_url": str, "long_archive_url": str, "status": str, "emails_sent": int,
        "send_time": TIME, "content_type": str, "needs_block_refresh": bool, "resendable": bool,
        "recipients": RECIPIENTS, "settings": CAMPAIGN_SETTINGS, "variate_settings?": VARIATE,
        "tracking": TRACKING,
        "rss_opts?": {
            "feed_url": str, "frequency": str,
            "schedule": {
                "hour": int, "daily_send": dict, "weekly_send_day": str, "monthly_send_date": int,
            },
            "last_sent": TIME, "constrain_rss_img": bool,
        },
        "report_summary?": {**SUMMARY, "ecommerce": SALES}, "delivery_status": {"enabled": bool},
    },
    "reports": {
        "id": str, "campaign_title": str, "type": str, **LISTED, "subject_line": str,
        "preview_text": str, "emails_sent": int, "abuse_reports": int, "unsubscribed": int,
        "send_time": TIME, "bounces": {
            "hard_bounces": int, "soft_bounces": int, "syntax_errors": int,
        },
        "forwards": {"forwards_count": int, "forwards_opens": int},
        "opens": {
            "opens_total": int, "proxy_excluded_opens": int, "unique_opens": int,
            "proxy_excluded_unique_opens": int, "open_rate": NUMBER,
            "proxy_excluded_open_rate": NUMBER, "last_open": TIME,
        },
        "clicks": {
            "clicks_total": int, "unique_clicks": int, "unique_subscriber_clicks": int,
            "click_rate": NUMBER, "last_click": TIME,
        },
        "facebook_likes": {"recipient_likes": int, "unique_likes": int, "facebook_likes": int},
        "industry_stats": {
            "type": str, "open_rate": NUMBER, "click_rate": NUMBER, "bounce_rate": NUMBER,
            "unopen_rate": NUMBER, "unsub_rate": NUMBER, "abuse_rate": NUMBER,
        },
        "list_stats": {
            "sub_rate": NUMBER, "unsub_rate": NUMBER, "open_rate": NUMBER,
            "proxy_excluded_open_rate": NUMBER, "click_rate": NUMBER,
        },
        "timeseries": [
            {
                "timestamp": TIME, "emails_sent": int, "unique_opens": int,
                "proxy_excluded_unique_opens": int, "recipients_clicks": int,
            }
        ],
        "ecommerce": {**SALES, "currency_code": str}, "delivery_status": {"enabled": bool},
    },
    "email_activity": {
        "campaign_id": str, "list_id": str, "list_is_active": bool, "email_id": str,
        "email_address": str,
        "activity": [
            {"action": str, "type?": str, "timestamp": TIME, "url?": str, "ip?": str}
        ],
    },
    "unsubscribes": {
        "email_id": str, "email_address": str, "merge_fields": dict, "vip": bool,
        "timestamp": TIME, "reason": str, "campaign_id": str, "list_id": str,
        "list_is_active": bool,
    },
    "automations": {
        "id": str, "create_time": TIME, "start_time": TIME, "status": str, "emails_sent": int,
        "recipients": {**LISTED, "segment_opts": dict, "store_id": str},
        "settings": {
            "title": str, "from_name": str, "reply_to": str, "use_conversation": bool,
            "to_name": str, "authenticate": bool, "auto_footer": bool, "inline_css": bool,
        },
        "tracking": TRACKING,
        "trigger_settings": {
            "workflow_type": str, "workflow_title": str,
            "runtime": {"days": [str], "hours": {"type": str}}, "workflow_emails_count": int,
        },
        "report_summary": SUMMARY,
    },
    "automation_emails": {
        "id": str, "web_id": int, "workflow_id": str, "position": int,
        "delay": {
            "amount": int, "type": str, "direction": str, "action": str,
            "action_description": str, "full_description": str,
        },
        "create_time": TIME, "start_time": TIME, "archive_url": str, "status": str,
        "emails_sent": int, "send_time": TIME, "content_type": str, "needs_block_refresh": bool,
        "has_logo_merge_tag": bool, "recipients": RECIPIENTS, "settings": CAMPAIGN_SETTINGS,
        "tracking": TRACKING, "report_summary": SUMMARY,
    },
    "webhooks": {
        "id": str, "url": str,
        "events": dict.fromkeys(WEBHOOK_FIELDS["events"], bool),
        "sources": dict.fromkeys(WEBHOOK_FIELDS["sources"], bool), "list_id": str,
    },
}  # fmt: skip
"""Fields of each object by the schema and the responses of the service; "?" ends the name of one
that may be absent, a list holds the form of its elements."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=5, now=1_790_000_000) as sandbox:
        sandbox.mailchimp.create_account("blue-room", size=300, months=5, lists=3)
        yield sandbox


@pytest.fixture(scope="module")
def account(sandbox: Sandbox) -> MailchimpAccount:
    account = sandbox.mailchimp.account("blue-room")
    account.economy.mutate(100, step=600)
    return account


def sdk_method(endpoint: Endpoint, position: int) -> tuple[list[str], str, str]:
    """Parameters, path and HTTP method of the SDK's method."""
    path, *methods = SDK[endpoint.stream]
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(f"mailchimp_marketing.api.{module}"), name)
    source = inspect.getsource(getattr(found, f"{methods[position]}_with_http_info"))
    parameters = re.search(r"all_params = \[(.*?)\]", source)
    call = re.search(r"call_api\(\s*'([^']+)', '(\w+)'", source)
    assert parameters is not None
    assert call is not None
    named = re.findall(r"'(\w+)'", parameters[1])
    return [one for one in named if f"{{{one}}}" not in call[1]], call[1], call[2]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.stream)
def test_a_list_takes_the_parameters_of_the_sdk_and_no_others(endpoint: Endpoint) -> None:
    parameters, path, method = sdk_method(endpoint, 0)
    published = set(parameters)
    if endpoint.stream == "tags":
        # The service takes them as well, though it does not say so.
        published |= {"count", "offset", "fields", "exclude_fields"}
    assert set(endpoint.parameters) == published
    assert (endpoint.path, method) == (path, "GET")


@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one.reads], ids=lambda endpoint: endpoint.stream
)
def test_a_single_object_takes_the_parameters_of_the_sdk_and_no_others(endpoint: Endpoint) -> None:
    parameters, path, method = sdk_method(endpoint, 1)
    projection = {"fields", "exclude_fields"} if endpoint.projected else set()
    assert {*projection, *endpoint.read_filters} == set(parameters)
    assert method == "GET"
    assert re.sub(r"/\{\w+\}$", "", path) == endpoint.path


@pytest.mark.parametrize("stream", STREAMS)
def test_every_body_has_the_published_fields_and_types_at_every_depth(
    account: MailchimpAccount, stream: str
) -> None:
    found = account.objects(stream)
    assert found
    wrong = [one for body in found for one in mismatches(body, PUBLISHED[stream], stream)]
    assert wrong == []


def mismatches(value: Any, expected: Any, path: str) -> Iterator[str]:
    """Where a body is not what was published."""
    if expected == TIME:
        if value and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", value):
            yield f"{path}: {value!r} is not a time"
    elif isinstance(expected, dict):
        names = {name.rstrip("?"): form for name, form in expected.items()}
        needed = {name for name in expected if not name.endswith("?")}
        yield from (f"{path}.{name} is not published" for name in value.keys() - names.keys())
        yield from (f"{path}.{name} is missing" for name in needed - value.keys())
        for name in value.keys() & names.keys():
            yield from mismatches(value[name], names[name], f"{path}.{name}")
    elif isinstance(expected, list):
        if not isinstance(value, list):
            yield f"{path}: {value!r:.60} is not a list"
            return
        for position, one in enumerate(value):
            yield from mismatches(one, expected[0], f"{path}[{position}]")
    elif not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        yield f"{path}: {value!r:.60} is not {expected}"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.stream)
def test_every_list_body_says_what_it_is_a_page_of(
    sandbox: Sandbox, account: MailchimpAccount, endpoint: Endpoint
) -> None:
    ids = path_ids(account, endpoint)
    path = endpoint.path.format_map(ids)
    body = ask(sandbox, account, path).json()
    parents = {"category_id": ids.get("interest_category_id", "")} | ids
    expected = {endpoint.items, *endpoint.envelope, "total_items"}
    if endpoint.links:
        expected.add("_links")
    if endpoint.stream == "lists":
        expected.add("constraints")
    assert body.keys() == expected
    for name in endpoint.envelope:
        assert body[name] == parents[name]
    if endpoint.stream == "webhooks":
        assert body["total_items"] == 0
        return
    for row in body[endpoint.items]:
        assert list(mismatches(without(row), shown(endpoint), endpoint.stream)) == []
        assert ("_links" in row) == endpoint.links
        if endpoint.links:
            own = next(link for link in row["_links"] if link["rel"] == "self")
            assert own["href"].endswith(f"/3.0{path}/{row[endpoint.key]}")
            assert {"rel", "href", "method"} <= own.keys()


def shown(endpoint: Endpoint) -> dict[str, Any]:
    """What a list shows of an object where nothing more is asked."""
    form = PUBLISHED[endpoint.stream]
    if endpoint.stream != "lists":
        return form
    stats = {name: one for name, one in form["stats"].items() if name != "total_contacts"}
    return {**form, "stats": stats}


@pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if one.reads and one.stream != "webhooks"],
    ids=lambda endpoint: endpoint.stream,
)
def test_a_single_object_is_what_the_list_shows(
    sandbox: Sandbox, account: MailchimpAccount, endpoint: Endpoint
) -> None:
    path = endpoint.path.format_map(path_ids(account, endpoint))
    row = ask(sandbox, account, path).json()[endpoint.items][-1]
    assert ask(sandbox, account, f"{path}/{row[endpoint.key]}").json() == row


def test_the_account_is_as_published(sandbox: Sandbox, account: MailchimpAccount) -> None:
    body = ask(sandbox, account, "/").json()
    assert list(mismatches(without(body), PUBLISHED["root"], "root")) == []
    assert body["account_id"] == account.id
    assert ask(sandbox, account, "/ping").json() == {"health_status": "Everything's Chimpy!"}


GLOSSARY = {
    400: {"Bad Request", "Invalid Resource", "JSON Parse Error"},
    401: {"API Key Missing", "API Key Invalid"},
    403: {"Forbidden", "User Disabled", "Wrong Datacenter"},
    404: {"Resource Not Found"},
    405: {"Method Not Allowed"},
    422: {"Requested Fields Invalid"},
    429: {"Too Many Requests"},
    500: {"Internal Server Error"},
    503: {"Service Unavailable"},
}


@pytest.mark.parametrize(
    ("status", "method", "path", "key"),
    [
        (400, "GET", "/lists?count=1001", None),
        (400, "GET", "/lists?colour=red", None),
        (401, "GET", "/lists", "nonsense"),
        (401, "GET", "/lists", ""),
        (403, "GET", "/lists", "elsewhere"),
        (404, "GET", "/lists/0000000000/members", None),
        (404, "GET", "/nothing", None),
        (405, "DELETE", "/lists", None),
        (422, "GET", "/lists?fields=colour", None),
        (429, "GET", "/lists", None),
        (500, "GET", "/lists", None),
        (503, "GET", "/lists", None),
    ],
)
def test_every_error_is_a_problem_as_published(
    sandbox: Sandbox, account: MailchimpAccount, status: int, method: str, path: str,
    key: str | None,
) -> None:  # fmt: skip
    sandbox.faults.clear()
    if status == 429:
        sandbox.faults.add(make_fault("rate_limited", provider="mailchimp"))
    if status in (500, 503):
        sandbox.faults.add(make_fault("server_error", provider="mailchimp", status=status))
    if key == "elsewhere":
        key = account.api_key.replace("-us21", "-us7")
    response = ask(sandbox, account, path, method=method, key=key)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    body = response.json()
    form = {
        "type": str, "title": str, "status": int, "detail": str, "instance": str,
        "errors?": [{"field": str, "message": str}],
    }  # fmt: skip
    assert list(mismatches(body, form, "problem")) == []
    assert body["status"] == status
    assert body["title"] in GLOSSARY[status]
    assert ("errors" in body) == (body["title"] == "Invalid Resource")
    assert ("Allow" in response.headers) == (status == 405)


def test_the_limit_of_simultaneous_connections_is_told_in_the_words_of_the_glossary(
    sandbox: Sandbox, account: MailchimpAccount
) -> None:
    sandbox.faults.clear()
    sandbox.limits.set(account.id, Limit(rate=1))
    try:
        answers = [ask(sandbox, account, "/ping") for _ in range(3)]
    finally:
        sandbox.limits.set(account.id, None)
    refused = next(one for one in answers if one.status_code == 429)
    detail = "You have exceeded the limit of 10 simultaneous connections."
    assert refused.json()["detail"] == detail


def test_webhook_events_are_those_of_the_published_forms() -> None:
    path = REFERENCE / "mailchimp" / "form_bodies.json"
    if not path.exists():
        pytest.skip(f"{path} is absent: set PROVIDER_REFERENCE to the published material")
    assert set(WEBHOOK_FIELDS["events"]) == json.loads(path.read_text())["events"].keys()


def test_every_stream_is_held_to_what_is_published() -> None:
    assert set(STREAMS) | {"root", "webhooks"} == PUBLISHED.keys()
    assert BY_STREAM.keys() == SDK.keys()


def path_ids(account: MailchimpAccount, endpoint: Endpoint) -> dict[str, str]:
    """Ids for the places in a path that lead to a list with rows."""
    wanted = "interest_categories" if endpoint.stream == "webhooks" else endpoint.stream
    parent = next((one for one in account.ids(wanted) if "/" in one), "/").rpartition("/")[0]
    if endpoint.stream == "interests":
        owner = next(
            id.split("/")[0] for id in account.ids("interest_categories") if id.endswith(parent)
        )
        return {"list_id": owner, "interest_category_id": parent}
    return dict.fromkeys(("list_id", "campaign_id", "workflow_id"), parent)


def ask(
    sandbox: Sandbox, account: MailchimpAccount, path: str, *, method: str = "GET",
    key: str | None = None,
) -> requests.Response:  # fmt: skip
    url = f"{sandbox.base_url}/mailchimp/3.0{path}"
    key = account.api_key if key is None else key
    return requests.request(method, url, auth=("any", key), timeout=10)


def without(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_links"}
