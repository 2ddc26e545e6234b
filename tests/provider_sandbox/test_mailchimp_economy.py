"""What a Mailchimp account holds agrees with itself, and changes as the service says it does."""

import hashlib
from collections import Counter
from typing import Any

import pytest

from provider_sandbox import running_sandbox
from provider_sandbox.mailchimp import Mailchimp, MailchimpAccount, subscriber_hash
from provider_sandbox.mailchimp.account import iso
from provider_sandbox.mailchimp.economy import KINDS
from provider_sandbox.mailchimp.endpoints import STREAMS

NOW = 1_790_000_000
DAY = 86_400


@pytest.fixture(scope="module", params=[1, 2, 3])
def books(request: pytest.FixtureRequest) -> MailchimpAccount:
    """An account after its history, random changes and three more weeks; nothing was deleted for
    good or list-wide, so that all that was told can be added up."""
    account = Mailchimp(seed=request.param, now=NOW).create_account(
        "blue-room", size=250, months=4, lists=2
    )
    account.economy.mutate(150, step=60)
    account.economy.advance(21 * DAY, mutations=100)
    return account


@pytest.fixture
def account() -> MailchimpAccount:
    """A small account that a test may change."""
    return Mailchimp(seed=4, now=NOW).create_account("red-room", size=80, months=2)


def member_of(
    account: MailchimpAccount, status: str = "subscribed", *, tagged: bool = False
) -> str:
    return next(
        f"{one['list_id']}/{one['id']}"
        for one in account.objects("members")
        if one["status"] == "subscribed" and (one["tags"] or not tagged)
    )


def found(account: MailchimpAccount, stream: str, id: str) -> dict[str, Any]:
    body = account.find(stream, id)
    assert body is not None
    return body


def by_id(account: MailchimpAccount, stream: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in account.objects(stream)}


# The books


def test_every_stream_has_rows_with_ids_of_their_own(books: MailchimpAccount) -> None:
    for stream in STREAMS:
        ids = books.ids(stream)
        assert ids
        assert len(set(ids)) == len(ids) == len(books.objects(stream))
        assert not set(ids) & set(books.deleted(stream))


def test_a_member_is_known_by_the_hash_of_its_address(books: MailchimpAccount) -> None:
    upper = 0
    for member in books.objects("members"):
        lower = member["email_address"].lower()
        upper += lower != member["email_address"]
        assert member["id"] == hashlib.md5(lower.encode()).hexdigest() == subscriber_hash(lower)
    assert upper


def test_a_list_counts_its_members_as_they_are(books: MailchimpAccount) -> None:
    for one in books.objects("lists"):
        statuses = Counter(member["status"] for member in books.objects("members", one["id"]))
        stats = one["stats"]
        assert stats["member_count"] == statuses["subscribed"]
        assert stats["unsubscribe_count"] == statuses["unsubscribed"]
        assert stats["cleaned_count"] == statuses["cleaned"]
        assert stats["total_contacts"] == statuses.total()
        assert stats["merge_field_count"] == len(books.ids("merge_fields", one["id"]))


def test_members_have_every_field_and_group_of_their_list(books: MailchimpAccount) -> None:
    for one in books.objects("lists"):
        fields = {field["tag"] for field in books.objects("merge_fields", one["id"])}
        groups = {
            interest["id"]
            for category in books.objects("interest_categories", one["id"])
            for interest in books.objects("interests", category["id"])
        }
        for member in books.objects("members", one["id"]):
            assert member["merge_fields"].keys() == fields
            assert member.get("interests", {}).keys() == groups


def test_a_group_counts_its_subscribers_in_a_text(books: MailchimpAccount) -> None:
    held: Counter[str] = Counter()
    for member in books.objects("members"):
        if member["status"] == "subscribed":
            held.update(id for id, chosen in member.get("interests", {}).items() if chosen)
    for interest in books.objects("interests"):
        assert interest["subscriber_count"] == str(held[interest["id"]])


def test_a_tag_is_a_static_segment_of_those_who_have_it(books: MailchimpAccount) -> None:
    held: Counter[int] = Counter()
    for member in books.objects("members"):
        assert member["tags_count"] == len(member["tags"])
        if member["status"] == "subscribed":
            held.update(tag["id"] for tag in member["tags"])
    static = {one["id"]: one for one in books.objects("segments") if one["type"] == "static"}
    assert {(one["id"], one["name"]) for one in books.objects("tags")} == {
        (one["id"], one["name"]) for one in static.values()
    }
    for id, segment in static.items():
        assert segment["member_count"] == held[id]
        assert "options" not in segment
    assert {one["type"] for one in books.objects("segments")} == {"static", "saved", "fuzzy"}


