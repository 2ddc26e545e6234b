-- One row per QuickBooks payment method.
select
    {{ raw_provenance() }},
    raw.id as payment_method_id,
    {{ timestamp("method.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("method.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('method."Active"') }} as is_active,
    method."Name" as name,
    method."Type" as method_type
from {{ source('raw_quickbooks', 'payment_methods') }} as raw
cross join lateral jsonb_to_record(raw.payload) as method (
    "MetaData" jsonb,
    "Active" text,
    "Name" text,
    "Type" text
)
