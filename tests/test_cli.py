"""The `integrations` command, run as people run it: a process of its own, a database of its own."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Column, Engine, insert, make_url, select, text

from integration_pipelines.cli import main
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.events import Event, store
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import (
    integration_costs,
    quarantine,
    sync_batches,
    sync_logs,
)
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.stripe import StripeAccount
from tests.conftest import NewDatabase
from tests.providers.accounts import KINDS

COMMAND = Path(sys.executable).with_name("integrations")

STREAM_KEYS = {
    *("venue_id", "provider", "stream", "mode", "outcome", "fetched", "inserted", "updated"),
    *("unchanged", "deleted", "api_calls", "seconds", "cursor_at", "error_kind", "error"),
}
STATUS_KEYS = {
    *("venue_id", "provider", "account_id", "account_name", "currency", "country", "livemode"),
    *("status", "status_reason", "connected_at", "breaker", "breaker_open_until"),
    *("last_success_at", "last_failure_at", "last_error", "oldest_cursor_at"),
    *("newest_cursor_at", "failing_streams", "repaired", "missing", "dead_letters"),
    "kept_out",
    *("consent_ends_soon", "error_kind"),
}

NOTHING: dict[str, Any] = {
    "connections": [],
    "stale": [],
    "mapping_failures": [],
    "budgets": [],
    "stray_dead_letters": 0,
}

Completed = subprocess.CompletedProcess[str]
Run = Callable[..., Completed]


@pytest.fixture(scope="session")
def new_database(new_warehouse: NewDatabase) -> NewDatabase:
    return new_warehouse


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """``run(*arguments, stdin="", **variables)``: the command's end, its output in hand."""
    return partial(run_command, environment, tmp_path)


@pytest.fixture
def run_here(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """The same within this process: for the many things that end before they begin."""

    def run(*arguments: str, stdin: str = "", **variables: str) -> Completed:
        with monkeypatch.context() as process, pytest.raises(SystemExit) as ended:
            process.chdir(tmp_path)
            process.setattr(sys, "argv", ["integrations", *arguments])
            process.setattr(sys, "stdin", io.StringIO(stdin))
            for name, value in (environment | variables).items():
                process.setenv(name, value)
            main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Completed(arguments, ended.value.code, said.out, said.err)

    return run


def run_command(
    environment: dict[str, str], folder: Path, *arguments: str, stdin: str = "", **variables: str
) -> Completed:
    return subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        env=environment | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def succeeded(completed: Completed) -> str:
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def refused(completed: Completed, *, status: int = 1) -> str:
    """What one line on standard error said."""
    assert completed.returncode == status, completed.stdout + completed.stderr
    lines = completed.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("integrations: "), completed.stderr
    return lines[0].removeprefix("integrations: ")


def read_json(completed: Completed) -> Any:
    return json.loads(succeeded(completed))


def test_help_imports_neither_dagster_nor_a_driver() -> None:
    listing = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in listing.splitlines()}
    assert "click" in imported
    assert not imported & {"dagster", "sqlalchemy", "psycopg", "pydantic", "pandas"}


def test_status_imports_no_dagster(environment: dict[str, str], tmp_path: Path) -> None:
    listing = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, "status"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in listing.splitlines()}
    assert "sqlalchemy" in imported
    assert not imported & {"dagster", "dbt", "pandas", "aws_encryption_sdk"}


def test_init_makes_an_empty_database_ready_and_is_safe_to_repeat(
    empty_settings: Settings, tmp_path: Path
) -> None:
    assert empty_settings.database_url is not None
    run = partial(
        run_command,
        {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": empty_settings.database_url.get_secret_value(),
            "DATA_DIR": str(tmp_path / "data"),
        },
        tmp_path,
    )
    assert "run `integrations init`" in refused(run("venues", "list"))
    for _ in range(2):
        assert "is ready" in succeeded(run("init"))
    assert "no venue yet" in succeeded(run("venues", "list"))


