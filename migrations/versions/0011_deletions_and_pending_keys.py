"""Which streams somebody has said may lose more rows than a full pass deletes by itself; and what
waits for the answer to a question is wrapped anew with all that is sealed.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("sync_queue", "sync_batches"):
        op.add_column(table, sa.Column("allow_deletes", ARRAY(sa.Text())), schema="control")
    op.execute(
        "GRANT SELECT, UPDATE (credentials, key_id) ON control.pending_connections TO pipeline"
    )
    op.execute(
        "CREATE POLICY pipeline_reads ON control.pending_connections FOR SELECT TO pipeline"
        " USING (true)"
    )


def downgrade() -> None:
    """What somebody confirmed, and is not done yet, is to be confirmed again."""
    op.execute("DROP POLICY pipeline_reads ON control.pending_connections")
    op.execute(
        "REVOKE SELECT, UPDATE (credentials, key_id) ON control.pending_connections FROM pipeline"
    )
    for table in ("sync_batches", "sync_queue"):
        op.drop_column(table, "allow_deletes", schema="control")
