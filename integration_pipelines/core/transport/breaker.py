"""The breaker of one venue and provider, kept in Postgres for all processes.

Closed: requests go out. Open, after 5 failed requests in a row: none does, for a minute, then two,
up to half an hour. Half-open, when that is over: one request goes out; it closes or reopens.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Condition
from typing import Any

from sqlalchemy import Engine, text

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import BreakerOpen, ProviderError
from integration_pipelines.core.redaction import redact

FAILURES_TO_OPEN = 5
COOL_DOWN = 60.0
LONGEST_COOL_DOWN = 1800.0
PROBE_LEASE = 300.0
"""Seconds after which a probe that was never heard of again is given to someone else."""

READ_EVERY = 1.0
SUCCESS_EVERY = 60.0

_COLUMNS = """breaker, consecutive_failures, open_until, last_error,
    extract(epoch FROM open_until - clock_timestamp())::double precision AS opens_in"""

_READ = text(
    f"""
    SELECT {_COLUMNS} FROM control.integration_health
    WHERE venue_id = :venue_id AND provider = :provider
    """
)
_PROBE = text(
    f"""
    UPDATE control.integration_health
    SET breaker = 'half_open',
        open_until = clock_timestamp() + make_interval(secs => :lease),
        updated_at = clock_timestamp()
    WHERE venue_id = :venue_id AND provider = :provider
        AND breaker <> 'closed' AND open_until <= clock_timestamp()
    RETURNING {_COLUMNS}
    """
)
# A success that began before the breaker opened does not close it: only a probe's does.
_SUCCESS = text(
    f"""
    INSERT INTO control.integration_health AS held (venue_id, provider, last_success_at)
    VALUES (:venue_id, :provider, clock_timestamp())
    ON CONFLICT (venue_id, provider) DO UPDATE SET
        breaker = 'closed', consecutive_failures = 0, times_opened = 0, open_until = NULL,
        last_success_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE held.breaker <> 'open'
    RETURNING {_COLUMNS}
    """
)
_OPENS = """(
    held.breaker = 'half_open'
    OR held.breaker = 'closed' AND held.consecutive_failures + 1 >= :failures_to_open
)"""
_FAILURE = text(
    f"""
    INSERT INTO control.integration_health AS held
        (venue_id, provider, consecutive_failures, last_failure_at, last_error)
    VALUES (:venue_id, :provider, 1, clock_timestamp(), :error)
    ON CONFLICT (venue_id, provider) DO UPDATE SET
        consecutive_failures = held.consecutive_failures + 1,
        breaker = CASE WHEN {_OPENS} THEN 'open' ELSE held.breaker END,
        times_opened = held.times_opened + CASE WHEN {_OPENS} THEN 1 ELSE 0 END,
        open_until = CASE
            WHEN {_OPENS} THEN clock_timestamp() + make_interval(
                secs => least(:cool_down * 2.0 ^ least(held.times_opened, 16), :longest)
            )
            ELSE held.open_until
        END,
        last_failure_at = clock_timestamp(), last_error = :error, updated_at = clock_timestamp()
    RETURNING {_COLUMNS}
    """
)


@dataclass(frozen=True, slots=True)
class _State:
    breaker: str
    failures: int
    open_until: datetime | None
    last_error: str | None
    opens_at: float
    """When it may be tried again, on the monotonic clock."""


_CLOSED = _State("closed", 0, None, None, 0.0)


class Breaker:
    """Whether to call a provider for a venue. Thread-safe; all state is in
    `control.integration_health`, read at most once a second."""

    def __init__(
        self, engine: Engine, *, venue_id: str, provider: str, cool_down: float = COOL_DOWN
    ) -> None:
        self._engine = engine
        self._key = {"venue_id": venue_id, "provider": provider}
        self._cool_down = cool_down
        self._state = _CLOSED
        self._read_at = float("-inf")
        self._noted_at = float("-inf")
        self._probing = False
        self._lock = Condition()

    def check(self) -> bool:
        """Raise BreakerOpen unless a request may go out now; True if it is the one probe, which
        must be made once, reported by `succeeded` or `failed`, and ended by `probed`. Other
        requests of this object wait for their probe's outcome."""
        with self._lock:
            self._lock.wait_for(lambda: not self._probing, timeout=PROBE_LEASE)
            if time.monotonic() - self._read_at >= READ_EVERY:
                self._run(_READ, {})
            if self._state.breaker == "closed":
                return False
            if time.monotonic() >= self._state.opens_at:
                if self._run(_PROBE, {"lease": PROBE_LEASE}):
                    self._probing = True
                    return True
                # Another process has the probe, or has closed the breaker already.
                self._run(_READ, {})
            if self._allows():
                return False
            raise self._open_error()

    def probed(self) -> None:
        """The probe is over, whatever came of it: requests that waited for it go on."""
        with self._lock:
            self._probing = False
            self._lock.notify_all()

    def succeeded(self) -> None:
        """The provider answered as documented (a refusal of the request is an answer too)."""
        with self._lock:
            if (
                self._state.breaker == "closed"
                and not self._state.failures
                and time.monotonic() - self._noted_at < SUCCESS_EVERY
            ):
                return
            if self._run(_SUCCESS, {}):
                self._noted_at = time.monotonic()

    def failed(self, error: ProviderError) -> None:
        """A request failed after all its tries."""
        with self._lock:
            self._run(
                _FAILURE,
                {
                    "error": redact(str(error)),
                    "failures_to_open": FAILURES_TO_OPEN,
                    "cool_down": self._cool_down,
                    "longest": LONGEST_COOL_DOWN,
                },
            )

    def _allows(self) -> bool:
        return self._state.breaker == "closed"

    def _run(self, statement: Any, values: dict[str, Any]) -> bool:
        """Run one statement under the venue's scope and keep the state it returns, if any."""
        with self._engine.begin() as connection:
            venue_scope(connection, self._key["venue_id"])
            row = connection.execute(statement, {**self._key, **values}).one_or_none()
        now = time.monotonic()
        if row is None:
            if statement is _READ:
                self._state, self._read_at = _CLOSED, now
            return False
        self._read_at = now
        self._state = _State(
            row.breaker,
            row.consecutive_failures,
            row.open_until,
            row.last_error,
            now + (row.opens_in or 0.0),
        )
        return True

    def _open_error(self) -> BreakerOpen:
        state = self._state
        if state.breaker == "half_open":
            cure = "one call is trying it out now: sync again in a minute"
        else:
            until = f"{state.open_until.astimezone(UTC):%H:%M:%S} UTC" if state.open_until else ""
            seconds = max(state.opens_at - time.monotonic(), 0.0)
            cure = f"no call is made until {until}, in {seconds:.0f} s: sync again after that"
        return BreakerOpen(
            f"{self._key['provider']} failed {state.failures} times in a row for venue "
            f"{self._key['venue_id']} (last: {state.last_error}); {cure}"
        )
