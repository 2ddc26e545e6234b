{% macro stripe__disputes() -%}
select
    venue_id,
    'stripe' as provider,
    account_id,
    dispute_id as source_id,
    created_at as occurred_at,
    charge_id as payment_id,
    status,
    status in ('needs_response', 'under_review', 'warning_needs_response', 'warning_under_review') as is_open,
    status = 'lost' as is_lost,
    reason,
    evidence_due_at,
    has_evidence,
    currency,
    amount_minor,
    settlement_currency,
    settlement_fee_amount_minor,
    settlement_net_amount_minor,
    metadata,
    {{ provenance('dispute') }}
from {{ scoped(ref('stg_stripe__disputes')) }} as dispute
{%- endmacro %}