def test_venues_are_added_listed_and_removed(run: Run) -> None:
    added = succeeded(
        run("venues", "add", "zum-anker", "--timezone", "Europe/Berlin", "--currency", "EUR")
    )
    assert "integrations connect PROVIDER --venue zum-anker" in added
    (venue,) = read_json(run("venues", "list", "--json"))
    assert set(venue) == {
        "venue_id",
        "name",
        "timezone",
        "currency",
        "day_starts_at",
        "created_at",
    }
    assert (venue["venue_id"], venue["name"]) == ("zum-anker", "Zum Anker")
    assert "Europe/Berlin" in succeeded(run("venues", "list"))

    asked = run("venues", "remove", "zum-anker", stdin="n\n")
    assert "1 row of control.venues" in asked.stdout
    assert "was not removed" in asked.stderr and asked.returncode == 1
    succeeded(run("venues", "remove", "zum-anker", "--yes"))
    assert read_json(run("venues", "list", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["venues", "add", "Zum Anker"], "slug 'Zum Anker' cannot name a venue"),
        (["venues", "add", "anker", "--timezone", "Berlin"], "timezone 'Berlin' is unknown"),
        (["venues", "add", "anker", "--day-starts-at", "4am"], "day_starts_at '4am'"),
        (["venues", "remove", "nobody"], "there is no venue nobody"),
        (["connect", "paypal", "--venue", "anker"], "there is no provider paypal: choose of"),
        (["disconnect", "stripe", "--venue", "nobody"], "there is no venue nobody"),
        (["fields", "--provider", "stirpe"], "there is no provider stirpe: choose of stripe, "),
        (["fields", "--provider", "square", "--stream", "charges"], "no stream charges: choose of"),
        (["db", "url", "--role", "analyst_nobody"], "there is no venue nobody"),
        (["db", "psql", "--role", "root"], "there is no role root: choose of pipeline"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(run_here: Run, arguments: list[str], said: str) -> None:
    assert said in refused(run_here(*arguments))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "No such command 'frobnicate': see `integrations --help`"),
        (["connect", "stripe"], "Missing option '--venue': see `integrations connect --help`"),
        (["status", "--frob"], "No such option '--frob': see `integrations status --help`"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(
    run_here: Run, arguments: list[str], said: str
) -> None:
    assert refused(run_here(*arguments), status=2).startswith(said)


def test_a_wrong_setting_is_named(run_here: Run) -> None:
    assert "STRIPE_SECRET: see .env.example" in refused(run_here("status", STRIPE_SECRET="x"))
    assert "APP_ENV: " in refused(run_here("status", APP_ENV="staging"))
    assert "DATABASE_URL is not of the form" in refused(
        run_here("status", DATABASE_URL="mysql://x")
    )


def test_a_database_that_is_away_is_told_without_the_password(run_here: Run) -> None:
    away = "postgresql://owner:canary-password@127.0.0.1:9/venues"
    said = refused(run_here("status", DATABASE_URL=away))
    assert "the database does not answer" in said and "DATABASE_URL" in said
    assert "canary" not in said


def test_debug_shows_the_traceback(run: Run) -> None:
    failed = run("--debug", "venues", "remove", "nobody", "--yes")
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        ("", "standard input is not a JSON object"),
        ('["rk_test_canary"]', "standard input is not a JSON object"),
        ('{"api_key": "rk_test_canary"', "standard input is not a JSON object"),
        ('{"apikey": "rk_test_canary"}', "give api_key"),
        ('{"api_key": ["rk_test_canary"]}', "api_key: "),
    ],
)
def test_malformed_credentials_are_named_and_not_echoed(
    run_here: Run, stdin: str, said: str
) -> None:
    message = refused(run_here("connect", "stripe", "--venue", "anker", stdin=stdin))
    assert said in message
    assert "canary" not in message


