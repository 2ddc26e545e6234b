{% macro square__payout_lines() -%}
select
    venue_id,
    'square' as provider,
    account_id,
    payout_entry_id as source_id,
    payout_id,
    effective_at as occurred_at,
    case entry_type
        when 'CHARGE' then 'payment'
        when 'OPEN_DISPUTE' then 'dispute'
        else lower(entry_type)
    end as line_type,
    case when coalesce(refund_id, dispute_id) is null then payment_id end as payment_id,
    refund_id,
    dispute_id,
    currency,
    gross_amount_minor,
    fee_amount_minor,
    net_amount_minor,
    null as description,
    {{ provenance('entry') }}
from {{ scoped(ref('stg_square__payout_entries')) }} as entry
{%- endmacro %}
