"""What is particular to Mailchimp: data centres, its throttle, moving lists, what vanishes."""

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine

from integration_pipelines.core.errors import AccessRevoked, MalformedResponse, NotFound
from integration_pipelines.core.ingest import take_census, unconnected_client
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import RetryPolicy
from integration_pipelines.providers.mailchimp import LIMITS, MailchimpCredentials, client
from provider_sandbox import Sandbox
from provider_sandbox.faults import Html, Reset, ServerError, Slow, Throttled403, Truncated
from provider_sandbox.mailchimp import MailchimpAccount
from provider_sandbox.messages import Request
from tests.connected import ConnectedVenue, connect_account
from tests.faults.moments import Meanwhile
from tests.providers.mailchimp.conftest import (
    MAILCHIMP,
    ConnectMailchimp,
    differences,
    open_account,
    truth_of,
)

PERSISTENT = RetryPolicy(attempts=12, base=0.001, cap=0.01)


@pytest.fixture
def account(sandbox: Sandbox) -> MailchimpAccount:
    return open_account(sandbox, size=60, lists=2)


@pytest.fixture
def hall(connect_mailchimp: ConnectMailchimp, account: MailchimpAccount) -> ConnectedVenue:
    return connect_mailchimp({"api_key": account.api_key})


def failures(results: dict[str, Any]) -> dict[str, str]:
    return {name: result.error_kind for name, result in results.items() if result.error_kind}


@pytest.mark.parametrize(
    "label",
    [
        *(
            "x@evil.example/",
            "169.254.169.254#",
            "us21.evil.example",
            "us21/..",
            "us21:443",
            "us21?",
        ),
        *(
            "US21",
            "us",
            "21",
            "us21 ",
            "us21\n",
            "us21%2f",
            "localhost",
            "",
            "\uff55\uff5321",
            "us\u0662\u0661",
        ),
    ],
)
@pytest.mark.parametrize("credential", ["api_key", "dc"])
def test_fault_23_a_label_that_is_no_data_centre_is_refused_before_anything_is_sent(
    label: str, credential: str
) -> None:
    given = (
        {"api_key": f"canary0123456789-{label}"}
        if credential == "api_key"
        else {"access_token": "canary0123456789", "dc": label}
    )
    if credential == "dc" and label == "":
        given["dc"] = " "
    with pytest.raises(ValidationError, match="data centre is to be letters and digits") as refused:
        MailchimpCredentials.model_validate(given)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"dc": "x@evil.example/"}, MalformedResponse),
        ({"dc": 21}, MalformedResponse),
        ({"api_endpoint": "https://evil.example"}, MalformedResponse),
        ({"error": "invalid_token"}, AccessRevoked),
    ],
)
def test_fault_23_what_the_metadata_endpoint_says_is_checked_as_strictly(
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    sandbox: Sandbox,
    account: MailchimpAccount,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, Any],
    error: type[Exception],
) -> None:
    monkeypatch.setattr("provider_sandbox.mailchimp.shapes.metadata", lambda _account: told)
    base = f"{sandbox.base_url}/mailchimp"
    here = settings.model_copy(update={"mailchimp_api_base": base, "mailchimp_oauth_base": base})
    credentials = MailchimpCredentials.model_validate({"access_token": account.access_token})
    with pytest.raises(error) as refused:
        connect_account(here, pipeline_engine, MAILCHIMP, credentials, venue("hall"))
    assert account.access_token not in str(refused.value)
    assert [path for (_, _, _, path) in sandbox.requests if "/3.0" in path] == []


def test_an_invalid_token_is_told_by_the_metadata_endpoint_with_status_200(
    connect_mailchimp: ConnectMailchimp,
) -> None:
    with pytest.raises(AccessRevoked, match="reconnect the account"):
        connect_mailchimp({"access_token": "0123456789abcdef"})


def test_a_redirect_is_not_followed(
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    sandbox: Sandbox,
    account: MailchimpAccount,
) -> None:
    class Elsewhere(ServerError):
        def before(self, provider: Any, request: Request) -> Any:
            response = super().before(provider, request)
            response.status = 302
            response.headers["Location"] = f"{sandbox.base_url}/mailchimp/evil"
            return response

    sandbox.faults.add(Elsewhere(provider="mailchimp", path="/3.0/", times=None))
    here = settings.model_copy(update={"mailchimp_api_base": f"{sandbox.base_url}/mailchimp"})
    credentials = MailchimpCredentials.model_validate({"api_key": account.api_key})
    asked = unconnected_client(here, pipeline_engine, MAILCHIMP, credentials, venue("hall"))
    with pytest.raises(Exception, match="redirects are not followed"):
        asked.identify()
    assert [path for (_, _, _, path) in sandbox.requests if "evil" in path] == []


@pytest.mark.parametrize(
    "faults",
    [
        [Throttled403(provider="mailchimp", times=4, skip=5)],
        [
            ServerError(provider="mailchimp", times=None, probability=0.2),
            Reset(provider="mailchimp", times=None, probability=0.1, seed=1),
        ],
        [
            Truncated(provider="mailchimp", times=None, probability=0.2),
            Html(provider="mailchimp", times=None, probability=0.1, seed=2),
        ],
    ],
    ids=["a bare 403", "refusals", "lies"],
)
def test_what_passes_is_tried_again_and_all_lands(
    sandbox: Sandbox, hall: ConnectedVenue, account: MailchimpAccount, faults: list[Any]
) -> None:
    hall.retry = PERSISTENT
    for fault in faults:
        sandbox.faults.add(fault)
    assert failures(hall.sync()) == {}
    assert all(fault.struck for fault in faults)
    assert differences(hall, account) == []


