"""How the stand-in of Mailchimp answers: keys, lists, filters, refusals, and its official SDK."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import mailchimp_marketing
import pytest
import requests
from mailchimp_marketing.api_client import ApiClientError

from provider_sandbox import Limit, Sandbox, running_sandbox
from provider_sandbox.faults import make_fault
from provider_sandbox.mailchimp import MailchimpAccount, subscriber_hash
from provider_sandbox.mailchimp.endpoints import BY_STREAM, STREAMS

NOW = 1_790_000_000
Get = Callable[..., requests.Response]


def client_of(
    sandbox: Sandbox, account: MailchimpAccount, **credential: str
) -> mailchimp_marketing.Client:
    given = credential or {"api_key": account.api_key}
    client = mailchimp_marketing.Client({"server": account.dc, **given})
    client.api_client.host = f"{sandbox.base_url}/mailchimp/3.0"
    return client


@pytest.fixture(scope="module")
def read_sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=1, now=NOW) as sandbox:
        sandbox.mailchimp.create_account("blue-room", size=300, months=4, lists=3)
        yield sandbox


@pytest.fixture(scope="module")
def read_account(read_sandbox: Sandbox) -> MailchimpAccount:
    """An account that nothing may change."""
    return read_sandbox.mailchimp.account("blue-room")


@pytest.fixture(scope="module")
def client(read_sandbox: Sandbox, read_account: MailchimpAccount) -> mailchimp_marketing.Client:
    return client_of(read_sandbox, read_account)


@pytest.fixture
def account(sandbox: Sandbox) -> MailchimpAccount:
    """A small account that a test may change."""
    return sandbox.mailchimp.create_account("red-room", size=60, months=1)


def getter(sandbox: Sandbox, account: MailchimpAccount, session: requests.Session) -> Get:
    session.auth = ("any", account.api_key)

    def get(path: str, **query: object) -> requests.Response:
        url = f"{sandbox.base_url}/mailchimp/3.0{path}"
        return session.get(url, params=query, timeout=10)

    return get


@pytest.fixture(scope="module")
def read(read_sandbox: Sandbox, read_account: MailchimpAccount) -> Iterator[Get]:
    """``read(path, **query)`` with the large account's key."""
    with requests.Session() as session:
        yield getter(read_sandbox, read_account, session)


@pytest.fixture
def get(sandbox: Sandbox, account: MailchimpAccount) -> Iterator[Get]:
    """``get(path, **query)`` with the small account's key."""
    with requests.Session() as session:
        yield getter(sandbox, account, session)


def pages(list_page: Callable[..., Any], items: str, *ids: str, **query: Any) -> list[Any]:
    """All rows of a list by the official SDK, less `_links`, page by page."""
    rows: list[Any] = []
    while True:
        page = list_page(*ids, count=70, offset=len(rows), **query)
        rows += page[items]
        if not page[items] or len(rows) >= page["total_items"]:
            return [without_links(row) for row in rows]


