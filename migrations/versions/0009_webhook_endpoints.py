"""Paths of connections' own, by which webhooks that name no account are told apart; and a quick way
to what a batch has claimed.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "integration_webhooks_claimed_idx",
        "integration_webhooks",
        ["claimed_by"],
        postgresql_where=sa.text("status = 'claimed'"),
        schema="control",
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column(
            "venue_id",
            sa.Text(),
            sa.ForeignKey("control.venues.venue_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("path_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "provider",
            sa.Text(),
            sa.ForeignKey("control.integrations.provider"),
            nullable=False,
        ),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.PrimaryKeyConstraint("venue_id", "connection_id", "path_hash"),
        sa.UniqueConstraint("path_hash"),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            ondelete="CASCADE",
        ),
        schema="control",
    )
    op.create_index(None, "webhook_endpoints", ["provider"], schema="control")
    op.execute("ALTER TABLE control.webhook_endpoints ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE control.webhook_endpoints FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY venue_scope ON control.webhook_endpoints"
        " USING (venue_id = current_setting('app.venue_id', true))"
    )
    for role, name in (("pipeline", "pipeline"), ("CURRENT_USER", "owner")):
        op.execute(
            f"CREATE POLICY {name}_reads ON control.webhook_endpoints FOR SELECT TO {role}"
            " USING (true)"
        )
    op.execute("GRANT SELECT, INSERT, DELETE ON control.webhook_endpoints TO pipeline, portal")
    op.execute(
        """
        CREATE FUNCTION control.webhook_endpoint(provider text, path_hash bytea)
        RETURNS TABLE (venue_id text, connection_id uuid, account_id text)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        BEGIN ATOMIC
            SELECT e.venue_id, e.connection_id, e.account_id FROM control.webhook_endpoints e
            WHERE e.provider = $1 AND e.path_hash = $2;
        END
        """
    )
    op.execute(
        "COMMENT ON FUNCTION control.webhook_endpoint IS"
        " 'The connection that a path of its own belongs to.'"
    )
    op.execute("REVOKE ALL ON FUNCTION control.webhook_endpoint FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION control.webhook_endpoint TO receiver")


def downgrade() -> None:
    """Deliveries to paths of connections' own are refused."""
    op.execute("DROP FUNCTION control.webhook_endpoint")
    op.drop_table("webhook_endpoints", schema="control")
    op.drop_index("integration_webhooks_claimed_idx", "integration_webhooks", schema="control")
