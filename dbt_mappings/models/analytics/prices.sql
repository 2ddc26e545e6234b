-- One row per price of a product.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with prices as (
    ({{ stripe__prices() }})
    union all
    ({{ square__prices() }})
    union all
    ({{ quickbooks__prices() }})
)

select
    price.venue_id,
    price.provider,
    price.account_id,
    price.source_id,
    price.created_at,
    price.product_id,
    {{ mapped('price.name') }} as name,
    {{ mapped('price.is_active', 'boolean') }} as is_active,
    price.currency,
    price.unit_amount_minor,
    {{ money('price.unit_amount_minor_decimal', 'price.currency') }} as unit_amount,
    price.billing_interval,
    price.billing_interval_count,
    price.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    price.raw_id,
    price.raw_observed_at,
    price.raw_content_hash,
    price.deleted_at,
    price.deleted_at is not null as is_deleted
from prices as price
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('price', {'stripe': 'prices', 'square': 'catalog', 'quickbooks': 'items'}) }}
