"""The Provider and Stream types: what a provider's folder declares and what a sync asks of it.

A provider reads its API and says, page by page, what it saw and where it may resume; landing,
cursors, deletes, retries, limits and records of the sync are the core's and the same for all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import msgspec
from pydantic import BaseModel

from integration_pipelines.core.errors import IntegrationError

if TYPE_CHECKING:
    from integration_pipelines.core.events import Webhooks
    from integration_pipelines.core.oauth import OAuth

State = dict[str, Any]
"""A stream's cursor: a JSON document that only the provider's own extract reads and writes."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One API object as received.

    ``id`` is text that the stream composes; ``payload`` the object's JSON bytes, whitespace
    removed, otherwise untouched; ``version`` the provider's own, as an integer that grows
    (a counter, or microseconds since the epoch), or None where the provider has none.
    """

    id: str
    payload: bytes
    version: int | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one stream, read by a request begun at ``observed_at`` (the database's clock).

    ``state`` is committed in the same transaction as the records: everything up to here has been
    handed over, so a killed sync resumes from it. ``in_pass``: part of a pass over the whole
    stream, and ``last`` its end: what was not seen in the pass has vanished. ``cursor_at`` is the
    instant up to which the stream is known to be complete; a page that has it ends the plan.
    ``touch``: refetched because of an event, so the later observation is noted even where nothing
    changed. ``calls``: API calls made for the stream since its last page.
    """

    stream: str
    records: Sequence[Record]
    observed_at: datetime
    state: State | None = None
    in_pass: bool = False
    last: bool = False
    cursor_at: datetime | None = None
    touch: bool = False
    calls: int = 0

    @property
    def size(self) -> int:
        """Bytes of the payloads."""
        return sum(len(record.payload) for record in self.records)


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """This stream could not be read; the others go on."""

    stream: str
    error: IntegrationError
    calls: int = 0


class Census(NamedTuple):
    """Ids of objects that the provider says exist, asked for apart from any sync: of those of
    ``stream`` that belong to ``period``, see `period_of`."""

    stream: str
    period: str
    ids: Sequence[str]


class Tally(NamedTuple):
    """How many objects of ``stream`` the provider says exist: as many as are held here."""

    stream: str
    expected: int


Counted = Census | Tally


def period_of(created_at: datetime | None) -> str:
    """The period that an object is counted in: the month of its creation ("2026-11", UTC), or "all"
    where it tells no time."""
    return "all" if created_at is None else f"{created_at.astimezone(UTC):%Y-%m}"


class Stream(Protocol):
    """What the core needs to know of a stream; each provider's own type declares more."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...


class StreamPlan(NamedTuple):
    """What to do with one stream: its cursor (None before the first load), and whether to read
    everything again (``full``)."""

    stream: str
    state: State | None
    full: bool


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account a credential opens, as the provider says. ``locations``: names by id, where an
    account has any that can be different venues'."""

    account_id: str
    name: str
    currency: str | None = None
    country: str | None = None
    livemode: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)
    locations: Mapping[str, str] = field(default_factory=dict)


class Client(Protocol):
    """One connection's way to the provider's API."""

    def identify(self) -> Account:
        """Ask the provider whose account this is. Raises AccessRevoked, Transient, ..."""
        ...

    def extract(self, plans: Sequence[StreamPlan]) -> Iterator[Page | StreamFailed]:
        """Read the planned streams. Every plan ends with a page that has ``state`` and
        ``cursor_at``, or with StreamFailed. Raises what ends the whole connection
        (AccessRevoked, BreakerOpen)."""
        ...

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Page]:
        """Read these objects by id, one Page each or more; an id the provider no longer has
        comes back as a Record with ``deleted=True`` and payload b''."""
        ...

    def census(
        self, streams: Sequence[str], since: datetime | None, held: Mapping[str, int]
    ) -> Iterator[Counted | StreamFailed]:
        """Ask which objects of these streams exist, as plainly as the API allows: ids alone where
        it can, by other requests than `extract` makes, held against the provider's own counts
        where it gives any. What was created before ``since``, a month's first instant, may be left
        out, and does not count. Several Census of a period add up. ``held``, where every read is
        metered: how many living rows of each stream are here; a number that agrees is enough.
        Raises what ends the whole connection."""
        ...

    def drain_costs(self) -> list[Any]:
        """API calls since the last call of this, for `record_costs` of the transport."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The pace a provider documents, per account. ``rate``: requests a second; ``concurrency``:
    requests under way at once; ``search``: nothing is documented, ``rate`` is where the search for
    the limit begins; ``shared``: the provider counts requests under way over all processes."""

    rate: float
    concurrency: int
    search: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Cadence:
    """Streams that one reading is about, and how often that is worth what it takes.

    ``reads``: what it costs when little has changed; ``every``: the shortest interval that is of
    use; ``with_events``: the same where webhooks tell of changes; ``reading``: of what is new, of
    everything again, or of what exists.
    """

    streams: tuple[str, ...]
    reads: int
    every: timedelta
    with_events: timedelta | None = None
    reading: Literal["changes", "pass", "census"] = "changes"


@dataclass(frozen=True, slots=True)
class Metering:
    """What a provider sells by the month: reads of all accounts together, as many as
    ``monthly_reads`` says of the settings. The ``cadences`` of changes together hold every stream,
    and so do those of passes, whose streams are read whole by themselves; one is the census."""

    monthly_reads: Callable[[Any], int]
    cadences: tuple[Cadence, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What of an account is the connection's: these locations (None: all of them), and, if it is
    the account's primary connection, what belongs to no location."""

    location_ids: frozenset[str] | None = None
    is_primary: bool = True


WHOLE_ACCOUNT = Scope()


@dataclass(frozen=True, slots=True)
class Access:
    """What the owner of an account is told before letting us in, in words of their trade.

    ``reads``: what is read; ``writes``: what we leave in the account; ``broader``: what the access
    would allow beyond that, where the provider has none that is narrower; ``ended_by``: where its
    owner ends it at the provider.
    ``key``: the field of the credentials that a key typed by hand goes to (None: by consent alone),
    ``key_found``: where its owner finds one, and ``key_looks`` what it looks like.
    """

    reads: tuple[str, ...]
    ended_by: str
    writes: str = "Nothing."
    broader: str = ""
    key: str | None = None
    key_found: str = ""
    key_looks: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: everything the rest of the system needs to know of it.

    ``credentials`` is the model of what opens an account (the JSON that `integrations connect`
    reads). ``open_client(settings, credentials, make_transport, scope)`` gives the client of one
    connection; ``make_transport`` is bound to the venue and account and takes the provider's part:
    base_url, headers, limits, classify, metered, and ``authorization``, which makes of credentials
    the header of that name: they may be renewed while the client is open. ``metering``: None where
    reads cost nothing; ``oauth``: None where nobody can consent; ``webhooks``: None where nothing
    is told of changes.
    """

    name: str
    title: str
    streams: tuple[Stream, ...]
    credentials: type[BaseModel]
    open_client: Callable[[Any, BaseModel, Callable[..., Any], Scope], Client]
    access: Access
    metering: Metering | None = None
    oauth: "OAuth | None" = None
    webhooks: "Webhooks | None" = None

    @property
    def stream_names(self) -> tuple[str, ...]:
        """Names of the streams, in the order in which they are read."""
        return tuple(stream.name for stream in self.streams)
