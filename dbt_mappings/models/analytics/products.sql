-- One row per product that a venue sells, as one provider account knows it.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with products as (
    ({{ stripe__products() }})
    union all
    ({{ square__products() }})
    union all
    ({{ quickbooks__products() }})
)

select
    product.venue_id,
    product.provider,
    product.account_id,
    product.source_id,
    product.created_at,
    product.updated_at,
    {{ mapped('product.name') }} as name,
    {{ mapped('product.description') }} as description,
    {{ mapped('product.is_active', 'boolean') }} as is_active,
    product.default_price_id,
    {{ mapped('product.unit_label') }} as unit_label,
    {{ mapped('product.tax_code') }} as tax_code,
    product.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    product.raw_id,
    product.raw_observed_at,
    product.raw_content_hash,
    product.deleted_at,
    product.deleted_at is not null as is_deleted
from products as product
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('product', {'stripe': 'products', 'square': 'catalog', 'quickbooks': 'items'}) }}
