{% macro square__payouts() -%}
select
    venue_id,
    'square' as provider,
    account_id,
    payout_id as source_id,
    created_at as occurred_at,
    arrives_on,
    case status when 'SENT' then 'in_transit' else lower(status) end as status,
    currency,
    amount_minor,
    case payout_type when 'SIMPLE' then 'instant' when 'BATCH' then 'standard' else lower(payout_type) end as method,
    payout_type = 'BATCH' as is_automatic,
    null as failure_code,
    null as failure_message,
    null as balance_transaction_id,
    destination_id,
    null as description,
    null::jsonb as metadata,
    {{ provenance('payout') }}
from {{ scoped(ref('stg_square__payouts')) }} as payout
{%- endmacro %}
