"""How much each full pass repaired of what incremental syncs had missed.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Null where nothing was compared."""
    op.add_column("sync_logs", sa.Column("repaired", sa.BigInteger()), schema="control")


def downgrade() -> None:
    """The counts go; the repairs stay."""
    op.drop_column("sync_logs", "repaired", schema="control")
