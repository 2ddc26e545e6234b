{% macro stripe__invoice_lines() -%}
select
    venue_id,
    'stripe' as provider,
    account_id,
    invoice_id as source_id,
    line_id,
    line_number,
    description,
    currency,
    amount_minor,
    quantity,
    unit_amount_minor_decimal,
    discount_amount_minor,
    tax_amount_minor,
    price_id,
    product_id,
    subscription_id,
    is_proration,
    period_starts_at,
    period_ends_at,
    metadata,
    {{ provenance('line') }}
from {{ scoped(ref('stg_stripe__invoice_lines')) }} as line
{%- endmacro %}
