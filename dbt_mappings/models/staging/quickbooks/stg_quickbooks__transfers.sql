-- One row per QuickBooks transfer between accounts.
select
    {{ raw_provenance() }},
    raw.id as transfer_id,
    {{ timestamp("transfer.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("transfer.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('transfer."TxnDate"') }} as transaction_on,
    transfer."DocNumber" as document_number,
    upper(transfer."CurrencyRef" ->> 'value') as currency,
    {{ decimal('transfer."ExchangeRate"') }} as exchange_rate,
    transfer."PrivateNote" as private_note,
    transfer."DepartmentRef" ->> 'value' as department_id,
    transfer."FromAccountRef" ->> 'value' as from_account_id,
    transfer."ToAccountRef" ->> 'value' as to_account_id,
    {{ decimal('transfer."Amount"') }} as amount
from {{ source('raw_quickbooks', 'transfers') }} as raw
cross join lateral jsonb_to_record(raw.payload) as transfer (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "FromAccountRef" jsonb,
    "ToAccountRef" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "Amount" text
)
