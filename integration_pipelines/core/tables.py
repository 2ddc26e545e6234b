"""The control schema, and the shape that every raw table has. Alembic's target.

Times are `timestamptz`; ids of venues are slugs; ciphertexts are `bytea` and nothing else holds a
credential. A table listed in TENANT_TABLES carries `venue_id` first in its key and is bound by
row-level security (see migrations).
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

CONTROL = "control"

metadata = MetaData(
    schema=CONTROL,
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    },
)

SLUG = "^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$"
"""What a venue's id may be: it names a partition, a role and a URL."""


def _time(name: str, *, nullable: bool = True, now: bool = False) -> Column[object]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=nullable and not now,
        server_default=func.now() if now else None,
    )


def _venue(*, nullable: bool = False) -> Column[str]:
    return Column(
        "venue_id",
        Text,
        ForeignKey("venues.venue_id", ondelete="CASCADE"),
        nullable=nullable,
    )


def _provider() -> Column[str]:
    return Column("provider", Text, ForeignKey("integrations.provider"), nullable=False)


venues = Table(
    "venues",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("currency", Text, nullable=False, server_default="USD"),
    Column("day_starts_at", Time, nullable=False, server_default="00:00"),
    _time("created_at", now=True),
    CheckConstraint(f"venue_id ~ '{SLUG}' AND venue_id <> 'all'", name="venue_id_is_slug"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_is_iso"),
    CheckConstraint("day_starts_at < '12:00'", name="day_starts_in_the_morning"),
)

users = Table(
    "users",
    metadata,
    Column("user_id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("email", Text, nullable=False),
    Column("name", Text),
    Column("issuer", Text),
    Column("subject", Text),
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    _time("created_at", now=True),
    _time("disabled_at"),
    UniqueConstraint("issuer", "subject"),
)
Index("users_email_key", func.lower(users.c.email), unique=True)

memberships = Table(
    "memberships",
    metadata,
    _venue(),
    Column("user_id", Uuid, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    _time("created_at", now=True),
    PrimaryKeyConstraint("venue_id", "user_id"),
    CheckConstraint("role IN ('venue_admin', 'viewer')", name="role"),
    Index(None, "user_id"),
)

integrations = Table(
    "integrations",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    _time("paused_at"),
    Column("pause_reason", Text),
)

integration_configs = Table(
    "integration_configs",
    metadata,
    _venue(),
    _provider(),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    _time("paused_at"),
    Column("pause_reason", Text),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    _time("updated_at", now=True),
    PrimaryKeyConstraint("venue_id", "provider"),
    Index(None, "provider"),
)

connections = Table(
    "connections",
    metadata,
    _venue(),
    Column(
        "connection_id",
        Uuid,
        nullable=False,
        unique=True,
        server_default=text("gen_random_uuid()"),
    ),
    _provider(),
    Column("account_id", Text, nullable=False),
    Column("account_name", Text, nullable=False),
    Column("currency", Text),
    Column("country", Text),
    Column("livemode", Boolean, nullable=False, server_default=text("true")),
    Column("status", Text, nullable=False, server_default="active"),
    Column("status_reason", Text),
    Column("location_ids", ARRAY(Text)),
    Column("is_primary", Boolean, nullable=False, server_default=text("true")),
    Column("begins_anew", Boolean, nullable=False, server_default=text("false")),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    _time("connected_at", now=True),
    _time("disconnected_at"),
    _time("events_compared_to"),
    PrimaryKeyConstraint("venue_id", "connection_id"),
    UniqueConstraint("venue_id", "provider", "account_id"),
    CheckConstraint("status IN ('active', 'paused', 'revoked', 'disconnected')", name="status"),
    Index("connections_provider_account_id_idx", "provider", "account_id"),
    Index(
        "connections_one_open_per_provider",
        "venue_id",
        "provider",
        unique=True,
        postgresql_where=text("status <> 'disconnected'"),
    ),
)


def _connection() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["venue_id", "connection_id"],
        ["connections.venue_id", "connections.connection_id"],
        ondelete="CASCADE",
    )


oauth_tokens = Table(
    "oauth_tokens",
    metadata,
    _venue(),
    Column("connection_id", Uuid, nullable=False),
    _provider(),
    Column("access_token", LargeBinary, nullable=False),
    Column("refresh_token", LargeBinary),
    Column("key_id", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    _time("expires_at"),
    _time("refresh_expires_at"),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    _time("refresh_started_at"),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    PrimaryKeyConstraint("venue_id", "connection_id"),
    _connection(),
    Index(None, "provider"),
    Index(None, "expires_at"),
)

venue_api_keys = Table(
    "venue_api_keys",
    metadata,
    _venue(),
    Column("connection_id", Uuid, nullable=False),
    _provider(),
    Column("field", Text, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    _time("created_at", now=True),
    PrimaryKeyConstraint("venue_id", "connection_id", "field"),
    _connection(),
    Index(None, "provider"),
)

oauth_states = Table(
    "oauth_states",
    metadata,
    _venue(),
    Column("state_hash", LargeBinary, nullable=False),
    _provider(),
    Column("session_hash", LargeBinary, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    _time("created_at", now=True),
    _time("expires_at", nullable=False),
    _time("used_at"),
    PrimaryKeyConstraint("venue_id", "state_hash"),
    Index(None, "state_hash", unique=True),
    Index(None, "provider"),
    Index(None, "expires_at"),
)

field_mappings = Table(
    "field_mappings",
    metadata,
    _venue(),
    _provider(),
    Column("target_table", Text, nullable=False),
    Column("target_field", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("source_path", Text, nullable=False),
    Column("transforms", JSONB, nullable=False, server_default=text("'[]'")),
    Column("default_value", JSONB),
    Column("required", Boolean, nullable=False, server_default=text("false")),
    Column("type", Text),
    Column("compiled", JSONB, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("reason", Text),
    _time("created_at", now=True),
    _time("superseded_at"),
    _time("applied_at"),
    PrimaryKeyConstraint("venue_id", "provider", "target_table", "target_field", "version"),
    Index(None, "provider"),
    Index(
        "field_mappings_in_force",
        "venue_id",
        "provider",
        "target_table",
        "target_field",
        unique=True,
        postgresql_where=text("superseded_at IS NULL"),
    ),
)

integration_webhooks = Table(
    "integration_webhooks",
    metadata,
    Column("webhook_id", BigInteger, Identity(always=True), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("account_id", Text),
    _venue(nullable=True),
    Column("connection_id", Uuid),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    _time("event_created_at"),
    _time("received_at", now=True),
    Column("payload", JSONB),
    Column("request_id", Text),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    _time("next_attempt_at", now=True),
    Column("claimed_by", Text),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    _time("lease_expires_at"),
    Column("last_error", Text),
    _time("processed_at"),
    _time("replayed_at"),
    Column("proof", JSONB),
    _connection(),
    CheckConstraint("status IN ('pending', 'claimed', 'done', 'ignored', 'dead')", name="status"),
    Index(None, "venue_id", "connection_id"),
    # An index for each question, of the few rows that are its answer: most are done.
    Index(
        "integration_webhooks_open_idx",
        "provider",
        "account_id",
        "next_attempt_at",
        postgresql_where=text("status IN ('pending', 'claimed')"),
    ),
    Index(
        "integration_webhooks_claimed_idx",
        "claimed_by",
        postgresql_where=text("status = 'claimed'"),
    ),
    Index(
        "integration_webhooks_kept_idx",
        "processed_at",
        postgresql_where=text("payload IS NOT NULL AND status IN ('done', 'ignored', 'dead')"),
    ),
    Index(
        "integration_webhooks_dead_idx",
        "venue_id",
        "webhook_id",
        postgresql_where=text("status = 'dead'"),
    ),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    _venue(),
    Column("connection_id", Uuid, nullable=False),
    Column("path_hash", LargeBinary, nullable=False),
    _provider(),
    Column("account_id", Text, nullable=False),
    _time("created_at", now=True),
    _time("checked_at"),
    Column("error", Text),
    PrimaryKeyConstraint("venue_id", "connection_id", "path_hash"),
    UniqueConstraint("path_hash"),
    _connection(),
    Index(None, "provider"),
)
"""Paths of connections' own, each known by its hash alone."""

webhook_deduplication = Table(
    "webhook_deduplication",
    metadata,
    _provider(),
    Column("scope", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    _time("received_at", now=True),
    PrimaryKeyConstraint("provider", "scope", "event_id"),
    Index(None, "received_at"),
)

integration_health = Table(
    "integration_health",
    metadata,
    _venue(),
    _provider(),
    Column("breaker", Text, nullable=False, server_default="closed"),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),
    Column("times_opened", Integer, nullable=False, server_default=text("0")),
    _time("open_until"),
    _time("last_success_at"),
    _time("last_failure_at"),
    Column("last_error", Text),
    _time("updated_at", now=True),
    PrimaryKeyConstraint("venue_id", "provider"),
    CheckConstraint("breaker IN ('closed', 'open', 'half_open')", name="breaker"),
    Index(None, "provider"),
)

sync_queue = Table(
    "sync_queue",
    metadata,
    _venue(),
    Column("request_id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    _provider(),
    Column("streams", ARRAY(Text)),
    Column("objects", JSONB),
    Column("full_pass", Boolean, nullable=False, server_default=text("false")),
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),
    Column("requested_by", Text, nullable=False),
    _time("requested_at", now=True),
    Column("batch_id", Uuid),
    _time("claimed_at"),
    _time("done_at"),
    Column("outcome", Text),
    Column("allow_deletes", ARRAY(Text)),
    PrimaryKeyConstraint("venue_id", "request_id"),
    Index(None, "provider"),
    Index(
        "sync_queue_open_idx",
        text("priority DESC"),
        "requested_at",
        postgresql_where=text("done_at IS NULL"),
    ),
)

sync_batches = Table(
    "sync_batches",
    metadata,
    _venue(),
    Column("batch_id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("streams", ARRAY(Text)),
    Column("objects", JSONB),
    Column("full_pass", Boolean, nullable=False, server_default=text("false")),
    _time("created_at", now=True),
    _time("taken_at"),
    _time("done_at"),
    Column("outcome", Text),
    Column("allow_deletes", ARRAY(Text)),
    PrimaryKeyConstraint("venue_id", "batch_id", "connection_id"),
    _connection(),
    Index(None, "batch_id"),
    Index(None, "venue_id", "connection_id"),
)
"""The set of connections that one batch run works on, whatever partition range it spans."""

sync_logs = Table(
    "sync_logs",
    metadata,
    _venue(),
    Column("sync_id", Uuid, nullable=False),
    Column("stream", Text, nullable=False),
    _provider(),
    Column("connection_id", Uuid, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("run_id", Text),
    Column("mode", Text, nullable=False),
    Column("outcome", Text, nullable=False, server_default="running"),
    Column("fetched", BigInteger, nullable=False, server_default=text("0")),
    Column("inserted", BigInteger, nullable=False, server_default=text("0")),
    Column("updated", BigInteger, nullable=False, server_default=text("0")),
    Column("unchanged", BigInteger, nullable=False, server_default=text("0")),
    Column("deleted", BigInteger, nullable=False, server_default=text("0")),
    Column("api_calls", BigInteger, nullable=False, server_default=text("0")),
    _time("started_at", now=True),
    _time("finished_at"),
    _time("cursor_at"),
    Column("repaired", BigInteger),
    Column("error_kind", Text),
    Column("error", Text),
    PrimaryKeyConstraint("venue_id", "sync_id", "stream"),
    _connection(),
    CheckConstraint("mode IN ('load', 'incremental', 'full', 'refetch')", name="mode"),
    CheckConstraint("outcome IN ('running', 'succeeded', 'failed', 'abandoned')", name="outcome"),
    Index(None, "provider"),
    Index("sync_logs_recent_idx", "venue_id", "provider", "stream", text("started_at DESC")),
    Index("sync_logs_latest_idx", "venue_id", "connection_id", "stream", text("started_at DESC")),
    Index(
        "sync_logs_passes_idx",
        "venue_id",
        "connection_id",
        "stream",
        text("started_at DESC"),
        postgresql_where=text("repaired IS NOT NULL"),
    ),
    Index(
        "sync_logs_changed_idx",
        "venue_id",
        "provider",
        "stream",
        "finished_at",
        postgresql_where=text("inserted + updated > 0"),
    ),
    Index("sync_logs_run_id_idx", "run_id"),
    Index("sync_logs_finished_at_idx", "finished_at", postgresql_using="brin"),
    Index("sync_logs_started_at_idx", "venue_id", text("started_at DESC")),
)

sync_days = Table(
    "sync_days",
    metadata,
    _venue(),
    Column("connection_id", Uuid, nullable=False),
    Column("stream", Text, nullable=False),
    Column("day", Date, nullable=False),
    _provider(),
    Column("inserted", BigInteger, nullable=False, server_default=text("0")),
    Column("updated", BigInteger, nullable=False, server_default=text("0")),
    Column("deleted", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("venue_id", "connection_id", "stream", "day"),
    _connection(),
    Index(None, "provider"),
)
"""What the syncs of a day (UTC) changed, counted in the transactions that changed it."""

integration_costs = Table(
    "integration_costs",
    metadata,
    _venue(),
    _provider(),
    Column("endpoint", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("calls", BigInteger, nullable=False, server_default=text("0")),
    Column("errors", BigInteger, nullable=False, server_default=text("0")),
    Column("rate_limited", BigInteger, nullable=False, server_default=text("0")),
    Column("seconds", Numeric, nullable=False, server_default=text("0")),
    Column("cost", Numeric, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("venue_id", "provider", "endpoint", "day"),
    Index(None, "provider"),
)

sync_cursors = Table(
    "sync_cursors",
    metadata,
    _venue(),
    Column("connection_id", Uuid, nullable=False),
    Column("stream", Text, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("sync_id", Uuid, nullable=False),
    Column("pass_id", Uuid),
    _time("pass_started_at"),
    _time("cursor_at"),
    _time("full_pass_at"),
    _time("updated_at", now=True),
    PrimaryKeyConstraint("venue_id", "connection_id", "stream"),
    _connection(),
)

sync_seen = Table(
    "sync_seen",
    metadata,
    _venue(),
    Column("pass_id", Uuid, nullable=False),
    Column("chunk", BigInteger, Identity(always=True), nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("stream", Text, nullable=False),
    Column("ids", ARRAY(Text), nullable=False),
    PrimaryKeyConstraint("venue_id", "pass_id", "chunk"),
    _connection(),
    Index(None, "venue_id", "connection_id"),
)
"""Ids that a full pass has seen so far, a row a checkpoint, until the pass ends."""

completeness = Table(
    "completeness",
    metadata,
    _venue(),
    Column("connection_id", Uuid, nullable=False),
    _provider(),
    Column("stream", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("expected", BigInteger, nullable=False),
    Column("missing_ids", ARRAY(Text), nullable=False),
    _time("counted_at", nullable=False),
    PrimaryKeyConstraint("venue_id", "connection_id", "stream", "period"),
    _connection(),
    Index(None, "provider"),
)
"""What the provider said exists when it was last asked: ``expected`` objects of a stretch of a
stream, of which ``missing_ids`` had not landed."""

raw_fields = Table(
    "raw_fields",
    metadata,
    _venue(),
    _provider(),
    Column("stream", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("is_initial", Boolean, nullable=False),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    _time("vanished_at"),
    Column("sample", Text),
    PrimaryKeyConstraint("venue_id", "provider", "stream", "path", "type"),
    Index(None, "provider"),
    Index("raw_fields_new_idx", "first_seen_at", postgresql_where=text("NOT is_initial")),
    Index(
        "raw_fields_vanished_idx", "vanished_at", postgresql_where=text("vanished_at IS NOT NULL")
    ),
)
field_looks = Table(
    "field_looks",
    metadata,
    _venue(),
    _provider(),
    Column("stream", Text, nullable=False),
    Column("looked_to", DateTime(timezone=True), nullable=False),
    Column("rows", BigInteger, nullable=False),
    PrimaryKeyConstraint("venue_id", "provider", "stream"),
    Index(None, "provider"),
)
outbound_writes = Table(
    "outbound_writes",
    metadata,
    _venue(),
    _provider(),
    Column("idempotency_key", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", Text, nullable=False, server_default="started"),
    Column("response", JSONB),
    Column("error", Text),
    _time("created_at", now=True),
    _time("finished_at"),
    PrimaryKeyConstraint("venue_id", "provider", "idempotency_key"),
    CheckConstraint("status IN ('started', 'succeeded', 'failed')", name="status"),
    Index(None, "provider"),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("provider", Text, ForeignKey("integrations.provider"), nullable=False),
    Column("account_id", Text, nullable=False),
    Column("rate", Numeric, nullable=False),
    _time("next_at", nullable=False),
    _time("blocked_until"),
    Column("throttled", BigInteger, nullable=False, server_default=text("0")),
    Column("ceiling", Numeric),
    _time("steady_since"),
    PrimaryKeyConstraint("provider", "account_id"),
)
"""The pace of each provider account, shared by all processes; ``next_at``: the next free slot.
Of a limit that is searched for, ``ceiling`` is the lowest pace that was refused, ``steady_since``
the time from which on the present pace has been used in full."""

portal_sessions = Table(
    "portal_sessions",
    metadata,
    Column("session_hash", LargeBinary, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id", ondelete="CASCADE")),
    Column("data", JSONB, nullable=False, server_default=text("'{}'")),
    _time("created_at", now=True),
    _time("expires_at", nullable=False),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)
"""Browsers. The cookie is known by its hash alone."""

api_tokens = Table(
    "api_tokens",
    metadata,
    _venue(),
    Column("token_id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    _time("created_at", now=True),
    _time("expires_at", nullable=False),
    _time("last_used_at"),
    _time("revoked_at"),
    PrimaryKeyConstraint("venue_id", "token_id"),
    CheckConstraint("role IN ('venue_admin', 'viewer')", name="role"),
)

pending_connections = Table(
    "pending_connections",
    metadata,
    _venue(),
    Column("pending_id", Text, nullable=False),
    Column("session_hash", LargeBinary, nullable=False),
    Column("provider", Text, ForeignKey("integrations.provider")),
    Column("account", JSONB, nullable=False),
    Column("credentials", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    _time("expires_at", nullable=False),
    PrimaryKeyConstraint("venue_id", "pending_id"),
    Index(None, "provider"),
)
"""Accounts whose owner consented and has a question to answer first; the credentials are sealed."""

audit_log = Table(
    "audit_log",
    metadata,
    _venue(),
    Column("entry_id", BigInteger, Identity(always=True), nullable=False),
    _time("at", now=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("provider", Text, ForeignKey("integrations.provider")),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("venue_id", "entry_id"),
    Index(None, "provider"),
)
"""What people did, for good."""

dbt_build_venues = Table(
    "dbt_build_venues",
    metadata,
    _venue(),
    Column("held_back", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("venue_id"),
)
"""The venues of the dbt build under way; some are held back while it is at others."""

publications = Table(
    "publications",
    metadata,
    _venue(),
    Column("table_name", Text, nullable=False),
    _time("published_at"),
    _time("stale_since"),
    Column("reasons", JSONB, nullable=False, server_default=text("'[]'")),
    PrimaryKeyConstraint("venue_id", "table_name"),
    Index("publications_stale_idx", "venue_id", postgresql_where=text("stale_since IS NOT NULL")),
)
"""By venue and table (`analytics.payments`), when its rows were published, and where a later build
did not pass, since when and why."""

quarantine = Table(
    "quarantine",
    metadata,
    _venue(),
    Column("target_table", Text, nullable=False),
    _provider(),
    Column("account_id", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("raw_table", Text, nullable=False),
    Column("raw_id", Text, nullable=False),
    Column("raw_content_hash", LargeBinary, nullable=False),
    Column("errors", JSONB, nullable=False),
    Column("mapping_version", Integer, nullable=False),
    Column("kept_out", Boolean, nullable=False),
    _time("since", now=True),
    PrimaryKeyConstraint("venue_id", "target_table", "provider", "account_id", "source_id"),
    Index(None, "provider"),
)
"""Rows on which a venue's field mapping fails: where each comes from, and by field why.
``kept_out`` are those that lack what is required, and are not in their table; of the others the
field is null. As of what is published: every build of the venue's rows writes it anew."""

TENANT_TABLES = tuple(
    table
    for table in metadata.sorted_tables
    if "venue_id" in table.c and table.name != "dbt_build_venues"
)


def raw_table(provider: str, stream: str) -> Table:
    """`raw_<provider>.<stream>`: one row an API object, as received.

    ``version`` is the provider's own (null where it has none), ``observed_at`` the database's
    clock at the start of the request that read this payload, ``content_hash`` 16 bytes over
    ``payload`` before Postgres parsed it. ``deleted_by`` says how a row's end is known:
    'provider' (an explicit delete, final) or 'full_pass' (vanished, undone if seen again).
    """
    return Table(
        stream,
        MetaData(schema=f"raw_{provider}"),
        Column("venue_id", Text, nullable=False),
        Column("account_id", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("payload", JSONB, nullable=False),
        Column("version", BigInteger),
        Column("observed_at", DateTime(timezone=True), nullable=False),
        Column("content_hash", LargeBinary, nullable=False),
        Column("first_seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column(
            "last_changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()
        ),
        Column("deleted_at", DateTime(timezone=True)),
        Column("deleted_by", Text),
        PrimaryKeyConstraint("venue_id", "account_id", "id"),
        Index(f"{stream}_last_changed_at", "venue_id", "last_changed_at"),
    )
