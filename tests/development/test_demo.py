"""The end of `make demo`, on a venue of three accounts in the sandbox: what it says where payouts
are not in the books as was planted, and how it ends."""

import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, text

from development import demo, reconciliation
from development.reconciliation import Planted, keep_books, reconciled
from development.stage import VENUES, Stage
from integration_pipelines.core.database import Role, create_engine, owner_engine
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.venues import add_venue
from integration_pipelines.defs.dbt_build import build
from provider_sandbox import Sandbox, running_sandbox
from tests.conftest import NewDatabase
from tests.providers.accounts import KINDS

(VENUE,) = (venue for venue in VENUES if venue.venue_id == reconciliation.ERRS_AT)
OF_PAYOUTS = "UPDATE marts.payout_reconciliation SET"
A_MATCHED_ONE = (
    "payout_id = (SELECT max(payout_id) FROM marts.payout_reconciliation WHERE status = 'matched')"
)


class End(NamedTuple):
    """Where the demo comes to its end, with all of `VENUE` landed and built."""

    dbt: Engine
    stage: Stage
    planted: Planted

    def come(self, monkeypatch: pytest.MonkeyPatch, spoil: str = "SELECT 1") -> None:
        """As it would, where ``spoil`` had been done to the marts."""

        def end(_: Settings) -> bool:
            with self.dbt.connect() as session:
                session.execute(text(spoil))
                return reconciled(session, self.stage, self.planted)

        monkeypatch.setattr(reconciliation, "VENUES", (VENUE,))
        monkeypatch.setattr(demo, "demonstrate", end)
        demo.main()


@pytest.fixture(scope="module")
def end(new_warehouse: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    data = tmp_path_factory.mktemp("demo")
    with (
        new_warehouse(data) as settings,
        running_sandbox(seed=1) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(reconciliation, "VENUES", (VENUE,))
        stage = Stage(sandbox.base_url, data / "stage.json", "", int(time.time()), [], is_new=True)
        planted = _furnish(settings, sandbox, stage)
        dbt = create_engine(settings, Role.DBT)
        yield End(dbt, stage, planted)
        dbt.dispose()


def _furnish(settings: Settings, sandbox: Sandbox, stage: Stage) -> Planted:
    owner, pipeline = owner_engine(settings), create_engine(settings, Role.PIPELINE)
    add_venue(owner, VENUE.venue_id, timezone=VENUE.timezone, day_starts_at=VENUE.day_starts_at)
    history: dict[str, Any] = {"size": 40, "months": 1, "timezone": VENUE.timezone}
    currency = VENUE.currency
    accounts = {
        "stripe": sandbox.stripe.create_account(
            VENUE.venue_id, currency=currency.lower(), **history
        ),
        "square": sandbox.square.create_account(VENUE.venue_id, country=VENUE.country, **history),
        "quickbooks": sandbox.quickbooks.create_account(
            VENUE.venue_id, currency=currency, processors=reconciliation.PROCESSORS, **history
        ),
    }
    planted = keep_books(stage)
    for provider, account in accounts.items():
        connected = KINDS[provider].connect(settings, pipeline, sandbox, account, VENUE.venue_id)
        assert not {each.error for each in connected.sync().values() if each.error}
    built = build(settings, pipeline, venue_ids=[VENUE.venue_id])
    assert built is not None
    assert built.published == [VENUE.venue_id]
    for engine in (owner, pipeline):
        engine.dispose()
    return planted


def test_the_planted_difference_is_found_by_name_and_nothing_else(
    end: End, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end.come(monkeypatch)
    said = [line for line in capsys.readouterr().out.splitlines() if "(po_" in line]
    assert len(said) == 1
    assert said[0].startswith(f"{VENUE.venue_id}: amount_differs: ")
    assert f"deposit {end.planted.deposit_id} says" in said[0]
    assert said[0].endswith(", as was planted")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (
            f"{OF_PAYOUTS} status = 'no_deposit' WHERE {A_MATCHED_ONE}",
            r"zum-anker: no_deposit: .*\(po_\S+\).* NOT PLANTED",
        ),
        (
            f"{OF_PAYOUTS} payout_amount = payout_amount + 0.01 WHERE {A_MATCHED_ONE}",
            r"zum-anker: matched: .*\(po_\S+\).* NOT PLANTED",
        ),
        (
            f"{OF_PAYOUTS} status = 'matched' WHERE status = 'amount_differs'",
            r"NOT FOUND: deposit \d+ of zum-anker was entered wrong",
        ),
        (
            f"DELETE FROM marts.payout_reconciliation WHERE {A_MATCHED_ONE}",
            r"NOT FOUND: zum-anker: (stripe|square) paid out po_",
        ),
    ],
)
def test_a_demo_that_finds_other_than_was_planted_names_it_and_fails(
    spoil: str,
    named: str,
    end: End,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="is not what the ledger says"):
        end.come(monkeypatch, spoil)
    assert re.search(named, capsys.readouterr().out)


def test_what_an_earlier_demo_planted_is_told_apart_from_what_this_one_did(
    end: End, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="is not what the ledger says"):
        end._replace(planted=Planted(VENUE.venue_id, "0")).come(monkeypatch)
    said = capsys.readouterr().out
    assert f"deposit {end.planted.deposit_id} says" in said
    assert "as was planted by an earlier demo" in said
    assert "NOT FOUND: deposit 0 of zum-anker was entered wrong" in said
