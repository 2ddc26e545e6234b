-- One row per object of a Square catalog, of whatever type, deleted ones included.
select
    {{ raw_provenance() }},
    raw.id as object_id,
    {{ timestamp('object.updated_at') }} as updated_at,
    {{ integer('object.version') }} as version,
    object.type as object_type,
    {{ boolean('object.is_deleted') }} as is_deleted_at_square,
    {{ boolean('object.present_at_all_locations') }} as is_at_all_locations,
    object.present_at_location_ids,
    object.absent_at_location_ids,
    object.custom_attribute_values as custom_attributes,
    coalesce(
        object.item_data, object.item_variation_data, object.category_data, object.tax_data, object.discount_data,
        object.modifier_data, object.modifier_list_data, object.image_data, object.subscription_plan_data,
        object.subscription_plan_variation_data
    ) ->> 'name' as name
from {{ source('raw_square', 'catalog') }} as raw
cross join lateral jsonb_to_record(raw.payload) as object (
    present_at_location_ids jsonb,
    absent_at_location_ids jsonb,
    custom_attribute_values jsonb,
    updated_at text,
    version text,
    type text,
    is_deleted text,
    present_at_all_locations text,
    item_data jsonb,
    item_variation_data jsonb,
    category_data jsonb,
    tax_data jsonb,
    discount_data jsonb,
    modifier_data jsonb,
    modifier_list_data jsonb,
    image_data jsonb,
    subscription_plan_data jsonb,
    subscription_plan_variation_data jsonb
)
