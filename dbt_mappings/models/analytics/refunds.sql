-- One row per refund of a payment, whatever became of it; is_effective says whether money goes back.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}, {'columns': ['venue_id', 'business_date']}]) }}

with refunds as (
    ({{ stripe__refunds() }})
    union all
    ({{ square__refunds() }})
)

select
    refund.venue_id,
    refund.provider,
    refund.account_id,
    refund.source_id,
    refund.occurred_at,
    {{ business_date('refund.occurred_at') }} as business_date,
    refund.payment_id,
    refund.status,
    refund.is_effective,
    {{ mapped('refund.reason') }} as reason,
    {{ mapped('refund.failure_reason') }} as failure_reason,
    refund.currency,
    refund.amount_minor,
    {{ money('refund.amount_minor', 'refund.currency') }} as amount,
    refund.fee_amount_minor,
    {{ money('refund.fee_amount_minor', 'refund.currency') }} as fee_amount,
    refund.settlement_currency,
    refund.settlement_amount_minor,
    {{ money('refund.settlement_amount_minor', 'refund.settlement_currency') }} as settlement_amount,
    refund.balance_transaction_id,
    refund.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    refund.raw_id,
    refund.raw_observed_at,
    refund.raw_content_hash,
    refund.deleted_at,
    refund.deleted_at is not null as is_deleted
from refunds as refund
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('refund', {'stripe': 'refunds', 'square': 'refunds'}) }}
