"""Endpoints that are registered at providers: when each was last looked at and what was wrong;
what a delivery to one was signed with, until somebody who may open the secret has seen to it; and
which events hold a payload still.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("integration_webhooks", sa.Column("proof", JSONB()), schema="control")
    for column in (
        sa.Column("checked_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text()),
    ):
        op.add_column("webhook_endpoints", column, schema="control")
    op.create_index(
        "integration_webhooks_kept_idx",
        "integration_webhooks",
        ["processed_at"],
        schema="control",
        postgresql_where=sa.text("payload IS NOT NULL AND status IN ('done', 'ignored', 'dead')"),
    )
    op.execute("GRANT UPDATE (checked_at, error) ON control.webhook_endpoints TO pipeline, portal")


def downgrade() -> None:
    """Deliveries to paths of connections' own are taken by the path alone again."""
    op.execute(
        "REVOKE UPDATE (checked_at, error) ON control.webhook_endpoints FROM pipeline, portal"
    )
    op.drop_index("integration_webhooks_kept_idx", "integration_webhooks", schema="control")
    for column in ("checked_at", "error"):
        op.drop_column("webhook_endpoints", column, schema="control")
    op.drop_column("integration_webhooks", "proof", schema="control")