def test_a_saved_segment_has_those_who_meet_its_conditions(books: MailchimpAccount) -> None:
    for segment in books.objects("segments"):
        if segment["name"] == "VIPs":
            vips = [one for one in books.objects("members", segment["list_id"]) if one["vip"]]
            subscribed = sum(one["status"] == "subscribed" for one in vips)
            assert segment["member_count"] == subscribed


def test_times_follow_each_other(books: MailchimpAccount) -> None:
    for member in books.objects("members"):
        assert member["timestamp_opt"] <= member["last_changed"]
        assert (member["status"] == "pending") <= (member["timestamp_opt"] == "")
        assert ("unsubscribe_reason" in member) >= (member["status"] == "unsubscribed")
    now = iso(books.clock.now())
    for stream, name in (("members", "last_changed"), ("reports", "send_time")):
        assert max(one[name] for one in books.objects(stream)) <= now
    for row in books.objects("email_activity"):
        times = [one["timestamp"] for one in row["activity"]]
        assert times == sorted(times)
        assert not times or times[-1] <= now


def test_a_report_adds_up_what_the_recipients_did(books: MailchimpAccount) -> None:
    deleted = {id.partition("/")[0] for id in books.deleted("email_activity")}
    checked = 0
    for report in books.objects("reports"):
        if report["id"] in deleted:
            continue
        checked += 1
        rows = books.objects("email_activity", report["id"])
        events = [(row["email_id"], one) for row in rows for one in row["activity"]]
        opens = [(who, one) for who, one in events if one["action"] == "open"]
        clicks = [(who, one) for who, one in events if one["action"] == "click"]
        bounces = Counter(one["type"] for _, one in events if one["action"] == "bounce")
        assert report["emails_sent"] == len(rows)
        assert report["opens"]["opens_total"] == len(opens)
        assert report["opens"]["unique_opens"] == len({who for who, _ in opens})
        assert report["opens"]["last_open"] == max(
            (one["timestamp"] for _, one in opens), default=""
        )
        assert report["clicks"]["clicks_total"] == len(clicks)
        assert report["clicks"]["unique_clicks"] == len({(who, one["url"]) for who, one in clicks})
        assert report["clicks"]["unique_subscriber_clicks"] == len({who for who, _ in clicks})
        assert report["bounces"]["hard_bounces"] == bounces["hard"]
        assert report["bounces"]["soft_bounces"] == bounces["soft"]
        assert report["unsubscribed"] == len(books.ids("unsubscribes", report["id"]))
        delivered = max(len(rows) - bounces.total(), 1)
        rate = round(report["opens"]["unique_opens"] / delivered, 4)
        assert report["opens"]["open_rate"] == rate
        assert sum(one["emails_sent"] for one in report["timeseries"]) == len(rows)
    assert checked


def test_a_campaign_sums_its_report_up(books: MailchimpAccount) -> None:
    reports = by_id(books, "reports")
    for campaign in books.objects("campaigns"):
        report = reports.get(campaign["id"])
        if report is None:
            assert campaign["emails_sent"] == 0
            assert "report_summary" not in campaign
            continue
        assert campaign["emails_sent"] == report["emails_sent"]
        assert campaign["recipients"]["recipient_count"] == report["emails_sent"]
        summary = campaign["report_summary"]
        assert summary["opens"] == report["opens"]["opens_total"]
        assert summary["subscriber_clicks"] == report["clicks"]["unique_subscriber_clicks"]
        assert (report["type"], report["send_time"]) == (campaign["type"], campaign["send_time"])


def test_those_who_left_by_a_campaign_are_told_by_its_report(books: MailchimpAccount) -> None:
    sent = {(one["campaign_id"], one["email_id"]) for one in books.objects("email_activity")}
    for one in books.objects("unsubscribes"):
        assert (one["campaign_id"], one["email_id"]) in sent
        assert one["reason"]
    mailed = {id.partition("/")[2] for id in books.ids("unsubscribes")}
    left = [one for one in books.objects("members") if one["status"] == "unsubscribed"]
    assert any(one["id"] in mailed for one in left)
    assert any(one["id"] not in mailed for one in left)


