-- One row per QuickBooks department, which its users call location.
select
    {{ raw_provenance() }},
    raw.id as department_id,
    {{ timestamp("department.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("department.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('department."Active"') }} as is_active,
    department."Name" as name,
    department."FullyQualifiedName" as full_name,
    department."ParentRef" ->> 'value' as parent_id
from {{ source('raw_quickbooks', 'departments') }} as raw
cross join lateral jsonb_to_record(raw.payload) as department (
    "MetaData" jsonb,
    "ParentRef" jsonb,
    "Active" text,
    "Name" text,
    "FullyQualifiedName" text
)
