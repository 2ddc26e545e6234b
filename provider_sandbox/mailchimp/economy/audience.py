"""Who is written to: audiences, their members and what is known of them."""

from datetime import UTC, datetime

from provider_sandbox.ledger import Json
from provider_sandbox.mailchimp import shapes
from provider_sandbox.mailchimp.account import (
    DAY,
    TOP,
    MailchimpAccount,
    Ref,
    SilentChange,
    iso,
    joined,
    split,
    subscriber_hash,
)
from provider_sandbox.mailchimp.economy.ground import Ground

NAMES = (
    ("Ada", "Lind"), ("Zoë", "O'Connor"), ("Łukasz", "Wójcik"), ("花子", "山田"),
    ("عبد", "الله"), ("Renée \"Red\"", "Dubois"), ("Søren", "Ångström"), ("Ngọc", "Trần"),
    ("Back\\Slash", "Ltd"), ("Иван", "Петров"), ("Δήμητρα", "Παπά"), ("Noor 🎷", "Quartet"),
    ("O'Brien", "— Events"), ("Tab\tbed", "& Sons"), ("कविता", ""), ("", ""), ("Mary-Jane", "Lee"),
)  # fmt: skip
CITIES = ("Reykjavík", "São Paulo", "Zürich", "Montréal", "東京", "Kraków", "Portland", "Κέρκυρα")
SOURCES = ("Hosted Signup Form", "API - Generic", "Admin Add", "Import", "Embed Form", "POS Till")
LANGUAGES = ("", "en", "pl", "de", "fr", "es", "ja")
CLIENTS = ("", "Gmail", "Apple Mail", "Outlook", "iPhone")
REASONS = ("None given", "No longer interested", "Too many “emails”", "I never signed up")
FIELDS = (
    ("FNAME", "First Name", "text", ()),
    ("LNAME", "Last Name", "text", ()),
    ("ADDRESS", "Address", "address", ()),
    ("PHONE", "Phone Number", "phone", ()),
    ("BIRTHDAY", "Birthday", "birthday", ()),
    ("GENRE", "Favourite genre", "dropdown", ("Jazz", "Rock 'n' Roll", "Élektro", "演歌")),
    ("VISITS", "Visits", "number", ()),
    ("LASTVISIT", "Last visit", "date", ()),
    ("SEAT", "Usual seat \"row/seat\"", "text", ()),
)  # fmt: skip
MORE_FIELDS = (
    ("COMPANY", "Company", "text", ()),
    ("WEBSITE", "Website", "url", ()),
    ("DIET", "Diet", "radio", ("Vegan", "Halal", "—")),
    ("ZIP", "Postcode", "zip", ()),
)
CATEGORIES = (
    ("Genres", "checkboxes", ("Jazz", "Rock 'n' Roll", "Élektro", "Folk & “Trad”", "演歌")),
    ("How often", "radio", ("Weekly", "Monthly")),
    ("Internal", "hidden", ("Press", "Staff")),
)
TAGS = (
    "VIP guests", "Season ticket", "Café regulars", "Backstage \"crew\"", "Imported 2026",
    "Gästeliste/Plus 1", "Noise complaint", "学生",
)  # fmt: skip
PERMISSIONS = (("0a1b2c3d4e", "Email"), ("5f6a7b8c9d", "Customized “Online” Advertising"))
AUDIENCES = ("{} — Newsletter", "{} members' club", "Private hire “B2B”")


