-- One row per payout of a processor to the venue's bank.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with payouts as (
    ({{ stripe__payouts() }})
    union all
    ({{ square__payouts() }})
)

select
    payout.venue_id,
    payout.provider,
    payout.account_id,
    payout.source_id,
    payout.occurred_at,
    {{ business_date('payout.occurred_at') }} as business_date,
    payout.arrives_on,
    payout.status,
    payout.currency,
    payout.amount_minor,
    {{ money('payout.amount_minor', 'payout.currency') }} as amount,
    {{ mapped('payout.method') }} as method,
    payout.is_automatic,
    payout.failure_code,
    {{ mapped('payout.failure_message') }} as failure_message,
    payout.balance_transaction_id,
    payout.destination_id,
    {{ mapped('payout.description') }} as description,
    payout.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    payout.raw_id,
    payout.raw_observed_at,
    payout.raw_content_hash,
    payout.deleted_at,
    payout.deleted_at is not null as is_deleted
from payouts as payout
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('payout', {'stripe': 'payouts', 'square': 'payouts'}) }}
