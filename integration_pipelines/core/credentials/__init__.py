"""Who has opened which account to us, and the vault that holds what opens it."""

from integration_pipelines.core.credentials.connections import (
    Connection,
    disconnect,
    load_credentials,
    mark_revoked,
    open_connections,
    rewrap_credentials,
    save_connection,
    save_secret,
    vault_status,
)
from integration_pipelines.core.credentials.tokens import (
    Keeper,
    LiveCredentials,
    reconnect_by,
    revoke_access,
)
from integration_pipelines.core.credentials.vault import (
    Sealed,
    Vault,
    add_local_key,
    forget_old_local_keys,
)

__all__ = [
    "Connection",
    "Keeper",
    "LiveCredentials",
    "Sealed",
    "Vault",
    "add_local_key",
    "disconnect",
    "forget_old_local_keys",
    "load_credentials",
    "mark_revoked",
    "open_connections",
    "reconnect_by",
    "revoke_access",
    "rewrap_credentials",
    "save_connection",
    "save_secret",
    "vault_status",
]
