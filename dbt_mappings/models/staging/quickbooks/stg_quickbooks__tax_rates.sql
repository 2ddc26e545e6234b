-- One row per QuickBooks tax rate.
select
    {{ raw_provenance() }},
    raw.id as tax_rate_id,
    {{ timestamp("rate.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("rate.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('rate."Active"') }} as is_active,
    rate."Name" as name,
    rate."Description" as description,
    {{ decimal('rate."RateValue"') }} as percent,
    rate."AgencyRef" ->> 'value' as agency_id
from {{ source('raw_quickbooks', 'tax_rates') }} as raw
cross join lateral jsonb_to_record(raw.payload) as rate (
    "MetaData" jsonb,
    "AgencyRef" jsonb,
    "Active" text,
    "Name" text,
    "Description" text,
    "RateValue" text
)
