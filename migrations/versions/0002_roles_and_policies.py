"""Roles, what each may touch, and row-level security as the second wall between venues.

Revision ID: 0002

Roles belong to the whole server, so they are made where missing and outlive a downgrade;
`integrations init` gives them their passwords. A tenant table shows and takes only rows of the
venue that `app.venue_id` names for the transaction: none where it is unset. What spans venues has a
policy of its own below, and nothing else does.

For the author of dbt's models: a table in `analytics` or `marts` is open to nobody until its
post-hook has run the statements below. One policy for both roles would say the same, but no index
would serve it: of a million rows, one venue's thousand took 270 ms and not 1.2.

    ALTER TABLE x ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY build ON x TO dbt USING (true) WITH CHECK (true);
    CREATE POLICY venue_isolation ON x FOR SELECT TO analyst
        USING (venue_id = control.analyst_venue());
    CREATE POLICY all_venues ON x FOR SELECT TO analyst_all USING (true);
    GRANT SELECT ON x TO analyst, analyst_all;
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GROUPS = ("analyst",)
LOGINS = ("pipeline", "dbt", "portal", "receiver", "analyst_all", "dagster")

TENANT_TABLES = (
    "venues",
    "memberships",
    "integration_configs",
    "connections",
    "oauth_tokens",
    "venue_api_keys",
    "oauth_states",
    "field_mappings",
    "integration_webhooks",
    "integration_health",
    "sync_queue",
    "sync_batches",
    "sync_logs",
    "integration_costs",
    "sync_cursors",
    "sync_seen",
    "outbound_writes",
)

GRANTS = {
    "pipeline": {
        "SELECT": ("venues", "users", "memberships"),
        "SELECT, UPDATE": ("integrations",),
        "SELECT, INSERT, UPDATE, DELETE": (
            "integration_configs",
            "connections",
            "oauth_tokens",
            "venue_api_keys",
            "field_mappings",
            "integration_webhooks",
            "webhook_deduplication",
            "integration_health",
            "sync_queue",
            "sync_batches",
            "sync_logs",
            "integration_costs",
            "sync_cursors",
            "sync_seen",
            "outbound_writes",
            "rate_limits",
            "dbt_build_venues",
        ),
    },
    "dbt": {"SELECT": ("venues", "connections", "field_mappings", "dbt_build_venues")},
    "portal": {
        "SELECT": (
            "venues",
            "integrations",
            "integration_webhooks",
            "integration_health",
            "sync_batches",
            "sync_logs",
            "sync_cursors",
            "integration_costs",
        ),
        "SELECT, INSERT": ("sync_queue",),
        "SELECT, INSERT, UPDATE": ("users", "outbound_writes"),
        "SELECT, INSERT, UPDATE, DELETE": (
            "memberships",
            "integration_configs",
            "connections",
            "oauth_tokens",
            "venue_api_keys",
            "oauth_states",
            "field_mappings",
        ),
    },
    "receiver": {
        "INSERT, SELECT (webhook_id)": ("integration_webhooks",),
        "SELECT, INSERT": ("webhook_deduplication",),
    },
}

READ_ACROSS_VENUES = {
    "pipeline": tuple(table for table in TENANT_TABLES if table != "oauth_states"),
    "dbt": ("venues", "connections", "field_mappings"),
    "receiver": ("integration_webhooks",),
    # The owner's functions below look things up before a venue is known.
    "CURRENT_USER": ("venues", "memberships", "connections", "oauth_states"),
}

# Claims take work of all venues at once.
CLAIMED_ACROSS_VENUES = ("integration_webhooks", "sync_queue", "sync_batches")

FUNCTIONS = (
    (
        "analyst_venue()",
        "dbt, analyst, analyst_all",
        # Of the columns' collation, or no index on venue_id would be used.
        """
        RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        RETURN substr(current_user, 9) COLLATE "default"
        """,
        "The venue of the analyst who asks, from the name of the role.",
    ),
    (
        "venues_of_user(user_id uuid)",
        "portal",
        """
        RETURNS TABLE (venue_id text, name text, role text)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        BEGIN ATOMIC
            SELECT v.venue_id, v.name, CASE WHEN u.is_admin THEN 'venue_admin' ELSE m.role END
            FROM control.users u
            CROSS JOIN control.venues v
            LEFT JOIN control.memberships m ON m.venue_id = v.venue_id AND m.user_id = u.user_id
            WHERE u.user_id = $1 AND u.disabled_at IS NULL
                AND (u.is_admin OR m.user_id IS NOT NULL)
            ORDER BY v.venue_id;
        END
        """,
        "The venues of a user and the role in each; all of them for an administrator.",
    ),
    (
        "venue_of_oauth_state(state_hash bytea)",
        "portal",
        """
        RETURNS text
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        RETURN (SELECT s.venue_id FROM control.oauth_states s WHERE s.state_hash = $1)
        """,
        "The venue that began an OAuth connection; null where nobody did.",
    ),
    (
        "connections_of_account(provider text, account_id text)",
        "receiver, pipeline",
        """
        RETURNS TABLE (venue_id text, connection_id uuid, location_ids text[], is_primary boolean)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        BEGIN ATOMIC
            SELECT c.venue_id, c.connection_id, c.location_ids, c.is_primary
            FROM control.connections c
            WHERE c.provider = $1 AND c.account_id = $2 AND c.status <> 'disconnected';
        END
        """,
        "The open connections of an account: several where venues share it.",
    ),
    (
        "analyze_raw(provider text, stream text)",
        "pipeline",
        """
        RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS $$
        BEGIN
            PERFORM FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'raw_' || provider AND c.relname = stream AND c.relkind = 'r';
            IF NOT FOUND THEN
                RAISE undefined_table USING MESSAGE =
                    format('no table raw_%s.%s: run `integrations init`', provider, stream);
            END IF;
            EXECUTE format('ANALYZE %I.%I', 'raw_' || provider, stream);
        END
        $$
        """,
        "ANALYZE a raw table, which only its owner could.",
    ),
)


def upgrade() -> None:
    for group in GROUPS:
        _create_role(group, "NOLOGIN")
    for login in LOGINS:
        _create_role(login, "LOGIN")
    op.execute("GRANT analyst TO analyst_all")
    for role in ("dbt", "dagster"):
        _let_owner_become(role)
    op.execute("ALTER ROLE dagster SET search_path = dagster")
    op.execute("ALTER ROLE dagster SET synchronous_commit = off")

    for schema, owner in (
        ("staging", "dbt"),
        ("analytics", "dbt"),
        ("marts", "dbt"),
        ("dagster", "dagster"),
    ):
        op.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}")
    op.execute("SET LOCAL ROLE dbt")
    op.execute("GRANT USAGE ON SCHEMA analytics, marts TO analyst, analyst_all")
    op.execute("RESET ROLE")
    op.execute("GRANT USAGE ON SCHEMA control TO pipeline, dbt, portal, receiver")

    for role, grants in GRANTS.items():
        for privileges, tables in grants.items():
            for table in tables:
                op.execute(f"GRANT {privileges} ON control.{table} TO {role}")

    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE control.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE control.{table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY venue_scope ON control.{table}"
            " USING (venue_id = current_setting('app.venue_id', true))"
        )
    for role, tables in READ_ACROSS_VENUES.items():
        name = "owner" if role == "CURRENT_USER" else role
        for table in tables:
            op.execute(
                f"CREATE POLICY {name}_reads ON control.{table} FOR SELECT TO {role} USING (true)"
            )
    for table in CLAIMED_ACROSS_VENUES:
        op.execute(f"CREATE POLICY pipeline_claims ON control.{table} TO pipeline USING (true)")
    op.execute(
        "CREATE POLICY receiver_writes ON control.integration_webhooks"
        " FOR INSERT TO receiver WITH CHECK (true)"
    )

    for signature, roles, definition, comment in FUNCTIONS:
        op.execute(f"CREATE FUNCTION control.{signature} {definition}")
        op.execute(f"COMMENT ON FUNCTION control.{signature} IS '{comment}'")
        op.execute(f"REVOKE ALL ON FUNCTION control.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION control.{signature} TO {roles}")


def downgrade() -> None:
    """Leaves the roles and the schemas of dbt and Dagster; analysts see nothing meanwhile."""
    for signature, *_ in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION control.{signature} CASCADE")
    op.execute("DROP POLICY receiver_writes ON control.integration_webhooks")
    for table in CLAIMED_ACROSS_VENUES:
        op.execute(f"DROP POLICY pipeline_claims ON control.{table}")
    for role, tables in READ_ACROSS_VENUES.items():
        name = "owner" if role == "CURRENT_USER" else role
        for table in tables:
            op.execute(f"DROP POLICY {name}_reads ON control.{table}")
    for table in TENANT_TABLES:
        op.execute(f"DROP POLICY venue_scope ON control.{table}")
        op.execute(f"ALTER TABLE control.{table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE control.{table} DISABLE ROW LEVEL SECURITY")
    for role in GRANTS:
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA control FROM {role}")
        op.execute(f"REVOKE ALL ON SCHEMA control FROM {role}")
    op.execute("SET LOCAL ROLE dbt")
    op.execute("REVOKE ALL ON SCHEMA analytics, marts FROM analyst, analyst_all")
    op.execute("RESET ROLE")


def _create_role(name: str, login: str) -> None:
    op.execute(f"""
        DO $$ BEGIN
            CREATE ROLE {name} {login};
        EXCEPTION WHEN duplicate_object THEN NULL;
        END $$
    """)


def _let_owner_become(role: str) -> None:
    """Let the owner act as ``role`` when it says so, without the role's rights otherwise."""
    op.execute(f"""
        DO $$ BEGIN
            IF NOT pg_has_role('{role}', 'SET') THEN
                GRANT {role} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
            END IF;
        END $$
    """)
