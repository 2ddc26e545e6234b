"""Places: how many deliveries are stored at once, and how many of them may be one account's.

A flood of one account finds its share taken and is asked to come back (429), while there is room
for the others. Where there is none for anybody, everybody is (503).
"""

import threading
from collections import Counter
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager

AT_ONCE = 16
"""Deliveries that one process stores at once, each by a connection to the database."""
SHARE = 12
"""Of them, those of one account."""
MOST_OF_ONE = 64
"""Deliveries of one account that are stored or wait: each holds one of gunicorn's threads."""
PATIENCE = 3.0
"""Seconds to wait for a place, for a connection, and for a statement: providers wait ten."""


class NoPlace(Exception):
    """There is no place; ``status`` is what to answer."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class Places:
    """The places of one process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._free = AT_ONCE
        self._stored: Counter[Hashable] = Counter()
        self._here: Counter[Hashable] = Counter()

    @contextmanager
    def taken(self, accounts: Collection[Hashable]) -> Iterator[None]:
        """A place for a delivery about ``accounts``, waited for. Raises NoPlace."""
        with self._changed:
            if any(self._here[account] >= MOST_OF_ONE for account in accounts):
                raise NoPlace(429, "too many deliveries of this account at once")
            _add(self._here, accounts, 1)
            try:
                if not self._changed.wait_for(lambda: self._has_room(accounts), PATIENCE):
                    if self._free:
                        raise NoPlace(429, "this account has too many deliveries in work")
                    raise NoPlace(503, "too many deliveries at once")
            except NoPlace:
                _add(self._here, accounts, -1)
                raise
            self._free -= 1
            _add(self._stored, accounts, 1)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                _add(self._stored, accounts, -1)
                _add(self._here, accounts, -1)
                self._changed.notify_all()

    def _has_room(self, accounts: Collection[Hashable]) -> bool:
        return self._free > 0 and all(self._stored[account] < SHARE for account in accounts)


def _add(counts: Counter[Hashable], accounts: Collection[Hashable], number: int) -> None:
    for account in accounts:
        counts[account] += number
        if not counts[account]:
            del counts[account]
