-- One row per QuickBooks budget.
select
    {{ raw_provenance() }},
    raw.id as budget_id,
    {{ timestamp("budget.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("budget.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('budget."Active"') }} as is_active,
    budget."Name" as name,
    budget."BudgetType" as budget_type,
    budget."BudgetEntryType" as entry_type,
    {{ calendar_date('budget."StartDate"') }} as starts_on,
    {{ calendar_date('budget."EndDate"') }} as ends_on
from {{ source('raw_quickbooks', 'budgets') }} as raw
cross join lateral jsonb_to_record(raw.payload) as budget (
    "MetaData" jsonb,
    "Active" text,
    "Name" text,
    "BudgetType" text,
    "BudgetEntryType" text,
    "StartDate" text,
    "EndDate" text
)
