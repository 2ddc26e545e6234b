{% macro square__customers() -%}
select
    venue_id,
    'square' as provider,
    account_id,
    customer_id as source_id,
    created_at,
    coalesce(nullif(concat_ws(' ', given_name, family_name), ''), company_name, nickname) as name,
    email,
    phone,
    address_line1,
    address_line2,
    city,
    state,
    postal_code,
    country,
    null as currency,
    null::bigint as balance_minor,
    null::boolean as is_delinquent,
    null::jsonb as metadata,
    {{ provenance('customer') }}
from {{ scoped(ref('stg_square__customers')) }} as customer
{%- endmacro %}
