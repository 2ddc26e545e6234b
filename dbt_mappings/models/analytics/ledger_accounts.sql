-- One row per account of a venue's books, inactive ones included.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with ledger_accounts as (
    {{ quickbooks__ledger_accounts() }}
)

select
    account.venue_id,
    account.provider,
    account.account_id,
    account.source_id,
    account.created_at,
    account.updated_at,
    {{ mapped('account.name') }} as name,
    {{ mapped('account.full_name') }} as full_name,
    {{ mapped('account.account_number') }} as account_number,
    account.classification,
    account.account_type,
    {{ mapped('account.account_subtype') }} as account_subtype,
    account.parent_account_id,
    {{ mapped('account.is_active', 'boolean') }} as is_active,
    account.currency,
    account.balance_minor,
    {{ money('account.balance_minor', 'account.currency') }} as balance,
    account.balance_with_subaccounts_minor,
    {{ money('account.balance_with_subaccounts_minor', 'account.currency') }} as balance_with_subaccounts,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    account.raw_id,
    account.raw_observed_at,
    account.raw_content_hash,
    account.deleted_at,
    account.deleted_at is not null as is_deleted
from ledger_accounts as account
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('account', {'quickbooks': 'accounts'}) }}
