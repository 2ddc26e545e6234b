-- One row per line of a Stripe invoice.
select
    {{ raw_provenance() }},
    raw.id as invoice_id,
    -- Lines of early API versions carry the id of their subscription, which may stand on several lines.
    coalesce(line.unique_line_item_id, line.unique_id, line.id, element.position::text) as line_id,
    element.position as line_number,
    line.description,
    upper(line.currency) as currency,
    {{ integer('line.amount') }} as amount_minor,
    {{ decimal('coalesce(line.quantity_decimal, line.quantity)') }} as quantity,
    {{ decimal("coalesce(
        line.pricing ->> 'unit_amount_decimal',
        line.price ->> 'unit_amount_decimal',
        line.price ->> 'unit_amount',
        line.plan ->> 'amount_decimal',
        line.plan ->> 'amount'
    )") }} as unit_amount_minor_decimal,
    {{ sum_of_amounts('line.discount_amounts') }} as discount_amount_minor,
    coalesce(
        {{ sum_of_amounts('line.taxes') }},
        {{ sum_of_amounts('line.tax_amounts') }}
    ) as tax_amount_minor,
    {{ instant("line.period ->> 'start'") }} as period_starts_at,
    {{ instant("line.period ->> 'end'") }} as period_ends_at,
    coalesce(
        {{ reference("line.pricing #> '{price_details,price}'") }},
        {{ reference('line.price') }},
        {{ reference('line.plan') }}
    ) as price_id,
    coalesce(
        {{ reference("line.pricing #> '{price_details,product}'") }},
        {{ reference("line.price -> 'product'") }},
        {{ reference("line.plan -> 'product'") }}
    ) as product_id,
    coalesce(
        {{ reference('line.subscription') }},
        line.parent #>> '{subscription_item_details,subscription}',
        line.parent #>> '{invoice_item_details,subscription}'
    ) as subscription_id,
    coalesce(
        {{ reference('line.subscription_item') }},
        line.parent #>> '{subscription_item_details,subscription_item}'
    ) as subscription_item_id,
    coalesce(
        {{ reference('line.invoice_item') }},
        line.parent #>> '{invoice_item_details,invoice_item}',
        line.parent #>> '{subscription_item_details,invoice_item}'
    ) as invoice_item_id,
    {{ boolean("coalesce(
        line.proration,
        line.parent #>> '{subscription_item_details,proration}',
        line.parent #>> '{invoice_item_details,proration}'
    )") }} as is_proration,
    line.metadata
from {{ source('raw_stripe', 'invoices') }} as raw
cross join lateral jsonb_to_record(raw.payload) as invoice (lines jsonb)
cross join lateral {{ elements('invoice.lines', '$.data[*]') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    id text,
    unique_id text,
    unique_line_item_id text,
    description text,
    currency text,
    amount text,
    quantity text,
    quantity_decimal text,
    pricing jsonb,
    price jsonb,
    plan jsonb,
    discount_amounts jsonb,
    taxes jsonb,
    tax_amounts jsonb,
    period jsonb,
    subscription jsonb,
    subscription_item jsonb,
    invoice_item jsonb,
    proration text,
    parent jsonb,
    metadata jsonb
)
