{% macro quickbooks__products() -%}
select
    venue_id,
    'quickbooks' as provider,
    account_id,
    item_id as source_id,
    created_at,
    updated_at,
    name,
    description,
    is_active and deleted_at is null as is_active,
    case when unit_price is not null and income_account_id is not null then item_id end as default_price_id,
    null as unit_label,
    null as tax_code,
    null::jsonb as metadata,
    {{ provenance('item') }}
from {{ scoped(ref('stg_quickbooks__items')) }} as item
{%- endmacro %}
