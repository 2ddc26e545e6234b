-- One row per QuickBooks class.
select
    {{ raw_provenance() }},
    raw.id as class_id,
    {{ timestamp("class.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("class.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('class."Active"') }} as is_active,
    class."Name" as name,
    class."FullyQualifiedName" as full_name,
    class."ParentRef" ->> 'value' as parent_id
from {{ source('raw_quickbooks', 'classes') }} as raw
cross join lateral jsonb_to_record(raw.payload) as class (
    "MetaData" jsonb,
    "ParentRef" jsonb,
    "Active" text,
    "Name" text,
    "FullyQualifiedName" text
)
