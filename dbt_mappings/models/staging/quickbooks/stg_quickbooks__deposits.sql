-- One row per QuickBooks deposit to a bank account.
select
    {{ raw_provenance() }},
    raw.id as deposit_id,
    {{ timestamp("deposit.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("deposit.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('deposit."TxnDate"') }} as transaction_on,
    deposit."DocNumber" as document_number,
    upper(deposit."CurrencyRef" ->> 'value') as currency,
    {{ decimal('deposit."ExchangeRate"') }} as exchange_rate,
    deposit."PrivateNote" as private_note,
    deposit."DepartmentRef" ->> 'value' as department_id,
    deposit."DepositToAccountRef" ->> 'value' as deposit_account_id,
    {{ decimal('deposit."TotalAmt"') }} as total_amount
from {{ source('raw_quickbooks', 'deposits') }} as raw
cross join lateral jsonb_to_record(raw.payload) as deposit (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "DepositToAccountRef" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "TotalAmt" text
)
