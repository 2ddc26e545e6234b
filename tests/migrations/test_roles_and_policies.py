"""Each role connects as itself, and shows what it can and cannot do."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from integration_pipelines.core import database
from integration_pipelines.core.database import (
    Role,
    analyst_role,
    create_engine,
    initialise,
    venue_scope,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import TENANT_TABLES, metadata
from integration_pipelines.core.venues import add_venue
from integration_pipelines.providers import PROVIDERS
from tests.filled import fill

MOON, SUN = "moonlight-hall", "sun"

# S(elect), I(nsert), U(pdate), D(elete) on each control table; nothing where not named. Of
# integration_webhooks the receiver reads the ids alone.
MAY = {
    Role.PIPELINE: {
        "venues": "S",
        "users": "S",
        "memberships": "S",
        "integrations": "SU",
        "integration_configs": "SIUD",
        "connections": "SIUD",
        "oauth_tokens": "SIUD",
        "venue_api_keys": "SIUD",
        "field_mappings": "SIUD",
        "integration_webhooks": "SIUD",
        "webhook_deduplication": "SIUD",
        "integration_health": "SIUD",
        "sync_queue": "SIUD",
        "sync_batches": "SIUD",
        "sync_logs": "SIUD",
        "integration_costs": "SIUD",
        "sync_cursors": "SIUD",
        "sync_days": "SIUD",
        "webhook_endpoints": "SID",
        "sync_seen": "SIUD",
        "completeness": "SIUD",
        "raw_fields": "SIUD",
        "field_looks": "SIUD",
        "outbound_writes": "SIUD",
        "rate_limits": "SIUD",
        "dbt_build_venues": "SIUD",
        "publications": "S",
        "quarantine": "S",
        "audit_log": "SI",
        "pending_connections": "S",
    },
    Role.DBT: {
        "venues": "S",
        "connections": "S",
        "field_mappings": "S",
        "dbt_build_venues": "S",
        "publications": "SIU",
        # Of these, what the view of their health shows.
        "integration_health": "S",
        "sync_cursors": "S",
        "sync_logs": "S",
        "sync_days": "S",
        "quarantine": "SIUD",
    },
    Role.PORTAL: {
        "venues": "S",
        "users": "SIU",
        "memberships": "SIUD",
        "integrations": "S",
        "integration_configs": "SIUD",
        "connections": "SIUD",
        "oauth_tokens": "SIUD",
        "venue_api_keys": "SIUD",
        "oauth_states": "SIUD",
        "field_mappings": "SIUD",
        "integration_webhooks": "S",
        "integration_health": "S",
        "sync_queue": "SI",
        "sync_batches": "S",
        "sync_logs": "S",
        "sync_cursors": "S",
        "sync_days": "S",
        "webhook_endpoints": "SID",
        "completeness": "S",
        "raw_fields": "S",
        "publications": "S",
        "quarantine": "S",
        "integration_costs": "S",
        "outbound_writes": "SIU",
        "portal_sessions": "SIUD",
        "api_tokens": "SIU",
        "pending_connections": "SID",
        "audit_log": "SI",
    },
    Role.RECEIVER: {"integration_webhooks": "SI", "webhook_deduplication": "SI"},
    Role.ANALYST_ALL: {},
    Role.DAGSTER: {},
    analyst_role(MOON): {},
}

SPANS_VENUES = {
    Role.PIPELINE: {"integration_webhooks", "sync_queue", "sync_batches"},
    Role.PORTAL: set[str](),
}


RAW = [
    f"raw_{provider.name}.{stream}"
    for provider in PROVIDERS.values()
    for stream in provider.stream_names
]
A_ROW = (
    "INSERT INTO {table} (venue_id, account_id, id, payload, observed_at, content_hash)"
    " VALUES ('{venue}', 'acct', '{id}', '{{}}', now(), '')"
)

CANONICAL = """
    CREATE TABLE {schema}.{table} (venue_id text PRIMARY KEY);
    ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY build ON {schema}.{table} TO dbt USING (true) WITH CHECK (true);
    {isolation};
    GRANT SELECT ON {schema}.{table} TO analyst, analyst_all;
    INSERT INTO {schema}.{table} SELECT 'venue-' || n FROM generate_series(1, 1000) n;
    INSERT INTO {schema}.{table} VALUES ('moonlight-hall'), ('sun'), ('all');
    CREATE VIEW {schema}.{table}_seen WITH (security_invoker = true) AS
        SELECT * FROM {schema}.{table};
    GRANT SELECT ON {schema}.{table}_seen TO analyst, analyst_all;
    ANALYZE {schema}.{table};
