{% macro stripe__customers() -%}
select
    venue_id,
    'stripe' as provider,
    account_id,
    customer_id as source_id,
    created_at,
    name,
    email,
    phone,
    address_line1,
    address_line2,
    city,
    state,
    postal_code,
    country,
    currency,
    balance_minor,
    is_delinquent,
    metadata,
    {{ provenance('customer') }}
from {{ scoped(ref('stg_stripe__customers')) }} as customer
{%- endmacro %}
