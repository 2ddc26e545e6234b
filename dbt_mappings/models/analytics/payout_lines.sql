-- One row per movement of a processor's balance that a payout took to the bank.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}, {'columns': ['venue_id', 'provider', 'account_id', 'payout_id']}]) }}

with payout_lines as (
    ({{ stripe__payout_lines() }})
    union all
    ({{ square__payout_lines() }})
)

select
    line.venue_id,
    line.provider,
    line.account_id,
    line.source_id,
    line.payout_id,
    line.occurred_at,
    {{ business_date('line.occurred_at') }} as business_date,
    line.line_type,
    line.payment_id,
    line.refund_id,
    line.dispute_id,
    line.currency,
    line.gross_amount_minor,
    {{ money('line.gross_amount_minor', 'line.currency') }} as gross_amount,
    line.fee_amount_minor,
    {{ money('line.fee_amount_minor', 'line.currency') }} as fee_amount,
    line.net_amount_minor,
    {{ money('line.net_amount_minor', 'line.currency') }} as net_amount,
    line.description,
    line.raw_id,
    line.raw_observed_at,
    line.raw_content_hash,
    line.deleted_at,
    line.deleted_at is not null as is_deleted
from payout_lines as line
join {{ source('control', 'venues') }} as venue using (venue_id)
