"""The lists that the stand-in serves: paths, parameters, and what is compared.

Held to the parameters of the official SDK by tests; nothing that is not in this table is accepted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypedDict

from provider_sandbox.ledger import Json

DEFAULT_COUNT, MOST = 10, 1000
PROJECTION = ("fields", "exclude_fields")


class Kind(Enum):
    """How a parameter is written, and how it selects."""

    TEXT = auto()
    CHOICE = auto()
    FLAG = auto()
    SINCE = auto()
    """A time; objects at or before it are left out."""
    BEFORE = auto()
    """A time; objects after it are left out."""
    OPTION = auto()
    """Judged by the endpoint itself; it selects nothing by one field."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One documented filter of a list; ``path`` is the dotted name of what it compares."""

    kind: Kind
    path: str = ""
    choices: tuple[str, ...] = ()


def value_at(found: Json, path: str) -> Any:
    """The value at a dotted path, None where the path leads nowhere."""
    value: Any = found
    for step in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def text(path: str) -> Filter:
    return Filter(Kind.TEXT, path)


def choice(path: str, *choices: str) -> Filter:
    return Filter(Kind.CHOICE, path, choices)


def flag(path: str) -> Filter:
    return Filter(Kind.FLAG, path)


def window(name: str, path: str) -> dict[str, Filter]:
    return {f"since_{name}": Filter(Kind.SINCE, path), f"before_{name}": Filter(Kind.BEFORE, path)}


OPTION = Filter(Kind.OPTION)
ONLY_WHEN_TRUE = Filter(Kind.FLAG)
MEMBER_STATUSES = (
    "subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived"
)  # fmt: skip
CAMPAIGN_STATUSES = (
    "save", "paused", "schedule", "sending", "sent", "canceled", "canceling", "archived"
)  # fmt: skip
CAMPAIGN_TYPES = ("regular", "plaintext", "absplit", "rss", "automation", "variate")
MERGE_TYPES = (
    "text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown",
    "birthday", "zip",
)  # fmt: skip
CATEGORY_TYPES = ("checkboxes", "dropdown", "radio", "hidden")
INCLUDED = ("include_cleaned", "include_transactional", "include_unsubscribed")


class ListFacts(TypedDict, total=False):
    date_created: str
    stats: Json


class MemberFacts(TypedDict, total=False):
    status: str
    last_changed: str
    timestamp_opt: str
    timestamp_signup: str
    email_type: str
    vip: bool
    unique_email_id: str
    contact_id: str
    interests: dict[str, bool]


class CampaignFacts(TypedDict, total=False):
    status: str
    type: str
    create_time: str
    send_time: str
    recipients: Json
    settings: Json


