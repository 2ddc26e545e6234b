-- One row per item of a Square catalog: what is sold.
select
    {{ raw_provenance() }},
    raw.id as item_id,
    {{ timestamp('object.updated_at') }} as updated_at,
    object.item_data ->> 'name' as name,
    object.item_data ->> 'description' as description,
    object.item_data ->> 'product_type' as product_type,
    {{ boolean("object.item_data ->> 'is_taxable'") }} as is_taxable,
    {{ boolean("object.item_data ->> 'is_archived'") }} as is_archived,
    object.item_data -> 'categories' as category_ids,
    object.item_data -> 'tax_ids' as tax_ids,
    object.custom_attribute_values as custom_attributes
from {{ source('raw_square', 'catalog') }} as raw
cross join lateral jsonb_to_record(raw.payload) as object (
    item_data jsonb,
    custom_attribute_values jsonb,
    updated_at text
)
where raw.payload ->> 'type' = 'ITEM'
