-- One row per variation of a Square item: a size or kind with its price.
select
    {{ raw_provenance() }},
    raw.id as item_variation_id,
    {{ timestamp('object.updated_at') }} as updated_at,
    object.item_variation_data ->> 'item_id' as item_id,
    object.item_variation_data ->> 'name' as name,
    object.item_variation_data ->> 'sku' as sku,
    object.item_variation_data ->> 'pricing_type' as pricing_type,
    upper(object.item_variation_data #>> '{price_money,currency}') as currency,
    {{ integer("object.item_variation_data #>> '{price_money,amount}'") }} as price_minor,
    {{ boolean("object.item_variation_data ->> 'track_inventory'") }} as tracks_inventory,
    {{ boolean("object.item_variation_data ->> 'sellable'") }} as is_sellable,
    case
        when object.item_variation_data ->> 'inventory_alert_type' = 'LOW_QUANTITY'
            then {{ decimal("object.item_variation_data ->> 'inventory_alert_threshold'") }}
    end as alert_quantity,
    object.item_variation_data -> 'location_overrides' as location_overrides,
    object.custom_attribute_values as custom_attributes
from {{ source('raw_square', 'catalog') }} as raw
cross join lateral jsonb_to_record(raw.payload) as object (
    item_variation_data jsonb,
    custom_attribute_values jsonb,
    updated_at text
)
where raw.payload ->> 'type' = 'ITEM_VARIATION'