"""
ISOLATIONS = {
    "payments": """
        CREATE POLICY venue_isolation ON {schema}.payments FOR SELECT TO analyst
            USING (venue_id = control.analyst_venue());
        CREATE POLICY all_venues ON {schema}.payments FOR SELECT TO analyst_all USING (true)
    """,
}


@pytest.fixture(scope="module")
def settings(
    new_database: Callable[..., AbstractContextManager[Settings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Settings]:
    """Two venues, a row of each in every table; every test leaves things as they were."""
    with new_database(tmp_path_factory.mktemp("roles")) as settings:
        initialise(settings, PROVIDERS.values())
        owner, dbt = database.owner_engine(settings), create_engine(settings, Role.DBT)
        for slug in (MOON, SUN):
            add_venue(owner, slug)
            with owner.begin() as connection:
                fill(connection, slug)
                for table in RAW:
                    connection.exec_driver_sql(A_ROW.format(table=table, venue=slug, id=1))
        with dbt.begin() as connection:
            for schema in ("staging", "analytics", "marts"):
                for table, policies in ISOLATIONS.items():
                    isolation = policies.format(schema=schema)
                    connection.exec_driver_sql(
                        CANONICAL.format(schema=schema, table=table, isolation=isolation)
                    )
                connection.exec_driver_sql(f"CREATE TABLE {schema}.unprotected AS SELECT 1 AS n")
        owner.dispose()
        dbt.dispose()
        yield settings


@pytest.fixture
def acting(settings: Settings) -> Iterator[Callable[..., Connection]]:
    """``acting(role, venue_id)`` -> a transaction as that role, scoped where a venue is given."""
    with ExitStack() as stack:

        def connect(role: str, venue_id: str | None = None) -> Connection:
            engine = create_engine(settings, role)
            stack.callback(engine.dispose)
            connection = stack.enter_context(engine.connect())
            if venue_id is not None:
                venue_scope(connection, venue_id)
            return connection

        yield connect


def refusal(connection: Connection, statement: str) -> str:
    """Run a statement and undo it: '', or the server's words if it was refused."""
    try:
        with connection.begin_nested() as savepoint:
            connection.exec_driver_sql(statement)
            savepoint.rollback()
    except DBAPIError as error:
        return str(error.orig)
    return ""


@pytest.mark.parametrize("role", MAY)
def test_a_role_does_with_control_tables_what_it_may_and_no_more(
    acting: Callable[..., Connection], role: str
) -> None:
    connection = acting(role, MOON)
    seen = {}
    for table in metadata.sorted_tables:
        column = table.primary_key.columns.values()[0].name
        attempts = {
            "S": f"SELECT count(*), max({column}::text) FROM {table}",
            "I": f"INSERT INTO {table} DEFAULT VALUES",
            "U": f"UPDATE {table} SET {column} = DEFAULT",
            "D": f"DELETE FROM {table}",
        }
        seen[table.name] = "".join(
            letter
            for letter, statement in attempts.items()
            if "permission denied" not in refusal(connection, statement)
        )
    assert {table: letters for table, letters in seen.items() if letters} == MAY[role]


@pytest.mark.parametrize("scope", ["", MOON])
@pytest.mark.parametrize("role", [Role.PIPELINE, Role.PORTAL])
def test_a_venue_is_read_in_its_scope(
    acting: Callable[..., Connection], role: Role, scope: str
) -> None:
    connection = acting(role, scope or None)
    for table in TENANT_TABLES:
        if "S" not in MAY[role].get(table.name, ""):
            continue
        rows = connection.exec_driver_sql(f"SELECT venue_id FROM {table} ORDER BY 1").all()
        venues = [MOON, SUN] if role is Role.PIPELINE else [scope] if scope else []
        assert [row.venue_id for row in rows] == venues, table.name


