"""One way out for all providers: pace, retries, breaker, errors and costs of every API call."""

from integration_pipelines.core.transport.breaker import Breaker
from integration_pipelines.core.transport.clock import Clock
from integration_pipelines.core.transport.costs import Cost, record_costs
from integration_pipelines.core.transport.http import (
    Bounds,
    RetryPolicy,
    Transport,
    open_transport,
)
from integration_pipelines.core.transport.limiter import RateLimiter
from integration_pipelines.core.transport.response import Response, default_error
from integration_pipelines.core.transport.slots import Slots

__all__ = [
    "Bounds",
    "Breaker",
    "Clock",
    "Cost",
    "RateLimiter",
    "Response",
    "RetryPolicy",
    "Slots",
    "Transport",
    "default_error",
    "open_transport",
    "record_costs",
]
