-- One row per QuickBooks purchase: an expense, cheque or card charge.
select
    {{ raw_provenance() }},
    raw.id as purchase_id,
    {{ timestamp("purchase.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("purchase.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('purchase."TxnDate"') }} as transaction_on,
    purchase."DocNumber" as document_number,
    upper(purchase."CurrencyRef" ->> 'value') as currency,
    {{ decimal('purchase."ExchangeRate"') }} as exchange_rate,
    purchase."PrivateNote" as private_note,
    purchase."DepartmentRef" ->> 'value' as department_id,
    purchase."PaymentType" as payment_type,
    {{ boolean('purchase."Credit"') }} as is_credit,
    purchase."AccountRef" ->> 'value' as ledger_account_id,
    purchase."EntityRef" ->> 'value' as payee_id,
    purchase."EntityRef" ->> 'type' as payee_type,
    {{ decimal('purchase."TotalAmt"') }} as total_amount,
    {{ decimal("purchase.\"TxnTaxDetail\" ->> 'TotalTax'") }} as tax_amount
from {{ source('raw_quickbooks', 'purchases') }} as raw
cross join lateral jsonb_to_record(raw.payload) as purchase (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "TxnTaxDetail" jsonb,
    "AccountRef" jsonb,
    "EntityRef" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "PaymentType" text,
    "Credit" text,
    "TotalAmt" text
)
