-- One row per QuickBooks employee, inactive ones included.
select
    {{ raw_provenance() }},
    raw.id as employee_id,
    {{ timestamp("employee.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("employee.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('employee."Active"') }} as is_active,
    employee."DisplayName" as display_name,
    employee."GivenName" as given_name,
    employee."FamilyName" as family_name,
    employee."PrimaryEmailAddr" ->> 'Address' as email,
    employee."PrimaryPhone" ->> 'FreeFormNumber' as phone,
    {{ calendar_date('employee."HiredDate"') }} as hired_on,
    {{ calendar_date('employee."ReleasedDate"') }} as released_on,
    {{ decimal('employee."CostRate"') }} as cost_rate
from {{ source('raw_quickbooks', 'employees') }} as raw
cross join lateral jsonb_to_record(raw.payload) as employee (
    "MetaData" jsonb,
    "PrimaryEmailAddr" jsonb,
    "PrimaryPhone" jsonb,
    "Active" text,
    "DisplayName" text,
    "GivenName" text,
    "FamilyName" text,
    "HiredDate" text,
    "ReleasedDate" text,
    "CostRate" text
)
