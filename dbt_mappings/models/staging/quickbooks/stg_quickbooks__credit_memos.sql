-- One row per QuickBooks credit memo.
select
    {{ raw_provenance() }},
    raw.id as credit_memo_id,
    {{ timestamp("memo.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("memo.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('memo."TxnDate"') }} as transaction_on,
    memo."DocNumber" as document_number,
    upper(memo."CurrencyRef" ->> 'value') as currency,
    {{ decimal('memo."ExchangeRate"') }} as exchange_rate,
    memo."PrivateNote" as private_note,
    memo."DepartmentRef" ->> 'value' as department_id,
    memo."CustomerRef" ->> 'value' as customer_id,
    {{ decimal('memo."TotalAmt"') }} as total_amount,
    {{ decimal("memo.\"TxnTaxDetail\" ->> 'TotalTax'") }} as tax_amount,
    {{ decimal('memo."Balance"') }} as balance,
    memo."CustomerMemo" ->> 'value' as customer_memo,
    memo."ClassRef" ->> 'value' as class_id,
    {{ decimal('memo."RemainingCredit"') }} as remaining_credit_amount,
    memo."LinkedTxn" as linked_transactions
from {{ source('raw_quickbooks', 'credit_memos') }} as raw
cross join lateral jsonb_to_record(raw.payload) as memo (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "CustomerRef" jsonb,
    "TxnTaxDetail" jsonb,
    "CustomerMemo" jsonb,
    "ClassRef" jsonb,
    "LinkedTxn" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "TotalAmt" text,
    "Balance" text,
    "RemainingCredit" text
)
