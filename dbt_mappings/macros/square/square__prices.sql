{% macro square__prices() -%}
{#- Money without a currency is a price that the till asks for. -#}
select
    variation.venue_id,
    'square' as provider,
    variation.account_id,
    variation.item_variation_id as source_id,
    null::timestamptz as created_at,
    variation.item_id as product_id,
    variation.name,
    variation.deleted_at is null and variation.is_sellable is distinct from false as is_active,
    coalesce(variation.currency, location.currency) as currency,
    variation.price_minor as unit_amount_minor,
    variation.price_minor::numeric as unit_amount_minor_decimal,
    null as billing_interval,
    null::bigint as billing_interval_count,
    variation.custom_attributes as metadata,
    {{ provenance('variation') }}
from {{ scoped(ref('stg_square__item_variations')) }} as variation
left join (
    select distinct on (venue_id, account_id) venue_id, account_id, currency
    from {{ scoped(ref('stg_square__locations')) }} as location
    order by venue_id, account_id, created_at, location_id
) as location using (venue_id, account_id)
{%- endmacro %}
