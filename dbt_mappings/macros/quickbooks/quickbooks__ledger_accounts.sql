{% macro quickbooks__ledger_accounts() -%}
select
    venue_id,
    'quickbooks' as provider,
    account_id,
    ledger_account_id as source_id,
    created_at,
    updated_at,
    name,
    full_name,
    account_number,
    lower(classification) as classification,
    account_type,
    account_subtype,
    parent_account_id,
    is_active and deleted_at is null as is_active,
    currency,
    {{ minor_units('current_balance') }} as balance_minor,
    {{ minor_units('current_balance_with_subaccounts') }} as balance_with_subaccounts_minor,
    {{ provenance('account') }}
from {{ scoped(ref('stg_quickbooks__accounts')) }} as account
{%- endmacro %}
