"""One pace for each provider account, kept in Postgres and shared by all processes.

GCRA: `control.rate_limits.next_at` is the next free slot. A limiter takes some slots at once, one
statement for about a tenth of a second of work, and hands them out here. Where a provider documents
no limit it is searched for: the pace grows while it is used in full, and a 429 sets its ceiling.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from sqlalchemy import Engine, Row, text

from integration_pipelines.core.errors import RateLimited

LEASE_SECONDS = 0.1
"""How much work one statement takes on, and how long a slot not used in time stays good."""

SLOWEST_SHARE = 0.05
"""However often a provider says 429, this share of the documented rate remains."""

RECOVERY_SECONDS = 60.0
"""From standstill to the documented rate; half of it after a single 429."""

BLOCK_WITHOUT_WORD = 1.0
"""Seconds to hold back after a 429 that does not say how long."""

LONGEST_BLOCK = 3600.0
"""However long a provider asks to wait, it is asked again after an hour."""

FIRST_GROWTH, FIRST_STEP = 1.5, 1.0
"""While no 429 has come, a pace that was used in full for so many seconds grows by so much."""

SEARCH_STEP = 5.0
"""Seconds in full use after which the pace rises half of the way to its ceiling."""

NEAR_ENOUGH = 1.05
"""A ceiling at most so many times the pace ends the search."""

CEILING_SECONDS = 6 * 3600.0
"""How long a ceiling is believed: the provider may have raised the limit since."""

# The settings column keeps a lease from waiting for the disk: what a crash can lose is a tenth of
# a second of pace. A slot is not taken when it is further away than the caller would wait.
_RATE = """least(
    :documented,
    greatest(rate, :documented * :floor) + :documented / :recovery
        * (greatest(extract(epoch FROM clock_timestamp() - next_at), 0) + :slots / rate)
)"""
_START = "greatest(next_at, coalesce(blocked_until, next_at), clock_timestamp())"
_LEASE = text(
    f"""
    UPDATE control.rate_limits
    SET rate = {_RATE},
        next_at = {_START} + make_interval(secs => (:slots / {_RATE})::double precision)
    FROM (SELECT set_config('synchronous_commit', 'off', true) AS setting) AS durability
    WHERE provider = :provider AND account_id = :account_id AND setting = 'off'
        AND {_START} <= clock_timestamp() + make_interval(secs => :patience)
    RETURNING rate::double precision AS rate,
        extract(epoch FROM next_at - clock_timestamp())::double precision AS ends_in
    """
)
_IN_FULL_USE = "next_at >= clock_timestamp() - interval '0.2 s'"
_CEILING = (
    "CASE WHEN blocked_until > clock_timestamp() - make_interval(secs => :ceiling_seconds) "
    "THEN ceiling END"
)
_MAY_GROW = f"""(
    {_IN_FULL_USE} AND coalesce(steady_since, 'infinity') <= clock_timestamp() - make_interval(
        secs => CASE WHEN {_CEILING} IS NULL THEN :first_step ELSE :search_step END
    )
)"""
_FOUND = f"""CASE
    WHEN NOT {_MAY_GROW} THEN rate
    WHEN {_CEILING} IS NULL THEN rate * :first_growth
    WHEN {_CEILING} > rate * :near_enough THEN (rate + {_CEILING}) / 2
    ELSE rate
