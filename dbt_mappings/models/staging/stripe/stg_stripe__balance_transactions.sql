-- One row per Stripe balance transaction: a movement on the account's balance, in its settlement currency.
select
    {{ raw_provenance() }},
    raw.id as balance_transaction_id,
    {{ instant('movement.created') }} as created_at,
    {{ instant('movement.available_on') }} as available_at,
    movement.type,
    movement.reporting_category,
    movement.status,
    upper(movement.currency) as currency,
    {{ integer('movement.amount') }} as amount_minor,
    {{ integer('movement.fee') }} as fee_amount_minor,
    {{ integer('movement.net') }} as net_amount_minor,
    {{ decimal('movement.exchange_rate') }} as exchange_rate,
    {{ reference('movement.source') }} as source_object_id,
    movement.description
from {{ source('raw_stripe', 'balance_transactions') }} as raw
cross join lateral jsonb_to_record(raw.payload) as movement (
    created text,
    available_on text,
    type text,
    reporting_category text,
    status text,
    currency text,
    amount text,
    fee text,
    net text,
    exchange_rate text,
    source jsonb,
    description text
)
