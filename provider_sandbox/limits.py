"""Rate and concurrency limits of an account, off until they are set."""

import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Any


@dataclass(frozen=True, slots=True)
class Limit:
    """What an account may do. ``rate``: requests a second, refilled continuously, with a burst of
    one second's worth; ``per_minute``: requests in each minute that begins with one;
    ``concurrency``: requests under way at once; ``retry_after``: seconds told in the refusal's
    header, None tells nothing."""

    rate: float | None = None
    concurrency: int | None = None
    retry_after: float | None = None
    per_minute: int | None = None

    def __post_init__(self) -> None:
        for name in ("rate", "per_minute", "concurrency"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}: give a number above 0, or null for no limit")


@dataclass(slots=True)
class _Usage:
    tokens: float
    at: float
    running: int = 0
    minute: float = 0.0
    in_minute: int = 0


@dataclass(slots=True)
class Limits:
    """The limits by account id; the one under "*" holds for each account that has none."""

    by_account: dict[str, Limit] = field(default_factory=dict)
    _usage: dict[str, _Usage] = field(default_factory=dict)
    _lock: Any = field(default_factory=Lock)

    def set(self, account: str, limit: Limit | None) -> None:
        """None lifts the limit."""
        with self._lock:
            self._usage.clear()
            self.by_account.pop(account, None)
            if limit is not None:
                self.by_account[account] = limit

    def of(self, account: str) -> Limit | None:
        return self.by_account.get(account) or self.by_account.get("*")

    def enter(self, account: str) -> str | None:
        """Admit one request, or name the limit that refuses it; `leave()` each one admitted."""
        limit = self.of(account)
        with self._lock:
            now = time.monotonic()
            usage = self._usage.get(account)
            if usage is None:
                start = (limit and limit.rate) or 0.0
                usage = self._usage[account] = _Usage(max(start, 1.0), now)
            if limit is not None:
                if limit.concurrency is not None and usage.running >= limit.concurrency:
                    return "global-concurrency"
                if limit.per_minute is not None:
                    if now - usage.minute >= 60:
                        usage.minute, usage.in_minute = now, 0
                    if usage.in_minute >= limit.per_minute:
                        return "global-rate"
                if limit.rate is not None:
                    refilled = usage.tokens + (now - usage.at) * limit.rate
                    usage.tokens, usage.at = min(refilled, max(limit.rate, 1.0)), now
                    if usage.tokens < 1:
                        return "global-rate"
                    usage.tokens -= 1
            usage.in_minute += 1
            usage.running += 1
            return None

    def leave(self, account: str) -> None:
        with self._lock:
            if account in self._usage:
                self._usage[account].running -= 1
