-- One row per Stripe refund, whatever its status.
select
    {{ raw_provenance() }},
    raw.id as refund_id,
    {{ instant('refund.created') }} as created_at,
    -- Refunds of early API versions have no status: they were recorded once they had succeeded.
    coalesce(refund.status, 'succeeded') as status,
    upper(refund.currency) as currency,
    {{ integer('refund.amount') }} as amount_minor,
    {{ reference('refund.charge') }} as charge_id,
    {{ reference('refund.payment_intent') }} as payment_intent_id,
    {{ reference('refund.balance_transaction') }} as balance_transaction_id,
    {{ reference('refund.failure_balance_transaction') }} as failure_balance_transaction_id,
    refund.reason,
    refund.failure_reason,
    refund.receipt_number,
    refund.metadata
from {{ source('raw_stripe', 'refunds') }} as raw
cross join lateral jsonb_to_record(raw.payload) as refund (
    created text,
    status text,
    currency text,
    amount text,
    charge jsonb,
    payment_intent jsonb,
    balance_transaction jsonb,
    failure_balance_transaction jsonb,
    reason text,
    failure_reason text,
    receipt_number text,
    metadata jsonb
)
