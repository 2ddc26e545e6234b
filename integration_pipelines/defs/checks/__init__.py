"""Checks of what Dagster itself cannot see: whether every venue's data keeps coming."""
