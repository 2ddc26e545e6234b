"""Requests of one account under way at once, over all processes.

A slot is an advisory lock of Postgres, held by a session of this process as long as it has requests
under way: it cannot outlive the process. Those who read the same account share its slots evenly.
"""

import time
from contextlib import suppress
from threading import Condition
from zlib import crc32

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

RETRY_EVERY = 0.2
"""Seconds between two looks for a free slot."""
SHARE_EVERY = 1.0
"""Seconds after which a reader that holds slots looks whether it has company."""

_COMPANY = 0x7FFFFFFF
"""The lock that every reader of the account shares: as many hold it as there are readers."""

_JOIN = text("SELECT pg_advisory_lock_shared(:account, :company)")
_READERS = text(
    """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND database = (
            SELECT oid FROM pg_database WHERE datname = current_database()
        )
        AND classid = CAST(:account AS oid) AND objid = CAST(:company AS oid) AND objsubid = 2
    """
)
_TAKE = text("SELECT pg_try_advisory_lock(:account, :slot)")
_GIVE = text("SELECT pg_advisory_unlock(:account, :slot)")
_LEAVE = text("SELECT pg_advisory_unlock_all()")


class Slots:
    """At most ``size`` requests of the account under way at once. Thread-safe.

    Raises sqlalchemy's OperationalError where the database is away: no slot, no request.
    """

    def __init__(self, engine: Engine, *, provider: str, account_id: str, size: int) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        account = crc32(f"{provider}/{account_id}".encode()) & 0x7FFFFFFF
        self._keys = {"account": account, "company": _COMPANY}
        self._size = size
        self._session: Connection | None = None
        self._held: list[int] = []
        self._share = size
        self._used = 0
        self._waiting = 0
        self._scarce = False
        self._looked_at = float("-inf")
        self._changed = Condition()

    def __enter__(self) -> None:
        """Wait for a slot and take it."""
        with self._changed:
            self._waiting += 1
            try:
                while self._used >= min(len(self._held), self._share):
                    if not self._look(self._patience()):
                        self._changed.wait(RETRY_EVERY)
                self._used += 1
            finally:
                self._waiting -= 1

    def __exit__(self, *_: object) -> None:
        """Give it back: the last one of this process leaves the account to others."""
        with self._changed:
            self._used -= 1
            # A session that is gone has given everything back, and the next request notices.
            with suppress(DBAPIError):
                if self._used + self._waiting == 0:
                    self._leave()
                else:
                    self._look(SHARE_EVERY)
            self._changed.notify()

    def _look(self, every: float) -> bool:
        """Take free slots, as many as are wanted of this reader's share, and give back what is
        beyond it; False if the last look is less than ``every`` seconds ago."""
        if time.monotonic() - self._looked_at < every:
            return False
        try:
            session = self._join()
            readers = session.scalar(_READERS, self._keys) or 1
            self._share = max(1, self._size // readers)
            wanted = min(self._share, self._used + self._waiting)
            for slot in range(self._size):
                if len(self._held) >= wanted:
                    break
                if slot not in self._held and session.scalar(_TAKE, {**self._keys, "slot": slot}):
                    self._held.append(slot)
            while len(self._held) > max(self._share, self._used):
                session.execute(_GIVE, {**self._keys, "slot": self._held.pop()})
        except DBAPIError:
            self._forget(lost=True)
            raise
        self._looked_at = time.monotonic()
        self._scarce = len(self._held) < wanted
        return True

    def _patience(self) -> float:
        """Seconds between two looks: none while there is more to be had."""
        if self._scarce:
            return RETRY_EVERY
        return 0.0 if len(self._held) < self._share else SHARE_EVERY

    def _join(self) -> Connection:
        if self._session is None:
            self._session = self._engine.connect()
            self._session.execute(_JOIN, self._keys)
        return self._session

    def _leave(self) -> None:
        if self._session is not None:
            try:
                self._session.execute(_LEAVE)
            except DBAPIError:
                self._forget(lost=True)
                raise
        self._forget(lost=False)

    def _forget(self, *, lost: bool) -> None:
        if self._session is not None:
            if lost:
                self._session.invalidate()
            self._session.close()
        self._session = None
        self._held.clear()
        self._looked_at = float("-inf")