def test_psql_reads_every_venue_and_writes_nothing_by_default(run: Run) -> None:
    succeeded(run("venues", "add", "anker"))
    query = "select venue_id from control.venues"
    assert succeeded(run("db", "psql", "-Atc", query)) == "anker\n"
    written = run("db", "psql", "-c", "create table marts.mine ()")
    assert written.returncode == 1 and "read-only transaction" in written.stderr
    assert succeeded(run("db", "psql", "--role", "pipeline", "-Atc", query)) == "anker\n"


def test_the_url_opens_the_database_as_the_role_asked_for(run: Run) -> None:
    with psycopg.connect(succeeded(run("db", "url")).strip()) as connection:
        assert connection.execute("select current_user").fetchone() == ("dbt",)
    url = make_url(succeeded(run("db", "url", "--role", "analyst_all")).strip())
    assert (url.drivername, url.username) == ("postgresql", "analyst_all") and url.password


def test_users_are_invited_listed_and_removed(run_here: Run) -> None:
    assert "integrations users add EMAIL" in succeeded(run_here("users", "list"))
    succeeded(run_here("venues", "add", "anker"))
    succeeded(run_here("users", "add", "ana@anker.example", "--venue", "anker"))
    succeeded(run_here("users", "add", "Ana@Anker.example", "--venue", "anker", "--role", "viewer"))
    succeeded(run_here("users", "add", "all@venues.example", "--admin"))
    (everyone, ana) = read_json(run_here("users", "list", "--json"))
    assert (everyone["email"], everyone["administrator"]) == ("all@venues.example", True)
    assert (ana["email"], ana["venues"]) == ("ana@anker.example", "anker (viewer)")
    assert "is not an e-mail address" in refused(run_here("users", "add", "ana", "--admin"))
    assert "there is no venue nowhere" in refused(
        run_here("users", "add", "ana@anker.example", "--venue", "nowhere")
    )
    assert "give --venue SLUG" in refused(run_here("users", "add", "ana@anker.example"))
    succeeded(run_here("users", "remove", "ana@anker.example"))
    assert "nobody has the address" in refused(run_here("users", "remove", "ana@anker.example"))


def test_mappings_are_validated_previewed_set_and_listed_and_what_they_keep_out_is_named(
    run_here: Run, owner_engine: Engine
) -> None:
    succeeded(run_here("venues", "add", "anker"))
    rule = {
        "provider": "stripe",
        "target_table": "customers",
        "target_field": "custom.table",
        "type": "integer",
        "source_path": "metadata.table",
    }
    given = json.dumps([rule, rule | {"target_field": "name", "type": None}])
    assert "2 rules can be" in succeeded(run_here("mappings", "validate", stdin=given))
    wrong = json.dumps(rule | {"source_path": "a'); DROP TABLE x--"})
    assert "makes no sense from character 2" in refused(
        run_here("mappings", "validate", stdin=wrong)
    )
    for none in ("x", "[" * 60_000, "9" * 5_000):
        assert "is not a rule in JSON" in refused(run_here("mappings", "validate", stdin=none))
    at_anker = ("--venue", "anker")
    assert "no rule of its own" in succeeded(run_here("mappings", "list", *at_anker))
    seen = succeeded(run_here("mappings", "preview", *at_anker, stdin=given))
    assert "customers.custom.table: of 0 rows 0 get a value" in seen
    told = succeeded(run_here("mappings", "set", *at_anker, "--reason", "seats", stdin=given))
    assert "stripe customers.custom.table: version 1" in told
    listed = read_json(run_here("mappings", "list", *at_anker, "--json"))
    assert [(each["field"], each["reason"], each["applied"]) for each in listed] == [
        ("customers.custom.table", "seats", False),
        ("customers.name", "seats", False),
    ]
    assert "metadata.table" in succeeded(run_here("mappings", "list", *at_anker))
    asked = ("mappings", "quarantined", *at_anker)
    assert "no row that its mappings" in succeeded(run_here(*asked))
    assert read_json(run_here(*asked, "--json")) == {"failures": [], "rows": []}
    with owner_engine.begin() as session:
        venue_scope(session, "anker")
        session.execute(
            insert(quarantine).values(
                venue_id="anker",
                target_table="customers",
                provider="stripe",
                account_id="acct",
                source_id="cus_1",
                raw_table="raw_stripe.customers",
                raw_id="cus_1",
                raw_content_hash=b"",
                errors={"name": "has no value, and is required"},
                mapping_version=1,
                kept_out=True,
            )
        )
    named = "customers.name: in 1 row it has no value, and is required; 1 kept out"
    told = succeeded(run_here(*asked))
    assert named in told and "cus_1" in told and "raw_stripe" in told
    (row,) = read_json(run_here(*asked, "--json"))["rows"]
    assert (row["raw_table"], row["raw_id"]) == ("raw_stripe.customers", "cus_1")
    assert f"anker/stripe {named}" in succeeded(run_here("status"))
    (failure,) = read_json(run_here("status", "--json"))["mapping_failures"]
    assert (failure["rows"], failure["kept_out"], failure["example"]) == (1, 1, "cus_1")
    assert "there is no venue nowhere" in refused(
        run_here("mappings", "set", "--venue", "nowhere", stdin=given)
    )


