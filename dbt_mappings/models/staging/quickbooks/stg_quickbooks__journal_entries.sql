-- One row per QuickBooks journal entry.
select
    {{ raw_provenance() }},
    raw.id as journal_entry_id,
    {{ timestamp("entry.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("entry.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('entry."TxnDate"') }} as transaction_on,
    entry."DocNumber" as document_number,
    upper(entry."CurrencyRef" ->> 'value') as currency,
    {{ decimal('entry."ExchangeRate"') }} as exchange_rate,
    entry."PrivateNote" as private_note,
    entry."DepartmentRef" ->> 'value' as department_id,
    {{ boolean('entry."Adjustment"') }} as is_adjustment,
    {{ decimal('entry."TotalAmt"') }} as total_amount
from {{ source('raw_quickbooks', 'journal_entries') }} as raw
cross join lateral jsonb_to_record(raw.payload) as entry (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "Adjustment" text,
    "TotalAmt" text
)