def test_ten_requests_are_under_way_at_once_and_never_more(
    sandbox: Sandbox, connect_mailchimp: ConnectMailchimp
) -> None:
    account = open_account(sandbox, size=100, lists=6)
    venue = connect_mailchimp({"api_key": account.api_key})
    lock, under_way, most = threading.Lock(), 0, 0

    class Watch(Slow):
        def before(self, provider: Any, request: Request) -> Any:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            try:
                return Slow.before(self, provider, request)
            finally:
                with lock:
                    under_way -= 1

    sandbox.faults.add(Watch(provider="mailchimp", times=None, seconds=0.05))
    assert failures(venue.sync()) == {}
    assert LIMITS.concurrency == 10
    assert 8 <= most <= 10
    assert differences(venue, account) == []


def test_members_that_come_and_go_while_a_list_is_read_are_not_left_out(
    sandbox: Sandbox,
    hall: ConnectedVenue,
    account: MailchimpAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 7)

    def change(_request: Request) -> None:
        account.economy.advance(30, mutations=2)

    moving = Meanwhile(provider="mailchimp", path="*/members", times=8, skip=2, happens=change)
    sandbox.faults.add(moving)
    results = hall.sync(streams=["members"])
    assert failures(results) == {}
    assert moving.struck == 8
    sandbox.faults.clear()
    hall.sync()
    assert truth_of(account, "members").keys() <= hall.payloads("members").keys()
    hall.sync(full=True, allow_deletes=True)
    assert differences(hall, account) == []


def test_a_member_deleted_for_good_is_found_by_the_full_pass_and_an_archived_one_stays(
    hall: ConnectedVenue, account: MailchimpAccount
) -> None:
    hall.sync()
    gone = account.economy.do("delete_forever")
    archived = [account.economy.do("archive") for _ in range(20)]
    assert gone and any(archived)
    hall.sync()
    lost = set(hall.payloads("members")) - set(account.ids("members"))
    assert len(lost) == 1
    result = hall.sync(full=True)["members"]
    assert (result.deleted, result.repaired) == (1, 1)
    assert not lost & set(hall.payloads("members"))
    statuses = [body["status"] for body in hall.payloads("members").values()]
    assert "archived" in statuses
    assert differences(hall, account) == []


def test_activity_of_an_old_campaign_comes_when_its_report_moves(
    sandbox: Sandbox, hall: ConnectedVenue, account: MailchimpAccount
) -> None:
    hall.sync()
    sandbox.reset_stats()
    hall.sync(streams=["email_activity"])
    assert [path for (*_, path) in sandbox.requests if "email-activity" in path] == []
    account.economy.advance(86_400, mutations=40)
    hall.sync(streams=["email_activity"])
    landed, truth = hall.payloads("email_activity"), truth_of(account, "email_activity")
    assert [name for name in truth if landed.get(name) != truth[name]] == []


def test_objects_are_read_again_by_id(hall: ConnectedVenue, account: MailchimpAccount) -> None:
    hall.sync()
    account.economy.advance(3_600, mutations=30)
    objects = {
        name: sorted({*truth_of(account, name), *hall.payloads(name)})
        for name in ("members", "segments", "tags", "interests", "campaigns", "lists")
    }
    assert failures(hall.sync(streams=[], objects=objects)) == {}
    assert differences(hall, account, *objects) == []


def test_a_census_counts_every_stream_apart_from_the_sync(
    hall: ConnectedVenue, account: MailchimpAccount
) -> None:
    hall.sync()
    result = take_census(
        hall.engine, provider=MAILCHIMP, connection=hall.connection, client=hall.client()
    )
    assert result.failed == {}
    assert not any(result.missing.values())
    counted = {name: sum(one.expected for one in found) for name, found in result.found.items()}
    assert counted == {name: len(truth_of(account, name)) for name in MAILCHIMP.stream_names}


def test_a_list_that_vanishes_while_it_is_read_fails_its_stream_alone(
    sandbox: Sandbox, hall: ConnectedVenue
) -> None:
    class Gone(ServerError):
        def before(self, provider: Any, request: Request) -> Any:
            return provider.trouble(404, request)

    sandbox.faults.add(Gone(provider="mailchimp", path="*/merge-fields", times=None))
    results = hall.sync()
    assert failures(results) == {"merge_fields": NotFound.kind}


def test_a_long_list_is_read_in_stretches_that_leave_nothing_out(
    sandbox: Sandbox, connect_mailchimp: ConnectMailchimp, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = open_account(sandbox, only={"members": 400})
    venue = connect_mailchimp({"api_key": account.api_key})
    monkeypatch.setattr(client, "PAGE_SIZE", 10)
    stretches = set()

    def note(request: Request) -> None:
        given = dict(parse_qsl(request.query))
        stretches.add((given.get("since_last_changed"), given.get("before_last_changed")))

    sandbox.faults.add(Meanwhile(provider="mailchimp", path="*/members", times=None, happens=note))
    assert failures(venue.sync(streams=["members"])) == {}
    assert len([each for each in stretches if each != (None, None)]) == 10
    assert venue.payloads("members").keys() == set(account.ids("members"))
