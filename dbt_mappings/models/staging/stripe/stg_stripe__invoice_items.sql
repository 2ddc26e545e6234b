-- One row per Stripe invoice item: an amount that waits for, or stands on, an invoice.
select
    {{ raw_provenance(deleted='item.deleted') }},
    raw.id as invoice_item_id,
    {{ instant('item.date') }} as occurred_at,
    item.description,
    upper(item.currency) as currency,
    {{ integer('item.amount') }} as amount_minor,
    {{ decimal('coalesce(item.quantity_decimal, item.quantity)') }} as quantity,
    {{ decimal("coalesce(
        item.pricing ->> 'unit_amount_decimal',
        item.unit_amount_decimal,
        item.unit_amount
    )") }} as unit_amount_minor_decimal,
    {{ reference('item.customer') }} as customer_id,
    {{ reference('item.invoice') }} as invoice_id,
    coalesce(
        {{ reference('item.subscription') }},
        item.parent #>> '{subscription_details,subscription}'
    ) as subscription_id,
    coalesce(
        {{ reference("item.pricing #> '{price_details,price}'") }},
        {{ reference('item.price') }},
        {{ reference('item.plan') }}
    ) as price_id,
    {{ boolean('item.proration') }} as is_proration,
    {{ instant("item.period ->> 'start'") }} as period_starts_at,
    {{ instant("item.period ->> 'end'") }} as period_ends_at,
    item.livemode = 'true' as is_live,
    item.metadata
from {{ source('raw_stripe', 'invoice_items') }} as raw
cross join lateral jsonb_to_record(raw.payload) as item (
    date text,
    description text,
    currency text,
    amount text,
    quantity text,
    quantity_decimal text,
    unit_amount text,
    unit_amount_decimal text,
    pricing jsonb,
    price jsonb,
    plan jsonb,
    customer jsonb,
    invoice jsonb,
    subscription jsonb,
    parent jsonb,
    proration text,
    period jsonb,
    livemode text,
    deleted text,
    metadata jsonb
)
