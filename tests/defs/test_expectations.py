"""The suites of the canonical tables: one look, as Dagster runs them, at venues that each have
their trouble, and what it says of them; and looks at whole accounts of all four providers, before
and after something in them was spoiled."""

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import dagster as dg
import pytest
import requests
from sqlalchemy import Connection, Engine, text

from development.processes import Processes, free_port
from integration_pipelines.core.database import Role, create_engine, owner_engine, venue_scope
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.venues import add_venue
from integration_pipelines.definitions import defs
from integration_pipelines.defs.dbt_build import build
from integration_pipelines.defs.suites import (
    COUNTRY,
    CURRENCY,
    EMAIL,
    NAME,
    PHONE,
    SUITES,
    Verdict,
    evaluate,
    last_complete_week,
)
from integration_pipelines.instance import open_instance
from provider_sandbox import running_sandbox
from tests.canary import every_row
from tests.conftest import NewDatabase
from tests.dbt_mappings.conftest import Warehouse

WEEK = last_complete_week(datetime.now(UTC).date())
HEALTHY = ("quiet", "seasonal", "returning")
NOT_JUDGED = ("young", "sparse", "gone")
VENUES = (*HEALTHY, *NOT_JUDGED, "fallen", "dear", "anonymous", "people")
PEOPLE = (
    ("Renée Müller", "renée.müller+bar@mail.example", "+49 (30) 123-4567", "DE", "EUR"),
    ("岡本", "okamoto_9@mail.example", "090 1234 5678 ext. 12", "JP", None),
    (None, None, None, None, None),
    ("Zoë Ødegård", "zoë.ødegård9@localhost", "ask Zoë", "Norge", "nok"),
    ("Ask Ødegård", "ask.ødegård@localhost", "0" * 30, "no", "NOK"),
    (" ", "two words@mail.example", "12", "N1", "N0K"),
)


class Look(NamedTuple):
    """What the job said, by table, and where it left it."""

    said: dict[str, dg.AssetCheckEvaluation]
    settings: Settings
    instance: dg.DagsterInstance

    def failing(self, table: str) -> list[dict[str, Any]]:
        shown = self.said[table].metadata.get("failing")
        return [dict(row.data) for row in shown.records] if shown else []  # type: ignore[union-attr]

    def of(self, venue_id: str) -> list[tuple[Any, ...]]:
        """Table, what, figure and expected of each row that names the venue."""
        return [
            (name, row["what"], row["figure"], row["expected"])
            for name in self.said
            for row in self.failing(name)
            if row["venue"] == venue_id
        ]


