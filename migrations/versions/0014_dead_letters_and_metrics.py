"""Dead letters that the portal shows and works on again, those of no venue too; since when an event
waits that was replayed; and numbers of all venues together for whoever watches over them.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

REPLAYED = "(status, attempts, next_attempt_at, claimed_by, processed_at, last_error, replayed_at)"

COUNTED = (
    "integration_webhooks",
    "integration_health",
    "integration_costs",
    "sync_logs",
    "sync_queue",
)

METRICS = """
    CREATE FUNCTION control.metrics()
    RETURNS TABLE (name text, provider text, label text, value double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH waiting AS (
            SELECT a.provider, a.events, o.connected_at,
                greatest(a.since, o.connected_at) AS since
            FROM (
                SELECT w.provider, w.account_id, count(*) AS events,
                    min(greatest(w.received_at, w.replayed_at)) AS since
                FROM control.integration_webhooks w
                WHERE w.status IN ('pending', 'claimed')
                GROUP BY 1, 2
            ) a
            CROSS JOIN LATERAL (
                SELECT min(c.connected_at) AS connected_at FROM control.connections c
                WHERE c.provider = a.provider AND c.account_id = a.account_id
                    AND c.status <> 'disconnected'
            ) o
        )
        SELECT 'events_waiting', w.provider, NULL, sum(w.events) FROM waiting w
        WHERE w.connected_at IS NOT NULL GROUP BY 2
        UNION ALL
        SELECT 'oldest_event_age_seconds', w.provider, NULL,
            extract(epoch FROM now() - min(w.since))
        FROM waiting w WHERE w.connected_at IS NOT NULL GROUP BY 2
        UNION ALL
        SELECT 'events_of_unknown_accounts', w.provider, NULL, sum(w.events) FROM waiting w
        WHERE w.connected_at IS NULL GROUP BY 2
        UNION ALL
        SELECT 'events', e.provider, e.status, count(*) FROM control.integration_webhooks e
        WHERE e.status IN ('done', 'ignored', 'dead') AND e.payload IS NOT NULL
            AND e.processed_at >= date_trunc('day', now(), 'UTC')
        GROUP BY 2, 3
        UNION ALL
        SELECT 'dead_letters', d.provider, NULL, count(*) FROM control.integration_webhooks d
        WHERE d.status = 'dead' GROUP BY 2
        UNION ALL
        SELECT 'syncs_queued', q.provider, NULL, count(*) FROM control.sync_queue q
        WHERE q.done_at IS NULL GROUP BY 2
        UNION ALL
        SELECT 'streams_synced', l.provider, l.outcome, count(*) FROM control.sync_logs l
        WHERE l.outcome <> 'running' AND l.finished_at >= date_trunc('day', now(), 'UTC')
        GROUP BY 2, 3
        UNION ALL
        SELECT 'connections', c.provider, c.status, count(*) FROM control.connections c
        GROUP BY 2, 3
        UNION ALL
        SELECT 'breakers_open', h.provider, NULL, count(*) FROM control.integration_health h
        WHERE h.breaker <> 'closed' GROUP BY 2
        UNION ALL
        SELECT 'metered_reads_used', r.provider, NULL, sum(r.cost) FROM control.integration_costs r
        WHERE r.day >= date_trunc('month', now(), 'UTC')::date GROUP BY 2;
    END
"""


def upgrade() -> None:
    op.add_column(
        "integration_webhooks",
        sa.Column("replayed_at", sa.DateTime(timezone=True)),
        schema="control",
    )
    op.create_index(
        "integration_webhooks_dead_idx",
        "integration_webhooks",
        ["venue_id", "webhook_id"],
        schema="control",
        postgresql_where=sa.text("status = 'dead'"),
    )
    op.create_index(
        "sync_logs_finished_at_idx",
        "sync_logs",
        ["finished_at"],
        schema="control",
        postgresql_using="brin",
    )
    op.execute(f"GRANT UPDATE {REPLAYED} ON control.integration_webhooks TO portal")
    # No venue's slug: the scope of what is no venue's.
    op.execute(
        "CREATE POLICY of_no_venue ON control.integration_webhooks TO portal"
        " USING (venue_id IS NULL AND current_setting('app.venue_id', true) = '-')"
    )
    for table in COUNTED:
        op.execute(
            f"CREATE POLICY owner_reads ON control.{table} FOR SELECT TO CURRENT_USER USING (true)"
        )
    op.execute(METRICS)
    op.execute(
        "COMMENT ON FUNCTION control.metrics IS"
        " 'Numbers over all venues, by provider; what ended is counted from midnight UTC on.'"
    )
    op.execute("REVOKE ALL ON FUNCTION control.metrics FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION control.metrics TO receiver")


def downgrade() -> None:
    """Dead letters are replayed from the command alone."""
    op.execute("DROP FUNCTION control.metrics")
    for table in COUNTED:
        op.execute(f"DROP POLICY owner_reads ON control.{table}")
    op.execute("DROP POLICY of_no_venue ON control.integration_webhooks")
    op.execute(f"REVOKE UPDATE {REPLAYED} ON control.integration_webhooks FROM portal")
    op.drop_index("sync_logs_finished_at_idx", "sync_logs", schema="control")
    op.drop_index("integration_webhooks_dead_idx", "integration_webhooks", schema="control")
    op.drop_column("integration_webhooks", "replayed_at", schema="control")
