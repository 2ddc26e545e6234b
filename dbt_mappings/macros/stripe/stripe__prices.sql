{% macro stripe__prices() -%}
select
    venue_id,
    'stripe' as provider,
    account_id,
    price_id as source_id,
    created_at,
    product_id,
    nickname as name,
    is_active,
    currency,
    unit_amount_minor,
    unit_amount_minor_decimal,
    billing_interval,
    billing_interval_count,
    metadata,
    {{ provenance('price') }}
from {{ scoped(ref('stg_stripe__prices')) }} as price
{%- endmacro %}
