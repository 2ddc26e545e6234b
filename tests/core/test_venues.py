from collections.abc import Callable
from datetime import time
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from integration_pipelines.core.database import (
    Role,
    analyst_role,
    create_engine,
    venue_scope,
)
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.venues import (
    add_venue,
    describe_removal,
    list_venues,
    remove_venue,
)


def test_a_venue_is_kept_as_given(owner_engine: Engine, pipeline_engine: Engine) -> None:
    added = add_venue(
        owner_engine,
        "moonlight-hall",
        name="Moonlight Hall",
        timezone="Europe/Berlin",
        currency="EUR",
        day_starts_at="05:30",
    )
    assert (added.name, added.timezone, added.currency, added.day_starts_at) == (
        "Moonlight Hall",
        "Europe/Berlin",
        "EUR",
        time(5, 30),
    )
    assert list_venues(owner_engine) == list_venues(pipeline_engine) == [added]


def test_a_venue_needs_nothing_but_its_slug(owner_engine: Engine) -> None:
    added = add_venue(owner_engine, "the-blue-room")
    assert (added.name, added.timezone, added.currency, added.day_starts_at) == (
        "The Blue Room",
        "UTC",
        "USD",
        time(0),
    )


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("slug", ["", "all", "Moonlight", "moon_light", "-moon", "moon-", "m" * 49, "moon\n", "é"]),
        ("name", ["", "  ", "Moon\x00light"]),
        ("timezone", ["", "Berlin", "Europe/Bielefeld", "Factory", "../etc/passwd"]),
        ("currency", ["", "usd", "USB", "US", "dollar"]),
        ("day_starts_at", ["", "5", "12:00", "24:00", "05:00:00", "morning"]),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(
    owner_engine: Engine, field: str, values: list[str]
) -> None:
    for value in values:
        arguments = {"slug": "moonlight-hall"} | {field: value}
        with pytest.raises(ConfigurationError, match=rf"^{field} .*(use|give) "):
            add_venue(owner_engine, arguments.pop("slug"), **arguments)
    assert list_venues(owner_engine) == []


def test_a_slug_of_any_permitted_length_names_a_role(
    owner_engine: Engine, settings: Settings
) -> None:
    for slug in ("a", "a" * 48):
        add_venue(owner_engine, slug)
        engine = create_engine(settings, analyst_role(slug))
        with engine.connect() as connection:
            assert connection.execute(text("SELECT current_user")).scalar_one() == f"analyst_{slug}"
        engine.dispose()


def test_a_venue_is_added_once(owner_engine: Engine, venue: Callable[..., str]) -> None:
    venue("moonlight-hall", name="First")
    with pytest.raises(ConfigurationError, match="moonlight-hall exists already"):
        add_venue(owner_engine, "moonlight-hall", name="Second")
    assert [known.name for known in list_venues(owner_engine)] == ["First"]


CANONICAL = """
    CREATE TABLE analytics.payments (venue_id text NOT NULL, amount_minor bigint);
    ALTER TABLE analytics.payments ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY build ON analytics.payments TO current_user USING (true) WITH CHECK (true);
    CREATE POLICY venue_isolation ON analytics.payments FOR SELECT TO analyst
        USING (venue_id = control.analyst_venue());
    CREATE POLICY all_venues ON analytics.payments FOR SELECT TO analyst_all USING (true);
    GRANT SELECT ON analytics.payments TO analyst, analyst_all;
    INSERT INTO analytics.payments VALUES ('moonlight-hall', 1), ('moonlight-hall', 2), ('sun', 3);
"""


@pytest.fixture
def two_full_venues(
    settings: Settings,
    pipeline_engine: Engine,
    venue: Callable[..., str],
    connect: Callable[..., UUID],
) -> None:
    """Venues moonlight-hall and sun, each with rows in control, raw and analytics."""
    for slug in ("moonlight-hall", "sun"):
        connection_id = connect(venue(slug), account_id=f"acct_{slug}")
        with pipeline_engine.begin() as connection:
            venue_scope(connection, slug)
            for statement in (
                "INSERT INTO control.oauth_tokens"
                " (venue_id, connection_id, provider, access_token, key_id)"
                " VALUES (:venue, :connection, 'stripe', 'sealed', 'k')",
                "INSERT INTO control.sync_cursors"
                " (venue_id, connection_id, stream, state, sync_id)"
                " VALUES (:venue, :connection, 'charges', '{}', gen_random_uuid())",
                "INSERT INTO raw_stripe.charges"
                " (venue_id, account_id, id, payload, observed_at, content_hash)"
                " SELECT :venue, 'acct', n, '{}', now(), '' FROM generate_series(1, 3) n"
                " WHERE :connection IS NOT NULL",
            ):
                connection.execute(text(statement), {"venue": slug, "connection": connection_id})
    engine = create_engine(settings, Role.DBT)
    with engine.begin() as connection:
        connection.exec_driver_sql(CANONICAL)
    engine.dispose()


ROWS = {
    "analytics.payments": 2,
    "control.connections": 1,
    "control.oauth_tokens": 1,
    "control.sync_cursors": 1,
    "control.venues": 1,
    "raw_stripe.charges": 3,
}


@pytest.mark.usefixtures("two_full_venues")
def test_a_removal_is_described_before_it_is_done(owner_engine: Engine) -> None:
    assert describe_removal(owner_engine, "moonlight-hall") == ROWS
    assert describe_removal(owner_engine, "moonlight-hall") == ROWS


@pytest.mark.usefixtures("two_full_venues")
def test_removal_takes_all_of_one_venue_and_nothing_of_another(
    owner_engine: Engine, settings: Settings
) -> None:
    assert remove_venue(owner_engine, "moonlight-hall") == ROWS
    assert [known.venue_id for known in list_venues(owner_engine)] == ["sun"]
    assert describe_removal(owner_engine, "sun") == ROWS | {"analytics.payments": 1}
    with pytest.raises(ConfigurationError, match="no venue moonlight-hall"):
        describe_removal(owner_engine, "moonlight-hall")

    add_venue(owner_engine, "moonlight-hall")
    assert describe_removal(owner_engine, "moonlight-hall") == {"control.venues": 1}


@pytest.mark.usefixtures("two_full_venues")
def test_analysts_of_a_removed_venue_are_locked_out(
    owner_engine: Engine, settings: Settings
) -> None:
    remove_venue(owner_engine, "moonlight-hall")
    engine = create_engine(settings, analyst_role("moonlight-hall"))
    with pytest.raises(OperationalError, match="authentication failed"):
        engine.connect()


def test_removing_an_unknown_venue_is_refused(owner_engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match="integrations venues list"):
        remove_venue(owner_engine, "nowhere")
