-- One row per Square payout, of every location.
select
    {{ raw_provenance() }},
    raw.id as payout_id,
    {{ timestamp('payout.created_at') }} as created_at,
    {{ timestamp('payout.updated_at') }} as updated_at,
    payout.status,
    payout.location_id,
    payout.type as payout_type,
    {{ calendar_date('payout.arrival_date') }} as arrives_on,
    payout.destination ->> 'type' as destination_type,
    payout.destination ->> 'id' as destination_id,
    upper(payout.amount_money ->> 'currency') as currency,
    {{ integer("payout.amount_money ->> 'amount'") }} as amount_minor,
    {{ sum_of_money('payout.payout_fee') }} as fee_amount_minor
from {{ source('raw_square', 'payouts') }} as raw
cross join lateral jsonb_to_record(raw.payload) as payout (
    destination jsonb,
    amount_money jsonb,
    created_at text,
    updated_at text,
    status text,
    location_id text,
    type text,
    arrival_date text,
    payout_fee jsonb
)
