{% macro square__products() -%}
select
    venue_id,
    'square' as provider,
    account_id,
    item_id as source_id,
    null::timestamptz as created_at,
    updated_at,
    name,
    description,
    deleted_at is null and is_archived is distinct from true as is_active,
    null as default_price_id,
    null as unit_label,
    null as tax_code,
    custom_attributes as metadata,
    {{ provenance('item') }}
from {{ scoped(ref('stg_square__items')) }} as item
{%- endmacro %}
