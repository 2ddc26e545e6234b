{% macro quickbooks__customers() -%}
select
    venue_id,
    'quickbooks' as provider,
    account_id,
    customer_id as source_id,
    created_at,
    display_name as name,
    email,
    phone,
    address_line1,
    address_line2,
    city,
    state,
    postal_code,
    country,
    currency,
    {{ minor_units('balance') }} as balance_minor,
    null::boolean as is_delinquent,
    null::jsonb as metadata,
    {{ provenance('customer') }}
from {{ scoped(ref('stg_quickbooks__customers')) }} as customer
{%- endmacro %}
