-- One row per Stripe product, deleted ones included.
select
    {{ raw_provenance(deleted='product.deleted') }},
    raw.id as product_id,
    {{ instant('product.created') }} as created_at,
    {{ instant('product.updated') }} as updated_at,
    product.name,
    product.description,
    product.type,
    {{ boolean('product.active') }} as is_active,
    {{ reference('product.default_price') }} as default_price_id,
    product.unit_label,
    {{ reference('product.tax_code') }} as tax_code,
    product.url,
    product.livemode = 'true' as is_live,
    product.metadata
from {{ source('raw_stripe', 'products') }} as raw
cross join lateral jsonb_to_record(raw.payload) as product (
    created text,
    updated text,
    name text,
    description text,
    type text,
    active text,
    default_price jsonb,
    unit_label text,
    tax_code jsonb,
    url text,
    livemode text,
    deleted text,
    metadata jsonb
)