@pytest.mark.parametrize("role", [Role.PIPELINE, Role.PORTAL])
@pytest.mark.parametrize("scope", ["", MOON])
def test_no_row_of_another_venue_is_written(
    acting: Callable[..., Connection], role: Role, scope: str
) -> None:
    connection = acting(role, scope or None)
    for table in TENANT_TABLES:
        if table.name in SPANS_VENUES[role]:
            continue
        may = MAY[role].get(table.name, "")
        name = table.fullname
        if "U" in may:
            claimed = f"UPDATE {name} SET venue_id = venue_id WHERE venue_id = '{SUN}'"
            assert connection.exec_driver_sql(claimed).rowcount == 0
            moved = refusal(connection, f"UPDATE {name} SET venue_id = '{SUN}'")
            assert "violates row-level security" in moved if scope else moved == ""
        if "D" in may:
            deleted = connection.exec_driver_sql(f"DELETE FROM {name} WHERE venue_id = '{SUN}'")
            assert deleted.rowcount == 0
        if "I" in may:
            copied = refusal(connection, f"INSERT INTO {name} (venue_id) VALUES ('{SUN}')")
            assert "violates row-level security" in copied, table.name


def test_claims_span_venues(acting: Callable[..., Connection]) -> None:
    connection = acting(Role.PIPELINE)
    for table in SPANS_VENUES[Role.PIPELINE]:
        touched = connection.exec_driver_sql(f"UPDATE control.{table} SET venue_id = venue_id")
        assert touched.rowcount == 2


def test_raw_rows_are_landed_and_read_in_the_scope_of_their_venue(
    acting: Callable[..., Connection],
) -> None:
    unscoped, scoped = acting(Role.PIPELINE), acting(Role.PIPELINE, MOON)
    for table in RAW:
        everything = f"SELECT venue_id FROM {table}"
        assert unscoped.exec_driver_sql(everything).all() == []
        assert scoped.exec_driver_sql(everything).scalars().all() == [MOON]
        assert refusal(scoped, A_ROW.format(table=table, venue=MOON, id=2)) == ""
        assert "row-level security" in refusal(scoped, A_ROW.format(table=table, venue=SUN, id=2))
        assert "row-level security" in refusal(
            unscoped, A_ROW.format(table=table, venue=MOON, id=2)
        )
        assert scoped.exec_driver_sql(f"DELETE FROM {table}").rowcount == 1


@pytest.mark.parametrize("role", [role for role in MAY if role != Role.PIPELINE])
def test_raw_is_written_by_the_pipeline_alone_and_else_read_by_dbt_alone(
    acting: Callable[..., Connection], role: str
) -> None:
    connection = acting(role, MOON)
    for table in RAW:
        for statement in (
            A_ROW.format(table=table, venue=MOON, id=2),
            f"DELETE FROM {table}",
            f"UPDATE {table} SET deleted_at = now()",
            f"TRUNCATE {table}",
        ):
            assert "permission denied" in refusal(connection, statement)
        everything = f"SELECT venue_id FROM {table}"
        if role == Role.DBT:
            assert len(connection.exec_driver_sql(everything).all()) == 2
        else:
            assert "permission denied" in refusal(connection, everything)


@pytest.mark.parametrize("role", MAY)
def test_a_role_makes_objects_where_it_owns_the_schema_and_nowhere_else(
    acting: Callable[..., Connection], role: str
) -> None:
    connection = acting(role)
    schemas = ["public", "control", "staging", "analytics", "marts", "dagster"]
    schemas += [f"raw_{name}" for name in PROVIDERS]
    owned = {Role.DBT: ["staging", "analytics", "marts"], Role.DAGSTER: ["dagster"]}
    allowed = [
        schema for schema in schemas if not refusal(connection, f"CREATE TABLE {schema}.mine ()")
    ]
    assert allowed == owned.get(role, [])  # type: ignore[call-overload]
    temporary = refusal(connection, "CREATE TEMPORARY TABLE mine ()")
    assert (temporary == "") == (role in (Role.PIPELINE, Role.DBT))
    assert "permission denied" in refusal(connection, "CREATE SCHEMA mine")


