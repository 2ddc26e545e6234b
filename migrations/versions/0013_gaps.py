"""Up to when a connection's events were compared with the provider's own list of them.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "connections",
        sa.Column("events_compared_to", sa.DateTime(timezone=True)),
        schema="control",
    )


def downgrade() -> None:
    """Gaps are looked for from the connection's beginning again."""
    op.drop_column("connections", "events_compared_to", schema="control")
