"""What lands equals what is true: every stream, every object, through time, faults and deletes."""

import pytest

from provider_sandbox import Sandbox
from tests.providers.stripe.conftest import ConnectStripe
from tests.stripe_ledger import connected, differences, open_account

DAY = 86_400


def test_a_first_load_lands_everything(sandbox: Sandbox, connect_stripe: ConnectStripe) -> None:
    account = open_account(sandbox, size=250)
    venue = connected(sandbox, connect_stripe, account)
    results = venue.sync()
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
    again = venue.sync(full=True)
    assert not any(result.changed for result in again.values())
    for name, result in again.items():
        assert result.unchanged >= results[name].inserted


@pytest.mark.parametrize("seed", range(4))
def test_incremental_syncs_keep_up_and_the_full_pass_has_nothing_to_repair(
    sandbox: Sandbox, connect_stripe: ConnectStripe, seed: int
) -> None:
    account = open_account(sandbox, size=60, seed=seed)
    venue = connected(sandbox, connect_stripe, account)
    venue.sync()
    for seconds, mutations in ((60, 3), (3_600, 40), (1, 1), (6 * DAY, 80), (900, 0)):
        account.economy.advance(seconds, mutations=mutations)
        results = venue.sync()
        assert {result.outcome for result in results.values()} == {"succeeded"}
        assert differences(venue, account) == []
    repaired = venue.sync(full=True)
    assert not any(result.changed for result in repaired.values())
