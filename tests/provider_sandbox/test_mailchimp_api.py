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