def test_webhooks_are_listed_shown_masked_and_dead_ones_replayed_by_filter(
    run_here: Run, environment: dict[str, str], settings: Settings
) -> None:
    assert "no such event" in succeeded(run_here("webhooks", "list"))
    engine = create_engine(settings, Role.RECEIVER)
    with engine.begin() as session:
        payload = {"secret": "canary-of-a-payload", "id": "p1", "email": "ana@mail.example"}
        events = [Event(f"e{n}", "payment.updated", f"M{n}", None, payload) for n in range(4)]
        store(session, "square", events, request_id="r")
    engine.dispose()
    pipeline = create_engine(settings)
    with pipeline.begin() as session:
        session.execute(
            text(
                "UPDATE control.integration_webhooks SET status = 'dead',"
                " last_error = 'gone with sk_test_canary0123456789' WHERE event_id <> 'e0'"
            )
        )
    pipeline.dispose()
    listed = succeeded(run_here("webhooks", "list"))
    assert "1 pending, 3 dead" in listed and "canary" not in listed
    found = read_json(run_here("webhooks", "dead", "--account", "M1", "--reason", "GONE", "--json"))
    (dead,) = found["events"]
    assert (dead["last_error"], dead["account_id"]) == ("gone with [redacted]", "M1")
    id = str(dead["webhook_id"])
    shown = read_json(run_here("webhooks", "show", id, "--json"))
    masked = {"secret": "[secret]", "id": "p1", "email": "[e-mail]"}
    assert (shown["payload"], shown["event_id"]) == (masked, "e1")
    told = succeeded(run_here("webhooks", "show", id))
    assert "[e-mail]" in told and "canary" not in told and "ana@" not in told
    assert "there is no event 999" in refused(run_here("webhooks", "show", "999"))

    status = read_json(run_here("status", "--json"))
    assert status["stray_dead_letters"] == 3
    assert "3 dead letters of no connected account" in succeeded(run_here("status"))

    assert "1 event will" in succeeded(run_here("webhooks", "replay", id))
    assert "unknown, in work" in refused(run_here("webhooks", "replay", "999"))
    for wrong in ((), (id, "--account", "M1"), ("--dead", "--since", "yesterday")):
        assert run_here("webhooks", "replay", *wrong).returncode == 2
    assert "there is no provider nobody" in refused(
        run_here("webhooks", "list", "--provider", "nobody")
    )

    def replayed(*asked: str) -> str:
        return succeeded(run_here("webhooks", "replay", "--dead", *asked))

    assert "0 events will" in replayed("--since", "2999-01-01")
    assert "0 events will" in replayed("--until", "2000-01-01T00:00:00Z")
    assert "0 events will" in replayed("--venue", "hall")
    assert "1 event will" in replayed("--account", "M2", "--type", "payment.updated")
    assert "1 event will" in replayed("--provider", "square", "--reason", "gone")
    assert "0 events will" in replayed()
    assert read_json(run_here("webhooks", "dead", "--json"))["events"] == []


