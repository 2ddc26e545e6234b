{% macro square__inventory_levels() -%}
{#- A location may have a price and an alert of its own. -#}
select
    level.venue_id,
    'square' as provider,
    level.account_id,
    level.inventory_count_id as source_id,
    level.calculated_at as counted_at,
    level.location_id,
    location.name as location_name,
    lower(level.state) as state,
    variation.item_id as product_id,
    item.name as product_name,
    level.item_variation_id as price_id,
    variation.name as variation_name,
    variation.sku,
    level.quantity,
    case own.body ->> 'inventory_alert_type'
        when 'LOW_QUANTITY' then {{ decimal("own.body ->> 'inventory_alert_threshold'") }}
        when 'NONE' then null
        else variation.alert_quantity
    end as alert_quantity,
    coalesce(upper(own.body #>> '{price_money,currency}'), variation.currency, location.currency) as currency,
    coalesce({{ integer("own.body #>> '{price_money,amount}'") }}, variation.price_minor)::numeric
        as unit_amount_minor_decimal,
    null::numeric as unit_cost_minor_decimal,
    {{ provenance('level') }}
from {{ scoped(ref('stg_square__inventory_counts')) }} as level
left join {{ scoped(ref('stg_square__locations')) }} as location
    using (venue_id, account_id, location_id)
left join {{ scoped(ref('stg_square__item_variations')) }} as variation
    using (venue_id, account_id, item_variation_id)
left join {{ scoped(ref('stg_square__items')) }} as item
    using (venue_id, account_id, item_id)
left join lateral (
    select override as body
    from {{ elements('variation.location_overrides') }} as override
    where override ->> 'location_id' = level.location_id
    limit 1
) as own on true
{%- endmacro %}
