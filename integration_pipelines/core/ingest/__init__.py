"""Ingest: from a connection's client to landed rows."""

from integration_pipelines.core.ingest.census import CensusResult, due_for_census, take_census
from integration_pipelines.core.ingest.clients import (
    identify,
    open_client,
    unconnected_client,
    unpaced_client,
)
from integration_pipelines.core.ingest.completeness import Shortfall
from integration_pipelines.core.ingest.sharing import Share, claim, divide, shares
from integration_pipelines.core.ingest.sync import StreamResult, sync

__all__ = [
    "CensusResult",
    "Share",
    "Shortfall",
    "StreamResult",
    "claim",
    "divide",
    "due_for_census",
    "identify",
    "open_client",
    "shares",
    "sync",
    "take_census",
    "unconnected_client",
    "unpaced_client",
]