@pytest.mark.parametrize(
    ("allowed", "pace"),
    [(500_000, "at full pace"), (720, "nothing is left for some accounts")],
)
def test_status_tells_of_metered_reads_what_is_allowed_used_and_to_come(
    run_here: Run,
    venue: Callable[..., str],
    connect: Callable[..., Any],
    pipeline_engine: Engine,
    allowed: int,
    pace: str,
) -> None:
    connect(venue("hall"), "quickbooks", "9341")
    connect("hall", "stripe", "acct_1")
    with pipeline_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(
            insert(integration_costs).values(venue_id="hall", calls=700, cost=700),
            [
                {"provider": "quickbooks", "endpoint": "GET /cdc", "day": datetime.now(UTC).date()},
                {"provider": "stripe", "endpoint": "GET /v1/events", "day": date(2026, 1, 1)},
            ],
        )
    run = partial(run_here, QUICKBOOKS_MONTHLY_READS=str(allowed))
    (budget,) = read_json(run("status", "--json"))["budgets"]
    left = datetime.fromisoformat(budget["ends"]) - datetime.now(UTC)
    forecast = 700 + 700 / 7 * (left / timedelta(days=1))
    assert (budget["provider"], budget["accounts"]) == ("quickbooks", 1)
    assert (budget["allowed"], budget["used"]) == (allowed, 700)
    assert budget["forecast"] == pytest.approx(forecast, abs=5)
    assert budget["slowdown"] == (1.0 if allowed > 720 else None)
    said = succeeded(run("status"))
    assert f"quickbooks reads this month: 700 of {allowed:,}, forecast " in said
    assert pace in said


def test_status_without_connections_says_how_to_begin(run: Run) -> None:
    assert "integrations connect PROVIDER" in succeeded(run("status"))
    assert read_json(run("status", "--json")) == NOTHING


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=5) as running:
        yield running


@pytest.fixture
def at_sandbox(environment: dict[str, str], sandbox: Sandbox) -> dict[str, str]:
    environment["STRIPE_API_BASE"] = f"{sandbox.base_url}/stripe"
    return environment


def credentials(account: StripeAccount) -> str:
    return json.dumps({"api_key": account.api_key})


