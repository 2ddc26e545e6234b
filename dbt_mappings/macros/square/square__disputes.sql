{% macro square__disputes() -%}
with settled as (
    select
        venue_id,
        account_id,
        dispute_id,
        min(currency) as currency,
        sum(fee_amount_minor)::bigint as fee_amount_minor,
        sum(net_amount_minor)::bigint as net_amount_minor
    from {{ scoped(ref('stg_square__payout_entries')) }} as entry
    where dispute_id is not null
    group by venue_id, account_id, dispute_id
)

select
    dispute.venue_id,
    'square' as provider,
    dispute.account_id,
    dispute.dispute_id as source_id,
    coalesce(dispute.reported_at, dispute.created_at) as occurred_at,
    dispute.payment_id,
    case dispute.state
        when 'INQUIRY_EVIDENCE_REQUIRED' then 'warning_needs_response'
        when 'INQUIRY_PROCESSING' then 'warning_under_review'
        when 'INQUIRY_CLOSED' then 'warning_closed'
        when 'EVIDENCE_REQUIRED' then 'needs_response'
        when 'PROCESSING' then 'under_review'
        when 'ACCEPTED' then 'lost'
        else lower(dispute.state)
    end as status,
    dispute.state in ('INQUIRY_EVIDENCE_REQUIRED', 'INQUIRY_PROCESSING', 'EVIDENCE_REQUIRED', 'PROCESSING') as is_open,
    dispute.state in ('LOST', 'ACCEPTED') as is_lost,
    lower(dispute.reason) as reason,
    dispute.due_at as evidence_due_at,
    null::boolean as has_evidence,
    dispute.currency,
    dispute.amount_minor,
    settled.currency as settlement_currency,
    settled.fee_amount_minor as settlement_fee_amount_minor,
    settled.net_amount_minor as settlement_net_amount_minor,
    null::jsonb as metadata,
    {{ provenance('dispute') }}
from {{ scoped(ref('stg_square__disputes')) }} as dispute
left join settled using (venue_id, account_id, dispute_id)
{%- endmacro %}
