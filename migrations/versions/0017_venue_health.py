"""What analysts see, through a view of `marts`, of how their venue's connections stand.

Revision ID: 0017

They are granted what is named below and nothing that is secret or somebody's. The scope that
`app.venue_id` names is anybody's to set, and its policies are everybody's: so a restrictive policy
holds an analyst to the venue of the role.
"""

from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

SHOWN = {
    "connections": "venue_id, connection_id, provider, account_id, status, connected_at",
    "integration_health": "venue_id, provider, breaker",
    "sync_cursors": "venue_id, connection_id, stream, cursor_at",
    "sync_logs": "venue_id, connection_id, stream, outcome, started_at, finished_at, error_kind",
    "sync_days": "venue_id, connection_id, inserted, deleted",
    "integration_webhooks": "venue_id, connection_id, status",
}
READ_BY_DBT = ("connections",)
"""Tables that dbt's role reads already."""


def upgrade() -> None:
    for table, columns in SHOWN.items():
        op.execute(f"GRANT SELECT ({columns}) ON control.{table} TO analyst, analyst_all")
        op.execute(
            f"CREATE POLICY venue_isolation ON control.{table} FOR SELECT TO analyst"
            " USING (venue_id = control.analyst_venue())"
        )
        op.execute(
            f"CREATE POLICY all_venues ON control.{table} FOR SELECT TO analyst_all USING (true)"
        )
        if table not in READ_BY_DBT:
            op.execute(f"GRANT SELECT ({columns}) ON control.{table} TO dbt")
            op.execute(f"CREATE POLICY dbt_reads ON control.{table} FOR SELECT TO dbt USING (true)")
    for table in (*SHOWN, "publications"):
        op.execute(
            f"CREATE POLICY venue_of_role ON control.{table} AS RESTRICTIVE TO analyst"
            " USING (venue_id = control.analyst_venue() OR current_user = 'analyst_all')"
        )


def downgrade() -> None:
    """The view goes with its grants."""
    op.execute("SET LOCAL ROLE dbt")
    op.execute("DROP VIEW IF EXISTS marts.venue_health")
    op.execute("COMMENT ON SCHEMA staging IS NULL")
    op.execute("RESET ROLE")
    for table in (*SHOWN, "publications"):
        op.execute(f"DROP POLICY venue_of_role ON control.{table}")
    for table, columns in SHOWN.items():
        if table not in READ_BY_DBT:
            op.execute(f"DROP POLICY dbt_reads ON control.{table}")
            op.execute(f"REVOKE SELECT ({columns}) ON control.{table} FROM dbt")
        op.execute(f"DROP POLICY all_venues ON control.{table}")
        op.execute(f"DROP POLICY venue_isolation ON control.{table}")
        op.execute(f"REVOKE SELECT ({columns}) ON control.{table} FROM analyst, analyst_all")
