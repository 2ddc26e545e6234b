"""What lands equals what is true: every stream, every object, through time, faults and deletes."""

import pytest

from provider_sandbox import Sandbox
from tests.providers.mailchimp.conftest import ConnectMailchimp, differences, open_account

DAY = 86_400


def test_a_first_load_lands_everything(
    sandbox: Sandbox, connect_mailchimp: ConnectMailchimp
) -> None:
    account = open_account(sandbox, size=120, lists=3)
    venue = connect_mailchimp({"api_key": account.api_key})
    results = venue.sync()
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
    again = venue.sync()
    assert not any(result.changed for result in again.values())
    whole = venue.sync(full=True)
    assert {result.repaired for result in whole.values()} == {0}


@pytest.mark.parametrize("seed", range(3))
def test_incremental_syncs_keep_up_and_the_full_pass_brings_what_is_silent(
    sandbox: Sandbox, connect_mailchimp: ConnectMailchimp, seed: int
) -> None:
    account = open_account(sandbox, size=40, seed=seed)
    venue = connect_mailchimp({"access_token": account.access_token})
    venue.sync()
    for seconds, mutations in ((60, 3), (3_600, 30), (1, 1), (2 * DAY, 60), (900, 0)):
        account.economy.advance(seconds, mutations=mutations)
        results = venue.sync()
        assert {result.outcome for result in results.values()} == {"succeeded"}
    silent = {(change.stream, change.id) for change in account.silent_changes}
    unseen = [
        each
        for each in differences(venue, account)
        if not each.endswith("too many") and not (silent & {tuple(each.split()[:2])})
    ]
    assert unseen == []
    results = venue.sync(full=True, allow_deletes=True)
    assert {result.outcome for result in results.values()} == {"succeeded"}
    assert differences(venue, account) == []
