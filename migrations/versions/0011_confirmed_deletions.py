"""Which streams somebody has said may lose more rows than a full pass deletes by itself.

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


def downgrade() -> None:
    """What somebody confirmed, and is not done yet, is to be confirmed again."""
    for table in ("sync_batches", "sync_queue"):
        op.drop_column(table, "allow_deletes", schema="control")
