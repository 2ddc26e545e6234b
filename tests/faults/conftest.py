"""Faults are made for a Stripe account of the sandbox; its ledger says what must have landed."""

from tests.providers.stripe.conftest import connect_stripe, sandbox

__all__ = ["connect_stripe", "sandbox"]