@pytest.fixture(scope="module")
def look(new_warehouse: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    with (
        new_warehouse(tmp_path_factory.mktemp("data")) as settings,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert settings.database_url is not None
        patch.setenv("APP_ENV", settings.app_env)
        patch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
        patch.setenv("DATA_DIR", str(settings.data_path))
        for name in ("DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "DAGSTER_EVENT_BATCH_SIZE"):
            patch.setenv(name, "")
        _furnish(settings)
        with open_instance(settings) as instance:
            yield Look(_run(instance), settings, instance)


def _run(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    ran = defs.resolve_job_def("check_expectations").execute_in_process(instance=instance)
    return {each.asset_key.path[-1]: each for each in ran.get_asset_check_evaluations()}


def test_a_venue_whose_volume_collapses_is_named(look: Look) -> None:
    rows, amount = f"rows of the week of {WEEK}, EUR", f"sum of amounts of the week of {WEEK}, EUR"
    assert look.of("fallen") == [
        ("payments", rows, "3", "at least 10"),
        ("payments", amount, "69.00", "at least 315.00"),
    ]
    said = look.said["payments"]
    assert not said.passed
    assert said.severity == dg.AssetCheckSeverity.WARN
    assert f"fallen: stripe: {rows}: 3, expected at least 10" in str(said.description)


def test_sums_and_quantiles_that_explode_are_named(look: Look) -> None:
    assert {
        (what.partition(" of the week")[0], expected) for _, what, _, expected in look.of("dear")
    } == {
        ("sum of amounts", "at most 1,260.00"),
        ("median amount", "at most 63.00"),
        ("ninth decile of amounts", "at most 78.20"),
    }


def test_a_share_that_moves_is_named(look: Look) -> None:
    what = f"share without customer of the week of {WEEK}, EUR"
    assert look.of("anonymous") == [("payments", what, "100%", "at most 25%")]


@pytest.mark.parametrize("venue_id", [*HEALTHY, *NOT_JUDGED])
def test_who_is_as_before_or_has_little_history_or_is_disconnected_is_not_named(
    look: Look, venue_id: str
) -> None:
    assert look.of(venue_id) == []


def test_healthy_tables_pass_and_every_history_that_is_long_enough_is_judged(look: Look) -> None:
    assert {name for name, each in look.said.items() if not each.passed} == {
        "payments",
        "customers",
    }
    assert set(look.said) == {suite.table for suite in SUITES}
    judged = {name: each.metadata["judged_histories"].value for name, each in look.said.items()}
    assert judged["payments"] == len({"quiet", "fallen", "dear", "anonymous", "seasonal"})
    assert judged["orders"] == len({"returning"})


def test_what_is_malformed_is_counted_by_its_shape(look: Look) -> None:
    assert set(look.of("people")) == {
        ("customers", "name", "1 like ' '", "not blank"),
        ("customers", "email", "2 like 'x.x@x'", "name@domain.tld"),
        ("customers", "email", "1 like 'x x@x.x'", "name@domain.tld"),
        ("customers", "phone", "1 like 'xxx Xxx'", "5 to 17 digits"),
        ("customers", "phone", f"1 like '{'9' * 30}'", "5 to 17 digits"),
        ("customers", "phone", "1 like '99'", "5 to 17 digits"),
        ("customers", "country", "1 like 'Xxxxx'", "two capitals, as of ISO 3166"),
        ("customers", "country", "1 like 'xx'", "two capitals, as of ISO 3166"),
        ("customers", "country", "1 like 'X9'", "two capitals, as of ISO 3166"),
        ("customers", "currency", "1 like 'xxx'", "three capitals, as of ISO 4217"),
        ("customers", "currency", "1 like 'X9X'", "three capitals, as of ISO 4217"),
    }


def test_the_checks_say_which_page_of_data_docs_names_the_venue(look: Look) -> None:
    assert (look.settings.data_docs_path / "index.html").exists()
    for name, said in look.said.items():
        link = said.metadata["data_docs"]
        assert isinstance(link, dg.PathMetadataValue)
        page = Path(link.path or "").read_text()
        assert name in page
        assert ("fallen" in page) == (name == "payments")


def test_where_data_docs_are_served_the_checks_link_to_the_page_and_to_nothing_beside(
    look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (look.settings.data_path / "beside").write_text("not to be served")
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("DATA_DOCS_URL", url)
    with Processes(tmp_path) as processes:
        processes.start_data_docs(url, look.settings.data_docs_path)
        said = _run(look.instance)
        processes.wait_for(url)
        for name in ("payments", "orders"):
            link = said[name].metadata["data_docs"]
            assert isinstance(link, dg.UrlMetadataValue)
            answer = requests.get(link.url or "", timeout=30)
            assert answer.status_code == 200
            assert (
                f"rows of the week of {WEEK}: at least what the weeks before allow" in answer.text
            )
            assert ("fallen" in answer.text) == (name == "payments")
        index = requests.get(url, timeout=30).text
        assert (link.url or "").removeprefix(f"{url}/") in index
        for path in ("/../beside", "/%2e%2e/beside", "/..%2fbeside"):
            connection = HTTPConnection("127.0.0.1", urlsplit(url).port, timeout=30)
            connection.request("GET", path)
            assert connection.getresponse().status == 404
        assert requests.put(f"{url}/index.html", data="", timeout=30).status_code == 501


def test_nobody_is_named_in_events_or_data_docs(look: Look) -> None:
    written = look.settings.data_path.glob("data_docs*/**/*")
    docs = [path.read_text() for path in written if path.suffix in (".html", ".json")]
    dagster = create_engine(look.settings, Role.DAGSTER)
    events = every_row(dagster, "nowhere")
    dagster.dispose()
    assert any("x.x@x" in each for each in docs)
    assert "x.x@x" in events
    for each in (*docs, events):
        for said in ("Ødegård", "ødegård", "Zoë", "Renée", "okamoto", "localhost", "mail.example"):
            assert said not in each
            assert said.encode("unicode_escape").decode() not in each


def test_pages_of_a_look_stay_for_thirty_days(look: Look, tmp_path: Path) -> None:
    suites = [suite for suite in SUITES if suite.table == "loyalty_accounts"]
    dbt, docs = create_engine(look.settings, Role.DBT), tmp_path / "docs"
    with dbt.connect() as session:
        pages = [evaluate(session, suites, week=WEEK, docs=docs)[0].page for _ in range(2)]
        assert all(page.exists() for page in pages)
        (first,) = tmp_path.glob(f"docs_results/*/*/{pages[0].parent.name}")
        os.utime(first, (0, 0))
        pages += [evaluate(session, suites, week=WEEK, docs=docs)[0].page]
    dbt.dispose()
    assert [page.exists() for page in pages] == [False, True, True]
    index = (docs / "index.html").read_text()
    assert [page.relative_to(docs).as_posix() in index for page in pages] == [False, True, True]


@pytest.mark.parametrize(
    ("today", "week"),
    [
        (date(2026, 3, 2), date(2026, 2, 16)),  # A Monday.
        (date(2026, 3, 3), date(2026, 2, 23)),
        (date(2026, 3, 8), date(2026, 2, 23)),
    ],
)
def test_a_week_is_judged_from_the_tuesday_after_it(today: date, week: date) -> None:
    assert last_complete_week(today) == week


# Whole accounts.

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LAST = last_complete_week(NOW.date())
HALLS = {"us-hall": ("USD", "US"), "jp-hall": ("JPY", "JP"), "ie-bar": ("EUR", "IE")}
MADE_OF = {
    "stripe": ("customers", "charges", "refunds", "disputes", "payouts", "balance_transactions",
               "invoices", "checkout_sessions"),
    "square": ("locations", "customers", "orders", "payments", "refunds", "disputes", "payouts",
               "payout_entries", "invoices", "loyalty_programs", "loyalty_accounts"),
    "mailchimp": ("lists", "members"),
    "quickbooks": ("customers", "invoices"),
}  # fmt: skip
"""The streams that the tables are made of."""


@pytest.fixture(scope="module")
def halls(new_warehouse: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Three venues with accounts of all four providers, ten to thirteen weeks old, as dbt sees what
    was made of them."""
    with (
        new_warehouse(tmp_path_factory.mktemp("halls")) as settings,
        running_sandbox(seed=3, now=int(NOW.timestamp())) as sandbox,
    ):
        owner, pipeline = owner_engine(settings), create_engine(settings, Role.PIPELINE)
        dbt = create_engine(settings, Role.DBT)
        warehouse = Warehouse(settings, owner, pipeline, dbt)
        for venue_id, (currency, country) in HALLS.items():
            add_venue(owner, venue_id)
            accounts: dict[str, Any] = {
                "stripe": sandbox.stripe.create_account(
                    venue_id, size=700, currency=currency.lower()
                ),
                "square": sandbox.square.create_account(venue_id, size=600, country=country),
                "mailchimp": sandbox.mailchimp.create_account(venue_id, size=500),
                "quickbooks": sandbox.quickbooks.create_account(
                    venue_id, size=150, currency=currency
                ),
            }
            for provider, account in accounts.items():
                with pipeline.begin() as session:
                    venue_scope(session, venue_id)
                    connected = {"venue": venue_id, "provider": provider, "status": "active"}
                    session.execute(text(CONNECTED), connected)
                for stream in MADE_OF[provider]:
                    bodies = json.loads(json.dumps(account.objects(stream), default=float))
                    ids = [str(id) for id in account.ids(stream)]
                    warehouse.land(venue_id, stream, *bodies, provider=provider, ids=ids)
        built = build(settings, pipeline, venue_ids=[*HALLS])
        assert built is not None
        assert set(built.published) == set(HALLS)
        for engine in (owner, pipeline):
            engine.dispose()
        yield dbt
        dbt.dispose()


def _look(session: Connection, docs: Path) -> dict[str, Verdict]:
    return {each.table: each for each in evaluate(session, SUITES, week=LAST, docs=docs)}


def test_of_whole_accounts_in_good_order_nothing_is_named(halls: Engine, tmp_path: Path) -> None:
    with halls.connect() as session:
        found = _look(session, tmp_path)
    assert _named(found) == set()
    assert (found["payments"].judged, found["orders"].judged) == (6, 3)


def _joined_by(table: str, columns: str, values: str) -> str:
    """A hundred rows more in each week, of which 0 is the last; the first of ``columns`` is their
    day."""
    return f"""INSERT INTO analytics.{table}
            (venue_id, provider, account_id, source_id, is_deleted, {columns})
        SELECT venue_id, provider, 'acct', gen_random_uuid(), false,
            CAST(:week AS date) - 7 * week + 2, {values}
        FROM generate_series(0, 12) AS week, generate_series(1, 100), (
            SELECT venue_id, provider FROM analytics.{table} WHERE {{mine}} LIMIT 1
        ) AS mine"""


OF_LAST = "business_date >= :week AND business_date < CAST(:week AS date) + 7"
SPOILED: Mapping[tuple[str, str, str], tuple[str, set[str]]] = {
    ("us-hall", "stripe", "payments"): (
        f"""DELETE FROM analytics.payments WHERE {{mine}} AND {OF_LAST} AND source_id NOT IN (
            SELECT source_id FROM analytics.payments WHERE {{mine}} AND {OF_LAST}
            ORDER BY gross_amount LIMIT 5
        )""",
        {"rows", "sum of amounts"},
    ),
    ("jp-hall", "stripe", "payments"): (
        f"""UPDATE analytics.payments SET gross_amount = gross_amount * 100
        WHERE {{mine}} AND {OF_LAST}""",
        {"sum of amounts", "median amount", "ninth decile of amounts"},
    ),
    ("ie-bar", "stripe", "payments"): (
        f"""INSERT INTO analytics.payments SELECT (
            jsonb_populate_record(one, jsonb_build_object('source_id', source_id || copy))
        ).* FROM analytics.payments AS one, generate_series(1, 3) AS copy
        WHERE {{mine}} AND {OF_LAST}""",
        {"rows"},
    ),
    ("us-hall", "square", "payments"): (
        f"UPDATE analytics.payments SET customer_id = NULL WHERE {{mine}} AND {OF_LAST}",
        {"share without customer"},
    ),
    ("jp-hall", "square", "payments"): (
        f"UPDATE analytics.payments SET is_disputed = true WHERE {{mine}} AND {OF_LAST}",
        {"share disputed"},
    ),
    ("ie-bar", "square", "payments"): (
        f"""INSERT INTO analytics.refunds
            (venue_id, provider, account_id, source_id, payment_id, is_effective, is_deleted)
        SELECT venue_id, provider, account_id, 're ' || source_id, source_id, true, false
        FROM analytics.payments WHERE {{mine}} AND {OF_LAST}""",
        {"share refunded"},
    ),
    ("us-hall", "square", "orders"): (
        f"""UPDATE analytics.orders SET total_amount = total_amount / 100
        WHERE {{mine}} AND {OF_LAST}""",
        {"sum of amounts", "median amount", "ninth decile of amounts"},
    ),
    ("jp-hall", "square", "orders"): (
        f"""UPDATE analytics.orders SET total_amount = total_amount * 10 WHERE source_id IN (
            SELECT source_id FROM analytics.orders WHERE {{mine}} AND {OF_LAST}
            ORDER BY total_amount DESC LIMIT 15
        )""",
        {"sum of amounts", "ninth decile of amounts"},
    ),
    ("ie-bar", "square", "orders"): (
        f"""UPDATE analytics.orders SET total_amount = 0.01
        WHERE {{mine}} AND {OF_LAST} AND total_amount < (
            SELECT percentile_cont(0.6) WITHIN GROUP (ORDER BY total_amount)
            FROM analytics.orders WHERE {{mine}} AND {OF_LAST}
        )""",
        {"median amount"},
    ),
    ("ie-bar", "square", "refunds"): (
        _joined_by(
            "refunds", "business_date, currency, amount, is_effective", "'EUR', 1000, week > 0"
        ),
        {"share without effect"},
    ),
    ("ie-bar", "quickbooks", "customers"): (
        _joined_by(
            "customers", "created_at, email", "CASE WHEN week > 0 THEN 'a@mail.example' END"
        ),
        {"share without email"},
    ),
    ("ie-bar", "mailchimp", "audience_members"): (
        _joined_by("audience_members", "created_at, is_subscribed", "week > 0"),
        {"share subscribed"},
    ),
}
"""What is done to a venue's rows of a table, and what of their last week is then to be named."""
MALFORMED = {
    CURRENCY: "eur",
    EMAIL: "two words@mail.example",
    NAME: " ",
    PHONE: "ask at the bar",
    COUNTRY: "Norge",
}
MISSHAPE = """
    UPDATE analytics.{table} SET {column} = :value WHERE (venue_id, source_id) = (
        SELECT venue_id, source_id FROM analytics.{table} WHERE provider = :provider
            AND venue_id = 'us-hall' AND NOT is_deleted ORDER BY {day}, source_id LIMIT 1
    )
"""


def test_whatever_is_spoiled_is_named_and_nothing_else(halls: Engine, tmp_path: Path) -> None:
    expected = set()
    with halls.connect() as session:
        for (venue_id, provider, table), (spoil, named) in SPOILED.items():
            mine = f"venue_id = '{venue_id}' AND provider = '{provider}' AND NOT is_deleted"
            session.execute(text(spoil.format(mine=mine)), {"week": LAST})
            expected |= {(table, venue_id, provider, what) for what in named}
        for suite in SUITES:
            provider = "mailchimp" if suite.table == "audience_members" else "square"
            for column, form in suite.formats.items():
                misshape = MISSHAPE.format(table=suite.table, column=column, day=suite.day)
                spoiled = {"value": MALFORMED[form], "provider": provider}
                assert session.execute(text(misshape), spoiled).rowcount == 1
                expected.add((suite.table, "us-hall", provider, column))
        assert _named(_look(session, tmp_path)) == expected


def _named(found: Mapping[str, Verdict]) -> set[tuple[str, str, str, str]]:
    """Table, venue, provider and what is not as expected."""
    return {
        (table, each.venue_id, each.provider, each.what.partition(" of the week of ")[0])
        for table, verdict in found.items()
        for each in verdict.failing
    }


def _furnish(settings: Settings) -> None:
    owner, pipeline = owner_engine(settings), create_engine(settings, Role.PIPELINE)
    for venue_id in VENUES:
        add_venue(owner, venue_id)
        with pipeline.begin() as session:
            venue_scope(session, venue_id)
            session.execute(
                text(CONNECTED),
                {
                    "venue": venue_id,
                    "provider": "stripe",
                    "status": "disconnected" if venue_id == "gone" else "active",
                },
            )
    dbt = create_engine(settings, Role.DBT)
    with dbt.begin() as session:
        for venue_id in ("quiet", "fallen", "dear", "anonymous"):
            _sell(session, venue_id, weeks=12, each=20)
        _sell(session, "young", weeks=7, each=20)
        _sell(session, "sparse", weeks=12, each=9)
        _sell(session, "gone", weeks=12, each=20)
        # Every fourth week is closed, and so is the last.
        for before in (1, 2, 3, 5, 6, 7, 9, 10, 11):
            _sell(session, "seasonal", weeks=1, each=20, before=before)
        _sell(session, "quiet", each=24)
        _sell(session, "seasonal", each=20)
        _sell(session, "fallen", each=3)
        _sell(session, "dear", each=20, times=100)
        _sell(session, "anonymous", each=20, customer=None)
        # The week after, which is not over, says nothing.
        _sell(session, "quiet", each=200, before=-1)
        session.execute(text(RETURNED), {"week": WEEK})
        columns = ("name", "email", "phone", "country", "currency")
        for number, person in enumerate(PEOPLE):
            session.execute(text(PERSON), {"id": number} | dict(zip(columns, person, strict=True)))
    for engine in (owner, pipeline, dbt):
        engine.dispose()


def _sell(
    session: Connection,
    venue_id: str,
    *,
    each: int,
    weeks: int = 1,
    before: int | None = None,
    times: int = 1,
    customer: str | None = "cus_1",
) -> None:
    """``each`` payments a week: in the ``weeks`` that end ``before`` that many; of one week, else,
    in the one that is judged."""
    last = before if before is not None else 0 if weeks == 1 else 1
    session.execute(
        text(SOLD),
        {
            "venue": venue_id,
            "each": each,
            "first": WEEK - timedelta(weeks=last + weeks - 1),
            "last": WEEK - timedelta(weeks=last),
            "times": times,
            "customer": customer,
        },
    )


CONNECTED = """
    INSERT INTO control.connections (venue_id, provider, account_id, account_name, status)
    VALUES (:venue, :provider, :venue, :venue, :status)
"""
SOLD = """
    INSERT INTO analytics.payments (
        venue_id, provider, account_id, source_id, business_date, currency, gross_amount,
        customer_id, is_disputed, is_deleted
    )
    SELECT :venue, 'stripe', 'acct', gen_random_uuid(), week::date + n % 7, 'EUR',
        (21 + n) * :times, CAST(:customer AS text), false, false
    FROM generate_series(CAST(:first AS date), CAST(:last AS date), interval '7 days') AS week,
        generate_series(1, :each) AS n
"""
RETURNED = """
    INSERT INTO analytics.orders (
        venue_id, provider, account_id, source_id, business_date, currency, total_amount,
        customer_email, is_deleted
    )
    SELECT 'returning', 'stripe', 'acct', gen_random_uuid(), CAST(:week AS date) - 7 * week, 'EUR',
        -10, 'ask@mail.example', false
    FROM generate_series(0, 12) AS week, generate_series(1, 20)
"""
PERSON = """
    INSERT INTO analytics.customers (
        venue_id, provider, account_id, source_id, name, email, phone, country, currency, is_deleted
    )
    VALUES ('people', 'stripe', 'acct', :id, :name, :email, :phone, :country, :currency, false)
"""
