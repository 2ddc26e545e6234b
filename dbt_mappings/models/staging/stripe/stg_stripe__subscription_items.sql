-- One row per item of a Stripe subscription: a price and how many of it.
select
    {{ raw_provenance() }},
    raw.id as subscription_id,
    item.id as subscription_item_id,
    {{ instant('item.created') }} as created_at,
    {{ instant('coalesce(item.current_period_start, subscription.current_period_start)') }} as current_period_starts_at,
    {{ instant('coalesce(item.current_period_end, subscription.current_period_end)') }} as current_period_ends_at,
    {{ decimal('item.quantity') }} as quantity,
    coalesce({{ reference('item.price') }}, {{ reference('item.plan') }}) as price_id,
    coalesce(
        {{ reference("item.price -> 'product'") }},
        {{ reference("item.plan -> 'product'") }}
    ) as product_id,
    upper(coalesce(item.price ->> 'currency', item.plan ->> 'currency')) as currency,
    {{ decimal("coalesce(
        item.price ->> 'unit_amount_decimal',
        item.price ->> 'unit_amount',
        item.plan ->> 'amount_decimal',
        item.plan ->> 'amount'
    )") }} as unit_amount_minor_decimal,
    coalesce(item.price #>> '{recurring,interval}', item.plan ->> 'interval') as billing_interval,
    {{ integer("coalesce(item.price #>> '{recurring,interval_count}', item.plan ->> 'interval_count')") }}
        as billing_interval_count,
    coalesce(item.price #>> '{recurring,usage_type}', item.plan ->> 'usage_type', 'licensed') as usage_type,
    item.metadata
from {{ source('raw_stripe', 'subscriptions') }} as raw
cross join lateral jsonb_to_record(raw.payload) as subscription (
    current_period_start text,
    current_period_end text,
    items jsonb
)
cross join lateral {{ elements('subscription.items', '$.data[*]') }} as element
cross join lateral jsonb_to_record(element) as item (
    id text,
    created text,
    current_period_start text,
    current_period_end text,
    quantity text,
    price jsonb,
    plan jsonb,
    metadata jsonb
)
