-- One row per Square refund, whatever its status, of every location.
select
    {{ raw_provenance() }},
    raw.id as refund_id,
    {{ timestamp('refund.created_at') }} as created_at,
    {{ timestamp('refund.updated_at') }} as updated_at,
    refund.status,
    refund.location_id,
    refund.payment_id,
    refund.order_id,
    refund.reason,
    refund.destination_type,
    {{ boolean('refund.unlinked') }} as is_unlinked,
    upper(refund.amount_money ->> 'currency') as currency,
    {{ integer("refund.amount_money ->> 'amount'") }} as amount_minor,
    {{ sum_of_money('refund.processing_fee') }} as processing_fee_amount_minor
from {{ source('raw_square', 'refunds') }} as raw
cross join lateral jsonb_to_record(raw.payload) as refund (
    amount_money jsonb,
    created_at text,
    updated_at text,
    status text,
    location_id text,
    payment_id text,
    order_id text,
    reason text,
    destination_type text,
    unlinked text,
    processing_fee jsonb
)
