-- One row per Square gift card.
select
    {{ raw_provenance() }},
    raw.id as gift_card_id,
    {{ timestamp('card.created_at') }} as created_at,
    card.type as card_type,
    card.state,
    card.gan_source,
    upper(card.balance_money ->> 'currency') as currency,
    {{ integer("card.balance_money ->> 'amount'") }} as balance_amount_minor,
    card.customer_ids
from {{ source('raw_square', 'gift_cards') }} as raw
cross join lateral jsonb_to_record(raw.payload) as card (
    balance_money jsonb,
    customer_ids jsonb,
    created_at text,
    type text,
    state text,
    gan_source text
)
