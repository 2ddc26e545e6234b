{% macro stripe__products() -%}
select
    venue_id,
    'stripe' as provider,
    account_id,
    product_id as source_id,
    created_at,
    updated_at,
    name,
    description,
    is_active,
    default_price_id,
    unit_label,
    tax_code,
    metadata,
    {{ provenance('product') }}
from {{ scoped(ref('stg_stripe__products')) }} as product
{%- endmacro %}
