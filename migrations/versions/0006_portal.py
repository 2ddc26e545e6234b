"""What the portal keeps: browser sessions, API tokens, accounts that wait for a decision, and who
did what.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SWITCHES = "(enabled, paused_at, pause_reason)"
TENANT_TABLES = ("api_tokens", "pending_connections", "audit_log")

FUNCTIONS = (
    (
        "venue_of_api_token(token_hash bytea)",
        """
        RETURNS text
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        RETURN (SELECT t.venue_id FROM control.api_tokens t WHERE t.token_hash = $1)
        """,
        "The venue that issued an API token; null where nobody did.",
    ),
)


def upgrade() -> None:
    op.drop_column("oauth_states", "code_verifier", schema="control")
    op.create_table(
        "portal_sessions",
        sa.Column("session_hash", sa.LargeBinary(), primary_key=True),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("control.users.user_id", ondelete="CASCADE")),
        sa.Column("data", JSONB(), nullable=False, server_default=sa.text("'{}'")),
        _time("created_at"),
        _time("expires_at", now=False),
        schema="control",
    )
    op.create_index(None, "portal_sessions", ["user_id"], schema="control")
    op.create_index(None, "portal_sessions", ["expires_at"], schema="control")
    op.create_table(
        "api_tokens",
        _venue(),
        sa.Column(
            "token_id", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()")
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        _time("created_at"),
        _time("expires_at", now=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("venue_id", "token_id"),
        sa.CheckConstraint("role IN ('venue_admin', 'viewer')", name="api_tokens_role_check"),
        schema="control",
    )
    op.create_table(
        "pending_connections",
        _venue(),
        sa.Column("pending_id", sa.Text(), nullable=False),
        sa.Column("session_hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.Text(), sa.ForeignKey("control.integrations.provider")),
        sa.Column("account", JSONB(), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        _time("expires_at", now=False),
        sa.PrimaryKeyConstraint("venue_id", "pending_id"),
        schema="control",
    )
    op.create_index(None, "pending_connections", ["provider"], schema="control")
    op.create_table(
        "audit_log",
        _venue(),
        sa.Column("entry_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _time("at"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), sa.ForeignKey("control.integrations.provider")),
        sa.Column("details", JSONB(), nullable=False, server_default=sa.text("'{}'")),
        sa.PrimaryKeyConstraint("venue_id", "entry_id"),
        schema="control",
    )
    op.create_index(None, "audit_log", ["provider"], schema="control")
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE control.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE control.{table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY venue_scope ON control.{table}"
            " USING (venue_id = current_setting('app.venue_id', true))"
        )
    op.execute(
        "CREATE POLICY owner_reads ON control.api_tokens FOR SELECT TO CURRENT_USER USING (true)"
    )
    for privileges, table in (
        ("SELECT, INSERT, UPDATE, DELETE", "portal_sessions"),
        ("SELECT, INSERT, UPDATE", "api_tokens"),
        ("SELECT, INSERT, DELETE", "pending_connections"),
        ("SELECT, INSERT", "audit_log"),
        (f"UPDATE {SWITCHES}", "integrations"),
    ):
        op.execute(f"GRANT {privileges} ON control.{table} TO portal")
    op.execute("GRANT SELECT, INSERT ON control.audit_log TO pipeline")
    op.execute(
        "CREATE POLICY pipeline_reads ON control.audit_log FOR SELECT TO pipeline USING (true)"
    )
    op.execute("GRANT EXECUTE ON FUNCTION control.connections_of_account TO portal")
    for signature, definition, comment in FUNCTIONS:
        op.execute(f"CREATE FUNCTION control.{signature} {definition}")
        op.execute(f"COMMENT ON FUNCTION control.{signature} IS '{comment}'")
        op.execute(f"REVOKE ALL ON FUNCTION control.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION control.{signature} TO portal")


def downgrade() -> None:
    """Everybody is signed out, and no API token opens anything."""
    for signature, *_ in FUNCTIONS:
        op.execute(f"DROP FUNCTION control.{signature}")
    op.execute("REVOKE EXECUTE ON FUNCTION control.connections_of_account FROM portal")
    op.execute(f"REVOKE UPDATE {SWITCHES} ON control.integrations FROM portal")
    for table in (*TENANT_TABLES, "portal_sessions"):
        op.drop_table(table, schema="control")
    op.add_column("oauth_states", sa.Column("code_verifier", sa.LargeBinary()), schema="control")


def _venue() -> sa.Column[str]:
    return sa.Column(
        "venue_id",
        sa.Text(),
        sa.ForeignKey("control.venues.venue_id", ondelete="CASCADE"),
        nullable=False,
    )


def _time(name: str, *, now: bool = True) -> sa.Column[object]:
    default = sa.func.now() if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=default)
