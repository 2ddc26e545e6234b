"""Sensors: thin shells over pure functions."""
