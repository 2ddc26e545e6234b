"""The sandbox, for tests of all providers."""

from collections.abc import Iterator

import pytest

from provider_sandbox import Sandbox, running_sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7) as running:
        yield running
