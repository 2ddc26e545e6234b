"""A million rows of one stream without a history: bodies are made when they are read."""

from collections.abc import Mapping
from typing import Any

from provider_sandbox.ledger import Json, encode
from provider_sandbox.mailchimp import shapes
from provider_sandbox.mailchimp.account import TOP, MailchimpAccount, iso, subscriber_hash

ID, NUMBER, CREATED = "\0id", "\0number", "\0created"
STREAMS = ("members", "campaigns", "email_activity")


def fill(account: MailchimpAccount, rows: Mapping[str, int], *, since: int, until: int) -> None:
    """Put so many rows into each stream, evenly spread over the time between two seconds.

    Members are all in one audience, email_activity is of one campaign, that has a report. Raises
    ValueError for a stream that cannot be filled so.
    """
    for stream in rows:
        if stream not in STREAMS:
            known = ", ".join(STREAMS)
            raise ValueError(f"only {known} can be filled without a history, not {stream!r}")
    economy = account.economy
    economy.at = economy.horizon = since
    list_id = economy.add_list().id
    campaign = economy.add_campaign("regular", list_id).id
    if "members" in rows:
        _fill(account, "members", list_id, rows["members"], _member(account, list_id), since, until)
        found = account.table("lists").rows[0].object
        found["stats"] |= {"member_count": rows["members"], "total_contacts": rows["members"]}
        account.save("lists", TOP, list_id, found, created=since)
    if "campaigns" in rows:
        template = account.table("campaigns").rows[0].object | {"id": ID, "create_time": CREATED}
        ids = account.hex
        for number in range(rows["campaigns"] - 1):
            created = since + (until - since) * number // rows["campaigns"]
            recipe = _Recipe(_template(template), number)
            account.table("campaigns").add(ids(10), created, recipe)
    if "email_activity" in rows:
        _fill(
            account, "email_activity", campaign, rows["email_activity"],
            shapes.email_activity(
                campaign, list_id, ID, f"guest.{NUMBER}@mail.example",
                [{"action": "open", "timestamp": CREATED, "ip": "198.51.100.7"}],
            ),
            since, until,
        )  # fmt: skip
        sent = {"status": "sent", "send_time": iso(since), "emails_sent": rows["email_activity"]}
        account.change("campaigns", TOP, campaign, sent, at=since)
        report = shapes.report(account.table("campaigns").rows[0].object)
        report |= {"emails_sent": rows["email_activity"]}
        report["opens"] |= {
            "opens_total": rows["email_activity"], "unique_opens": rows["email_activity"],
            "last_open": iso(until),
        }  # fmt: skip
        account.save("reports", TOP, campaign, report, created=since)
    account.stale_lists.clear()


def _fill(
    account: MailchimpAccount, stream: str, parent: str, count: int, sample: Json, since: int,
    until: int,
) -> None:  # fmt: skip
    table, template = account.table(stream, parent), _template(sample)
    for number in range(count):
        created = since + (until - since) * number // count
        id = subscriber_hash(f"guest.{number}@mail.example")
        table.add(id, created, _Recipe(template, number))


class _Recipe:
    """Makes the body of one row from a template; it holds the number that its address has."""

    __slots__ = ("_number", "_template")

    def __init__(self, template: bytes, number: int) -> None:
        self._template = template
        self._number = number

    def __call__(self, id: str, created: int) -> bytes:
        return self._template % {
            b"id": id.encode(), b"number": self._number, b"created": iso(created).encode(),
        }  # fmt: skip


def _template(sample: Json) -> bytes:
    template = encode(sample).replace(b"%", b"%%")
    for mark, place in ((ID, b"%(id)b"), (NUMBER, b"%(number)d"), (CREATED, b"%(created)b")):
        template = template.replace(encode(mark)[1:-1], place)
    return template


def _member(account: MailchimpAccount, list_id: str) -> Json:
    fields: dict[str, Any] = {
        row.object["tag"]: "" for row in account.table("merge_fields", list_id)
    }
    return shapes.member(
        ID, email=f"guest.{NUMBER}@mail.example", list_id=list_id, web_id=300_000_000,
        unique_email_id=f"u{NUMBER}", contact_id=f"c{NUMBER}", status="subscribed",
        merge_fields=fields | {"FNAME": "Zoë \"Z\"", "LNAME": f"O'Løw {NUMBER}"},
        interests=dict.fromkeys(account.economy.interests_of(list_id), False),
        opted=CREATED, signed_up=CREATED, changed=CREATED, source="Import", ip="203.0.113.9",
    )  # fmt: skip
