"""Syncs are run against the sandbox's Stripe: a provider that can be run is not mocked."""

from tests.providers.stripe.conftest import connect_stripe, sandbox

__all__ = ["connect_stripe", "sandbox"]
