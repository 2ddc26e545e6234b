"""What Mailchimp's webhooks tell: forms, signed by nobody."""

import urllib.request
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from provider_sandbox.ledger import Json

FORM = "application/x-www-form-urlencoded"
UNTOLD = frozenset({"last_changed", "stats", "member_rating"})
"""Fields of a member that change without a word."""
TYPES = {"unsubscribed": "unsubscribe", "archived": "unsubscribe", "cleaned": "cleaned"}


def of_member(before: Json | None, after: Json | None) -> Json | None:
    """The form about a member that was ``before`` and is ``after``; None: nothing is told."""
    if after is None:
        if before is None or before["status"] != "subscribed":
            return None
        return {"type": "unsubscribe", "data[action]": "delete", **_of(before)}
    if before is None:
        return {"type": "subscribe", **_of(after)} if after["status"] == "subscribed" else None
    if before["status"] != after["status"]:
        kind = TYPES.get(after["status"], "subscribe")
        fields = {"type": kind, **_of(after)}
        if kind == "unsubscribe":
            archived = after["status"] == "archived"
            fields["data[action]"] = "archive" if archived else "unsub"
        return None if after["status"] in ("pending", "transactional") else fields
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    return {"type": "profile", **_of(after)} if changed - UNTOLD else None


def of_address(old: str, new: str, new_id: str) -> Json:
    """The form about a member whose address has changed."""
    return {
        "type": "upemail", "data[new_id]": new_id, "data[new_email]": new, "data[old_email]": old,
    }  # fmt: skip


def of_campaign(before: Json | None, after: Json | None) -> Json | None:
    """The form about a campaign; only the end of its sending is told."""
    if before is None or after is None or before["status"] == after["status"]:
        return None
    if after["status"] not in ("sent", "canceled"):
        return None
    return {
        "type": "campaign", "data[id]": after["id"], "data[status]": after["status"],
        "data[subject]": after["settings"].get("subject_line", ""), "data[reason]": "",
    }  # fmt: skip


def answers(url: str) -> bool:
    """Whether a GET of the URL succeeds, which Mailchimp asks before it takes one; URLs elsewhere
    than on this machine are believed."""
    if urlsplit(url).hostname != "127.0.0.1":
        return True
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def body(fields: Mapping[str, str]) -> bytes:
    """A form as it is sent."""
    return urlencode(fields).encode()


def _of(member: Json) -> Json:
    merged = {f"data[merges][{name}]": str(value) for name, value in member["merge_fields"].items()}
    return {
        "data[id]": member["unique_email_id"], "data[email]": member["email_address"],
        "data[email_type]": member["email_type"], **merged,
    }  # fmt: skip
