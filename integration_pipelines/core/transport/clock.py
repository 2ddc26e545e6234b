"""The database's clock, readable without asking the database each time."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Connection, func, select


@dataclass(frozen=True, slots=True)
class Clock:
    """The instant ``at`` of the database's clock, paired with this machine's monotonic clock.

    `now()` is never later than the database's own clock (by the time its answer was under way
    earlier), so a request's start on it can be trusted as a lower bound.
    """

    at: datetime
    monotonic: float

    @classmethod
    def read(cls, connection: Connection) -> Self:
        """Ask the database once."""
        at = connection.scalar(select(func.clock_timestamp()))
        assert isinstance(at, datetime)
        return cls(at, time.monotonic())

    def now(self) -> datetime:
        """The database's time, with its time zone."""
        return self.at + timedelta(seconds=time.monotonic() - self.monotonic)
