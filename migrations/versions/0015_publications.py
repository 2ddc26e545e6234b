"""What of each venue is published, since when, and why a newer build of it is not; the schema in
which builds keep what is not published yet.

Revision ID: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "dbt_build_venues",
        sa.Column("held_back", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        schema="control",
    )
    op.create_table(
        "publications",
        sa.Column(
            "venue_id",
            sa.Text(),
            sa.ForeignKey("control.venues.venue_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("stale_since", sa.DateTime(timezone=True)),
        sa.Column("reasons", JSONB(), nullable=False, server_default=sa.text("'[]'")),
        sa.PrimaryKeyConstraint("venue_id", "table_name"),
        schema="control",
    )
    op.create_index(
        "publications_stale_idx",
        "publications",
        ["venue_id"],
        schema="control",
        postgresql_where=sa.text("stale_since IS NOT NULL"),
    )
    op.execute("ALTER TABLE control.publications ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE control.publications FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY venue_scope ON control.publications"
        " USING (venue_id = current_setting('app.venue_id', true))"
    )
    op.execute("CREATE POLICY dbt_publishes ON control.publications TO dbt USING (true)")
    op.execute(
        "CREATE POLICY pipeline_reads ON control.publications FOR SELECT TO pipeline USING (true)"
    )
    # Analysts may not enter the schema: they read it through views of `marts`.
    op.execute(
        "CREATE POLICY venue_isolation ON control.publications FOR SELECT TO analyst"
        " USING (venue_id = control.analyst_venue())"
    )
    op.execute(
        "CREATE POLICY all_venues ON control.publications FOR SELECT TO analyst_all USING (true)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON control.publications TO dbt")
    op.execute("GRANT SELECT ON control.publications TO pipeline, portal, analyst, analyst_all")
    op.execute("CREATE SCHEMA IF NOT EXISTS candidates AUTHORIZATION dbt")


def downgrade() -> None:
    """Builds publish what they make, whatever its tests say."""
    op.execute("SET LOCAL ROLE dbt")
    op.execute("DROP SCHEMA candidates CASCADE")
    op.execute("RESET ROLE")
    op.drop_table("publications", schema="control")
    op.drop_column("dbt_build_venues", "held_back", schema="control")
