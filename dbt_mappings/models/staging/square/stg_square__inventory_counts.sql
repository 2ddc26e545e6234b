-- One row per Square item variation, location and state: how many are there.
select
    {{ raw_provenance() }},
    raw.id as inventory_count_id,
    {{ timestamp('inventory_count.calculated_at') }} as calculated_at,
    inventory_count.catalog_object_id as item_variation_id,
    inventory_count.location_id,
    inventory_count.state,
    {{ decimal('inventory_count.quantity') }} as quantity
from {{ source('raw_square', 'inventory_counts') }} as raw
cross join lateral jsonb_to_record(raw.payload) as inventory_count (
    calculated_at text,
    catalog_object_id text,
    location_id text,
    state text,
    quantity text
)
