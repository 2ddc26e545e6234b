"""The fields that raw payloads have: since when, of which type, and since when no more.

Revision ID: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of fields, and up to when each stream's rows were looked at for them."""
    op.create_table(
        "raw_fields",
        *_stream(),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("is_initial", sa.Boolean(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("vanished_at", sa.DateTime(timezone=True)),
        sa.Column("sample", sa.Text()),
        sa.PrimaryKeyConstraint("venue_id", "provider", "stream", "path", "type"),
        sa.ForeignKeyConstraint(["provider"], ["control.integrations.provider"]),
        schema="control",
    )
    op.create_table(
        "field_looks",
        *_stream(),
        sa.Column("looked_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("venue_id", "provider", "stream"),
        sa.ForeignKeyConstraint(["provider"], ["control.integrations.provider"]),
        schema="control",
    )
    for table in ("raw_fields", "field_looks"):
        op.create_index(None, table, ["provider"], schema="control")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON control.{table} TO pipeline")
        op.execute(f"ALTER TABLE control.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE control.{table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY venue_scope ON control.{table}"
            " USING (venue_id = current_setting('app.venue_id', true))"
        )
        op.execute(
            f"CREATE POLICY pipeline_reads ON control.{table} FOR SELECT TO pipeline USING (true)"
        )
    op.execute("GRANT SELECT ON control.raw_fields TO portal")


def downgrade() -> None:
    """What is known of fields is lost; the next look begins anew."""
    op.drop_table("field_looks", schema="control")
    op.drop_table("raw_fields", schema="control")


def _stream() -> tuple[sa.Column[str], ...]:
    return (
        sa.Column(
            "venue_id",
            sa.Text(),
            sa.ForeignKey("control.venues.venue_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
    )
