"""One sandbox with a large account for reading, and fresh ones for what changes them."""

from collections.abc import Callable, Iterator

import pytest
import requests

from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.stripe import StripeAccount

NOW = 1_790_000_000

Get = Callable[..., requests.Response]


@pytest.fixture(scope="session")
def read_sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=1, now=NOW) as sandbox:
        account = sandbox.stripe.create_account("blue-room", size=700, currency="eur", months=6)
        for subscription in account.ids("subscriptions"):
            account.economy.do("unsubscribe", subscription)
        yield sandbox


@pytest.fixture(scope="session")
def read_account(read_sandbox: Sandbox) -> StripeAccount:
    """An account in euros that sells in dollars and pounds too; nothing may change it."""
    return read_sandbox.stripe.account("blue-room")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=2, now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def account(sandbox: Sandbox) -> StripeAccount:
    """A small account that a test may change."""
    return sandbox.stripe.create_account("red-room", size=60)


@pytest.fixture
def get(sandbox: Sandbox, account: StripeAccount) -> Iterator[Get]:
    """``get(path, **query)`` with the small account's key."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {account.api_key}"

        def get(path: str, **query: object) -> requests.Response:
            url = f"{sandbox.base_url}/stripe{path}"
            return session.get(url, params=query, timeout=10)

        yield get