@pytest.mark.timeout(240)
def test_accounts_are_connected_synced_revoked_and_disconnected(
    at_sandbox: dict[str, str], run: Run, run_here: Run, sandbox: Sandbox
) -> None:
    hall = sandbox.stripe.create_account("hall", name="The Hall", size=20, months=1)
    anker = sandbox.stripe.create_account("anker", currency="eur", size=20, months=1)
    for account in (hall, anker):
        succeeded(run_here("venues", "add", account.slug))
        connected = run_here(
            "connect", "stripe", "--venue", account.slug, stdin=credentials(account)
        )
        assert f"{account.id}: {account.name} (" in succeeded(connected)
        assert account.api_key not in connected.stdout + connected.stderr
    assert f"hall has stripe account {hall.id} (The Hall) open" in refused(
        run_here("connect", "stripe", "--venue", "hall", stdin=credentials(anker))
    )

    report = read_json(run("sync", "--json"))
    assert report["succeeded"] is True and report["failures"] == []
    assert len(report["run_ids"]) == 1
    assert {(row["venue_id"], row["stream"]) for row in report["streams"]} == {
        (venue_id, stream)
        for venue_id in ("hall", "anker")
        for stream in PROVIDERS["stripe"].stream_names
    }
    for row in report["streams"]:
        assert set(row) == STREAM_KEYS
        if row["stream"] == "charges":
            truth = sandbox.stripe.account(row["venue_id"]).ids("charges")
            assert row["fetched"] == row["inserted"] == len(truth) > 0
            assert row["mode"] == "load" and row["cursor_at"] and row["api_calls"] > 0

    (at_anker, at_hall) = read_json(run_here("status", "--json"))["connections"]
    assert set(at_hall) == STATUS_KEYS
    assert (at_hall["account_id"], at_hall["status"]) == (hall.id, "active")
    assert at_hall["oldest_cursor_at"] and not at_hall["failing_streams"]
    assert "The Hall" in succeeded(run_here("status"))

    explain = ("explain", "marts.daily_revenue", "--venue", "hall")
    days = read_json(run_here(*explain, "--rows", "100", "--json"))
    assert all(all(day["adds_up"].values()) for day in days)
    day = next(day for day in days if day["row"]["payment_count"])
    (raw,) = day["made_of"][0]["examples"][0]["raw"]
    assert raw["brought_by"]["sync"]["run_id"] == report["run_ids"][0]
    told = succeeded(run_here(*explain, "--day", day["row"]["business_date"]))
    assert raw["id"] in told and report["run_ids"][0] in told
    assert "'x' is none" in refused(run_here(*explain, "--day", "x"))

    sandbox.stripe.revoke_key(anker.api_key)
    hall.economy.mutate(3, kinds=["create"])
    failed = run("sync", "--stream", "customers", "--stream", "charges")
    assert failed.returncode == 1
    assert re.search(r"hall +stripe +customers +\d", failed.stdout)
    cause, told = failed.stderr.splitlines()[-2:]
    assert cause.startswith("failed: anker/stripe (customers, charges): ")
    assert told == "integrations: 2 of 4 streams did not succeed"
    assert anker.api_key not in failed.stdout + failed.stderr
    (at_anker, _) = read_json(run_here("status", "--json"))["connections"]
    assert (at_anker["status"], at_anker["failing_streams"]) == (
        "revoked",
        ["charges", "customers"],
    )
    assert "anker/stripe: " in succeeded(run_here("status"))
    said = refused(run_here("sync", "--venue", "anker", "--json"))
    assert "anker/stripe is revoked" in said and "integrations connect stripe" in said

    assert anker.id in succeeded(run_here("disconnect", "stripe", "--venue", "anker"))
    assert "no stripe account connected" in refused(
        run_here("disconnect", "stripe", "--venue", "anker")
    )
    only_hall = read_json(run("sync", "--json", "--stream", "customers"))
    assert [row["venue_id"] for row in only_hall["streams"]] == ["hall"]