FACTS: Mapping[str, Any] = {
    "lists": ListFacts, "members": MemberFacts, "campaigns": CampaignFacts
}  # fmt: skip
"""What is read of an object to filter and sort it; all of it in the other streams."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A list and the objects in it.

    ``path`` below the base, its parent in braces; ``items`` names the rows in the body; ``key`` is
    the field that identifies a row below its parent; ``envelope`` are the parents' ids that the
    body repeats; ``sorts`` are what `sort_field` may be; ``paged`` lists take `count` and `offset`,
    ``projected`` ones `fields` and `exclude_fields`; rows with ``links`` have `_links`; ``newest``
    is the field by which the latest come first where nothing else is asked; ``parent`` is the
    stream whose objects have these rows; ``reads`` says whether a single one can be read at
    ``path``/ID, which takes ``read_filters``.
    """

    stream: str
    path: str
    items: str
    key: str = "id"
    filters: Mapping[str, Filter] = field(default_factory=dict)
    sorts: tuple[str, ...] = ()
    envelope: tuple[str, ...] = ()
    parent: str | None = None
    paged: bool = True
    projected: bool = True
    links: bool = True
    newest: str | None = None
    reads: bool = True
    read_filters: Mapping[str, Filter] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Every query parameter that the list takes."""
        return (
            *(("count", "offset") if self.paged else ()),
            *(PROJECTION if self.projected else ()),
            *self.filters,
            *(("sort_field", "sort_dir") if self.sorts else ()),
        )


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "lists", "/lists", "lists",
        filters={
            **window("date_created", "date_created"),
            **window("campaign_last_sent", "stats.campaign_last_sent"),
            "email": OPTION, "has_ecommerce_store": OPTION,
            "include_total_contacts": ONLY_WHEN_TRUE,
        },
        sorts=("date_created",),
        read_filters={"include_total_contacts": ONLY_WHEN_TRUE},
    ),
    Endpoint(
        "members", "/lists/{list_id}/members", "members",
        filters={
            "status": choice("status", *MEMBER_STATUSES),
            "email_type": choice("email_type", "html", "text"),
            **window("timestamp_opt", "timestamp_opt"),
            **window("last_changed", "last_changed"),
            "unique_email_id": text("unique_email_id"), "vip_only": flag("vip"),
            "interest_category_id": OPTION, "interest_ids": OPTION,
            "interest_match": choice("", "any", "all", "none"),
            "since_last_campaign": OPTION, "unsubscribed_since": OPTION,
        },
        sorts=("timestamp_opt", "timestamp_signup", "last_changed"),
        envelope=("list_id",), parent="lists",
    ),
    Endpoint(
        "merge_fields", "/lists/{list_id}/merge-fields", "merge_fields", "merge_id",
        filters={"type": choice("type", *MERGE_TYPES), "required": flag("required")},
        envelope=("list_id",), parent="lists",
    ),
    Endpoint(
        "segments", "/lists/{list_id}/segments", "segments",
        filters={
            "type": text("type"), **window("created_at", "created_at"),
            **window("updated_at", "updated_at"), **dict.fromkeys(INCLUDED, ONLY_WHEN_TRUE),
        },
        envelope=("list_id",), parent="lists",
        read_filters=dict.fromkeys(INCLUDED, ONLY_WHEN_TRUE),
    ),
    Endpoint(
        "tags", "/lists/{list_id}/tag-search", "tags",
        filters={"name": OPTION}, parent="lists", links=False, reads=False,
    ),
    Endpoint(
        "interest_categories", "/lists/{list_id}/interest-categories", "categories",
        filters={"type": choice("type", *CATEGORY_TYPES)}, envelope=("list_id",), parent="lists",
    ),
    Endpoint(
        "interests",
        "/lists/{list_id}/interest-categories/{interest_category_id}/interests", "interests",
        envelope=("list_id", "category_id"), parent="interest_categories",
    ),
    Endpoint(
        "campaigns", "/campaigns", "campaigns",
        filters={
            "type": choice("type", *CAMPAIGN_TYPES), "status": choice("status", *CAMPAIGN_STATUSES),
            **window("send_time", "send_time"), **window("create_time", "create_time"),
            "list_id": text("recipients.list_id"), "folder_id": text("settings.folder_id"),
            "member_id": OPTION,
        },
        sorts=("create_time", "send_time"),
    ),
    Endpoint(
        "reports", "/reports", "reports",
        filters={"type": choice("type", *CAMPAIGN_TYPES), **window("send_time", "send_time")},
        newest="send_time",
    ),
    Endpoint(
        "email_activity", "/reports/{campaign_id}/email-activity", "emails", "email_id",
        filters={"since": OPTION}, envelope=("campaign_id",), parent="campaigns",
        read_filters={"since": OPTION},
    ),
    Endpoint(
        "unsubscribes", "/reports/{campaign_id}/unsubscribed", "unsubscribes", "email_id",
        envelope=("campaign_id",), parent="campaigns",
    ),
    Endpoint(
        "automations", "/automations", "automations",
        filters={
            **window("create_time", "create_time"), **window("start_time", "start_time"),
            "status": choice("status", "save", "paused", "sending"),
        },
    ),
    Endpoint(
        "automation_emails", "/automations/{workflow_id}/emails", "emails",
        parent="automations", paged=False, projected=False,
    ),
    Endpoint(
        "webhooks", "/lists/{list_id}/webhooks", "webhooks",
        envelope=("list_id",), parent="lists", paged=False, projected=False,
    ),
)  # fmt: skip

BY_STREAM: Mapping[str, Endpoint] = {endpoint.stream: endpoint for endpoint in ENDPOINTS}
STREAMS: tuple[str, ...] = tuple(stream for stream in BY_STREAM if stream != "webhooks")
