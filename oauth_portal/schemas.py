"""What goes over the API, in and out. Times are UTC, ISO 8601; rows are counts."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
)

from integration_pipelines.core.mapping import Rule
from integration_pipelines.core.tables import SLUG

Role = Literal["venue_admin", "viewer"]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _written(value: Any) -> Any:
    """Pydantic would take a number for seconds since 1970."""
    if isinstance(value, str) and "T" in value.upper():
        return value
    raise ValueError("write it as 2026-01-31T12:00:00Z")


Instant = Annotated[AwareDatetime, BeforeValidator(_written)]


class In(BaseModel):
    """What is sent to us: nothing that is not known."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class VenuePath(BaseModel):
    venue_id: str = Field(pattern=SLUG, description="The venue's slug.")


class ProviderPath(VenuePath):
    provider: str = Field(pattern="^[a-z]{1,32}$", description="Such as stripe.")


class IntegrationPath(BaseModel):
    provider: str = Field(pattern="^[a-z]{1,32}$", description="Such as stripe.")


class TokenPath(VenuePath):
    token_id: UUID


class MemberPath(VenuePath):
    user_id: UUID


class Page(In):
    """A page of a list, the newest first; ``before`` is the ``next`` of the page before it."""

    limit: int = Field(default=30, ge=1, le=100)


class SyncsQuery(Page):
    provider: str | None = Field(default=None, pattern="^[a-z]{1,32}$")
    before: Instant | None = None


class LettersFilter(In):
    """Which dead letters; ``reason``: a part of why, ``since`` and ``until``: when it came in."""

    provider: str | None = Field(default=None, pattern="^[a-z]{1,32}$")
    type: Text | None = None
    account: Text | None = None
    reason: Text | None = None
    since: Instant | None = None
    until: Instant | None = None


class LettersQuery(LettersFilter, Page):
    before: int | None = Field(default=None, ge=1, le=2**62)


class LetterPath(VenuePath):
    letter_id: int = Field(ge=1, le=2**62)


class StrayLetterPath(BaseModel):
    letter_id: int = Field(ge=1, le=2**62)


class Replay(LettersFilter):
    """All that the filters leave, of ``ids`` where they are given."""

    ids: list[Annotated[int, Field(ge=1, le=2**62)]] | None = Field(
        default=None, min_length=1, max_length=1000
    )


class AuditQuery(Page):
    before: int | None = Field(default=None, ge=1, le=2**62)


class StreamsQuery(In):
    provider: str | None = Field(default=None, pattern="^[a-z]{1,32}$")


class VenuesQuery(In):
    after: str | None = Field(default=None, pattern=SLUG)
    limit: int = Field(default=100, ge=1, le=1000)


class Key(In):
    """A provider's API key; it is sealed, and never told again."""

    key: SecretStr = Field(min_length=1, max_length=1000)


class NewToken(In):
    name: Text
    role: Role = "viewer"
    days: int = Field(default=90, ge=1, le=366, description="How long it is good for.")


class Invitation(In):
    email: Text
    role: Role = "viewer"


class Switch(In):
    """``state`` of the provider at the venue ``venue_id``, or everywhere."""

    state: Literal["on", "paused", "disabled"]
    reason: Text | None = None
    venue_id: str | None = Field(default=None, pattern=SLUG)


class Problem(BaseModel):
    """RFC 9457. ``errors`` names the fields at fault."""

    type: str
    title: str
    status: int
    detail: str | None = None
    request_id: str
    errors: list[dict[str, Any]] | None = None


class Health(BaseModel):
    status: Literal["ok"]


class Me(BaseModel):
    """Who the bearer is, and the role at each venue."""

    name: str
    admin: bool
    venues: dict[str, Role]


class Jwt(BaseModel):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - of no one
    expires_in: int = Field(description="Seconds.")


class Venue(BaseModel):
    venue_id: str
    name: str
    role: Role


class Venues(BaseModel):
    items: list[Venue]
    next: str | None = None


class Account(BaseModel):
    account_id: str
    name: str
    currency: str | None
    country: str | None
    livemode: bool


class Progress(BaseModel):
    streams: int
    streams_done: int
    fetched: int


class Connection(BaseModel):
    """How one provider stands at the venue. ``state`` as on its card, ``headline`` in words;
    ``cure``: what helps; ``portal_url``: where a manager does it."""

    provider: str
    title: str
    state: Literal["available", "unavailable", "waiting", "syncing", "well", "attention", "paused"]
    headline: str
    cure: Literal["connect", "reconnect", "confirm", "sync"] | None
    portal_url: str
    account: Account | None
    rows: int
    last_sync_at: datetime | None
    complete_up_to: datetime | None
    progress: Progress | None
    reason: str | None = Field(description="What the provider said; for managers.")


