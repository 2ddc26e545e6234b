# ruff: noqa: E501 - SQL
"""Rows on which a field mapping fails, and those of them that are kept out; samples of what is mapped:
raw rows of one kind, and rows as analysts see them.

Revision ID: 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

SAMPLE_RAW = """
CREATE FUNCTION control.sample_raw({arguments})
RETURNS TABLE (id text, payload jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'raw_' || provider AND c.relname = stream AND c.relkind = 'r';
    IF NOT FOUND THEN
        RAISE undefined_table USING MESSAGE = format('no table raw_%s.%s', provider, stream);
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT r.id, r.payload FROM %I.%I r WHERE r.venue_id = $1 AND r.deleted_at IS NULL{condition}'
        ' ORDER BY r.last_changed_at DESC LIMIT $2',
        'raw_' || provider, stream
    ) USING current_setting('app.venue_id', true), least(latest, 1000){value};
END
$$
"""
OF_ANY_KIND = {
    "arguments": "provider text, stream text, latest integer",
    "condition": "",
    "value": "",
}
OF_ONE_KIND = {
    "arguments": "provider text, stream text, latest integer, containing jsonb",
    "condition": " AND r.payload @> $3",
    "value": ", containing",
}

SAMPLE_ANALYTICS = """
CREATE FUNCTION control.sample_analytics(entity text, provider text, latest integer)
RETURNS TABLE (raw_id text, record jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'analytics' AND c.relname = entity AND c.relkind = 'r';
    IF FOUND THEN
        RETURN QUERY EXECUTE format(
            'SELECT a.raw_id, to_jsonb(a) FROM analytics.%I a'
            ' WHERE a.venue_id = $1 AND a.provider = $2 AND a.deleted_at IS NULL'
            ' ORDER BY a.raw_observed_at DESC, a.raw_id LIMIT $3',
            entity
        ) USING current_setting('app.venue_id', true), provider, least(latest, 1000);
    END IF;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "quarantine",
        sa.Column(
            "venue_id",
            sa.Text(),
            sa.ForeignKey("control.venues.venue_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("target_table", sa.Text(), nullable=False),
        sa.Column(
            "provider", sa.Text(), sa.ForeignKey("control.integrations.provider"), nullable=False
        ),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("raw_table", sa.Text(), nullable=False),
        sa.Column("raw_id", sa.Text(), nullable=False),
        sa.Column("raw_content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("errors", JSONB(), nullable=False),
        sa.Column("mapping_version", sa.Integer(), nullable=False),
        sa.Column("kept_out", sa.Boolean(), nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")
        ),
        sa.PrimaryKeyConstraint("venue_id", "target_table", "provider", "account_id", "source_id"),
        schema="control",
    )
    op.create_index(None, "quarantine", ["provider"], schema="control")
    op.execute("ALTER TABLE control.quarantine ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE control.quarantine FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY venue_scope ON control.quarantine"
        " USING (venue_id = current_setting('app.venue_id', true))"
    )
    op.execute("CREATE POLICY dbt_publishes ON control.quarantine TO dbt USING (true)")
    op.execute(
        "CREATE POLICY pipeline_reads ON control.quarantine FOR SELECT TO pipeline USING (true)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON control.quarantine TO dbt")
    op.execute("GRANT SELECT ON control.quarantine TO pipeline, portal")
    # Analysts may not enter the schema: a view of `marts` counts for them, see 0017.
    op.execute("GRANT SELECT (venue_id, provider) ON control.quarantine TO analyst, analyst_all")
    op.execute(
        "CREATE POLICY venue_isolation ON control.quarantine FOR SELECT TO analyst"
        " USING (venue_id = control.analyst_venue())"
    )
    op.execute(
        "CREATE POLICY all_venues ON control.quarantine FOR SELECT TO analyst_all USING (true)"
    )
    op.execute(
        "CREATE POLICY venue_of_role ON control.quarantine AS RESTRICTIVE TO analyst"
        " USING (venue_id = control.analyst_venue() OR current_user = 'analyst_all')"
    )

    op.execute("DROP FUNCTION control.sample_raw(text, text, integer)")
    _make(
        SAMPLE_RAW.format(**OF_ONE_KIND), "The latest raw rows, of one kind, of the venue in scope."
    )
    _make(
        SAMPLE_ANALYTICS,
        "The latest rows of an entity, as analysts see them, of the venue in scope.",
    )
    # It reads what dbt's role owns, which no policy opens to another that writes.
    op.execute("GRANT CREATE ON SCHEMA control TO dbt")
    op.execute("ALTER FUNCTION control.sample_analytics OWNER TO dbt")
    op.execute("REVOKE CREATE ON SCHEMA control FROM dbt")
    op.execute("SET LOCAL ROLE dbt")
    op.execute("GRANT EXECUTE ON FUNCTION control.sample_analytics TO SESSION_USER")
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE dbt")
    op.execute("DROP VIEW IF EXISTS marts.venue_health")
    op.execute("COMMENT ON SCHEMA staging IS NULL")
    op.execute("RESET ROLE")
    op.execute("DROP FUNCTION control.sample_analytics")
    op.execute("DROP FUNCTION control.sample_raw")
    _make(SAMPLE_RAW.format(**OF_ANY_KIND), "The latest raw rows of the venue in scope.")
    op.drop_table("quarantine", schema="control")


def _make(definition: str, comment: str) -> None:
    name = definition.partition("CREATE FUNCTION ")[2].partition("(")[0]
    op.execute(sa.text(definition.replace(":", "\\:")))
    op.execute(f"COMMENT ON FUNCTION {name} IS '{comment}'")
    op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO portal, pipeline")