END"""
_SEARCH = text(
    f"""
    UPDATE control.rate_limits
    SET rate = {_FOUND},
        next_at = {_START} + make_interval(secs => (:slots / {_FOUND})::double precision),
        steady_since = CASE
            WHEN {_IN_FULL_USE} AND NOT {_MAY_GROW} THEN coalesce(steady_since, clock_timestamp())
            ELSE clock_timestamp()
        END
    FROM (SELECT set_config('synchronous_commit', 'off', true) AS setting) AS durability
    WHERE provider = :provider AND account_id = :account_id AND setting = 'off'
        AND {_START} <= clock_timestamp() + make_interval(secs => :patience)
    RETURNING rate::double precision AS rate,
        extract(epoch FROM next_at - clock_timestamp())::double precision AS ends_in
    """
)
_AWAY = text(
    f"""
    SELECT extract(epoch FROM {_START} - clock_timestamp())::double precision
    FROM control.rate_limits WHERE provider = :provider AND account_id = :account_id
    """
)
_BEGIN = text(
    """
    INSERT INTO control.rate_limits (provider, account_id, rate, next_at)
    VALUES (:provider, :account_id, :documented, clock_timestamp())
    ON CONFLICT DO NOTHING
    """
)
_THROTTLED = text(
    """
    UPDATE control.rate_limits
    SET rate = CASE
            WHEN blocked_until >= :began THEN rate
            ELSE greatest(rate / 2, :documented * :floor)
        END,
        blocked_until = greatest(
            blocked_until, clock_timestamp() + make_interval(secs => :seconds)
        ),
        next_at = greatest(
            next_at, blocked_until, clock_timestamp() + make_interval(secs => :seconds)
        ),
        throttled = throttled + 1
    WHERE provider = :provider AND account_id = :account_id
    """
)


# The first ceiling may be far above the limit, later ones are near it.
_SEARCH_THROTTLED = text(
    """
    UPDATE control.rate_limits
    SET rate = CASE
            WHEN blocked_until >= :began THEN rate
            ELSE greatest(rate * CASE WHEN ceiling IS NULL THEN 0.5 ELSE 0.85 END, :floor)
        END,
        ceiling = CASE WHEN blocked_until >= :began THEN ceiling ELSE rate END,
        steady_since = clock_timestamp() + make_interval(secs => :seconds),
        blocked_until = greatest(
            blocked_until, clock_timestamp() + make_interval(secs => :seconds)
        ),
        next_at = greatest(
            next_at, blocked_until, clock_timestamp() + make_interval(secs => :seconds)
        ),
        throttled = throttled + 1
    WHERE provider = :provider AND account_id = :account_id
    """
)


@dataclass(slots=True)
class _Lease:
    """Slots of this process: the next one opens at ``opens`` (monotonic), ``left`` remain, each
    ``interval`` seconds after the one before; all are void after ``void``."""

    opens: float
    interval: float
    left: int
    void: float


class RateLimiter:
    """The pace of one account, ``rate`` requests a second as the provider documents it, or, with
    ``search``, the pace to begin the search for an undocumented limit with.

    Any window of W seconds sees at most rate x (W + 0.1) + 1 requests, over all processes that
    share the database. A 429 halves the pace of all of them and stops them until its Retry-After;
    the pace then grows back, in a straight line. Thread-safe. Raises sqlalchemy's OperationalError
    where the database is away: no pace, no request.
    """

    def __init__(
        self, engine: Engine, *, provider: str, account_id: str, rate: float, search: bool = False
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._key = {"provider": provider, "account_id": account_id}
        self._pace = rate
        self._asks = {**self._key, "documented": rate, "floor": SLOWEST_SHARE}
        self._statement, self._throttled = _LEASE, _THROTTLED
        if search:
            self._statement, self._throttled = _SEARCH, _SEARCH_THROTTLED
            self._asks["floor"] = SLOWEST_SHARE * rate
        self._lease: _Lease | None = None
        self._slots = 1
        self._lock = Lock()

    def reserve(self, patience: float) -> float:
        """Take one slot and return how many seconds away it is: the caller sleeps.

        Raises RateLimited if that is more than ``patience`` seconds.
        """
        with self._lock:
            now = time.monotonic()
            lease = self._lease
            if lease is None or not lease.left or now >= lease.void:
                lease = self._lease = self._take(lease, patience)
                now = time.monotonic()
            opens = lease.opens
            lease.opens += lease.interval
            lease.left -= 1
        return max(opens - now, 0.0)

    def throttled(self, *, retry_after: float | None, began: datetime) -> None:
        """A request begun at ``began`` was answered 429: slow everyone down.

        Those of one storm (begun before the block it caused was over) halve the pace once.
        """
        seconds = BLOCK_WITHOUT_WORD if retry_after is None else min(retry_after, LONGEST_BLOCK)
        with self._lock:
            self._lease = None
        with self._engine.connect() as connection:
            connection.execute(
                self._throttled,
                {**self._asks, "seconds": seconds, "began": began},
            )

    def _take(self, last: _Lease | None, patience: float) -> _Lease:
        """As many slots as were needed of late: twice the last time's where that was too few."""
        if last is not None:
            used = self._slots - last.left
            self._slots = self._slots * 2 if not last.left else max(used, 1)
        self._slots = max(1, min(self._slots, int(self._pace * LEASE_SECONDS)))
        row = self._ask(patience)
        self._pace = row.rate
        interval = 1.0 / row.rate
        ends = time.monotonic() + row.ends_in
        opens = ends - self._slots * interval
        return _Lease(opens, interval, self._slots, max(ends, opens + LEASE_SECONDS))

    def _ask(self, patience: float) -> Row[tuple[float, float]]:
        asks = {
            **self._asks,
            "recovery": RECOVERY_SECONDS,
            "first_growth": FIRST_GROWTH,
            "first_step": FIRST_STEP,
            "search_step": SEARCH_STEP,
            "near_enough": NEAR_ENOUGH,
            "ceiling_seconds": CEILING_SECONDS,
            "slots": self._slots,
            "patience": patience,
        }
        with self._engine.connect() as connection:
            while True:
                row = connection.execute(self._statement, asks).one_or_none()
                if row is not None:
                    return row
                away = connection.scalar(_AWAY, self._key)
                if away is None:
                    connection.execute(_BEGIN, self._asks)
                elif away > patience:
                    raise RateLimited(
                        f"{self._key['provider']} account {self._key['account_id']}: the shared "
                        f"rate limit has no free slot for {away:.0f} s; sync again after that",
                        retry_after=away,
                    )