class Connections(BaseModel):
    items: list[Connection]


class Ended(BaseModel):
    left_to_do: str | None = Field(description="What only the account's owner can do.")


class Answer(BaseModel):
    """Whether the provider lets us in, asked now."""

    ok: bool
    account_name: str | None
    message: str


class Requested(BaseModel):
    waiting: bool = Field(description="Whether a sync waited already, so that none was added.")


class Sync(BaseModel):
    sync_id: UUID
    provider: str
    mode: str
    outcome: Literal["running", "succeeded", "failed"]
    started_at: datetime
    finished_at: datetime | None
    streams: int
    failed_streams: int
    fetched: int
    inserted: int
    updated: int
    deleted: int
    error_kind: str | None
    message: str | None


class Syncs(BaseModel):
    items: list[Sync]
    next: datetime | None


class Stream(BaseModel):
    """``volumes``: rows new or changed a day, oldest first, today (UTC) last."""

    provider: str
    stream: str
    rows: int
    complete_up_to: datetime | None
    full_pass_at: datetime | None
    outcome: str | None
    error_kind: str | None
    volumes: list[int]


class Streams(BaseModel):
    items: list[Stream]


class Deed(BaseModel):
    id: int
    at: datetime
    actor: str
    action: str
    provider: str | None
    details: dict[str, Any]


class Deeds(BaseModel):
    items: list[Deed]
    next: int | None


class Letter(BaseModel):
    """A provider's message that was given up. ``why``: in words; ``error``: as it is on record;
    ``may_be_replayed``: what it held is there still."""

    id: int
    provider: str
    type: str
    account_id: str | None
    event_id: str
    created_at: datetime | None
    received_at: datetime
    given_up_at: datetime | None
    attempts: int
    why: str
    error: str | None
    may_be_replayed: bool


class Letters(BaseModel):
    items: list[Letter]
    next: int | None


class LetterShown(Letter):
    """``payload``: what it held, secrets and personal data masked."""

    payload: Any


class Replayed(BaseModel):
    replayed: int = Field(description="Messages that will be worked on again.")


class Token(BaseModel):
    token_id: UUID
    name: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class Tokens(BaseModel):
    items: list[Token]


class Issued(BaseModel):
    """``token`` is shown this once."""

    token_id: UUID
    token: str


class Member(BaseModel):
    user_id: UUID
    email: str
    name: str | None
    role: Role
    signed_in_before: bool


class Members(BaseModel):
    items: list[Member]


class Integration(BaseModel):
    provider: str
    title: str
    state: Literal["on", "paused", "disabled"]
    reason: str | None


class Integrations(BaseModel):
    items: list[Integration]


class FieldPath(VenuePath):
    """One field of an entity, as one provider fills it."""

    provider: str = Field(pattern="^[a-z]{1,32}$")
    target_table: str = Field(pattern="^[a-z_]{1,48}$")
    target_field: str = Field(pattern="^[a-z0-9_.]{1,64}$")


class NewRule(Rule):
    reason: Text | None = None


class RollBack(In):
    to: int = Field(ge=1, le=1_000_000, description="The version that is to hold again.")
    reason: Text | None = None


class Mapping(BaseModel):
    """A rule as it holds or held. ``applied``: whether a build has taken it in."""

    provider: str
    target_table: str
    target_field: str
    version: int
    source_path: str
    transforms: list[dict[str, Any]]
    default: str | int | float | bool | None
    required: bool
    type: str | None
    created_by: str
    created_at: datetime
    reason: str | None
    superseded_at: datetime | None
    applied: bool


class Mappings(BaseModel):
    items: list[Mapping]


class Version(BaseModel):
    version: int


class Preview(BaseModel):
    """What the rule makes of the venue's latest rows; see core.mapping.Preview."""

    rows: int
    filled: int
    changed: int
    failures: dict[str, int]
    kept_out: int
    examples: list[dict[str, Any]]


class Failure(BaseModel):
    """A field whose rule fails on ``rows`` rows for one reason; ``kept_out`` of them are not in
    their table; ``example``: the id of one, as its provider knows it."""

    provider: str
    target_table: str
    field: str
    reason: str
    rows: int
    kept_out: int
    example: str


class QuarantinedRow(BaseModel):
    """A row on which rules fail: where it comes from, and by field why."""

    target_table: str
    provider: str
    account_id: str
    source_id: str
    raw_table: str
    raw_id: str
    errors: dict[str, str]
    kept_out: bool
    mapping_version: int
    since: datetime


class Quarantine(BaseModel):
    failures: list[Failure]
    items: list[QuarantinedRow]


class Targets(BaseModel):
    """By entity: its fields with their types, and by provider the streams whose payloads are
    read."""

    fields: dict[str, dict[str, str]]
    streams: dict[str, dict[str, list[str]]]
