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
    product.name,
    product.description,
    product.is_active,
    product.default_price_id,
    product.unit_label,
    product.tax_code,
    product.metadata,
    product.raw_id,
    product.raw_observed_at,
    product.raw_content_hash,
    product.deleted_at,
    product.deleted_at is not null as is_deleted
from products as product
join {{ source('control', 'venues') }} as venue using (venue_id)
