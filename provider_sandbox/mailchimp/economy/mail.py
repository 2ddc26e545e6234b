"""What is sent and what comes of it: campaigns, automations, and what their recipients do."""

from collections import Counter
from collections.abc import Iterable

from provider_sandbox.ledger import Json
from provider_sandbox.life import HOUR
from provider_sandbox.mailchimp import shapes
from provider_sandbox.mailchimp.account import DAY, TOP, Mailing, Ref, iso, joined, split
from provider_sandbox.mailchimp.economy.audience import REASONS, Audience
from provider_sandbox.mailchimp.endpoints import value_at

SUBJECTS = (
    "This week: Jazz & “Trad”", "Doors 19:00 — don't miss it", "Ein Abend für Zoë",
    "The \"Negroni\" hour is back", "Bilety już w sprzedaży", "山田花子 live",
    "20% off\tmembers only",
    "Lost & found <3", "Season tickets 🎷", "We're hiring bar staff",
)  # fmt: skip
CAMPAIGN_KINDS = {"regular": 70, "plaintext": 10, "variate": 15, "rss": 5}
LINKS = ("https://venue.example/tickets", "https://venue.example/menu?x=1&y=2")
LASTS = 5 * DAY
"""How long after a send its recipients still act on it, mostly."""


class Mail(Audience):
    """Campaigns, automations, and the reports that follow from what recipients do."""

    # Campaigns

    def add_campaign(self, type: str = "", list_id: str | None = None) -> Ref:
        """A draft; a variate one with its combinations, an RSS one with its feed."""
        type = type or self.random.choices(list(CAMPAIGN_KINDS), list(CAMPAIGN_KINDS.values()))[0]
        variate = self._variate() if type == "variate" else None
        rss = shapes.rss_options("https://venue.example/feed.xml") if type == "rss" else None
        return self._new_campaign(type, list_id or self._a_list(), variate=variate, rss=rss)

    def _new_campaign(
        self, type: str, list_id: str, *, parent: str | None = None, subject: str = "",
        variate: Json | None = None, rss: Json | None = None,
    ) -> Ref:  # fmt: skip
        account = self.account
        found = account.table("lists").get(list_id)
        if found is None:
            raise LookupError(f"there is no list {list_id!r} in account {account.slug!r}")
        id = account.hex(10)
        subject = subject or self.random.choice(SUBJECTS)
        segment_opts = None
        if type == "regular" and parent is None and self.chance(0.15):
            tags = account.table("tags", list_id).rows
            if tags:
                chosen = int(self.random.choice(tags).id)
                segment_opts = {"saved_segment_id": chosen, "match": "any", "conditions": []}
        campaign = shapes.campaign(
            account, id, iso(self.at), type=type, list_id=list_id, list_name=found.object["name"],
            subject=subject, title=f"{subject} #{len(account.table('campaigns')) + 1}",
            web_id=account.web_id(), parent=parent, segment_opts=segment_opts, variate=variate,
            rss=rss,
        )  # fmt: skip
        return account.save("campaigns", TOP, id, campaign, created=self.at)

    def _variate(self) -> Json:
        subjects = self.random.sample(SUBJECTS, 2)
        return {
            "winning_combination_id": "",
            "winning_campaign_id": "",
            "winner_criteria": self.random.choice(("opens", "clicks")),
            "wait_time": 240,
            "test_size": 40,
            "subject_lines": subjects,
            "send_times": [],
            "from_names": [],
            "reply_to_addresses": [],
            "contents": [],
            "combinations": [
                {
                    "id": self.account.hex(24), "subject_line": number, "send_time": 0,
                    "from_name": 0, "reply_to": 0, "content_description": 0, "recipients": 0,
                }
                for number in range(len(subjects))
            ],
        }  # fmt: skip

    def edit_campaign(self, campaign: str | None = None) -> Ref | None:
        """Change a draft: no time of it moves."""
        ref = self._campaign(campaign, "save", "paused")
        subject = f"{self.random.choice(SUBJECTS)} ({self.at})"
        return ref and self._change(ref, {"settings.subject_line": subject}, silent=True)

    def schedule_campaign(self, campaign: str | None = None) -> Ref | None:
        """Have a draft sent later: its send time lies ahead."""
        ref = self._campaign(campaign, "save", "paused")
        if ref is None:
            return None
        later = self.at + self.random.randrange(HOUR, 3 * DAY)
        self.schedule(later, "send_due", ref.id, later)
        return self._change(ref, {"status": "schedule", "send_time": iso(later)}, silent=True)

    def send_due(self, campaign: str, at: int) -> Ref | None:
        """Send a scheduled campaign, unless it was taken back or put off."""
        row = self.account.table("campaigns").get(campaign)
        if row is None or row.object["status"] != "schedule" or row.object["send_time"] != iso(at):
            return None
        return self.send(campaign)

    def pause_campaign(self, campaign: str | None = None) -> Ref | None:
        """Take a scheduled campaign back."""
        ref = self._campaign(campaign, "schedule")
        return ref and self._change(ref, {"status": "save", "send_time": ""}, silent=True)

    def remove_campaign(self, campaign: str | None = None) -> Ref | None:
        """Delete a campaign, any that was not sent if none is named; with one that was sent goes
        its report and all that it tells."""
        if campaign is None:
            ref = self._campaign(None, "save", "paused", "schedule")
        else:
            ref = Ref("campaigns", campaign)
        if ref is None:
            return None
        account = self.account
        if account.mailings.pop(ref.id, None) is not None:
            account.remove("reports", TOP, ref.id, at=self.at)
            for stream in ("email_activity", "unsubscribes"):
                for row in list(account.table(stream, ref.id)):
                    account.remove(stream, ref.id, row.id, at=self.at)
        workflow = self._object(ref).get("parent_campaign_id", "")
        if ref.id in account.table("automation_emails", workflow):
            account.remove("automation_emails", workflow, ref.id, at=self.at)
        account.stale_campaigns.discard(ref.id)
        return account.remove("campaigns", TOP, ref.id, at=self.at)

    def remove_list(self, list_id: str | None = None) -> Ref | None:
        """Delete an audience with all that is in it; its campaigns and reports stay, and say that
        the list is not active. The first audience stays, unless it is named."""
        account = self.account
        lists = account.table("lists")
        if list_id is None:
            if len(lists) < 2:
                return None
            list_id = lists.rows[-1].id
        ref = account.remove("lists", TOP, list_id, at=self.at)
        for category in account.table("interest_categories", list_id):
            for row in list(account.table("interests", category.id)):
                account.remove("interests", category.id, row.id, at=self.at)
        for stream in ("members", "merge_fields", "segments", "tags", "interest_categories"):
            for row in list(account.table(stream, list_id)):
                account.remove(stream, list_id, row.id, at=self.at)
        for stream, field in (
            ("campaigns", "recipients.list_id"), ("automations", "recipients.list_id"),
            ("reports", "list_id"),
        ):  # fmt: skip
            for row in list(account.table(stream)):
                if value_at(row.object, field) == list_id:
                    active = field.replace("list_id", "list_is_active")
                    self._change(Ref(stream, row.id), {active: False}, silent=True)
        account.stale_lists.discard(list_id)
        return ref

    def send(self, campaign: str | None = None) -> Ref | None:
        """Send a draft; an RSS campaign stays "sending" and its child is what is sent. It is
        "sending" for two minutes, then "sent", and only then has a report."""
        ref = self._campaign(campaign, "save", "schedule", "paused")
        if ref is None:
            return None
        found = self._object(ref)
        if found["type"] == "rss" and "parent_campaign_id" not in found:
            changes = {"status": "sending", "rss_opts.last_sent": iso(self.at)}
            self._change(ref, changes, silent=True)
            child = self._new_campaign(
                "rss", found["recipients"]["list_id"], parent=ref.id,
                subject=found["settings"]["subject_line"],
            )  # fmt: skip
            self.schedule(self.at + 7 * DAY, "send_again", ref.id)
            return self.send(child.id)
        if found["type"] == "automation":
            return None
        self._change(ref, {"status": "sending", "send_time": iso(self.at)}, silent=True)
        self.schedule(self.at + 120, "finish", ref.id)
        return ref

    def send_again(self, campaign: str) -> Ref | None:
        """The next child of an RSS campaign."""
        row = self.account.table("campaigns").get(campaign)
        lists = self.account.table("lists")
        if row is None or row.object["status"] != "sending":
            return None
        found = row.object
        if found["recipients"]["list_id"] not in lists:
            return None
        child = self._new_campaign("rss", found["recipients"]["list_id"], parent=campaign)
        self.schedule(self.at + 7 * DAY, "send_again", campaign)
        return self.send(child.id)

    def finish(self, campaign: str) -> Ref | None:
        """A campaign that was being sent is sent; a variate one to its test share first."""
        ref = Ref("campaigns", campaign)
        if campaign not in self.account.table("campaigns"):
            return None
        found = self._object(ref)
        list_id = found["recipients"]["list_id"]
        if found["status"] != "sending" or found["type"] == "automation":
            return None
        if list_id not in self.account.table("lists"):
            return self._change(ref, {"status": "canceled"}, silent=True)
        members = self._recipients(found)
        changes: Json = {"status": "sent", "resendable": True}
        if found["type"] == "variate" and members:
            settings = found["variate_settings"]
            self.random.shuffle(members)
            size = max(len(members) * settings["test_size"] // 100, 1)
            members, rest = members[:size], members[size:]
            share = len(settings["combinations"])
            for number, combination in enumerate(settings["combinations"]):
                combination["recipients"] = len(members[number::share])
            changes["variate_settings"] = settings
            wait = self.at + settings["wait_time"] * 60
            self.schedule(wait, "pick_winner", campaign, members, rest)
        self._change(ref, changes, silent=True)
        self._deliver(ref.id, list_id, members)
        self.account.change(
            "lists", TOP, list_id, {"stats.campaign_last_sent": iso(self.at)}, at=self.at,
            silent=True,
        )  # fmt: skip
        self.since_send[list_id] = {}
        return ref

    def pick_winner(self, campaign: str, tested: list[str], rest: list[str]) -> Ref | None:
        """The combination that did best goes to the rest, as a campaign of its own."""
        ref = Ref("campaigns", campaign)
        if campaign not in self.account.mailings:
            return None
        found = self._object(ref)
        if found["recipients"]["list_id"] not in self.account.table("lists"):
            return None
        settings = found["variate_settings"]
        action = "open" if settings["winner_criteria"] == "opens" else "click"
        events = self.account.mailings[campaign].events
        now, share = iso(self.at), len(settings["combinations"])
        scores = [
            sum(
                any(one["action"] == action and one["timestamp"] <= now for one in events[member])
                for member in tested[number::share]
            )
            for number in range(share)
        ]
        best = scores.index(max(scores))
        child = self._new_campaign(
            "variate", found["recipients"]["list_id"], parent=campaign,
            subject=settings["subject_lines"][best],
        )  # fmt: skip
        self._change(
            ref,
            {
                "variate_settings.winning_combination_id": settings["combinations"][best]["id"],
                "variate_settings.winning_campaign_id": child.id,
            },
            silent=True,
        )
        self._change(child, {"status": "sent", "send_time": now})
        table = self.account.table("members", found["recipients"]["list_id"])
        still = [
            one
            for one in rest
            if (row := table.get(one)) and table.facts(row)["status"] == "subscribed"
        ]
        self._deliver(child.id, found["recipients"]["list_id"], still)
        return ref

    def _recipients(self, campaign: Json) -> list[str]:
        table = self.account.table("members", campaign["recipients"]["list_id"])
        chosen = campaign["recipients"].get("segment_opts", {}).get("saved_segment_id")
        held = self.account.tagged.get(chosen, {}) if chosen else None
        return [
            row.id
            for row in table
            if table.facts(row)["status"] == "subscribed" and (held is None or row.id in held)
        ]

    def _campaign(self, campaign: str | None, *statuses: str) -> Ref | None:
        if campaign is None:
            return self.one_of(
                "campaigns",
                lambda one: one["status"] in statuses and one["type"] != "automation",
            )
        ref = Ref("campaigns", campaign)
        return ref if self._object(ref)["status"] in statuses else None

    # What recipients do

    def _deliver(self, campaign: str, list_id: str, members: list[str]) -> None:
        """Send to these members, and draw what each will do; what lies ahead waits in the queue."""
        account = self.account
        mailing = account.mailings.setdefault(campaign, Mailing(campaign, list_id, self.at))
        table = account.table("members", list_id)
        activity = account.table("email_activity", campaign)
        found = account.table("campaigns").get(campaign)
        if found is not None and campaign not in account.table("reports"):
            report = shapes.report(found.object)
            account.save("reports", TOP, campaign, report, created=self.at)
        for id in members:
            row = table.get(id)
            if row is None or id in activity:
                continue
            events = mailing.events.setdefault(id, [])
            for at, event in self._drawn(campaign, list_id, id):
                if at <= self.horizon and event["action"] in ("open", "click"):
                    events.append(event)
                else:
                    self.schedule(at, "record", campaign, id, event)
            events.sort(key=lambda event: event["timestamp"])
            address = row.object["email_address"]
            shown = shapes.email_activity(campaign, list_id, id, address, events)
            account.save("email_activity", campaign, id, shown, created=self.at)
            account.stale_members.add((list_id, id))
        if members and self.chance(0.3):
            mailing.forwards += 1
        account.stale_campaigns.add(campaign)
        account.stale_lists.add(list_id)

    def _drawn(self, campaign: str, list_id: str, id: str) -> list[tuple[int, Json]]:
        draw = self.random.random()
        if draw < 0.02:
            at = self.at + self.random.randrange(5, 300)
            type = "hard" if draw < 0.008 else "soft"
            return [(at, {"action": "bounce", "type": type, "timestamp": iso(at)})]
        if draw > 0.40:
            return []
        events: list[tuple[int, Json]] = []
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            at = self._soon()
            events.append((at, self._opened(at)))
            if self.chance(0.3):
                events.append((at + 30, self._clicked(at + 30)))
        if self.chance(0.02):
            at = self._soon() + 60
            self.schedule(at, "opt_out", campaign, joined(list_id, id))
        return events

    def _soon(self) -> int:
        """A time of an act: most come in the first hours; every tenth upon a full minute."""
        at = self.at + 20 + min(round(self.random.expovariate(1 / (8 * HOUR))), LASTS)
        return at - at % 60 + 60 if self.chance(0.1) else at

    def _opened(self, at: int) -> Json:
        start = "17.58.0" if self.chance(0.2) else "198.51.100"
        ip = f"{start}.{self.random.randrange(1, 255)}"
        return {"action": "open", "timestamp": iso(at), "ip": ip}

    def _clicked(self, at: int) -> Json:
        ip = f"198.51.100.{self.random.randrange(1, 255)}"
        url = self.random.choice(LINKS)
        return {"action": "click", "timestamp": iso(at), "url": url, "ip": ip}

    def record(self, campaign: str, member: str, event: Json) -> Ref | None:
        """Something happens to a mail; a hard bounce cleans the member."""
        account = self.account
        mailing = account.mailings.get(campaign)
        if mailing is None:
            return None
        events = mailing.events.setdefault(member, [])
        events.append(event)
        events.sort(key=lambda one: one["timestamp"])
        account.stale_campaigns.add(campaign)
        account.stale_members.add((mailing.list_id, member))
        if event.get("type") == "hard":
            row = account.table("members", mailing.list_id).get(member)
            if row is not None and row.object["status"] == "subscribed":
                self._set_status(Ref("members", joined(mailing.list_id, member)), "cleaned")
        if member not in account.table("email_activity", campaign):
            return None
        return account.change("email_activity", campaign, member, {"activity": events}, at=self.at)

    def react(self, campaign: str | None = None, action: str = "") -> Ref | None:
        """A recipient opens or clicks now, however long ago the campaign was sent."""
        ref = Ref("reports", campaign) if campaign else self.one_of("reports")
        rows = self.account.table("email_activity", ref.id).rows if ref else []
        if ref is None or not rows:
            return None
        click = action == "click" or (not action and self.chance(0.3))
        event = self._clicked(self.at) if click else self._opened(self.at)
        return self.record(ref.id, self.random.choice(rows).id, event)

    def opt_out(self, campaign: str | None = None, member: str | None = None) -> Ref | None:
        """A recipient of a campaign unsubscribes by its link: the report counts it."""
        ref = Ref("reports", campaign) if campaign else self.one_of("reports")
        if ref is None:
            return None
        mailing = self.account.mailings.get(ref.id)
        if mailing is None:
            return None
        table = self.account.table("members", mailing.list_id)
        if member is None:
            drawn = self.random.sample(list(mailing.events), min(len(mailing.events), 20))
            member = next(
                (
                    joined(mailing.list_id, one)
                    for one in drawn
                    if one not in mailing.unsubscribed
                    and (row := table.get(one))
                    and table.facts(row)["status"] == "subscribed"
                ),
                None,
            )
        if member is None:
            return None
        _, id = split(member)
        row = table.get(id)
        if row is None or row.object["status"] != "subscribed" or id in mailing.unsubscribed:
            return None
        reason = self.random.choice(REASONS)
        mailing.unsubscribed.add(id)
        shown = shapes.unsubscribe(ref.id, row.object, iso(self.at), reason)
        self.account.save("unsubscribes", ref.id, id, shown, created=self.at)
        if self.chance(0.05):
            mailing.abuse += 1
        self.account.stale_campaigns.add(ref.id)
        return self._set_status(Ref("members", member), "unsubscribed", unsubscribe_reason=reason)

    # Automations

    def add_automation(self) -> Ref:
        """A welcome series; its emails are campaigns too, of the type automation."""
        account, list_id = self.account, self._a_list()
        row = account.table("lists").get(list_id)
        id, title = account.hex(10), f"Welcome “{len(account.table('automations')) + 1}”"
        name = row.object["name"] if row else ""
        found = shapes.automation(
            account, id, iso(self.at), list_id=list_id, list_name=name, title=title
        )
        for position in range(1, self.random.randrange(3, 5)):
            campaign = self._new_campaign(
                "automation", list_id, parent=id, subject=f"{title} {position}"
            )
            email = shapes.automation_email(
                self._object(campaign), workflow=id, position=position, days=position
            )
            account.save("automation_emails", id, campaign.id, email, created=self.at)
        emails = len(account.table("automation_emails", id))
        found["trigger_settings"]["workflow_emails_count"] = emails
        return account.save("automations", TOP, id, found, created=self.at)

    def start_automation(self, automation: str | None = None) -> Ref | None:
        """Start or go on with an automation; its emails go out day by day."""
        ref = self._automation(automation, "save", "paused")
        if ref is None:
            return None
        now = iso(self.at)
        if not self._object(ref)["start_time"]:
            for number, row in enumerate(self.account.table("automation_emails", ref.id)):
                self.schedule(self.at + (number + 1) * DAY, "send_automation", ref.id, row.id)
        for row in list(self.account.table("automation_emails", ref.id)):
            changes = {"status": "sending", "start_time": now}
            self._change(Ref("automation_emails", joined(ref.id, row.id)), changes, silent=True)
            self._change(Ref("campaigns", row.id), {"status": "sending"}, silent=True)
        return self._change(ref, {"status": "sending", "start_time": now}, silent=True)

    def pause_automation(self, automation: str | None = None) -> Ref | None:
        """Pause an automation with all its emails."""
        ref = self._automation(automation, "sending")
        if ref is None:
            return None
        for row in list(self.account.table("automation_emails", ref.id)):
            email = Ref("automation_emails", joined(ref.id, row.id))
            self._change(email, {"status": "paused"}, silent=True)
            self._change(Ref("campaigns", row.id), {"status": "paused"}, silent=True)
        return self._change(ref, {"status": "paused"}, silent=True)

    def send_automation(self, automation: str, email: str) -> None:
        """An email of a running automation goes to those who joined lately, day after day."""
        row = self.account.table("automations").get(automation)
        if row is None or email not in self.account.table("campaigns"):
            return
        self.schedule(self.at + DAY, "send_automation", automation, email)
        list_id = row.object["recipients"]["list_id"]
        if row.object["status"] != "sending" or list_id not in self.account.table("lists"):
            return
        table = self.account.table("members", list_id)
        last = iso(self.at - 7 * DAY)
        sent = self.account.mailings.get(email)
        members = [
            one.id
            for one in table
            if (facts := table.facts(one))["status"] == "subscribed"
            and facts["timestamp_opt"] > last
            and (sent is None or one.id not in sent.events)
        ]
        if members:
            changes: Json = {"send_time": iso(self.at)}
            self._change(Ref("campaigns", email), changes, silent=True)
            self._change(Ref("automation_emails", joined(automation, email)), changes, silent=True)
            self._deliver(email, list_id, members)

    def _automation(self, automation: str | None, *statuses: str) -> Ref | None:
        if automation is None:
            return self.one_of("automations", lambda one: one["status"] in statuses)
        ref = Ref("automations", automation)
        return ref if self._object(ref)["status"] in statuses else None

    # Totals

    def count(self) -> None:
        """Bring all that is counted up to date: reports, summaries, averages, audiences. No update
        time moves by it."""
        account = self.account
        for campaign in sorted(account.stale_campaigns & account.mailings.keys()):
            self._count_campaign(campaign)
            account.stale_lists.add(account.mailings[campaign].list_id)
        account.stale_campaigns.clear()
        self._count_members()
        for list_id in sorted(account.stale_lists):
            if list_id in account.table("lists"):
                self._count_list(list_id)
        account.stale_lists.clear()

    def _put(self, ref: Ref, changes: Json) -> None:
        """Change what has changed, silently."""
        found = self._object(ref)
        new = {name: value for name, value in changes.items() if value_at(found, name) != value}
        if new:
            self._change(ref, new, silent=True)

    def _count_campaign(self, campaign: str) -> None:
        mailing = self.account.mailings[campaign]
        totals = _totals(mailing)
        found = self._object(Ref("campaigns", campaign))
        self._put(Ref("reports", campaign), totals | {"send_time": found["send_time"]})
        summary = {
            "opens": totals["opens.opens_total"], "unique_opens": totals["opens.unique_opens"],
            "open_rate": totals["opens.open_rate"], "clicks": totals["clicks.clicks_total"],
            "subscriber_clicks": totals["clicks.unique_subscriber_clicks"],
            "click_rate": totals["clicks.click_rate"],
        }  # fmt: skip
        sent = totals["emails_sent"]
        shown: Json = {"emails_sent": sent, "recipients.recipient_count": sent}
        self._put(
            Ref("campaigns", campaign),
            shown | {"report_summary": summary | {"ecommerce": shapes.NO_SALES}},
        )
        if found["type"] == "automation" and found["parent_campaign_id"] in self.account.table(
            "automations"
        ):
            workflow = found["parent_campaign_id"]
            email = Ref("automation_emails", joined(workflow, campaign))
            self._put(email, {"emails_sent": sent, "report_summary": summary})
            rows = [row.object for row in self.account.table("automation_emails", workflow)]
            total = sum(row["emails_sent"] for row in rows)
            self._put(
                Ref("automations", workflow),
                {
                    "emails_sent": total,
                    "report_summary": _added(row["report_summary"] for row in rows),
                },
            )

    def _count_members(self) -> None:
        account = self.account
        if not account.stale_members:
            return
        sent: Counter[tuple[str, str]] = Counter()
        acted: dict[str, Counter[tuple[str, str]]] = {"open": Counter(), "click": Counter()}
        for mailing in account.mailings.values():
            for id, events in mailing.events.items():
                key = mailing.list_id, id
                if key in account.stale_members:
                    sent[key] += 1
                    actions = {event["action"] for event in events}
                    for action in actions & acted.keys():
                        acted[action][key] += 1
        for list_id, id in sorted(account.stale_members):
            if id in account.table("members", list_id) and sent[list_id, id]:
                rates = [round(acted[a][list_id, id] / sent[list_id, id], 4) for a in acted]
                self._put(
                    Ref("members", joined(list_id, id)),
                    {
                        "stats.avg_open_rate": rates[0], "stats.avg_click_rate": rates[1],
                        "member_rating": 2 + (rates[0] > 0.2) + (rates[0] > 0.5) + (rates[1] > 0.2),
                    },
                )  # fmt: skip
        account.stale_members.clear()

    def _count_list(self, list_id: str) -> None:
        account = self.account
        members = account.table("members", list_id)
        statuses, since = members.statuses, self.since_send.get(list_id, {})
        sends = [one for one in account.mailings.values() if one.list_id == list_id]
        reports = (row.object for row in account.table("reports"))
        own = [one for one in reports if one["list_id"] == list_id]
        sent = sum(one["emails_sent"] for one in own)
        opened = sum(one["opens"]["unique_opens"] for one in own)
        clicked = sum(one["clicks"]["unique_subscriber_clicks"] for one in own)
        left = [at for (one, _), at in account.unsubscribed_at.items() if one == list_id]
        everyone = () if members.has_recipes else members.rows
        joined_at = max((members.facts(row)["timestamp_opt"] for row in everyone), default="")
        self._put(
            Ref("lists", list_id),
            {
                "stats.member_count": statuses["subscribed"],
                "stats.total_contacts": len(members),
                "stats.unsubscribe_count": statuses["unsubscribed"],
                "stats.cleaned_count": statuses["cleaned"],
                "stats.member_count_since_send": since.get("subscribed", 0),
                "stats.unsubscribe_count_since_send": since.get("unsubscribed", 0),
                "stats.cleaned_count_since_send": since.get("cleaned", 0),
                "stats.campaign_count": len(sends),
                "stats.merge_field_count": len(account.table("merge_fields", list_id)),
                "stats.open_rate": round(100 * opened / sent, 2) if sent else 0,
                "stats.click_rate": round(100 * clicked / sent, 2) if sent else 0,
                "stats.last_sub_date": joined_at,
                "stats.last_unsub_date": iso(max(left)) if left else "",
            },
        )
        if members.has_recipes:
            return
        for row in list(account.table("segments", list_id)):
            count = self.members_in(row.object, [])
            self._put(Ref("segments", joined(list_id, row.id)), {"member_count": count})
        groups: Counter[str] = Counter()
        for member in members:
            facts = members.facts(member)
            if facts["status"] == "subscribed":
                groups.update(id for id, held in facts.get("interests", {}).items() if held)
        for category in account.table("interest_categories", list_id):
            for row in list(account.table("interests", category.id)):
                ref = Ref("interests", joined(category.id, row.id))
                self._put(ref, {"subscriber_count": str(groups[row.id])})


def _added(summaries: Iterable[Json]) -> Json:
    """The summary of several sends."""
    total: Json = dict(shapes.NO_REPORT)
    rows = list(summaries)
    for row in rows:
        for name in total:
            total[name] += row[name]
    for name in ("open_rate", "click_rate"):
        total[name] = round(total[name] / len(rows), 4) if rows else 0
    return total


def _totals(mailing: Mailing) -> Json:
    """The numbers of a report, by their dotted names."""
    opens: list[Json] = []
    clicks: list[Json] = []
    bounces: Counter[str] = Counter()
    opened, read, clicked, links = set(), set(), set(), set()
    hours: dict[str, Counter[str]] = {}
    for id, events in mailing.events.items():
        for event in events:
            hour = event["timestamp"][:13] + ":00:00+00:00"
            match event["action"]:
                case "open":
                    opens.append(event)
                    if id not in opened:
                        hours.setdefault(hour, Counter())["opens"] += 1
                    opened.add(id)
                    if not event["ip"].startswith("17."):
                        if id not in read:
                            hours.setdefault(hour, Counter())["read"] += 1
                        read.add(id)
                case "click":
                    clicks.append(event)
                    if id not in clicked:
                        hours.setdefault(hour, Counter())["clicks"] += 1
                    clicked.add(id)
                    links.add((id, event["url"]))
                case _:
                    bounces[event["type"]] += 1
    sent = len(mailing.events)
    delivered = max(sent - bounces.total(), 1)
    excluded = [one for one in opens if not one["ip"].startswith("17.")]
    start = mailing.at - mailing.at % HOUR
    return {
        "emails_sent": sent,
        "abuse_reports": mailing.abuse,
        "unsubscribed": len(mailing.unsubscribed),
        "bounces.hard_bounces": bounces["hard"],
        "bounces.soft_bounces": bounces["soft"],
        "forwards.forwards_count": mailing.forwards,
        "opens.opens_total": len(opens),
        "opens.proxy_excluded_opens": len(excluded),
        "opens.unique_opens": len(opened),
        "opens.proxy_excluded_unique_opens": len(read),
        "opens.open_rate": round(len(opened) / delivered, 4),
        "opens.proxy_excluded_open_rate": round(len(read) / delivered, 4),
        "opens.last_open": max((one["timestamp"] for one in opens), default=""),
        "clicks.clicks_total": len(clicks),
        "clicks.unique_clicks": len(links),
        "clicks.unique_subscriber_clicks": len(clicked),
        "clicks.click_rate": round(len(clicked) / delivered, 4),
        "clicks.last_click": max((one["timestamp"] for one in clicks), default=""),
        "timeseries": [
            {
                "timestamp": iso(at), "emails_sent": sent if at == start else 0,
                "unique_opens": hours.get(iso(at), Counter())["opens"],
                "proxy_excluded_unique_opens": hours.get(iso(at), Counter())["read"],
                "recipients_clicks": hours.get(iso(at), Counter())["clicks"],
            }
            for at in range(start, start + DAY, HOUR)
        ],
    }  # fmt: skip
