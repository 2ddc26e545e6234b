-- One row per line of a Stripe Checkout session: what the visitor chose.
select
    {{ raw_provenance() }},
    raw.id as checkout_session_id,
    coalesce(line.id, element.position::text) as line_id,
    element.position as line_number,
    line.description,
    upper(line.currency) as currency,
    {{ decimal('line.quantity') }} as quantity,
    {{ decimal("coalesce(line.price ->> 'unit_amount_decimal', line.price ->> 'unit_amount')") }} as unit_amount_minor_decimal,
    {{ integer('line.amount_subtotal') }} as subtotal_amount_minor,
    {{ integer('line.amount_discount') }} as discount_amount_minor,
    {{ integer('line.amount_tax') }} as tax_amount_minor,
    {{ integer('line.amount_total') }} as total_amount_minor,
    {{ reference('line.price') }} as price_id,
    {{ reference("line.price -> 'product'") }} as product_id,
    line.metadata
from {{ source('raw_stripe', 'checkout_sessions') }} as raw
cross join lateral jsonb_to_record(raw.payload) as session (line_items jsonb)
cross join lateral {{ elements('session.line_items', '$.data[*]') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    id text,
    description text,
    currency text,
    quantity text,
    price jsonb,
    amount_subtotal text,
    amount_discount text,
    amount_tax text,
    amount_total text,
    metadata jsonb
)
