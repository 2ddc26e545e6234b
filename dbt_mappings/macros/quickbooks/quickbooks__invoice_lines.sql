{% macro quickbooks__invoice_lines() -%}
{#-
    Subtotals are sums of lines and none themselves; a discount is a line that takes off. A bundle is a
    line only where the items in it were not sent.
-#}
select
    venue_id,
    'quickbooks' as provider,
    account_id,
    invoice_id as source_id,
    coalesce(line_id, line_number::text) as line_id,
    line_number,
    description,
    currency,
    {{ minor_units("case detail_type when 'DiscountLineDetail' then -amount else amount end") }} as amount_minor,
    quantity,
    {{ in_minor_units('unit_price') }} as unit_amount_minor_decimal,
    null::bigint as discount_amount_minor,
    null::bigint as tax_amount_minor,
    null as price_id,
    item_id as product_id,
    null as subscription_id,
    null::boolean as is_proration,
    null::timestamptz as period_starts_at,
    null::timestamptz as period_ends_at,
    null::jsonb as metadata,
    {{ provenance('line') }}
from {{ scoped(ref('stg_quickbooks__invoice_lines')) }} as line
where detail_type in ('SalesItemLineDetail', 'DiscountLineDetail', 'GroupLineDetail')
{%- endmacro %}