def test_a_hard_bounce_cleans_the_member(books: MailchimpAccount) -> None:
    members = by_id(books, "members")
    bounced = {
        row["email_id"]
        for row in books.objects("email_activity")
        if any(event.get("type") == "hard" for event in row["activity"])
    }
    assert bounced
    for id in bounced & members.keys():
        assert members[id]["status"] in ("cleaned", "archived")


def test_a_variate_campaign_tests_a_share_and_its_winner_goes_to_the_rest(
    books: MailchimpAccount,
) -> None:
    campaigns = by_id(books, "campaigns")
    decided = 0
    for campaign in campaigns.values():
        settings = campaign.get("variate_settings")
        if settings is None or campaign["status"] != "sent" or not campaign["emails_sent"]:
            continue
        tested = [one["recipients"] for one in settings["combinations"]]
        assert sum(tested) == campaign["emails_sent"]
        if settings["winning_campaign_id"]:
            decided += 1
            winner = campaigns[settings["winning_campaign_id"]]
            combination = next(
                one
                for one in settings["combinations"]
                if one["id"] == settings["winning_combination_id"]
            )
            subject = settings["subject_lines"][combination["subject_line"]]
            assert winner["settings"]["subject_line"] == subject
            assert winner["parent_campaign_id"] == campaign["id"]
            assert winner["status"] == "sent"
    assert decided


def test_an_automation_sums_its_emails_up_and_they_are_campaigns(books: MailchimpAccount) -> None:
    campaigns = by_id(books, "campaigns")
    sent = 0
    for automation in books.objects("automations"):
        emails = books.emails_of(automation["id"])
        assert [one["position"] for one in emails] == list(range(1, len(emails) + 1))
        assert automation["emails_sent"] == sum(one["emails_sent"] for one in emails)
        sent += automation["emails_sent"]
        for email in emails:
            campaign = campaigns[email["id"]]
            assert campaign["type"] == "automation"
            assert campaign["parent_campaign_id"] == automation["id"]
            assert campaign["emails_sent"] == email["emails_sent"]
    assert sent


def test_an_rss_campaign_goes_on_and_its_children_are_sent(books: MailchimpAccount) -> None:
    campaigns = by_id(books, "campaigns")
    children = [
        one for one in campaigns.values() if one["type"] == "rss" and "parent_campaign_id" in one
    ]
    assert len(children) > 1
    assert {campaigns[one["parent_campaign_id"]]["status"] for one in children} == {"sending"}
    assert {one["status"] for one in children} >= {"sent"}


def test_sums_are_those_of_the_objects(books: MailchimpAccount) -> None:
    statuses = Counter(one["status"] for one in books.objects("members"))
    assert books.sums("members") == {"count": statuses.total(), **statuses}
    told = books.sums("reports")
    assert told["emails_sent"] == sum(one["emails_sent"] for one in books.objects("reports"))


# Determinism and time


def test_the_same_seed_gives_the_same_account() -> None:
    accounts = [Mailchimp(seed=7, now=NOW).create_account("a", size=60, months=1) for _ in "ab"]
    for account in accounts:
        account.economy.mutate(30)
        account.economy.advance(DAY, mutations=10)
    for stream in STREAMS:
        assert accounts[0].objects(stream) == accounts[1].objects(stream)
    other = Mailchimp(seed=8, now=NOW).create_account("a", size=60, months=1)
    assert other.ids("members") != accounts[0].ids("members")


