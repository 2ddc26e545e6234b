# ruff: noqa: E501 - SQL
"""Samples of what is mapped read the rows that they show, and no venue's whole stream; of payments
nothing is required.

Revision ID: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

SAMPLE_RAW = """
CREATE OR REPLACE FUNCTION control.sample_raw(provider text, stream text, latest integer, containing jsonb)
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
        'SELECT r.id, r.payload FROM %I.%I r WHERE r.venue_id = $1 AND r.deleted_at IS NULL AND {condition}'
        ' ORDER BY r.last_changed_at DESC LIMIT $2',
        'raw_' || provider, stream
    ) USING current_setting('app.venue_id', true), least(latest, 1000), containing;
END
$$
"""

SAMPLE_ANALYTICS = """
CREATE OR REPLACE FUNCTION control.sample_analytics(entity text, provider text, latest integer)
RETURNS TABLE (raw_id text, record jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'analytics' AND c.relname = entity AND c.relkind = 'r';
    IF FOUND THEN
        RETURN QUERY EXECUTE format(
            '{query}',
            entity
        ) USING current_setting('app.venue_id', true), provider, least(latest, 1000);
    END IF;
END
$$
"""
LATEST = (
    "FROM analytics.%I a WHERE a.venue_id = $1 AND a.provider = $2 AND a.deleted_at IS NULL"
    " ORDER BY a.raw_observed_at DESC, a.raw_id LIMIT $3"
)


def upgrade() -> None:
    # Every payload would be read, to find that it contains nothing.
    _make(SAMPLE_RAW.format(condition="($3 = ''{}'' OR r.payload @> $3)"))
    # Every row would be made JSON, and then sorted.
    _make_dbts(f"SELECT a.raw_id, to_jsonb(a) FROM (SELECT * {LATEST}) a")
    # Whoever migrates is bound by it, too, and has no venue in scope.
    op.execute("ALTER TABLE control.field_mappings NO FORCE ROW LEVEL SECURITY")
    # What is in force has to be built again.
    op.execute(
        "UPDATE control.field_mappings SET required = false,"
        " compiled = compiled || '{\"required\": false}',"
        " applied_at = CASE WHEN superseded_at IS NOT NULL THEN applied_at END"
        " WHERE required AND target_table = 'payments'"
    )
    op.execute("ALTER TABLE control.field_mappings FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    _make(SAMPLE_RAW.format(condition="r.payload @> $3"))
    _make_dbts(f"SELECT a.raw_id, to_jsonb(a) {LATEST}")


def _make(definition: str) -> None:
    op.execute(sa.text(definition.replace(":", "\\:")))


def _make_dbts(query: str) -> None:
    """`sample_analytics` is of dbt's role, see 0018."""
    op.execute("GRANT CREATE ON SCHEMA control TO dbt")
    op.execute("SET LOCAL ROLE dbt")
    _make(SAMPLE_ANALYTICS.format(query=query))
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA control FROM dbt")
