"""The control tables.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "integrations",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("provider", name=op.f("integrations_pkey")),
        schema="control",
    )
    op.create_table(
        "users",
        sa.Column(
            "user_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False
        ),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("is_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("users_pkey")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("users_issuer_subject_key")),
        schema="control",
    )
    op.create_index(
        "users_email_key",
        "users",
        [sa.literal_column("lower(email)")],
        unique=True,
        schema="control",
    )
    op.create_table(
        "venues",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("currency", sa.Text(), server_default="USD", nullable=False),
        sa.Column("day_starts_at", sa.Time(), server_default="00:00", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("venues_currency_is_iso_check")),
        sa.CheckConstraint(
            "day_starts_at < '12:00'", name=op.f("venues_day_starts_in_the_morning_check")
        ),
        sa.CheckConstraint(
            "venue_id ~ '^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$' AND venue_id <> 'all'",
            name=op.f("venues_venue_id_is_slug_check"),
        ),
        sa.PrimaryKeyConstraint("venue_id", name=op.f("venues_pkey")),
        schema="control",
    )
    op.create_table(
        "connections",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column(
            "connection_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False
        ),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("livemode", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("location_ids", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("is_primary", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "connected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("disconnected_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('active', 'paused', 'revoked', 'disconnected')",
            name=op.f("connections_status_check"),
        ),
        sa.ForeignKeyConstraint(
            ["provider"], ["control.integrations.provider"], name=op.f("connections_provider_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("connections_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "connection_id", name=op.f("connections_pkey")),
        sa.UniqueConstraint("connection_id", name=op.f("connections_connection_id_key")),
        sa.UniqueConstraint(
            "venue_id",
            "provider",
            "account_id",
            name=op.f("connections_venue_id_provider_account_id_key"),
        ),
        schema="control",
    )
    op.create_index(
        "connections_one_open_per_provider",
        "connections",
        ["venue_id", "provider"],
        unique=True,
        schema="control",
        postgresql_where=sa.text("status <> 'disconnected'"),
    )
    op.create_index(
        "connections_provider_account_id_idx",
        "connections",
        ["provider", "account_id"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "dbt_build_venues",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("dbt_build_venues_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", name=op.f("dbt_build_venues_pkey")),
        schema="control",
    )
    op.create_table(
        "field_mappings",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("target_table", sa.Text(), nullable=False),
        sa.Column("target_field", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source_path", sa.Text(), nullable=False),
        sa.Column("transforms", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("default_value", postgresql.JSONB(), nullable=True),
        sa.Column("required", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("field_mappings_provider_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("field_mappings_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "venue_id",
            "provider",
            "target_table",
            "target_field",
            "version",
            name=op.f("field_mappings_pkey"),
        ),
        schema="control",
    )
    op.create_index(
        op.f("field_mappings_provider_idx"),
        "field_mappings",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "integration_configs",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("settings", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("integration_configs_provider_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("integration_configs_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "provider", name=op.f("integration_configs_pkey")),
        schema="control",
    )
    op.create_index(
        op.f("integration_configs_provider_idx"),
        "integration_configs",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "integration_costs",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("errors", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rate_limited", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seconds", sa.Numeric(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost", sa.Numeric(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("integration_costs_provider_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("integration_costs_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "venue_id", "provider", "endpoint", "day", name=op.f("integration_costs_pkey")
        ),
        schema="control",
    )
    op.create_index(
        op.f("integration_costs_provider_idx"),
        "integration_costs",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "integration_health",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("breaker", sa.Text(), server_default="closed", nullable=False),
        sa.Column(
            "consecutive_failures", sa.Integer(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("times_opened", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_failure_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "breaker IN ('closed', 'open', 'half_open')",
            name=op.f("integration_health_breaker_check"),
        ),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("integration_health_provider_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("integration_health_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "provider", name=op.f("integration_health_pkey")),
        schema="control",
    )
    op.create_index(
        op.f("integration_health_provider_idx"),
        "integration_health",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "memberships",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "role IN ('venue_admin', 'viewer')", name=op.f("memberships_role_check")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["control.users.user_id"],
            name=op.f("memberships_user_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("memberships_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "user_id", name=op.f("memberships_pkey")),
        schema="control",
    )
    op.create_index(
        op.f("memberships_user_id_idx"), "memberships", ["user_id"], unique=False, schema="control"
    )
    op.create_table(
        "oauth_states",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("session_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_verifier", sa.LargeBinary(), nullable=True),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider"], ["control.integrations.provider"], name=op.f("oauth_states_provider_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("oauth_states_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "state_hash", name=op.f("oauth_states_pkey")),
        schema="control",
    )
    op.create_index(
        op.f("oauth_states_expires_at_idx"),
        "oauth_states",
        ["expires_at"],
        unique=False,
        schema="control",
    )
    op.create_index(
        op.f("oauth_states_provider_idx"),
        "oauth_states",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_index(
        op.f("oauth_states_state_hash_idx"),
        "oauth_states",
        ["state_hash"],
        unique=True,
        schema="control",
    )
    op.create_table(
        "outbound_writes",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), server_default="started", nullable=False),
        sa.Column("response", postgresql.JSONB(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('started', 'succeeded', 'failed')",
            name=op.f("outbound_writes_status_check"),
        ),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("outbound_writes_provider_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("outbound_writes_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "venue_id", "provider", "idempotency_key", name=op.f("outbound_writes_pkey")
        ),
        schema="control",
    )
    op.create_index(
        op.f("outbound_writes_provider_idx"),
        "outbound_writes",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "rate_limits",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("rate", sa.Numeric(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("throttled", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider"], ["control.integrations.provider"], name=op.f("rate_limits_provider_fkey")
        ),
        sa.PrimaryKeyConstraint("provider", "account_id", name=op.f("rate_limits_pkey")),
        schema="control",
    )
    op.create_table(
        "sync_queue",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column(
            "request_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False
        ),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("streams", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("full_pass", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["provider"], ["control.integrations.provider"], name=op.f("sync_queue_provider_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("sync_queue_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "request_id", name=op.f("sync_queue_pkey")),
        schema="control",
    )
    op.create_index(
        "sync_queue_open_idx",
        "sync_queue",
        [sa.literal_column("priority DESC"), "requested_at"],
        unique=False,
        schema="control",
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_index(
        op.f("sync_queue_provider_idx"), "sync_queue", ["provider"], unique=False, schema="control"
    )
    op.create_table(
        "webhook_deduplication",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("webhook_deduplication_provider_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "provider", "scope", "event_id", name=op.f("webhook_deduplication_pkey")
        ),
        schema="control",
    )
    op.create_index(
        op.f("webhook_deduplication_received_at_idx"),
        "webhook_deduplication",
        ["received_at"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "integration_webhooks",
        sa.Column("webhook_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("venue_id", sa.Text(), nullable=True),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("event_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("payload", postgresql.JSONB(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "next_attempt_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'claimed', 'done', 'ignored', 'dead')",
            name=op.f("integration_webhooks_status_check"),
        ),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("integration_webhooks_provider_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            name=op.f("integration_webhooks_venue_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("integration_webhooks_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("integration_webhooks_pkey")),
        schema="control",
    )
    op.create_index(
        "integration_webhooks_due_idx",
        "integration_webhooks",
        ["next_attempt_at"],
        unique=False,
        schema="control",
        postgresql_where=sa.text("status IN ('pending', 'claimed')"),
    )
    op.create_index(
        op.f("integration_webhooks_provider_idx"),
        "integration_webhooks",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_index(
        op.f("integration_webhooks_venue_id_connection_id_idx"),
        "integration_webhooks",
        ["venue_id", "connection_id"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "oauth_tokens",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("access_token", sa.LargeBinary(), nullable=False),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refresh_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("refresh_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["provider"], ["control.integrations.provider"], name=op.f("oauth_tokens_provider_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            name=op.f("oauth_tokens_venue_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("oauth_tokens_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "connection_id", name=op.f("oauth_tokens_pkey")),
        schema="control",
    )
    op.create_index(
        op.f("oauth_tokens_expires_at_idx"),
        "oauth_tokens",
        ["expires_at"],
        unique=False,
        schema="control",
    )
    op.create_index(
        op.f("oauth_tokens_provider_idx"),
        "oauth_tokens",
        ["provider"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "sync_batches",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("streams", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("full_pass", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            name=op.f("sync_batches_venue_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("sync_batches_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "venue_id", "batch_id", "connection_id", name=op.f("sync_batches_pkey")
        ),
        schema="control",
    )
    op.create_index(
        op.f("sync_batches_batch_id_idx"),
        "sync_batches",
        ["batch_id"],
        unique=False,
        schema="control",
    )
    op.create_index(
        op.f("sync_batches_venue_id_connection_id_idx"),
        "sync_batches",
        ["venue_id", "connection_id"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "sync_cursors",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("state", postgresql.JSONB(), nullable=False),
        sa.Column("sync_id", sa.Uuid(), nullable=False),
        sa.Column("pass_id", sa.Uuid(), nullable=True),
        sa.Column("pass_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("full_pass_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            name=op.f("sync_cursors_venue_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("sync_cursors_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "venue_id", "connection_id", "stream", name=op.f("sync_cursors_pkey")
        ),
        schema="control",
    )
    op.create_table(
        "sync_logs",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("sync_id", sa.Uuid(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="running", nullable=False),
        sa.Column("fetched", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deleted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("api_calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "mode IN ('load', 'incremental', 'full', 'events')", name=op.f("sync_logs_mode_check")
        ),
        sa.CheckConstraint(
            "outcome IN ('running', 'succeeded', 'failed', 'abandoned')",
            name=op.f("sync_logs_outcome_check"),
        ),
        sa.ForeignKeyConstraint(
            ["provider"], ["control.integrations.provider"], name=op.f("sync_logs_provider_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            name=op.f("sync_logs_venue_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("sync_logs_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "sync_id", "stream", name=op.f("sync_logs_pkey")),
        schema="control",
    )
    op.create_index(
        op.f("sync_logs_provider_idx"), "sync_logs", ["provider"], unique=False, schema="control"
    )
    op.create_index(
        "sync_logs_recent_idx",
        "sync_logs",
        ["venue_id", "provider", "stream", sa.literal_column("started_at DESC")],
        unique=False,
        schema="control",
    )
    op.create_index("sync_logs_run_id_idx", "sync_logs", ["run_id"], unique=False, schema="control")
    op.create_index(
        op.f("sync_logs_venue_id_connection_id_idx"),
        "sync_logs",
        ["venue_id", "connection_id"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "sync_seen",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("pass_id", sa.Uuid(), nullable=False),
        sa.Column("chunk", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("ids", sa.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            name=op.f("sync_seen_venue_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("sync_seen_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("venue_id", "pass_id", "chunk", name=op.f("sync_seen_pkey")),
        schema="control",
    )
    op.create_index(
        op.f("sync_seen_venue_id_connection_id_idx"),
        "sync_seen",
        ["venue_id", "connection_id"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "venue_api_keys",
        sa.Column("venue_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["control.integrations.provider"],
            name=op.f("venue_api_keys_provider_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["venue_id", "connection_id"],
            ["control.connections.venue_id", "control.connections.connection_id"],
            name=op.f("venue_api_keys_venue_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["venue_id"],
            ["control.venues.venue_id"],
            name=op.f("venue_api_keys_venue_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "venue_id", "connection_id", "field", name=op.f("venue_api_keys_pkey")
        ),
        schema="control",
    )
    op.create_index(
        op.f("venue_api_keys_provider_idx"),
        "venue_api_keys",
        ["provider"],
        unique=False,
        schema="control",
    )


def downgrade() -> None:
    for table in (
        "venue_api_keys",
        "sync_seen",
        "sync_logs",
        "sync_cursors",
        "sync_batches",
        "oauth_tokens",
        "integration_webhooks",
        "webhook_deduplication",
        "sync_queue",
        "rate_limits",
        "outbound_writes",
        "oauth_states",
        "memberships",
        "integration_health",
        "integration_costs",
        "integration_configs",
        "field_mappings",
        "dbt_build_venues",
        "connections",
        "venues",
        "users",
        "integrations",
    ):
        op.drop_table(table, schema="control")
