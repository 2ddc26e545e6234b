"""What changed of fields, and the latest syncs of a connection, by index; no field's name that
people typed.

Revision ID: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0019"
branch_labels = None
depends_on = None

TYPED = (
    r"""[^\w.\[\] "-]|"[^"]{81}|(sk|rk)_(live|test)_|whsec_|EAAA|sq0[a-z]{3}-|eyJ"""
    "|[0-9a-f]{32}-[a-z]{2}"
)
"""Of a path with a name that is more than letters, or looks like a secret."""


def upgrade() -> None:
    """Names that would be masked now are forgotten: the next look notes them, masked."""
    # Whoever migrates is bound by the policies while they are forced, and has no venue in scope.
    op.execute("ALTER TABLE control.raw_fields NO FORCE ROW LEVEL SECURITY")
    op.execute(f"DELETE FROM control.raw_fields WHERE path ~ '{TYPED}'")
    op.execute("ALTER TABLE control.raw_fields FORCE ROW LEVEL SECURITY")
    op.create_index(
        "raw_fields_new_idx",
        "raw_fields",
        ["first_seen_at"],
        schema="control",
        postgresql_where=sa.text("NOT is_initial"),
    )
    op.create_index(
        "raw_fields_vanished_idx",
        "raw_fields",
        ["vanished_at"],
        schema="control",
        postgresql_where=sa.text("vanished_at IS NOT NULL"),
    )
    op.create_index(
        "sync_logs_changed_idx",
        "sync_logs",
        ["venue_id", "provider", "stream", "finished_at"],
        schema="control",
        postgresql_where=sa.text("inserted + updated > 0"),
    )
    op.create_index(
        "sync_logs_latest_idx",
        "sync_logs",
        ["venue_id", "connection_id", "stream", sa.text("started_at DESC")],
        schema="control",
    )
    op.create_index(
        "sync_logs_passes_idx",
        "sync_logs",
        ["venue_id", "connection_id", "stream", sa.text("started_at DESC")],
        schema="control",
        postgresql_where=sa.text("repaired IS NOT NULL"),
    )
    op.drop_index("sync_logs_venue_id_connection_id_idx", "sync_logs", schema="control")


def downgrade() -> None:
    op.create_index(
        "sync_logs_venue_id_connection_id_idx",
        "sync_logs",
        ["venue_id", "connection_id"],
        schema="control",
    )
    op.drop_index("sync_logs_passes_idx", "sync_logs", schema="control")
    op.drop_index("sync_logs_latest_idx", "sync_logs", schema="control")
    op.drop_index("sync_logs_changed_idx", "sync_logs", schema="control")
    op.drop_index("raw_fields_vanished_idx", "raw_fields", schema="control")
    op.drop_index("raw_fields_new_idx", "raw_fields", schema="control")