def test_a_key_that_the_provider_refuses_is_not_stored(
    at_sandbox: dict[str, str], run_here: Run, sandbox: Sandbox
) -> None:
    succeeded(run_here("venues", "add", "hall"))
    key = "rk_test_canary51H8x"
    said = refused(
        run_here("connect", "stripe", "--venue", "hall", stdin=json.dumps({"api_key": key}))
    )
    assert "Invalid API Key" in said and key not in said
    assert read_json(run_here("status", "--json")) == NOTHING


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_each_provider_says_whose_account_it_is_before_it_is_stored(
    run_here: Run, sandbox: Sandbox, name: str
) -> None:
    account = KINDS[name].open_account(sandbox, "hall", size=10)
    bases = {f"{name}_{kind}_base": f"{sandbox.base_url}/{name}" for kind in ("api", "oauth")}
    here = {key.upper(): url for key, url in bases.items() if key in Settings.model_fields}
    secrets = {
        key: value.get_secret_value() if isinstance(value, SecretStr) else value
        for key, value in KINDS[name].credentials(account)
        if value is not None
    }
    succeeded(run_here("venues", "add", "hall"))
    told = succeeded(
        run_here("connect", name, "--venue", "hall", stdin=json.dumps(secrets), **here)
    )
    assert told.startswith(f"{PROVIDERS[name].title} account {account.id}: {account.name} (")
    facts = told.partition(f"{account.name} (")[2].partition(")")[0].split(", ")
    assert facts[-1] in ("live", "sandbox")
    assert account.country in facts
    assert name == "mailchimp" or account.currency.upper() in facts
    (stored,) = read_json(run_here("status", "--json"))["connections"]
    assert (stored["account_id"], stored["status"]) == (account.id, "active")
    assert not [value for value in secrets.values() if len(value) > 20 and value in told]

    succeeded(run_here("venues", "add", "bar"))
    spoiled = {
        key: f"{value[:10]}canary{value[16:]}" if len(value) > 20 else value
        for key, value in secrets.items()
    }
    wrong = run_here("connect", name, "--venue", "bar", stdin=json.dumps(spoiled), **here)
    said = refused(wrong)
    assert "reconnect the account" in said
    assert "canary" not in said
    assert len(read_json(run_here("status", "--json"))["connections"]) == 1
    removed = succeeded(run_here("venues", "remove", "hall", "--yes", **here))
    assert f"({account.name}): its credentials are destroyed, for good" in removed
    assert read_json(run_here("status", "--json"))["connections"] == []


def test_venues_that_share_an_account_are_connected_by_location(
    run_here: Run, sandbox: Sandbox
) -> None:
    account = KINDS["square"].open_account(sandbox, "group", size=10, locations=2, inactive=0)
    one, two = account.ids("locations")

    def connect(venue_id: str, location: str) -> Completed:
        return run_here(
            *("connect", "square", "--venue", venue_id, "--location", location),
            stdin=json.dumps({"access_token": account.access_token}),
            SQUARE_API_BASE=f"{sandbox.base_url}/square",
        )

    for venue_id in ("hall", "bar"):
        succeeded(run_here("venues", "add", venue_id))
    told = succeeded(connect("hall", one))
    assert "hall has its locations" in told and "and what belongs to no location" in told
    assert f"location {one} is hall's" in refused(connect("bar", one))
    assert "and nothing else" in succeeded(connect("bar", two))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no account is connected: `integrations connect PROVIDER --venue SLUG`"),
        (["--venue", "nobody"], "there is no venue nobody"),
        (["--venue", "hall"], "hall has no account connected"),
        (["--provider", "paypal"], "there is no provider paypal"),
        (["--stream", "chargebacks"], "there is no stream chargebacks: choose of accounts, "),
    ],
)
def test_a_sync_of_what_does_not_exist_is_refused(
    run_here: Run, venue: Callable[[str], str], arguments: list[str], said: str
) -> None:
    venue("hall")
    assert said in refused(run_here("sync", *arguments))


@pytest.mark.timeout(180)
def test_an_interrupted_sync_ends_at_once_and_leaves_no_batch_open(
    at_sandbox: dict[str, str],
    run_here: Run,
    sandbox: Sandbox,
    pipeline_engine: Engine,
    tmp_path: Path,
) -> None:
    hall = sandbox.stripe.create_account("hall", size=20, months=1)
    succeeded(run_here("venues", "add", "hall"))
    succeeded(run_here("connect", "stripe", "--venue", "hall", stdin=credentials(hall)))
    sandbox.latency = 3
    process = subprocess.Popen(
        [COMMAND, "sync"], env=at_sandbox, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while "running" not in _column(pipeline_engine, sync_logs.c.outcome):
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "integrations: interrupted"
    assert "Traceback" not in said
    assert _column(pipeline_engine, sync_batches.c.outcome) == ["abandoned"]


def _column(engine: Engine, column: Column[Any]) -> list[Any]:
    with engine.connect() as session:
        return list(session.scalars(select(column)))
