-- One row per QuickBooks time activity: hours that somebody worked.
select
    {{ raw_provenance() }},
    raw.id as time_activity_id,
    {{ timestamp("activity.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("activity.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('activity."TxnDate"') }} as transaction_on,
    activity."NameOf" as name_of,
    activity."EmployeeRef" ->> 'value' as employee_id,
    activity."VendorRef" ->> 'value' as vendor_id,
    activity."CustomerRef" ->> 'value' as customer_id,
    activity."DepartmentRef" ->> 'value' as department_id,
    activity."ItemRef" ->> 'value' as item_id,
    {{ integer('activity."Hours"') }} as hours,
    {{ integer('activity."Minutes"') }} as minutes,
    {{ decimal('activity."HourlyRate"') }} as hourly_rate,
    activity."BillableStatus" as billable_status,
    activity."Description" as description
from {{ source('raw_quickbooks', 'time_activities') }} as raw
cross join lateral jsonb_to_record(raw.payload) as activity (
    "MetaData" jsonb,
    "EmployeeRef" jsonb,
    "VendorRef" jsonb,
    "CustomerRef" jsonb,
    "DepartmentRef" jsonb,
    "ItemRef" jsonb,
    "TxnDate" text,
    "NameOf" text,
    "Hours" text,
    "Minutes" text,
    "HourlyRate" text,
    "BillableStatus" text,
    "Description" text
)