def test_history_ends_with_the_last_full_hour() -> None:
    with running_sandbox(seed=1) as sandbox:
        account = sandbox.mailchimp.create_account("a", size=30, months=1)
        hour = iso(account.clock.now() // 3600 * 3600)
        assert max(one["last_changed"] for one in account.objects("members")) <= hour
        now = iso(account.clock.now())
        account.economy.do("subscribe")
        assert max(one["last_changed"] for one in account.objects("members")) >= now
        with pytest.raises(ValueError, match="follows this machine's"):
            account.economy.advance(10)


def test_reports_change_for_days_after_a_send(account: MailchimpAccount) -> None:
    campaign = account.economy.do("add_campaign", "regular", account.ids("lists")[0])
    assert campaign is not None
    account.economy.do("send", campaign["id"])
    assert found(account, "campaigns", campaign["id"])["status"] == "sending"
    assert campaign["id"] not in account.ids("reports")
    opens = []
    for hours in (1, 6, 24, 72):
        account.economy.advance(hours * 3600)
        report = found(account, "reports", campaign["id"])
        opens.append(report["opens"]["opens_total"])
    assert found(account, "campaigns", campaign["id"])["status"] == "sent"
    assert opens == sorted(opens)
    assert opens[-1] > opens[0]
    before = report
    account.economy.do("react", campaign["id"], "click")
    after = found(account, "reports", campaign["id"])
    assert after["clicks"]["clicks_total"] == before["clicks"]["clicks_total"] + 1
    assert after["send_time"] == before["send_time"]


def test_a_scheduled_campaign_is_sent_when_its_time_comes_unless_it_is_taken_back(
    account: MailchimpAccount,
) -> None:
    ids = []
    for _ in range(2):
        made = account.economy.do("add_campaign", "plaintext")
        assert made is not None
        account.economy.do("schedule_campaign", made["id"])
        assert found(account, "campaigns", made["id"])["send_time"] > iso(account.clock.now())
        ids.append(made["id"])
    account.economy.do("pause_campaign", ids[1])
    account.economy.advance(4 * DAY)
    assert [found(account, "campaigns", id)["status"] for id in ids] == ["sent", "save"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mutation_changes_something(account: MailchimpAccount, kind: str) -> None:
    before = {stream: account.objects(stream) for stream in STREAMS}
    done = account.economy.mutate(5, kinds=[kind])
    assert len(done) == 5
    assert {one["kind"] for one in done} == {kind}
    assert any(account.objects(stream) != before[stream] for stream in STREAMS)
    with pytest.raises(ValueError, match="unknown"):
        account.economy.mutate(1, kinds=["nonsense"])


# What moves the last change, and what does not


@pytest.mark.parametrize("step", ["edit_member", "tag", "archive", "unsubscribe", "clean"])
def test_what_is_done_to_one_member_moves_its_last_change(
    account: MailchimpAccount, step: str
) -> None:
    id = member_of(account)
    before = found(account, "members", id)
    assert account.economy.do(step, id) == {"stream": "members", "id": id}
    after = found(account, "members", id)
    assert after["last_changed"] == iso(account.clock.now()) > before["last_changed"]
    assert not any(one.id == id and one.field != "stats" for one in account.silent_changes)


def silently(account: MailchimpAccount, id: str, step: str, *arguments: Any) -> dict[str, Any]:
    """The member after a step that changes it and must not move its last change."""
    before = found(account, "members", id)
    account.economy.do(step, *arguments)
    after = found(account, "members", id)
    assert after != before
    assert after["last_changed"] == before["last_changed"]
    assert any(one.id == id for one in account.silent_changes)
    return after


def test_a_field_removed_from_the_list_goes_from_its_members_silently(
    account: MailchimpAccount,
) -> None:
    id = member_of(account)
    list_id = id.partition("/")[0]
    field = next(one for one in account.objects("merge_fields", list_id) if one["tag"] == "PHONE")
    after = silently(account, id, "remove_merge_field", f"{list_id}/{field['merge_id']}")
    assert "PHONE" not in after["merge_fields"]
    assert f"{list_id}/{field['merge_id']}" in account.deleted("merge_fields")
    after = silently(account, id, "add_merge_field", list_id)
    added = account.objects("merge_fields", list_id)[-1]
    assert added["merge_id"] > field["merge_id"]
    assert after["merge_fields"][added["tag"]] == ""


def test_a_tag_renamed_or_deleted_changes_its_members_silently(account: MailchimpAccount) -> None:
    id = member_of(account, tagged=True)
    tag = found(account, "members", id)["tags"][0]
    segment = f"{id.partition('/')[0]}/{tag['id']}"
    after = silently(account, id, "rename_segment", segment, "Renamed")
    assert {"id": tag["id"], "name": "Renamed"} in after["tags"]
    assert found(account, "segments", segment)["updated_at"] == iso(account.clock.now())
    after = silently(account, id, "remove_segment", segment)
    assert tag["id"] not in {one["id"] for one in after["tags"]}
    assert segment in account.deleted("segments")
    assert segment in account.deleted("tags")


def test_a_group_removed_goes_from_the_members_silently(account: MailchimpAccount) -> None:
    id = member_of(account)
    group = next(iter(found(account, "members", id)["interests"]))
    interest = next(one for one in account.ids("interests") if one.endswith(group))
    assert group not in silently(account, id, "remove_interest", interest)["interests"]


def test_averages_move_silently_when_a_recipient_acts(account: MailchimpAccount) -> None:
    before = by_id(account, "members")
    account.economy.mutate(20, kinds=["react"])
    after = by_id(account, "members")
    changed = [id for id in before if before[id]["stats"] != after[id]["stats"]]
    assert changed
    for id in changed:
        assert after[id]["last_changed"] == before[id]["last_changed"]


# Gone


def test_another_address_is_another_id_and_the_contact_stays(account: MailchimpAccount) -> None:
    id = member_of(account, tagged=True)
    before = found(account, "members", id)
    done = account.economy.do("change_email", id, "New.Address@mail.example")
    assert done is not None
    assert account.find("members", id) is None
    assert id in account.deleted("members")
    after = found(account, "members", done["id"])
    assert after["id"] == subscriber_hash("new.address@mail.example")
    for name in ("unique_email_id", "contact_id", "web_id", "tags", "merge_fields"):
        assert after[name] == before[name]
    assert after["last_changed"] == iso(account.clock.now())


def test_an_archived_member_exists_and_can_come_back(account: MailchimpAccount) -> None:
    id = member_of(account)
    account.economy.do("archive", id)
    assert found(account, "members", id)["status"] == "archived"
    assert id not in account.deleted("members")
    account.economy.do("resubscribe", id)
    assert found(account, "members", id)["status"] == "subscribed"


def test_a_member_deleted_for_good_takes_its_activity_along_and_leaves_the_totals(
    account: MailchimpAccount,
) -> None:
    row = next(one for one in account.objects("email_activity") if one["activity"])
    campaign, id = row["campaign_id"], f"{row['list_id']}/{row['email_id']}"
    before = found(account, "reports", campaign)
    account.economy.delete("members", id)
    assert account.find("members", id) is None
    assert account.find("email_activity", f"{campaign}/{row['email_id']}") is None
    assert id in account.deleted("members")
    assert f"{campaign}/{row['email_id']}" in account.deleted("email_activity")
    assert found(account, "reports", campaign)["opens"] == before["opens"]
    assert not any(one.id == id for one in account.silent_changes)


def test_a_list_deleted_takes_its_members_along_and_its_reports_stay(
    account: MailchimpAccount,
) -> None:
    list_id = account.ids("lists")[0]
    members = account.ids("members", list_id)
    account.economy.delete("lists", list_id)
    assert account.objects("members", list_id) == []
    assert set(members) <= set(account.deleted("members"))
    assert account.ids("interests") == [] or account.ids("lists")
    own = [one for one in account.objects("reports") if one["list_id"] == list_id]
    assert own
    assert {one["list_is_active"] for one in own} == {False}
    account.economy.advance(10 * DAY, mutations=40)


def test_a_campaign_deleted_takes_its_report_along(account: MailchimpAccount) -> None:
    campaign = account.ids("reports")[0]
    account.economy.delete("campaigns", campaign)
    for stream in ("campaigns", "reports"):
        assert account.find(stream, campaign) is None
        assert campaign in account.deleted(stream)
    assert account.objects("email_activity", campaign) == []
    account.economy.advance(10 * DAY, mutations=20)


def test_what_is_unknown_is_named(account: MailchimpAccount) -> None:
    with pytest.raises(ValueError, match="step 'refund' is unknown"):
        account.economy.do("refund")
    with pytest.raises(LookupError, match="no 'a/b' in members"):
        account.economy.do("archive", "a/b")
    with pytest.raises(ValueError, match="deletes no reports"):
        account.economy.delete("reports", "x")
    with pytest.raises(LookupError):
        account.economy.delete("members", "a/b")


def test_an_update_moves_the_update_time_unless_it_is_to_be_silent(
    account: MailchimpAccount,
) -> None:
    id = member_of(account)
    before = found(account, "members", id)
    changed = account.economy.update("members", id, {"merge_fields.FNAME": "Ana"}, silent=True)
    assert changed["last_changed"] == before["last_changed"]
    assert account.silent_changes[-1][1:] == ("members", id, "merge_fields.FNAME")
    changed = account.economy.update("members", id, {"merge_fields.FNAME": "Eva"})
    assert changed["last_changed"] == iso(account.clock.now())


def test_many_members_share_a_second(books: MailchimpAccount) -> None:
    times = Counter(one["last_changed"] for one in books.objects("members"))
    assert max(times.values()) > 1
