"""Events: webhooks on their way from a delivery to landed rows."""

from integration_pipelines.core.events.deliveries import (
    TOLERANCE,
    Delivery,
    Event,
    Hook,
    Hooks,
    Meaning,
    Unauthentic,
    Unreadable,
    Webhooks,
    read_json,
    several,
    signed_with,
    storable,
    text_of,
    time_of,
)
from integration_pipelines.core.events.inbox import (
    Endpoint,
    check_proof,
    endpoint_of,
    proof_of,
    store,
)

__all__ = [
    "TOLERANCE",
    "Delivery",
    "Endpoint",
    "Event",
    "Hook",
    "Hooks",
    "Meaning",
    "Unauthentic",
    "Unreadable",
    "Webhooks",
    "check_proof",
    "endpoint_of",
    "proof_of",
    "read_json",
    "several",
    "signed_with",
    "storable",
    "store",
    "text_of",
    "time_of",
]
