-- One row per account and period of a QuickBooks budget.
select
    {{ raw_provenance() }},
    raw.id as budget_id,
    {{ calendar_date('line."BudgetDate"') }} as starts_on,
    {{ decimal('line."Amount"') }} as amount,
    line."AccountRef" ->> 'value' as ledger_account_id,
    line."CustomerRef" ->> 'value' as customer_id,
    line."ClassRef" ->> 'value' as class_id,
    line."DepartmentRef" ->> 'value' as department_id,
    element.position as line_number
from {{ source('raw_quickbooks', 'budgets') }} as raw
cross join lateral jsonb_to_record(raw.payload) as budget ("BudgetDetail" jsonb)
cross join lateral {{ elements('budget."BudgetDetail"') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    "AccountRef" jsonb,
    "CustomerRef" jsonb,
    "ClassRef" jsonb,
    "DepartmentRef" jsonb,
    "BudgetDate" text,
    "Amount" text
)
