{% macro square__refunds() -%}
select
    venue_id,
    'square' as provider,
    account_id,
    refund_id as source_id,
    created_at as occurred_at,
    payment_id,
    case status
        when 'COMPLETED' then 'succeeded'
        when 'REJECTED' then 'failed'
        else lower(status)
    end as status,
    status in ('COMPLETED', 'PENDING') as is_effective,
    reason,
    null as failure_reason,
    currency,
    amount_minor,
    processing_fee_amount_minor as fee_amount_minor,
    case when processing_fee_amount_minor is not null then currency end as settlement_currency,
    case when processing_fee_amount_minor is not null then -amount_minor - processing_fee_amount_minor end
        as settlement_amount_minor,
    null as balance_transaction_id,
    null::jsonb as metadata,
    {{ provenance('refund') }}
from {{ scoped(ref('stg_square__refunds')) }} as refund
{%- endmacro %}