def without_links(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_links"}


def listed(client: mailchimp_marketing.Client, account: MailchimpAccount, stream: str) -> list[Any]:
    """Every object of a stream, as a client of the API finds them."""
    lists = account.ids("lists")
    match stream:
        case "lists":
            return pages(client.lists.get_all_lists, "lists", include_total_contacts=True)
        case "members":
            return [
                row
                for id in lists
                for more in ({}, {"status": "archived"})
                for row in pages(client.lists.get_list_members_info, "members", id, **more)
            ]
        case "merge_fields":
            each = client.lists.get_list_merge_fields
            return [row for id in lists for row in pages(each, "merge_fields", id)]
        case "segments":
            each = client.lists.list_segments
            return [row for id in lists for row in pages(each, "segments", id)]
        case "tags":
            return [row for id in lists for row in client.lists.tag_search(id)["tags"]]
        case "interest_categories":
            each = client.lists.get_list_interest_categories
            return [row for id in lists for row in pages(each, "categories", id)]
        case "interests":
            each = client.lists.list_interest_category_interests
            return [
                row
                for id in account.ids("interest_categories")
                for row in pages(each, "interests", *id.split("/"))
            ]
        case "campaigns":
            return pages(client.campaigns.list, "campaigns")
        case "reports":
            return pages(client.reports.get_all_campaign_reports, "reports")
        case "email_activity":
            each = client.reports.get_email_activity_for_campaign
            return [row for id in account.ids("reports") for row in pages(each, "emails", id)]
        case "unsubscribes":
            each = client.reports.get_unsubscribed_list_for_campaign
            return [row for id in account.ids("reports") for row in pages(each, "unsubscribes", id)]
        case "automations":
            return pages(client.automations.list, "automations")
        case _:
            return [
                without_links(row)
                for id in account.ids("automations")
                for row in client.automations.list_all_workflow_emails(id)["emails"]
            ]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_official_sdk_lists_every_stream_as_the_ledger_has_it(
    client: mailchimp_marketing.Client, read_account: MailchimpAccount, stream: str
) -> None:
    true = read_account.objects(stream)
    assert true

    def order(row: dict[str, Any]) -> str:
        return repr(sorted(row.items(), key=lambda item: item[0]))

    assert sorted(listed(client, read_account, stream), key=order) == sorted(true, key=order)


def test_the_official_sdk_reads_single_objects_the_account_and_a_members_tags(
    client: mailchimp_marketing.Client, read_account: MailchimpAccount
) -> None:
    account = read_account
    assert client.ping.get() == {"health_status": "Everything's Chimpy!"}
    assert client.root.get_root()["account_id"] == account.id
    tagged = next(one for one in account.objects("members") if one["tags"])
    list_id, id = tagged["list_id"], tagged["id"]
    for name in (id, tagged["email_address"], tagged["contact_id"]):
        assert without_links(client.lists.get_list_member(list_id, name)) == tagged
    tags = client.lists.get_list_member_tags(list_id, id)["tags"]
    assert [{"id": tag["id"], "name": tag["name"]} for tag in tags] == tagged["tags"]
    assert all(tag["date_added"] for tag in tags)
    campaign = account.objects("campaigns")[0]
    assert without_links(client.campaigns.get(campaign["id"])) == campaign
    report = account.objects("reports")[0]
    assert without_links(client.reports.get_campaign_report(report["id"])) == report


def test_keys_are_taken_as_basic_and_tokens_as_bearer_and_oauth(
    sandbox: Sandbox, account: MailchimpAccount
) -> None:
    url = f"{sandbox.base_url}/mailchimp/3.0/"
    assert requests.get(url, auth=("", account.api_key), timeout=5).json()["login_id"]
    for scheme in ("Bearer", "OAuth"):
        headers = {"Authorization": f"{scheme} {account.access_token}"}
        assert requests.get(url, headers=headers, timeout=5).json()["account_id"] == account.id
    client = client_of(sandbox, account, access_token=account.access_token)
    assert client.root.get_root()["account_id"] == account.id


def test_oauth_metadata_names_the_data_centre_and_tells_a_bad_token_with_status_200(
    sandbox: Sandbox, account: MailchimpAccount
) -> None:
    def ask(token: str) -> requests.Response:
        url = f"{sandbox.base_url}/mailchimp/oauth2/metadata"
        return requests.get(url, headers={"Authorization": f"OAuth {token}"}, timeout=5)

    told = ask(account.access_token).json()
    assert told["dc"] == "us21"
    assert told["api_endpoint"] == "https://us21.api.mailchimp.com"
    assert told["accountname"] == "Red Room"
    sandbox.mailchimp.revoke_key(account.access_token)
    for token in ("nonsense", account.access_token, account.api_key):
        answer = ask(token)
        assert (answer.status_code, answer.json()) == (200, {"error": "invalid_token"})


@pytest.mark.parametrize(
    ("state", "status", "title"),
    [
        ("nonsense", 401, "API Key Invalid"),
        ("revoked", 401, "API Key Invalid"),
        ("elsewhere", 403, "Wrong Datacenter"),
        ("disabled", 403, "User Disabled"),
    ],
)
def test_the_official_sdk_tells_keys_that_open_nothing_apart(
    sandbox: Sandbox, account: MailchimpAccount, state: str, status: int, title: str
) -> None:
    key = account.api_key
    match state:
        case "nonsense":
            key = "0123456789abcdef0123456789abcdef-us21"
        case "elsewhere":
            key = key.replace("-us21", "-us7")
        case "revoked":
            sandbox.mailchimp.revoke_key(key)
        case "disabled":
            account.disabled = True
    with pytest.raises(ApiClientError) as raised:
        client_of(sandbox, account, api_key=key).lists.get_all_lists()
    assert raised.value.status_code == status
    assert f'"title":"{title}"' in raised.value.text


def test_a_throttle_is_a_bare_403_that_is_no_problem_body(
    sandbox: Sandbox, account: MailchimpAccount, get: Get
) -> None:
    sandbox.faults.add(make_fault("throttled_403", provider="mailchimp", account=account.id))
    throttled = get("/lists")
    assert throttled.status_code == 403
    assert throttled.headers["Content-Type"] == "text/html"
    assert b"Access Denied" in throttled.content
    assert get("/lists").status_code == 200


def test_the_eleventh_request_at_once_is_refused(
    sandbox: Sandbox, account: MailchimpAccount
) -> None:
    sandbox.limits.set(account.id, Limit(concurrency=10))
    sandbox.faults.add(make_fault("slow", provider="mailchimp", seconds=1, times=None))
    url = f"{sandbox.base_url}/mailchimp/3.0/ping"
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(requests.get(url, auth=("", account.api_key), timeout=5).status_code)

    threads = [threading.Thread(target=ask) for _ in range(11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 10 + [429]


# Pages and what is hidden by default


def test_a_page_has_ten_rows_unless_more_are_asked_for_and_at_most_a_thousand(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]
    path = f"/lists/{list_id}/members"
    assert len(read(path).json()["members"]) == 10
    assert len(read("/campaigns").json()["campaigns"]) == 10
    assert len(read(path, count=1000).json()["members"]) > 100
    assert read(path, count=0).json()["members"] == []
    for wrong in (1001, -1, "ten"):
        assert read(path, count=wrong).json()["errors"][0]["field"] == "count"
    assert read(path, offset=-1).status_code == 400
    total = read(path).json()["total_items"]
    assert read(path, offset=total).json()["members"] == []
    assert read(path, offset=total - 3).json()["total_items"] == total


def test_archived_members_are_in_no_list_that_does_not_ask_for_them(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]
    true = read_account.objects("members", list_id)
    statuses = {one["status"] for one in true}
    assert statuses >= {"subscribed", "unsubscribed", "cleaned", "archived"}

    def ids(**query: object) -> set[str]:
        found = read(f"/lists/{list_id}/members", count=1000, **query).json()
        assert found["total_items"] == len(found["members"])
        return {one["id"] for one in found["members"]}

    assert ids() == {one["id"] for one in true if one["status"] != "archived"}
    assert ids(since_last_changed="2000-01-01T00:00:00Z") == ids()
    for status in ("subscribed", "unsubscribed", "cleaned", "archived", "pending"):
        assert ids(status=status) == {one["id"] for one in true if one["status"] == status}


def test_every_campaign_is_listed_whatever_its_status_and_only_sent_ones_have_a_report(
    read: Get, read_account: MailchimpAccount
) -> None:
    campaigns = read("/campaigns", count=1000).json()["campaigns"]
    assert {one["id"] for one in campaigns} == set(read_account.ids("campaigns"))
    by_status = {one["status"]: one["id"] for one in campaigns}
    assert by_status.keys() >= {"save", "schedule", "sending", "sent"}
    reports = read("/reports", count=1000).json()["reports"]
    assert {one["id"] for one in reports} == set(read_account.ids("reports"))
    draft = by_status["save"]
    assert draft not in read_account.ids("reports")
    assert read(f"/reports/{draft}").json()["send_time"] == ""
    empty = read(f"/reports/{draft}/email-activity").json()
    assert (empty["emails"], empty["total_items"]) == ([], 0)
    assert read("/reports/0000000000/email-activity").status_code == 404


def test_a_list_counts_all_its_contacts_only_when_asked(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]
    assert "total_contacts" not in read(f"/lists/{list_id}").json()["stats"]
    assert "total_contacts" not in read("/lists").json()["lists"][0]["stats"]
    told = read(f"/lists/{list_id}", include_total_contacts="true").json()["stats"]
    assert told["total_contacts"] == len(read_account.ids("members", list_id))


def test_a_segment_counts_those_who_cannot_be_written_to_only_when_asked(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]
    path = f"/lists/{list_id}/segments"
    members = read_account.objects("members", list_id)
    for segment in read(path, count=1000, type="static").json()["segments"]:
        held = [
            one["status"] for one in members if segment["id"] in {tag["id"] for tag in one["tags"]}
        ]
        assert segment["member_count"] == held.count("subscribed")
        asked = read(
            f"{path}/{segment['id']}", include_cleaned="true", include_unsubscribed="True"
        ).json()
        counted = [held.count(status) for status in ("subscribed", "cleaned", "unsubscribed")]
        assert asked["member_count"] == sum(counted)


# Filters and orders


def test_since_leaves_its_second_out_and_before_takes_it_in(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]
    shown = [one for one in read_account.objects("members", list_id) if one["status"] != "archived"]
    for name in ("last_changed", "timestamp_opt"):
        times = sorted(one[name] for one in shown if one[name])
        at = times[len(times) // 2]

        def found(name: str = name, **query: object) -> list[str]:
            rows = read(f"/lists/{list_id}/members", count=1000, **query).json()["members"]
            return sorted(one[name] for one in rows)

        assert found(**{f"since_{name}": at}) == [one for one in times if one > at]
        assert found(**{f"before_{name}": at}) == [one for one in times if one <= at]
        zoned = at.replace("+00:00", "Z")
        assert found(**{f"since_{name}": zoned, f"before_{name}": zoned}) == []
    sent = sorted(one["send_time"] for one in read_account.objects("reports"))
    rows = read("/reports", count=1000, since_send_time=sent[3]).json()["reports"]
    assert sorted(one["send_time"] for one in rows) == [one for one in sent if one > sent[3]]


def test_a_time_whose_plus_was_not_encoded_is_refused(
    read_sandbox: Sandbox, read_account: MailchimpAccount
) -> None:
    url = f"{read_sandbox.base_url}/mailchimp/3.0/campaigns"
    for query, status in (
        ("since_create_time=2026-08-01T00:00:00+00:00", 400),
        ("since_create_time=2026-08-01T00:00:00%2B00:00", 200),
        ("since_create_time=yesterday", 400),
    ):
        answer = requests.get(f"{url}?{query}", auth=("", read_account.api_key), timeout=5)
        assert answer.status_code == status


def test_rows_come_in_the_order_asked_for_and_else_as_they_were_made(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]

    def times(path: str, items: str, field: str, **query: object) -> list[str]:
        return [one[field] for one in read(path, count=1000, **query).json()[items]]

    members = f"/lists/{list_id}/members"
    for field in ("last_changed", "timestamp_opt", "timestamp_signup"):
        up = times(members, "members", field, sort_field=field, sort_dir="ASC")
        assert up == sorted(up)
        down = times(members, "members", field, sort_field=field, sort_dir="DESC")
        assert down == up[::-1]
    assert len(set(up)) < len(up)
    made = times(members, "members", "web_id")
    assert made == sorted(made)
    sent = times("/reports", "reports", "send_time")
    assert sent == sorted(sent, reverse=True)
    created = times("/campaigns", "campaigns", "create_time")
    assert created == sorted(created)
    names = times(f"/lists/{list_id}/tag-search", "tags", "name")
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [("email_type", "text", "email_type"), ("vip_only", "true", "vip")],
)
def test_members_are_chosen_by_a_field(
    read: Get, read_account: MailchimpAccount, name: str, value: str, field: str
) -> None:
    list_id = read_account.ids("lists")[0]
    rows = read(f"/lists/{list_id}/members", count=1000, **{name: value}).json()["members"]
    assert rows
    expected = True if value == "true" else value
    true = read_account.objects("members", list_id)
    assert {one["id"] for one in rows} == {
        one["id"] for one in true if one[field] == expected and one["status"] != "archived"
    }


def test_members_are_chosen_by_interests_and_by_when_they_left(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]
    path = f"/lists/{list_id}/members"
    true = [one for one in read_account.objects("members", list_id) if one["status"] != "archived"]
    category = read_account.ids("interest_categories", list_id)[0].split("/")[1]
    groups = [one.split("/")[1] for one in read_account.ids("interests", category)][:2]
    query = {"interest_category_id": category, "interest_ids": ",".join(groups), "count": 1000}
    for match, holds in (("any", any), ("all", all), ("none", lambda held: not any(held))):
        rows = read(path, interest_match=match, **query).json()["members"]
        assert {one["id"] for one in rows} == {
            one["id"] for one in true if holds([one["interests"][group] for group in groups])
        }
    assert read(path, interest_ids=groups[0]).status_code == 400
    left = {one["id"]: one for one in true if one["status"] == "unsubscribed"}
    rows = read(path, count=1000, unsubscribed_since="2000-01-01T00:00:00Z").json()["members"]
    assert {one["id"] for one in rows} == left.keys()
    refused = read(path, status="subscribed", unsubscribed_since="2000-01-01T00:00:00Z")
    assert refused.status_code == 400
    assert read(path, since_last_campaign="true").status_code == 400
    assert read(path, since_last_campaign="true", status="subscribed").status_code == 200


def test_lists_and_campaigns_are_found_by_a_member(
    read: Get, read_account: MailchimpAccount
) -> None:
    row = read_account.objects("email_activity")[0]
    campaigns = read("/campaigns", count=1000, member_id=row["email_id"]).json()["campaigns"]
    assert {one["id"] for one in campaigns} == {
        one["campaign_id"]
        for one in read_account.objects("email_activity")
        if one["email_id"] == row["email_id"]
    }
    lists = read("/lists", email=row["email_address"].upper()).json()["lists"]
    assert [one["id"] for one in lists] == [row["list_id"]]
    assert read("/lists", has_ecommerce_store="true").json()["lists"] == []


def test_tags_are_found_by_how_they_begin_and_all_come_when_none_is_named(
    read: Get, read_account: MailchimpAccount
) -> None:
    list_id = read_account.ids("lists")[0]
    path = f"/lists/{list_id}/tag-search"
    found = read(path, name="vip").json()
    assert [one["name"] for one in found["tags"]] == ["VIP guests"]
    everything = read(path).json()
    assert everything["total_items"] == len(read_account.ids("tags", list_id))
    assert read(path, count=2, offset=1).json()["tags"] == everything["tags"][1:3]


def test_since_leaves_events_out_of_email_activity_but_no_recipient(
    read: Get, read_account: MailchimpAccount
) -> None:
    campaign = max(
        read_account.ids("reports"),
        key=lambda id: len(read_account.ids("email_activity", id)),
    )
    true = read_account.objects("email_activity", campaign)
    times = sorted(one["timestamp"] for row in true for one in row["activity"])
    at = times[len(times) // 2]
    body = read(f"/reports/{campaign}/email-activity", count=1000, since=at).json()
    assert body["total_items"] == len(body["emails"]) == len(true)
    shown = sorted(one["timestamp"] for row in body["emails"] for one in row["activity"])
    assert shown == [one for one in times if one > at]
    one = next(row for row in true if row["activity"])
    alone = read(f"/reports/{campaign}/email-activity/{one['email_id']}", since=at).json()
    assert alone["activity"] == [event for event in one["activity"] if event["timestamp"] > at]


# Chosen fields


def test_fields_are_all_that_is_shown(read: Get, read_account: MailchimpAccount) -> None:
    list_id = read_account.ids("lists")[0]
    path = f"/lists/{list_id}/members"
    body = read(path, fields="members.id,members.tags.name,members.location.latitude,total_items")
    assert body.json().keys() == {"members", "total_items"}
    for member in body.json()["members"]:
        assert member.keys() == {"id", "tags", "location"}
        assert member["location"].keys() == {"latitude"}
        assert all(tag.keys() == {"name"} for tag in member["tags"])
    assert read(path, fields="total_items").json().keys() == {"total_items"}
    whole = read(path, fields="members").json()["members"]
    assert whole == read(path).json()["members"]
    one = whole[0]["id"]
    assert read(f"{path}/{one}", fields="id,stats").json().keys() == {"id", "stats"}


def test_excluded_fields_are_left_out(read: Get, read_account: MailchimpAccount) -> None:
    list_id = read_account.ids("lists")[0]
    path = f"/lists/{list_id}/members"
    body = read(path, exclude_fields="members._links,_links,members.stats.avg_open_rate").json()
    assert body.keys() == {"members", "list_id", "total_items"}
    for member in body["members"]:
        assert "_links" not in member
        assert member["stats"].keys() == {"avg_click_rate"}
    first = read_account.find("members", f"{list_id}/{body['members'][0]['id']}")
    assert first is not None
    del first["stats"]["avg_open_rate"]
    assert body["members"][0] == first
    one = read(f"{path}/{first['id']}", exclude_fields="_links,stats.avg_open_rate").json()
    assert one == first
    links = read(path, exclude_fields="members._links.rel").json()["members"][0]["_links"]
    assert {"href", "method"} <= links[0].keys() <= {"href", "method", "targetSchema"}
    assert read(path, exclude_fields="colour").status_code == 422


# Refusals


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/lists?since_create_time=2026-01-01T00:00:00Z", "since_create_time"),
        ("/lists?sort_field=name", "sort_field"),
        ("/lists?sort_field=date_created&sort_dir=asc", "sort_dir"),
        ("/lists?has_ecommerce_store=maybe", "has_ecommerce_store"),
        ("/campaigns?status=draft", "status"),
        ("/campaigns?type=newsletter", "type"),
        ("/campaigns?limit=10", "limit"),
        ("/reports?sort_field=send_time", "sort_field"),
        ("/reports?status=sent", "status"),
        ("/automations?status=sent", "status"),
        ("/ping?count=1", "count"),
        ("/?count=1", "count"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(read: Get, path: str, field: str) -> None:
    answer = read(path)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "path",
    [
        "/lists/0000000000",
        "/lists/0000000000/segments",
        "/lists/LIST/members/0123456789abcdef0123456789abcdef",
        "/lists/LIST/interest-categories/0000000000/interests",
        "/lists/LIST/growth",
        "/campaigns/0000000000",
        "/reports/0000000000",
        "/automations/0000000000/emails",
        "/members",
        "/lists/LIST/members/a/b/c",
    ],
)
def test_what_does_not_exist_is_not_found(
    read: Get, read_account: MailchimpAccount, path: str
) -> None:
    answer = read(path.replace("LIST", read_account.ids("lists")[0]))
    assert (answer.status_code, answer.json()["title"]) == (404, "Resource Not Found")


def test_a_category_of_another_list_is_not_found(read: Get, read_account: MailchimpAccount) -> None:
    first, second = read_account.ids("lists")[:2]
    category = read_account.ids("interest_categories", first)[0].split("/")[1]
    for list_id, status in ((first, 200), (second, 404)):
        path = f"/lists/{list_id}/interest-categories/{category}/interests"
        assert read(path).status_code == status


# Webhooks


def test_webhooks_are_added_listed_and_removed_by_the_official_sdk(
    sandbox: Sandbox, account: MailchimpAccount
) -> None:
    client = client_of(sandbox, account)
    list_id = account.ids("lists")[0]
    body = {
        "url": "https://hooks.example/a", "events": {"subscribe": True, "upemail": True},
        "sources": {"api": True},
    }  # fmt: skip
    made = client.lists.create_list_webhook(list_id, body)
    assert made["events"]["subscribe"]
    assert not made["events"]["campaign"]
    assert client.lists.get_list_webhooks(list_id)["webhooks"] == [made]
    assert client.lists.get_list_webhook(list_id, made["id"]) == made
    wrong: tuple[dict[str, Any], ...] = (
        body, {"url": "ftp://x"}, {"url": "https://b.example", "secret": "s"},
        {"url": "https://b.example", "events": {"sale": True}},
        {"url": "https://b.example", "events": {"subscribe": "yes"}},
    )  # fmt: skip
    for refused in wrong:
        with pytest.raises(ApiClientError) as raised:
            client.lists.create_list_webhook(list_id, refused)
        assert raised.value.status_code == 400
    client.lists.delete_list_webhook(list_id, made["id"])
    assert client.lists.get_list_webhooks(list_id)["webhooks"] == []


# Faults


def test_faults_strike_pages_and_a_client_sees_what_they_say(
    sandbox: Sandbox, account: MailchimpAccount, get: Get
) -> None:
    list_id = account.ids("lists")[0]
    path = f"/lists/{list_id}/members"
    whole = get(path, count=5).json()

    def struck(kind: str, **settings: Any) -> requests.Response:
        sandbox.faults.clear()
        pattern = f"/3.0{path}"
        sandbox.faults.add(make_fault(kind, provider="mailchimp", path=pattern, **settings))
        return get(path, count=5)

    assert struck("drop_page").json()["members"] == get(path, count=5, offset=5).json()["members"]
    assert len(struck("drop_row").json()["members"]) == 4
    empty = struck("empty").json()
    assert (empty["members"], empty["total_items"]) == ([], 0)
    assert struck("wrong_type", variant="null_data").json()["members"] is None
    assert struck("wrong_type", variant="row").json()["members"][-1] == "row"
    assert "members" not in struck("wrong_type", variant="no_data").json()
    assert "total_items" not in struck("wrong_type", variant="no_has_more").json()
    assert struck("unauthorized").json()["title"] == "API Key Invalid"
    assert struck("server_error", status=503).status_code == 503
    limited = struck("rate_limited", retry_after=2)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "2")
    assert struck("loop").json()["members"] == whole["members"]
    assert get(path, count=5, offset=5).json()["members"] == whole["members"]
    sandbox.faults.clear()
    sandbox.faults.add(make_fault("duplicates", provider="mailchimp"))
    get(path, count=5)
    assert get(path, count=5, offset=5).json()["members"][0] == whole["members"][-1]


def test_a_shift_adds_rows_or_takes_them_off_the_head_of_the_list(
    sandbox: Sandbox, account: MailchimpAccount, get: Get
) -> None:
    list_id = account.ids("lists")[0]
    path = f"/lists/{list_id}/members"
    first = get(path, count=5).json()
    following = get(path, count=5, offset=5).json()["members"]
    sandbox.faults.add(make_fault("shift", provider="mailchimp", path=f"*{path}", count=-2))
    second = get(path, count=5, offset=5).json()
    assert second["members"][:3] == following[2:]
    assert second["total_items"] == first["total_items"] - 2
    sandbox.faults.add(make_fault("shift", provider="mailchimp", path="*/reports", count=1))
    newest = get("/reports", count=1).json()["reports"][0]["id"]
    assert newest == account.ids("reports")[-1]


@pytest.mark.parametrize(
    "stream", [one for one in STREAMS if one not in ("email_activity", "automation_emails")]
)
def test_any_list_grows_and_shrinks_under_the_reader(
    sandbox: Sandbox, account: MailchimpAccount, get: Get, stream: str
) -> None:
    if stream == "unsubscribes":
        account.economy.do("opt_out", account.ids("reports")[0])
    parent = account.ids(stream)[-1].rpartition("/")[0]
    names = dict.fromkeys(("list_id", "campaign_id", "interest_category_id"), parent)
    if stream == "interests":
        owner = next(one for one in account.ids("interest_categories") if one.endswith(parent))
        names["list_id"] = owner.split("/")[0]
    path = BY_STREAM[stream].path.format_map(names)
    before = get(path).json()["total_items"]
    for count, expected in ((2, before + 2), (-1, before + 1)):
        sandbox.faults.add(
            make_fault("shift", provider="mailchimp", path=f"/3.0{path}", count=count)
        )
        if (count, stream) not in ((-1, "unsubscribes"), (-1, "automations")):
            assert get(path).json()["total_items"] == expected


# Control


def test_the_control_api_creates_changes_and_tells(sandbox: Sandbox) -> None:
    base = f"{sandbox.base_url}/_sandbox/mailchimp/accounts"
    made = requests.post(
        base, json={"slug": "new-room", "size": 30, "months": 1}, timeout=10
    ).json()
    account = sandbox.mailchimp.account("new-room")
    assert made["account_id"] == account.id
    assert made["api_key"].endswith("-us21")
    url = f"{base}/new-room"
    member = account.ids("members")[0]
    done = requests.post(
        f"{url}/mutations", json={"do": "edit_member", "arguments": [member]}, timeout=5
    ).json()
    assert done == {"stream": "members", "id": member}
    requests.post(f"{url}/mutations", json={"count": 3, "kinds": ["archive"]}, timeout=5)
    requests.post(
        f"{url}/mutations", json={"delete": {"stream": "members", "id": member}}, timeout=5
    )
    told = requests.get(f"{url}/streams/members", params={"objects": "true"}, timeout=5).json()
    assert told["objects"] == account.objects("members")
    assert told["sums"]["archived"] >= 3
    assert member in told["deleted"]
    now = account.clock.now()
    clock = requests.post(f"{url}/clock", json={"advance": 3600}, timeout=5).json()
    assert clock == {"now": now + 3600, "is_set": True}
    requests.post(f"{url}/state", json={"disabled": True}, timeout=5)
    answer = requests.get(
        f"{sandbox.base_url}/mailchimp/3.0/lists", auth=("", made["api_key"]), timeout=5
    )
    assert answer.status_code == 403
    assert requests.delete(f"{url}/keys", timeout=5).json() == {"revoked": 2}
    assert requests.get(f"{url}/streams/nothing", timeout=5).status_code == 404


def test_streams_are_filled_without_a_history_and_paged_like_any(sandbox: Sandbox) -> None:
    account = sandbox.mailchimp.create_account(
        "big", only={"members": 30_000, "email_activity": 2_000, "campaigns": 500}
    )
    with requests.Session() as session:
        get = getter(sandbox, account, session)
        list_id = account.ids("lists")[0]
        path = f"/lists/{list_id}/members"
        body = get(path, count=1000, offset=29_500).json()
        assert (len(body["members"]), body["total_items"]) == (500, 30_000)
        last = body["members"][-1]
        assert last["id"] == subscriber_hash(last["email_address"])
        assert without_links(last) == account.objects("members")[-1]
        since = last["last_changed"]
        assert get(path, since_last_changed=since).json()["total_items"] == 0
        account.economy.mutate(3, kinds=["subscribe", "edit", "archive"])
        newer = get(path, since_last_changed=since, sort_field="last_changed", sort_dir="ASC")
        shown = [one for one in account.objects("members") if one["last_changed"] > since]
        kept = {one["id"] for one in shown if one["status"] != "archived"}
        assert {one["id"] for one in newer.json()["members"]} == kept
        campaign = account.ids("reports")[0]
        activity = get(f"/reports/{campaign}/email-activity", count=1000, offset=1500).json()
        assert len(activity["emails"]) == 500
        assert get("/campaigns").json()["total_items"] == 500
    with pytest.raises(ValueError, match="without a history"):
        sandbox.mailchimp.create_account("wrong", only={"segments": 3})
