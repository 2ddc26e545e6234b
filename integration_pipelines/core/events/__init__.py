"""Events: webhooks on their way from a delivery to landed rows."""

from integration_pipelines.core.events.deliveries import (
    TOLERANCE,
    Delivery,
    Event,
    Meaning,
    Unauthentic,
    Unreadable,
    Webhooks,
    read_json,
    several,
    signed_with,
    text_of,
    time_of,
    without_nul,
)
from integration_pipelines.core.events.inbox import Endpoint, endpoint_of, store

__all__ = [
    "TOLERANCE",
    "Delivery",
    "Endpoint",
    "Event",
    "Meaning",
    "Unauthentic",
    "Unreadable",
    "Webhooks",
    "endpoint_of",
    "read_json",
    "several",
    "signed_with",
    "store",
    "text_of",
    "time_of",
    "without_nul",
]
