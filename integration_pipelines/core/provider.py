"""The Provider and Stream types: what a provider's folder declares and what a sync asks of it.

A provider reads its API and says, page by page, what it saw and where it may resume; landing,
cursors, deletes, retries, limits and records of the sync are the core's and the same for all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from integration_pipelines.core.errors import IntegrationError

State = dict[str, Any]
"""A stream's cursor: a JSON document that only the provider's own extract reads and writes."""


class Record(NamedTuple):
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
    handed over, so a killed sync resumes from it. ``last`` marks the end of a pass over the whole
    stream: what was not seen in it has vanished. ``cursor_at`` is the instant up to which the
    stream is known to be complete.
    """

    stream: str
    records: Sequence[Record]
    observed_at: datetime
    state: State | None = None
    last: bool = False
    cursor_at: datetime | None = None
    touch: bool = False
    """Refetched because of an event: note the later observation even where nothing changed."""


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """This stream could not be read; the others go on."""

    stream: str
    error: IntegrationError


class Stream(Protocol):
    """What the core needs to know of a stream; each provider's own type declares more."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...


class StreamPlan(NamedTuple):
    """What to do with one stream: its cursor (None before the first load), and whether to read
    everything again (``full``). ``since`` is the last committed cursor's instant."""

    stream: str
    state: State | None
    full: bool


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account a credential opens, as the provider says."""

    account_id: str
    name: str
    currency: str | None = None
    country: str | None = None
    livemode: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


class Client(Protocol):
    """One connection's way to the provider's API."""

    def identify(self) -> Account:
        """Ask the provider whose account this is. Raises AccessRevoked, Transient, ..."""
        ...

    def extract(self, plans: Sequence[StreamPlan]) -> Iterator[Page | StreamFailed]:
        """Read the planned streams. Every plan ends with a page whose ``state`` is set and that
        says so by ``cursor_at``, or with StreamFailed. Raises what ends the whole connection
        (AccessRevoked, BreakerOpen)."""
        ...

    def fetch(self, stream: str, ids: Sequence[str]) -> Iterator[Page]:
        """Read these objects by id, one Page each or more; an id the provider no longer has
        comes back as a Record with ``deleted=True`` and payload b''."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The pace a provider documents, per account. ``rate``: requests a second; ``concurrency``:
    requests under way at once."""

    rate: float
    concurrency: int


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: everything the rest of the system needs to know of it."""

    name: str
    title: str
    streams: tuple[Stream, ...]
    credentials: type[BaseModel]
    limits: Callable[[BaseModel], Limits]
    client: Callable[..., Client]

    @property
    def stream_names(self) -> tuple[str, ...]:
        return tuple(stream.name for stream in self.streams)
