"""What a provider says exists against what landed, and refetching single objects.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MODES = {
    "0004": "'load', 'incremental', 'full', 'events'",
    "0005": "'load', 'incremental', 'full', 'refetch'",
}


def upgrade() -> None:
    """A table of the latest censuses; objects by id in requests and batches; their mode."""
    op.create_table(
        "completeness",
        sa.Column(
            "venue_id",
            sa.Text(),
            sa.ForeignKey("control.venues.venue_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("missing_ids", ARRAY(sa.Text()), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue_id", "connection_id", "stream", "period"),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["provider"], ["control.integrations.provider"]),
        schema="control",
    )
    op.create_index(None, "completeness", ["provider"], schema="control")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON control.completeness TO pipeline")
    op.execute("GRANT SELECT ON control.completeness TO portal")
    op.execute("ALTER TABLE control.completeness ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE control.completeness FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY venue_scope ON control.completeness"
        " USING (venue_id = current_setting('app.venue_id', true))"
    )
    op.execute(
        "CREATE POLICY pipeline_reads ON control.completeness FOR SELECT TO pipeline USING (true)"
    )
    for table in ("sync_queue", "sync_batches"):
        op.add_column(table, sa.Column("objects", JSONB()), schema="control")
    _allow("0005", "events", "refetch")


def downgrade() -> None:
    """Requests for single objects that nobody took up are lost; the next census asks again."""
    _allow("0004", "refetch", "events")
    for table in ("sync_batches", "sync_queue"):
        op.drop_column(table, "objects", schema="control")
    op.drop_table("completeness", schema="control")


def _allow(modes: str, old: str, new: str) -> None:
    op.execute("ALTER TABLE control.sync_logs DROP CONSTRAINT sync_logs_mode_check")
    op.execute(f"UPDATE control.sync_logs SET mode = '{new}' WHERE mode = '{old}'")
    op.execute(
        "ALTER TABLE control.sync_logs"
        f" ADD CONSTRAINT sync_logs_mode_check CHECK (mode IN ({MODES[modes]}))"
    )
