"""When a batch was taken up, which is when an attempt at its events counts; and indexes of events
for each question that is asked of them, none over all of them.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sync_batches", sa.Column("taken_at", sa.DateTime(timezone=True)), schema="control"
    )
    op.drop_index("integration_webhooks_due_idx", "integration_webhooks", schema="control")
    op.drop_index("integration_webhooks_provider_idx", "integration_webhooks", schema="control")
    # To be enforced it would need the index, and every event lock its provider's row.
    op.drop_constraint(
        "integration_webhooks_provider_fkey", "integration_webhooks", schema="control"
    )
    op.create_index(
        "integration_webhooks_open_idx",
        "integration_webhooks",
        ["provider", "account_id", "next_attempt_at"],
        schema="control",
        postgresql_where=sa.text("status IN ('pending', 'claimed')"),
    )


def downgrade() -> None:
    """Attempts count from the claim on again."""
    op.drop_index("integration_webhooks_open_idx", "integration_webhooks", schema="control")
    op.create_foreign_key(
        "integration_webhooks_provider_fkey",
        "integration_webhooks",
        "integrations",
        ["provider"],
        ["provider"],
        source_schema="control",
        referent_schema="control",
    )
    op.create_index(
        "integration_webhooks_provider_idx", "integration_webhooks", ["provider"], schema="control"
    )
    op.create_index(
        "integration_webhooks_due_idx",
        "integration_webhooks",
        ["next_attempt_at"],
        schema="control",
        postgresql_where=sa.text("status IN ('pending', 'claimed')"),
    )
    op.drop_column("sync_batches", "taken_at", schema="control")
