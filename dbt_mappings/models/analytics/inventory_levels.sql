-- One row per product that is counted, place and state: how much of it is there.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with inventory_levels as (
    ({{ square__inventory_levels() }})
    union all
    ({{ quickbooks__inventory_levels() }})
)

select
    level.venue_id,
    level.provider,
    level.account_id,
    level.source_id,
    level.counted_at,
    {{ business_date('level.counted_at') }} as business_date,
    level.location_id,
    {{ mapped('level.location_name') }} as location_name,
    level.state,
    level.product_id,
    {{ mapped('level.product_name') }} as product_name,
    level.price_id,
    {{ mapped('level.variation_name') }} as variation_name,
    {{ mapped('level.sku') }} as sku,
    level.quantity,
    {{ mapped('level.alert_quantity', 'numeric') }} as alert_quantity,
    level.currency,
    {{ whole('level.unit_amount_minor_decimal') }} as unit_amount_minor,
    {{ money('level.unit_amount_minor_decimal', 'level.currency') }} as unit_amount,
    {{ whole('level.unit_cost_minor_decimal') }} as unit_cost_minor,
    {{ money('level.unit_cost_minor_decimal', 'level.currency') }} as unit_cost,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    level.raw_id,
    level.raw_observed_at,
    level.raw_content_hash,
    level.deleted_at,
    level.deleted_at is not null as is_deleted
from inventory_levels as level
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('level', {'square': 'inventory_counts', 'quickbooks': 'items'}) }}