class Audience(Ground):
    """Audiences, members, tags, segments, interests and merge fields."""

    def __init__(self, account: MailchimpAccount) -> None:
        super().__init__(account)
        self.guests = 0
        self.since_send: dict[str, dict[str, int]] = {}
        self.before_archive: dict[tuple[str, str], str] = {}

    # Audiences

    def add_list(self, name: str = "") -> Ref:
        """An audience with its merge fields, groups, tags and segments."""
        account, number = self.account, len(self.account.table("lists"))
        title = name or AUDIENCES[number % len(AUDIENCES)].format(account.name)
        id = account.hex(10)
        found = shapes.audience(
            account, id, iso(self.at), web_id=account.web_id(), name=title,
            language="en", double_optin=number == 1, permissions=number == 1,
        )  # fmt: skip
        ref = account.save("lists", TOP, id, found, created=self.at)
        self.since_send[id] = {"subscribed": 0, "unsubscribed": 0, "cleaned": 0}
        for tag, label, type, choices in FIELDS if number == 0 else FIELDS[:5]:
            self._add_field(id, tag, label, type, choices)
        for title, type, interests in CATEGORIES if number == 0 else CATEGORIES[1:2]:
            category = self.add_interest_category(id, title, type)
            for interest in interests:
                self.add_interest(category.id, interest)
        for tag in TAGS if number == 0 else TAGS[:3]:
            self.add_tag(id, tag)
        self._add_segments(id)
        account.stale_lists.add(id)
        return ref

    def _a_list(self) -> str:
        """Mostly the first audience: most people are in it."""
        rows = self.account.table("lists").rows
        weights = [6, 2, *[1] * len(rows)][: len(rows)]
        return self.random.choices(rows, weights)[0].id

    def _add_field(
        self, list_id: str, tag: str, name: str, type: str, choices: tuple[str, ...]
    ) -> Ref:
        table = self.account.table("merge_fields", list_id)
        id = 1 + max((int(one) for one in (*table.deleted, *(row.id for row in table))), default=0)
        found = shapes.merge_field(
            id, list_id=list_id, tag=tag, name=name, type=type, order=id + 1,
            public=tag == "FNAME", choices=choices,
        )  # fmt: skip
        self.account.stale_lists.add(list_id)
        return self.account.save("merge_fields", list_id, str(id), found, created=self.at)

    def add_merge_field(self, list_id: str | None = None) -> Ref | None:
        """A further field: every member of the list gets it, empty, and none is told changed."""
        list_id = list_id or self._a_list()
        taken = {row.object["tag"] for row in self.account.table("merge_fields", list_id)}
        free = [one for one in (*MORE_FIELDS, *FIELDS) if one[0] not in taken]
        if not free:
            return None
        tag, name, type, choices = free[0]
        ref = self._add_field(list_id, tag, name, type, choices)
        self._set_all(list_id, "merge_fields", {tag: ""})
        return ref

    def remove_merge_field(self, ref: str | None = None) -> Ref | None:
        """Remove a field ("LIST/MERGE_ID") from the list and, silently, from all its members."""
        found = Ref("merge_fields", ref) if ref else self.one_of("merge_fields", _is_extra_field)
        if found is None:
            return None
        list_id, id = split(found.id)
        tag = self._object(found)["tag"]
        self.account.remove("merge_fields", list_id, id, at=self.at)
        self._set_all(list_id, "merge_fields", {tag: None})
        self.account.stale_lists.add(list_id)
        return found

    def _set_all(self, list_id: str, name: str, values: Json) -> None:
        """Set keys of a field of all members without a word; None removes the key."""
        table = self.account.table("members", list_id)
        for row in list(table):
            found = row.object
            held = {**found.get(name, {}), **values}
            found[name] = {key: value for key, value in held.items() if value is not None}
            if name == "interests" and not found[name]:
                del found[name]
            self.account.save("members", list_id, row.id, found, created=row.created)
            self.account.silent_changes.append(
                SilentChange(self.at, "members", joined(list_id, row.id), name)
            )

    # Groups

    def add_interest_category(self, list_id: str, title: str = "", type: str = "checkboxes") -> Ref:
        """A category without groups."""
        title = title or f"Category at {self.at}"
        order = len(self.account.table("interest_categories", list_id))
        id = self.account.hex(10)
        found = shapes.interest_category(id, list_id=list_id, title=title, type=type, order=order)
        return self.account.save("interest_categories", list_id, id, found, created=self.at)

    def add_interest(self, category: str | None = None, name: str = "") -> Ref | None:
        """A group in a category ("LIST/ID"); each member of the list gets it as false, silently."""
        found_category = Ref("interest_categories", category) if category else None
        found_category = found_category or self.one_of("interest_categories")
        if found_category is None:
            return None
        list_id, category_id = split(found_category.id)
        table = self.account.table("interests", category_id)
        id = self.account.hex(10)
        found = shapes.interest(
            id, list_id=list_id, category_id=category_id, order=len(table) + 1,
            name=name or f"Group “{len(table) + 1}”",
        )  # fmt: skip
        ref = self.account.save("interests", category_id, id, found, created=self.at)
        self._set_all(list_id, "interests", {id: False})
        self.account.stale_lists.add(list_id)
        return ref

    def remove_interest_category(self, ref: str | None = None) -> Ref | None:
        """Remove a category ("LIST/ID") with its groups."""
        found = Ref("interest_categories", ref) if ref else self.one_of("interest_categories")
        if found is None:
            return None
        list_id, id = split(found.id)
        if ref is None and len(self.account.table("interest_categories", list_id)) < 3:
            return None
        self.account.remove("interest_categories", list_id, id, at=self.at)
        for row in list(self.account.table("interests", id)):
            self.remove_interest(joined(id, row.id))
        return found

    def remove_interest(self, ref: str | None = None) -> Ref | None:
        """Remove a group ("CATEGORY/ID"), silently from the members too."""
        found = Ref("interests", ref) if ref else self.one_of("interests")
        if found is None:
            return None
        category_id, id = split(found.id)
        if ref is None and len(self.account.table("interests", category_id)) < 2:
            return None
        list_id = self._object(found)["list_id"]
        self.account.remove("interests", category_id, id, at=self.at)
        self._set_all(list_id, "interests", {id: None})
        self.account.stale_lists.add(list_id)
        return found

    def interests_of(self, list_id: str) -> list[str]:
        """Ids of all groups of a list."""
        return [
            row.id
            for category in self.account.table("interest_categories", list_id)
            for row in self.account.table("interests", category.id)
        ]

    # Tags and segments

    def add_tag(self, list_id: str | None = None, name: str = "") -> Ref:
        """A tag, which is a static segment too."""
        list_id = list_id or self._a_list()
        number = len(self.account.table("tags", list_id)) + 1
        ref = self._add_segment(list_id, name or f"Concert {number} “{self.at}”", "static", [])
        id = int(split(ref.id)[1])
        self.account.tagged[id] = {}
        self.account.save(
            "tags", list_id, str(id), {"id": id, "name": self._object(ref)["name"]}, created=self.at
        )
        return ref

    def _add_segment(self, list_id: str, name: str, type: str, conditions: list[Json]) -> Ref:
        id = self.account.web_id() % 10**8
        found = shapes.segment(
            id, iso(self.at), list_id=list_id, name=name, type=type, conditions=conditions
        )
        self.account.stale_lists.add(list_id)
        return self.account.save("segments", list_id, str(id), found, created=self.at)

    def _add_segments(self, list_id: str) -> None:
        """The saved segments of an audience, and the prebuilt ones, which are called fuzzy."""
        interests = self.interests_of(list_id)
        wanted: list[tuple[str, str, Json]] = [
            ("VIPs", "saved", {"condition_type": "VIP", "field": "gmonkey", "op": "member"}),
            (
                "New this month", "fuzzy",
                {
                    "condition_type": "Date", "field": "timestamp_opt", "op": "greater",
                    "value": iso(self.at + 30 * DAY)[:10],
                },
            ),
        ]  # fmt: skip
        if interests:
            wanted.append(
                (
                    "Likes \"Jazz\"", "saved",
                    {
                        "condition_type": "Interests", "op": "interestcontains",
                        "field": "interests", "value": interests[:1],
                    },
                )
            )  # fmt: skip
        for name, type, condition in wanted:
            self._add_segment(list_id, name, type, [condition])

    def add_segment(self, list_id: str | None = None) -> Ref:
        """A saved segment of those who opted in after some day."""
        condition = {
            "condition_type": "Date", "field": "timestamp_opt", "op": "greater",
            "value": iso(self.at - self.random.randrange(60) * DAY)[:10],
        }  # fmt: skip
        list_id = list_id or self._a_list()
        return self._add_segment(list_id, f"Since {condition['value']}", "saved", [condition])

    def rename_segment(self, ref: str | None = None, name: str = "") -> Ref | None:
        """Rename a segment or tag ("LIST/ID"): its update time moves, its members' does not."""
        found = Ref("segments", ref) if ref else self.one_of("segments")
        if found is None:
            return None
        list_id, id = split(found.id)
        name = name or f"Renamed at {self.at}"
        if id in self.account.table("tags", list_id):
            self.account.change("tags", list_id, id, {"name": name}, at=self.at)
            self._tags_again(list_id, self.account.tagged[int(id)])
        return self._change(found, {"name": name, "updated_at": iso(self.at)})

    def remove_segment(self, ref: str | None = None) -> Ref | None:
        """Delete a segment; of a tag also from all who have it, silently."""
        found = Ref("segments", ref) if ref else self.one_of("segments")
        if found is None:
            return None
        list_id, id = split(found.id)
        self.account.remove("segments", list_id, id, at=self.at)
        if id in self.account.table("tags", list_id):
            self.account.remove("tags", list_id, id, at=self.at)
            self._tags_again(list_id, self.account.tagged.pop(int(id)))
        return found

    def _tags_again(self, list_id: str, members: dict[str, int]) -> None:
        for id in members:
            self._change(
                Ref("members", joined(list_id, id)), self._tags_of(list_id, id), silent=True
            )

    def _tags_of(self, list_id: str, member: str) -> Json:
        tags = [
            row.object
            for row in self.account.table("tags", list_id)
            if member in self.account.tagged.get(int(row.id), ())
        ]
        return {"tags": tags, "tags_count": len(tags)}

    def tag(self, member: str | None = None, tag: int | None = None) -> Ref | None:
        """Tag a member ("LIST/HASH"), or take the tag away: the member's last change moves."""
        ref = self._member(member)
        if ref is None:
            return None
        list_id, id = split(ref.id)
        tags = [int(row.id) for row in self.account.table("tags", list_id)]
        if not tags:
            return None
        tag = tag or self.random.choice(tags)
        held = self.account.tagged[tag]
        if held.pop(id, None) is None:
            held[id] = self.at
        self.account.stale_lists.add(list_id)
        return self._change(ref, self._tags_of(list_id, id) | {"last_changed": iso(self.at)})

    def tag_many(self, segment: str | None = None) -> Ref | None:
        """Add members to a tag through its segment, as a batch does: the segment's update time
        moves, no member's does."""
        found = Ref("tags", segment) if segment else self.one_of("tags")
        if found is None:
            return None
        list_id, id = split(found.id)
        rows = self.account.table("members", list_id).rows
        held = self.account.tagged[int(id)]
        for row in self.random.sample(rows, min(len(rows), 5)):
            held.setdefault(row.id, self.at)
            changes = self._tags_of(list_id, row.id)
            self._change(Ref("members", joined(list_id, row.id)), changes, silent=True)
        self.account.stale_lists.add(list_id)
        return self._change(Ref("segments", found.id), {"updated_at": iso(self.at)})

    def members_in(self, segment: Json, counted: list[str]) -> int:
        """How many members a segment has, those whose status is counted besides subscribed
        included."""
        table = self.account.table("members", segment["list_id"])
        statuses = {"subscribed", *counted}
        held = self.account.tagged.get(segment["id"])
        if held is not None:
            return sum(
                row is not None and table.facts(row)["status"] in statuses
                for row in map(table.get, held)
            )
        conditions = segment["options"]["conditions"]
        return sum(
            facts["status"] in statuses and all(_meets(facts, one) for one in conditions)
            for facts in map(table.facts, table)
        )

    # Members

    def subscribe(self, list_id: str | None = None, email: str = "") -> Ref | None:
        """Somebody signs up, is added or imported; to a list with double opt-in as pending first.
        None where the address is a member already."""
        account = self.account
        list_id = list_id or self._a_list()
        email = email or self._an_email()
        id = subscriber_hash(email)
        if id in account.table("members", list_id):
            return None
        found_list = account.table("lists").get(list_id)
        if found_list is None:
            raise LookupError(f"there is no list {list_id!r} in account {account.slug!r}")
        source = self.random.choice(SOURCES)
        pending = found_list.object["double_optin"] and source.endswith("Form")
        status = "pending" if pending else "transactional" if self.chance(0.02) else "subscribed"
        member = shapes.member(
            id, email=email, list_id=list_id, web_id=account.web_id(),
            unique_email_id=account.hex(10), contact_id=account.hex(32), status=status,
            merge_fields=self._merge_values(list_id),
            interests={one: self.chance(0.3) for one in self.interests_of(list_id)},
            opted="" if pending or status == "transactional" else iso(self.at),
            signed_up=iso(self.at) if source.endswith("Form") else "", changed=iso(self.at),
            source=source, ip=f"203.0.113.{self.random.randrange(1, 255)}",
            language=self.random.choice(LANGUAGES), vip=self.chance(0.04),
            email_type="text" if self.chance(0.05) else "html",
        )  # fmt: skip
        if self.chance(0.5):
            member["location"] = shapes.location(account.country, account.timezone)
        if found_list.object["marketing_permissions"]:
            member["marketing_permissions"] = [
                {"marketing_permission_id": permission, "text": text, "enabled": self.chance(0.7)}
                for permission, text in PERMISSIONS
            ]
        if self.chance(0.05):
            member["last_note"] = {
                "note_id": account.web_id() % 10**6, "created_at": iso(self.at),
                "created_by": "Box office", "note": "Sits in row \"C\",\nnever on the aisle",
            }  # fmt: skip
        ref = account.save("members", list_id, id, member, created=self.at)
        self._count(list_id, status)
        if pending and self.chance(0.8):
            self.schedule(self.at + self.random.randrange(60, DAY), "confirm", ref.id)
        if self.chance(0.3):
            self.tag(ref.id)
        return ref

    def _an_email(self) -> str:
        self.guests += 1
        name = f"guest.{self.guests}"
        match self.random.randrange(12):
            case 0:
                return f"Guest.{self.guests}@Mail.Example"
            case 1:
                return f"{name}+tickets@mail.example"
            case 2:
                return f"o'{name}@mail.example"
            case _:
                return f"{name}@mail.example"

    def _merge_values(self, list_id: str) -> Json:
        first, last = self.random.choice(NAMES)
        values: Json = {}
        for row in self.account.table("merge_fields", list_id):
            field = row.object
            match field["tag"], field["type"]:
                case "FNAME", _:
                    value: object = first
                case "LNAME", _:
                    value = last
                case _, "address" if self.chance(0.3):
                    value = {
                        "addr1": f"{self.random.randrange(1, 99)} Quay", "addr2": "",
                        "city": self.random.choice(CITIES), "state": "", "zip": "30-001",
                        "country": self.account.country,
                    }  # fmt: skip
                case _, "dropdown" if self.chance(0.5):
                    value = self.random.choice(field["options"]["choices"])
                case _, "number" if self.chance(0.5):
                    value = self.random.randrange(40)
                case _, "birthday" if self.chance(0.3):
                    value = f"{self.random.randrange(1, 13):02d}/{self.random.randrange(1, 29):02d}"
                case "SEAT", _ if self.chance(0.2):
                    value = 'Row "C"/12'
                case _:
                    value = ""
            values[field["tag"]] = value
        return values

    def confirm(self, member: str) -> Ref | None:
        """A pending member follows the link in the mail, if it is still there."""
        list_id, id = split(member)
        if id not in self.account.table("members", list_id):
            return None
        ref = self._member(member, "pending")
        return ref and self._set_status(
            ref, "subscribed", timestamp_opt=iso(self.at), ip_opt="203.0.113.9"
        )

    def edit_member(self, member: str | None = None) -> Ref | None:
        """Change a merge field, a group, the language, the VIP mark or the type of email."""
        ref = self._member(member)
        if ref is None:
            return None
        found = self._object(ref)
        first, last = self.random.choice(NAMES)
        groups = list(found.get("interests", ()))
        changes: Json
        match self.random.randrange(5):
            case 0 if groups:
                group = self.random.choice(groups)
                changes = {f"interests.{group}": not found["interests"][group]}
            case 1:
                changes = {"vip": not found["vip"]}
            case 2:
                changes = {"language": self.random.choice(LANGUAGES)}
            case _:
                names = {"FNAME": first, "LNAME": last}
                changes = {
                    "merge_fields": found["merge_fields"] | names,
                    "full_name": shapes.full_name(names),
                }
        self.account.stale_lists.add(found["list_id"])
        return self._change(ref, changes | {"last_changed": iso(self.at)})

    def unsubscribe(self, member: str | None = None, reason: str = "") -> Ref | None:
        """A member leaves by hand: no campaign counts it."""
        ref = self._member(member, "subscribed")
        return ref and self._set_status(
            ref, "unsubscribed", unsubscribe_reason=reason or "N/A (Unsubscribed by admin)"
        )

    def clean(self, member: str | None = None) -> Ref | None:
        """An address turns out to be dead."""
        ref = self._member(member, "subscribed")
        return ref and self._set_status(ref, "cleaned")

    def archive(self, member: str | None = None) -> Ref | None:
        """Archive a member, as DELETE does: it is hidden from the list, its last change moves."""
        ref = self._member(member)
        if ref is None or self._object(ref)["status"] == "archived":
            return None
        return self._set_status(ref, "archived")

    def resubscribe(self, member: str | None = None) -> Ref | None:
        """An archived or unsubscribed member comes back."""
        ref = self._member(member, "archived", "unsubscribed")
        return ref and self._set_status(ref, "subscribed", timestamp_opt=iso(self.at))

    def change_email(self, member: str | None = None, email: str = "") -> Ref | None:
        """Another address: the id changes with it. `unique_email_id` and `contact_id` stay."""
        ref = self._member(member, "subscribed")
        email = email or self._an_email()
        if ref is None:
            return None
        list_id, old = split(ref.id)
        found, new = self._object(ref), subscriber_hash(email)
        table = self.account.table("members", list_id)
        if new != old and new in table:
            return None
        row = table.get(old)
        created = row.created if row else self.at
        found |= {"id": new, "email_address": email, "last_changed": iso(self.at)}
        self.account.stale_lists.add(list_id)
        if new == old:
            return self.account.save("members", list_id, new, found, created=created)
        self._moved(list_id, old, new)
        return self.account.rename_member(list_id, old, found, created=created, at=self.at)

    def _moved(self, list_id: str, old: str, new: str) -> None:
        """What is kept by member follows it to its new id."""
        account = self.account
        for held in account.tagged.values():
            if old in held:
                held[new] = held.pop(old)
        if (list_id, old) in account.unsubscribed_at:
            account.unsubscribed_at[list_id, new] = account.unsubscribed_at.pop((list_id, old))

    def delete_forever(self, member: str | None = None) -> Ref | None:
        """Delete a member permanently: it vanishes without a trace, and so does what the reports
        tell of it; their totals stay."""
        ref = self._member(member)
        if ref is None:
            return None
        list_id, id = split(ref.id)
        account = self.account
        account.remove("members", list_id, id, at=self.at)
        for held in account.tagged.values():
            held.pop(id, None)
        for mailing in account.mailings.values():
            if mailing.list_id == list_id:
                for stream in ("email_activity", "unsubscribes"):
                    if id in account.table(stream, mailing.campaign):
                        account.remove(stream, mailing.campaign, id, at=self.at)
        account.stale_lists.add(list_id)
        return ref

    def _member(self, member: str | None, *statuses: str) -> Ref | None:
        """The member, or any, where its status is one of these (none given: any)."""
        if member is None:
            return self.one_of("members", lambda one: not statuses or one["status"] in statuses)
        ref = Ref("members", member)
        return ref if not statuses or self._object(ref)["status"] in statuses else None

    def _set_status(self, ref: Ref, status: str, **changes: str) -> Ref:
        list_id, id = split(ref.id)
        found = self._object(ref)
        if status == "unsubscribed":
            self.account.unsubscribed_at[list_id, id] = self.at
        elif status == "subscribed":
            found.pop("unsubscribe_reason", None)
        self._count(list_id, status)
        found |= {"status": status, "last_changed": iso(self.at), **changes}
        return self.account.save("members", list_id, id, found, created=self.at)

    def _count(self, list_id: str, status: str) -> None:
        since = self.since_send.setdefault(list_id, {})
        since[status] = since.get(status, 0) + 1
        self.account.stale_lists.add(list_id)


def _is_extra_field(field: Json) -> bool:
    return field["tag"] not in ("FNAME", "LNAME")


def _meets(facts: Json, condition: Json) -> bool:
    """Whether a member meets a condition of a segment."""
    match condition["condition_type"]:
        case "VIP":
            return bool(facts["vip"])
        case "Interests":
            groups = facts.get("interests", {})
            return any(groups.get(one) for one in condition["value"])
        case _:
            day = datetime.fromisoformat(condition["value"]).replace(tzinfo=UTC)
            return bool(facts["timestamp_opt"] > iso(int(day.timestamp())))