@pytest.mark.parametrize("role", MAY)
def test_no_role_can_become_another_or_lift_row_level_security(
    acting: Callable[..., Connection], role: str
) -> None:
    connection = acting(role)
    for other in [*MAY, "owner", "pg_read_all_data"]:
        if other != role:
            assert "permission denied" in refusal(connection, f'SET ROLE "{other}"')
    lifted = refusal(connection, "ALTER TABLE control.venues NO FORCE ROW LEVEL SECURITY")
    assert re.search("must be owner|permission denied", lifted)
    assert (
        connection.exec_driver_sql(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
            " FROM pg_roles WHERE rolname = current_user"
        ).scalar_one()
        is False
    )


def test_the_owner_is_bound_by_the_scope_too(owner_engine: Engine) -> None:
    with owner_engine.connect() as connection:
        for table in (*RAW, "control.oauth_tokens", "control.sync_cursors"):
            assert connection.exec_driver_sql(f"SELECT 1 FROM {table}").all() == []


@pytest.mark.parametrize(
    ("role", "count"), [(analyst_role(MOON), 1), (Role.ANALYST_ALL, 1003), (Role.DBT, 1003)]
)
@pytest.mark.parametrize("relation", ["payments", "payments_seen"])
def test_analysts_see_their_venue_or_all(
    acting: Callable[..., Connection], role: str, count: int, relation: str
) -> None:
    connection = acting(role)
    for schema in ("analytics", "marts"):
        rows = connection.exec_driver_sql(f"SELECT venue_id FROM {schema}.{relation}").all()
        assert len(rows) == count
        assert (MOON,) in rows


@pytest.mark.parametrize("role", [analyst_role(MOON), Role.ANALYST_ALL])
def test_analysts_only_read_and_only_what_was_opened_to_them(
    acting: Callable[..., Connection], role: str
) -> None:
    connection = acting(role, MOON)
    for statement in (
        "SELECT * FROM staging.payments",
        "SELECT * FROM analytics.unprotected",
        "SELECT * FROM control.venues",
        "DELETE FROM analytics.payments",
        "INSERT INTO marts.payments VALUES ('moonlight-hall')",
        "SELECT control.analyze_raw('stripe', 'charges')",
    ):
        assert "permission denied" in refusal(connection, statement), statement


@pytest.mark.parametrize("role", [Role.PIPELINE, Role.PORTAL, Role.RECEIVER, Role.DAGSTER])
def test_canonical_tables_are_closed_to_everyone_else(
    acting: Callable[..., Connection], role: Role
) -> None:
    connection = acting(role, MOON)
    for schema in ("staging", "analytics", "marts"):
        assert "permission denied" in refusal(connection, f"SELECT * FROM {schema}.payments")


def test_an_index_serves_the_analyst_of_one_venue(acting: Callable[..., Connection]) -> None:
    plan = acting(analyst_role(MOON)).exec_driver_sql("EXPLAIN SELECT * FROM analytics.payments")
    assert "Index Cond: (venue_id = " in "\n".join(plan.scalars())


def test_the_portal_finds_the_venues_of_a_user_and_nobody_elses(
    acting: Callable[..., Connection], owner_engine: Engine
) -> None:
    portal = acting(Role.PORTAL)

    def venues_of(email: str) -> list[tuple[object, ...]]:
        found = portal.execute(
            text(
                "SELECT f.venue_id, f.role FROM control.users u,"
                " control.venues_of_user(u.user_id) f WHERE u.email = :email"
            ),
            {"email": email},
        )
        return [tuple(row) for row in found]

    assert venues_of(MOON) == [(MOON, "viewer")]
    portal.execute(text("UPDATE control.users SET is_admin = true WHERE email = :e"), {"e": MOON})
    assert venues_of(MOON) == [(MOON, "venue_admin"), (SUN, "venue_admin")]
    assert venues_of(SUN) == [(SUN, "viewer")]
    portal.execute(
        text("UPDATE control.users SET disabled_at = now() WHERE email = :e"), {"e": MOON}
    )
    assert venues_of(MOON) == []


def test_the_portal_finds_the_venue_of_an_oauth_state(acting: Callable[..., Connection]) -> None:
    found = text("SELECT control.venue_of_oauth_state(:state)")
    portal = acting(Role.PORTAL)
    assert portal.scalar(found, {"state": SUN.encode()}) == SUN
    assert portal.scalar(found, {"state": b"guessed"}) is None


