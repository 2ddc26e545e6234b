"""Mailchimp's streams, as data. Source: Mailchimp's Marketing API reference, version 3.0."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Parent = Literal["lists", "interest_categories", "campaigns", "automations"]

SOON = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class MailchimpStream:
    """One list of the API.

    ``path`` is below /3.0, with a place for each of its parents' ids, ``answer`` names the rows in
    the body. ``parent``: the stream whose objects have these rows; their ids, and then ``key``,
    make the id that is unique in the account. ``sweeps``: parameters of the listings that together
    show every row; ``since`` and ``before``: the parameters that ask for what changed after a time
    and before one, ``version`` the field they go by; ``made_since``: the parameter that asks for
    what came to be after a time. ``counted_by``: numbers of a campaign's report
    that move whenever these rows do. ``paged`` and ``projected``: whether it takes count and
    offset, and exclude_fields. ``one``: whether an object can be read alone; ``hidden``: what it
    leaves out unless asked.
    """

    name: str
    path: str
    answer: str
    description: str
    key: str = "id"
    parent: Parent | None = None
    sweeps: tuple[Mapping[str, str], ...] = ({},)
    since: str | None = None
    before: str | None = None
    version: str | None = None
    made_since: str | None = None
    counted_by: tuple[str, ...] = ()
    paged: bool = True
    projected: bool = True
    one: bool = True
    hidden: Mapping[str, str] = field(default_factory=dict)


STREAMS = (
    MailchimpStream(
        "lists",
        "/lists",
        "lists",
        "Audiences.",
        hidden={"include_total_contacts": "true"},
    ),
    MailchimpStream(
        "members",
        "/lists/{}/members",
        "members",
        "Contacts of audiences with their merge fields, tags and interests, archived ones too.",
        parent="lists",
        sweeps=({}, {"status": "archived"}),
        since="since_last_changed",
        before="before_last_changed",
        version="last_changed",
    ),
    MailchimpStream(
        "merge_fields",
        "/lists/{}/merge-fields",
        "merge_fields",
        "Columns that the venue defined for an audience.",
        key="merge_id",
        parent="lists",
    ),
    MailchimpStream(
        "segments",
        "/lists/{}/segments",
        "segments",
        "Segments and tags of an audience, with their sizes.",
        parent="lists",
        version="updated_at",
        made_since="since_created_at",
    ),
    MailchimpStream(
        "tags",
        "/lists/{}/tag-search",
        "tags",
        "Tags of an audience.",
        parent="lists",
        one=False,
    ),
    MailchimpStream(
        "interest_categories",
        "/lists/{}/interest-categories",
        "categories",
        "Groups of interests that an audience offers.",
        parent="lists",
    ),
    MailchimpStream(
        "interests",
        "/lists/{}/interest-categories/{}/interests",
        "interests",
        "Interests within a group.",
        parent="interest_categories",
    ),
    MailchimpStream(
        "campaigns",
        "/campaigns",
        "campaigns",
        "Campaigns, drafts included, with their A/B variants.",
        made_since="since_create_time",
    ),
    MailchimpStream(
        "reports",
        "/reports",
        "reports",
        "What became of the e-mails of a campaign so far.",
        made_since="since_send_time",
    ),
    MailchimpStream(
        "email_activity",
        "/reports/{}/email-activity",
        "emails",
        "What each recipient of a campaign did: opened, clicked, bounced.",
        key="email_id",
        parent="campaigns",
        counted_by=("emails_sent", "opens", "clicks", "bounces"),
    ),
    MailchimpStream(
        "unsubscribes",
        "/reports/{}/unsubscribed",
        "unsubscribes",
        "Who left an audience because of a campaign, and why.",
        key="email_id",
        parent="campaigns",
        counted_by=("emails_sent", "unsubscribed"),
    ),
    MailchimpStream("automations", "/automations", "automations", "Series of e-mails by trigger."),
    MailchimpStream(
        "automation_emails",
        "/automations/{}/emails",
        "emails",
        "The e-mails of an automation.",
        parent="automations",
        paged=False,
        projected=False,
    ),
)
"""Every stream, in the order in which they are read."""

BY_NAME = {stream.name: stream for stream in STREAMS}
