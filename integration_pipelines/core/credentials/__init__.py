"""Who has opened which account to us, and the vault that holds what opens it."""

from integration_pipelines.core.credentials.connections import (
    PENDING,
    Connection,
    disconnect,
    load_credentials,
    load_secret,
    mark_revoked,
    open_connections,
    rewrap_credentials,
    save_connection,
    save_secret,
    vault_status,
)
from integration_pipelines.core.credentials.tokens import (
    TELL_BEFORE,
    Keeper,
    LiveCredentials,
    Renewal,
    consent_ends,
    due_for_renewal,
    end,
    renew_due,
)
from integration_pipelines.core.credentials.vault import (
    Sealed,
    Vault,
    add_local_key,
    forget_local_keys,
)

__all__ = [
    "PENDING",
    "TELL_BEFORE",
    "Connection",
    "Keeper",
    "LiveCredentials",
    "Renewal",
    "Sealed",
    "Vault",
    "add_local_key",
    "consent_ends",
    "disconnect",
    "due_for_renewal",
    "end",
    "forget_local_keys",
    "load_credentials",
    "load_secret",
    "mark_revoked",
    "open_connections",
    "renew_due",
    "rewrap_credentials",
    "save_connection",
    "save_secret",
    "vault_status",
]
