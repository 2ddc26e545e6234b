"""What the search for a provider's undocumented limit has found.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns beside each account's pace."""
    op.add_column("rate_limits", sa.Column("ceiling", sa.Numeric()), schema="control")
    op.add_column(
        "rate_limits", sa.Column("steady_since", sa.DateTime(timezone=True)), schema="control"
    )


def downgrade() -> None:
    """What was found is searched for again."""
    op.drop_column("rate_limits", "steady_since", schema="control")
    op.drop_column("rate_limits", "ceiling", schema="control")
