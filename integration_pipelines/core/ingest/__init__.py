"""Ingest: from a connection's client to landed rows."""

from integration_pipelines.core.ingest.clients import open_client, unconnected_client
from integration_pipelines.core.ingest.sync import StreamResult, sync

__all__ = ["StreamResult", "open_client", "sync", "unconnected_client"]
