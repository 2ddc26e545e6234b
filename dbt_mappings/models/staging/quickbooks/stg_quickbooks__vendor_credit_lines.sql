-- One row per line of a QuickBooks credit of a vendor.
select
    {{ raw_provenance() }},
    raw.id as vendor_credit_id,
    {{ calendar_date('credit."TxnDate"') }} as transaction_on,
    upper(credit."CurrencyRef" ->> 'value') as currency,
    line."Id" as line_id,
    line."Description" as description,
    line."DetailType" as detail_type,
    {{ decimal('line."Amount"') }} as amount,
    line."AccountBasedExpenseLineDetail" #>> '{AccountRef,value}' as ledger_account_id,
    line."ItemBasedExpenseLineDetail" #>> '{ItemRef,value}' as item_id,
    {{ decimal("line.\"ItemBasedExpenseLineDetail\" ->> 'Qty'") }} as quantity,
    line."AccountBasedExpenseLineDetail" #>> '{ClassRef,value}' as class_id,
    line."AccountBasedExpenseLineDetail" ->> 'BillableStatus' as billable_status,
    element.position as line_number
from {{ source('raw_quickbooks', 'vendor_credits') }} as raw
cross join lateral jsonb_to_record(raw.payload) as credit ("Line" jsonb, "CurrencyRef" jsonb, "TxnDate" text)
cross join lateral {{ elements('credit."Line"') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    "AccountBasedExpenseLineDetail" jsonb,
    "ItemBasedExpenseLineDetail" jsonb,
    "Id" text,
    "Description" text,
    "DetailType" text,
    "Amount" text
)
