{% macro square__invoice_lines() -%}
select
    invoice.venue_id,
    'square' as provider,
    invoice.account_id,
    invoice.invoice_id as source_id,
    coalesce(line.line_id, line.line_number::text) as line_id,
    line.line_number,
    concat_ws(', ', line.name, line.variation_name) as description,
    line.currency,
    line.gross_amount_minor as amount_minor,
    line.quantity,
    line.unit_amount_minor::numeric as unit_amount_minor_decimal,
    line.discount_amount_minor,
    line.tax_amount_minor,
    line.item_variation_id as price_id,
    variation.item_id as product_id,
    invoice.subscription_id,
    null::boolean as is_proration,
    null::timestamptz as period_starts_at,
    null::timestamptz as period_ends_at,
    line.metadata,
    {{ provenance('line') }}
from {{ scoped(ref('stg_square__invoices')) }} as invoice
join {{ scoped(ref('stg_square__order_lines')) }} as line
    using (venue_id, account_id, order_id)
left join {{ scoped(ref('stg_square__item_variations')) }} as variation
    using (venue_id, account_id, item_variation_id)
{%- endmacro %}
