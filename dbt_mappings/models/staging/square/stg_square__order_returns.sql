-- One row per line returned in a Square order: what was taken back, of which sale.
select
    {{ raw_provenance() }},
    raw.id as order_id,
    sale.location_id,
    line.uid as return_line_id,
    line.source_line_item_uid as source_line_id,
    line.name,
    line.variation_name,
    line.item_type,
    line.catalog_object_id as item_variation_id,
    {{ decimal('line.quantity') }} as quantity,
    upper(line.total_money ->> 'currency') as currency,
    {{ integer("line.base_price_money ->> 'amount'") }} as unit_amount_minor,
    {{ integer("line.gross_return_money ->> 'amount'") }} as gross_return_amount_minor,
    {{ integer("line.total_tax_money ->> 'amount'") }} as tax_amount_minor,
    {{ integer("line.total_discount_money ->> 'amount'") }} as discount_amount_minor,
    {{ integer("line.total_service_charge_money ->> 'amount'") }} as service_charge_amount_minor,
    {{ integer("line.total_money ->> 'amount'") }} as total_amount_minor,
    line.note,
    line.return_modifiers as modifiers,
    element.position as line_number
from {{ source('raw_square', 'orders') }} as raw
cross join lateral jsonb_to_record(raw.payload) as sale (returns jsonb, location_id text)
cross join lateral {{ elements('sale.returns', '$[*].return_line_items[*]') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    total_money jsonb,
    return_modifiers jsonb,
    uid text,
    source_line_item_uid text,
    name text,
    variation_name text,
    item_type text,
    catalog_object_id text,
    quantity text,
    base_price_money jsonb,
    gross_return_money jsonb,
    total_tax_money jsonb,
    total_discount_money jsonb,
    total_service_charge_money jsonb,
    note text
)