def test_the_receiver_takes_events_in_and_finds_their_venue(
    acting: Callable[..., Connection],
) -> None:
    receiver = acting(Role.RECEIVER)
    found = receiver.exec_driver_sql(
        "SELECT venue_id, location_ids, is_primary"
        " FROM control.connections_of_account('stripe', 'sun')"
    )
    assert found.all() == [(SUN, None, True)]
    for venue_id in (f"'{SUN}'", "NULL"):
        taken = receiver.exec_driver_sql(
            "INSERT INTO control.integration_webhooks (provider, venue_id, event_id, event_type)"
            f" VALUES ('stripe', {venue_id}, 'evt_1', 'charge.updated') RETURNING webhook_id"
        )
        assert taken.scalar_one() > 0
    deduplicate = (
        "INSERT INTO control.webhook_deduplication (provider, scope, event_id)"
        " VALUES ('stripe', 'acct', 'evt_1') ON CONFLICT DO NOTHING RETURNING event_id"
    )
    assert len(receiver.exec_driver_sql(deduplicate).all()) == 1
    assert len(receiver.exec_driver_sql(deduplicate).all()) == 0
    assert "permission denied" in refusal(
        receiver, "SELECT payload FROM control.integration_webhooks"
    )


def test_a_disconnected_account_has_no_venue(acting: Callable[..., Connection]) -> None:
    pipeline = acting(Role.PIPELINE, SUN)
    found = "SELECT 1 FROM control.connections_of_account('stripe', 'sun')"
    assert len(pipeline.exec_driver_sql(found).all()) == 1
    pipeline.exec_driver_sql("UPDATE control.connections SET status = 'disconnected'")
    assert pipeline.exec_driver_sql(found).all() == []


def test_the_pipeline_analyzes_raw_tables_and_no_others(
    acting: Callable[..., Connection],
) -> None:
    pipeline = acting(Role.PIPELINE)
    pipeline.exec_driver_sql("SELECT control.analyze_raw('stripe', 'charges')")
    analyzed = "SELECT reltuples FROM pg_class WHERE oid = 'raw_stripe.charges'::regclass"
    assert pipeline.exec_driver_sql(analyzed).scalar_one() == 2
    for provider, stream in (
        ("stripe", "nothing"),
        ("x", "y"),
        ("stripe", "charges; DROP TABLE control.venues"),
        ("stripe.charges", "charges"),
    ):
        with pytest.raises(ProgrammingError, match=f"no table raw_{re.escape(provider)}"):
            pipeline.execute(
                text("SELECT control.analyze_raw(:provider, :stream)"),
                {"provider": provider, "stream": stream},
            )
        pipeline.rollback()


def test_dagster_alone_gives_up_waiting_for_the_disk(
    acting: Callable[..., Connection],
) -> None:
    show = "SELECT current_setting('synchronous_commit') = 'off', current_setting('search_path')"
    assert acting(Role.DAGSTER).exec_driver_sql(show).one() == (True, "dagster")
    default = "SELECT setting = reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
    assert acting(Role.PIPELINE).exec_driver_sql(default).scalar_one()


def test_security_definers_have_a_fixed_path_and_are_not_for_everyone(
    owner_engine: Engine,
) -> None:
    with owner_engine.connect() as connection:
        functions = connection.exec_driver_sql(
            "SELECT proname, proconfig, has_function_privilege('dagster', oid, 'EXECUTE')"
            " FROM pg_proc WHERE prosecdef AND pronamespace = 'control'::regnamespace"
        ).all()
    assert len(functions) == 10
    for name, configuration, dagster_may in functions:
        assert (name, configuration, dagster_may) == (
            name,
            ["search_path=pg_catalog, pg_temp"],
            False,
        )


def test_every_tenant_and_raw_table_forces_row_level_security(owner_engine: Engine) -> None:
    with owner_engine.connect() as connection:
        open_tables = connection.exec_driver_sql(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'venue_id'"
            " WHERE c.relkind = 'r' AND (n.nspname = 'control' OR n.nspname LIKE 'raw%%')"
            " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        ).all()
        assert open_tables == [("dbt_build_venues",)]


def test_only_named_roles_enter_the_database(owner_engine: Engine) -> None:
    with owner_engine.connect() as connection:
        anyone = connection.exec_driver_sql(
            "SELECT privilege_type FROM pg_database, aclexplode(datacl)"
            " WHERE datname = current_database() AND grantee = 0"
        )
        assert anyone.all() == []
