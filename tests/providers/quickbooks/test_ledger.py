"""What lands equals what is true: every entity, every object, through time, faults and deletes."""

import pytest

from provider_sandbox import Sandbox
from tests.providers.quickbooks.conftest import ConnectQuickBooks, differences, open_account

DAY = 86_400


def test_a_first_load_lands_everything(
    sandbox: Sandbox, connect_quickbooks: ConnectQuickBooks
) -> None:
    account = open_account(sandbox, size=120)
    venue = connect_quickbooks(account.credentials)
    results = venue.sync()
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
    again = venue.sync()
    assert not any(result.changed for result in again.values())
    whole = venue.sync(full=True)
    assert {result.repaired for result in whole.values()} == {0}


@pytest.mark.parametrize("seed", range(3))
def test_incremental_syncs_keep_up_and_the_full_pass_brings_what_is_silent(
    sandbox: Sandbox, connect_quickbooks: ConnectQuickBooks, seed: int
) -> None:
    account = open_account(sandbox, size=60, seed=seed)
    venue = connect_quickbooks(account.credentials)
    venue.sync()
    sandbox.quickbooks.tokens.lifetime = 30 * DAY
    for seconds, mutations in ((60, 3), (900, 30), (1, 1), (1_200, 60), (900, 0)):
        account.economy.advance(seconds, mutations=mutations)
        results = venue.sync()
        assert {result.outcome for result in results.values()} == {"succeeded"}
    silent = {(change.stream, change.id) for change in account.silent_changes}
    unseen = [
        each
        for each in differences(venue, account)
        if (each.split()[0], each.split()[1]) not in silent
        and not each.startswith("time_activities")
    ]
    assert unseen == []
    results = venue.sync(full=True, allow_deletes=True)
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
