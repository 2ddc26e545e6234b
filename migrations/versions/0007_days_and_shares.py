"""What each day brought, a row a stream, so that charts and totals need no look at every sync; and
a flag by which a connection asks to be read anew, for who may not touch raw rows; and an end for
what the portal kept for minutes.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SHORT_LIVED = ("oauth_states", "pending_connections", "portal_sessions")
COUNTS = ("inserted", "updated", "deleted")


def upgrade() -> None:
    op.add_column(
        "connections",
        sa.Column("begins_anew", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        schema="control",
    )
    op.create_index(
        "sync_logs_started_at_idx",
        "sync_logs",
        ["venue_id", sa.text("started_at DESC")],
        schema="control",
    )
    op.create_table(
        "sync_days",
        sa.Column(
            "venue_id",
            sa.Text(),
            sa.ForeignKey("control.venues.venue_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "provider",
            sa.Text(),
            sa.ForeignKey("control.integrations.provider"),
            nullable=False,
        ),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
            for name in COUNTS
        ),
        sa.PrimaryKeyConstraint("venue_id", "connection_id", "stream", "day"),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            ondelete="CASCADE",
        ),
        schema="control",
    )
    op.create_index(None, "sync_days", ["provider"], schema="control")
    op.execute("ALTER TABLE control.sync_days ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY venue_scope ON control.sync_days"
        " USING (venue_id = current_setting('app.venue_id', true))"
    )
    op.execute(
        "CREATE POLICY pipeline_reads ON control.sync_days FOR SELECT TO pipeline USING (true)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON control.sync_days TO pipeline")
    op.execute("GRANT SELECT ON control.sync_days TO portal")
    # Before it is forced: whoever migrates is bound by it then, too, and has no venue in scope.
    op.execute("ALTER TABLE control.sync_logs NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "INSERT INTO control.sync_days"
        " (venue_id, connection_id, stream, day, provider, inserted, updated, deleted)"
        " SELECT venue_id, connection_id, stream, date(timezone('UTC', started_at)), provider,"
        " sum(inserted), sum(updated), sum(deleted) FROM control.sync_logs"
        " WHERE inserted + updated + deleted > 0 GROUP BY 1, 2, 3, 4, 5"
    )
    op.execute("ALTER TABLE control.sync_logs FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE control.sync_days FORCE ROW LEVEL SECURITY")
    for table in ("oauth_states", "pending_connections"):
        for command in ("SELECT", "DELETE"):
            op.execute(
                f"CREATE POLICY owner_ends_{command.lower()} ON control.{table} FOR {command}"
                " TO CURRENT_USER USING (expires_at < now())"
            )
    counted = " + ".join(f"(SELECT count(*) FROM {table})" for table in SHORT_LIVED)
    deleted = ", ".join(
        f"{table} AS (DELETE FROM control.{table} WHERE expires_at < now() RETURNING 1)"
        for table in SHORT_LIVED
    )
    op.execute(
        "CREATE FUNCTION control.purge_expired() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        f" SET search_path = pg_catalog, pg_temp AS $$ WITH {deleted} SELECT {counted} $$"
    )
    op.execute(
        "COMMENT ON FUNCTION control.purge_expired() IS 'Delete sessions, consents begun and"
        " questions never answered whose time is over; how many.'"
    )
    op.execute("REVOKE ALL ON FUNCTION control.purge_expired() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION control.purge_expired() TO pipeline")


def downgrade() -> None:
    op.execute("DROP FUNCTION control.purge_expired()")
    for table in ("oauth_states", "pending_connections"):
        for command in ("select", "delete"):
            op.execute(f"DROP POLICY owner_ends_{command} ON control.{table}")
    op.drop_table("sync_days", schema="control")
    op.drop_index("sync_logs_started_at_idx", "sync_logs", schema="control")
    op.drop_column("connections", "begins_anew", schema="control")
