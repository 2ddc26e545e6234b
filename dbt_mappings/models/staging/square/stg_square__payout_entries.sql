-- One row per entry of a Square payout: a payment, refund, fee or dispute that it settles.
select
    {{ raw_provenance() }},
    raw.id as payout_entry_id,
    entry.payout_id,
    {{ timestamp('entry.effective_at') }} as effective_at,
    entry.type as entry_type,
    upper(entry.net_amount_money ->> 'currency') as currency,
    {{ integer("entry.gross_amount_money ->> 'amount'") }} as gross_amount_minor,
    {{ integer("entry.fee_amount_money ->> 'amount'") }} as fee_amount_minor,
    {{ integer("entry.net_amount_money ->> 'amount'") }} as net_amount_minor,
    details.body ->> 'payment_id' as payment_id,
    details.body ->> 'refund_id' as refund_id,
    details.body ->> 'dispute_id' as dispute_id
from {{ source('raw_square', 'payout_entries') }} as raw
cross join lateral jsonb_to_record(raw.payload) as entry (
    net_amount_money jsonb,
    payout_id text,
    effective_at text,
    type text,
    gross_amount_money jsonb,
    fee_amount_money jsonb
)
-- Each type has a field of its own.
cross join lateral (values (raw.payload -> ('type_' || lower(entry.type) || '_details'))) as details (body)
