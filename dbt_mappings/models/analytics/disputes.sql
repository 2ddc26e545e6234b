-- One row per dispute: a payment that a customer contests at their bank. Disputes are no refunds.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with disputes as (
    ({{ stripe__disputes() }})
    union all
    ({{ square__disputes() }})
)

select
    dispute.venue_id,
    dispute.provider,
    dispute.account_id,
    dispute.source_id,
    dispute.occurred_at,
    {{ business_date('dispute.occurred_at') }} as business_date,
    dispute.payment_id,
    dispute.status,
    dispute.is_open,
    dispute.is_lost,
    {{ mapped('dispute.reason') }} as reason,
    dispute.evidence_due_at,
    {{ mapped('dispute.has_evidence', 'boolean') }} as has_evidence,
    dispute.currency,
    dispute.amount_minor,
    {{ money('dispute.amount_minor', 'dispute.currency') }} as amount,
    dispute.settlement_currency,
    dispute.settlement_fee_amount_minor,
    {{ money('dispute.settlement_fee_amount_minor', 'dispute.settlement_currency') }} as settlement_fee_amount,
    dispute.settlement_net_amount_minor,
    {{ money('dispute.settlement_net_amount_minor', 'dispute.settlement_currency') }} as settlement_net_amount,
    dispute.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    dispute.raw_id,
    dispute.raw_observed_at,
    dispute.raw_content_hash,
    dispute.deleted_at,
    dispute.deleted_at is not null as is_deleted
from disputes as dispute
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('dispute', {'stripe': 'disputes', 'square': 'disputes'}) }}
