"""A venue whose Stripe account stands on some server, and its syncs."""

from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from integration_pipelines.providers.stripe import StripeCredentials
from provider_sandbox import Sandbox, running_sandbox
from tests.connected import UNHURRIED, ConnectedVenue, connect_account

__all__ = ["STRIPE", "UNHURRIED", "ConnectStripe", "ConnectedVenue"]

STRIPE = PROVIDERS["stripe"]

ConnectStripe = Callable[..., ConnectedVenue]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def connect_stripe(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]
) -> ConnectStripe:
    """``connect_stripe(api_base, api_key, venue_id=...)``: a venue connected to that server."""

    def connect(
        api_base: str, api_key: str = "sk_test_any", venue_id: str = "moonlight-hall"
    ) -> ConnectedVenue:
        here = settings.model_copy(update={"stripe_api_base": api_base})
        credentials = StripeCredentials(api_key=SecretStr(api_key))
        return connect_account(here, pipeline_engine, STRIPE, credentials, venue(venue_id))

    return connect
