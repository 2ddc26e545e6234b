-- One row per Square dispute, in whatever state.
select
    {{ raw_provenance() }},
    raw.id as dispute_id,
    {{ timestamp('dispute.created_at') }} as created_at,
    {{ timestamp('dispute.updated_at') }} as updated_at,
    {{ timestamp('dispute.reported_at') }} as reported_at,
    {{ timestamp('dispute.due_at') }} as due_at,
    dispute.state,
    dispute.reason,
    dispute.disputed_payment ->> 'payment_id' as payment_id,
    dispute.location_id,
    dispute.card_brand,
    upper(dispute.amount_money ->> 'currency') as currency,
    {{ integer("dispute.amount_money ->> 'amount'") }} as amount_minor
from {{ source('raw_square', 'disputes') }} as raw
cross join lateral jsonb_to_record(raw.payload) as dispute (
    disputed_payment jsonb,
    amount_money jsonb,
    created_at text,
    updated_at text,
    reported_at text,
    due_at text,
    state text,
    reason text,
    location_id text,
    card_brand text
)
