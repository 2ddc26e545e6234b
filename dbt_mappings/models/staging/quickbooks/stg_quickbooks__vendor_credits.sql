-- One row per QuickBooks credit of a vendor.
select
    {{ raw_provenance() }},
    raw.id as vendor_credit_id,
    {{ timestamp("credit.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("credit.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('credit."TxnDate"') }} as transaction_on,
    credit."DocNumber" as document_number,
    upper(credit."CurrencyRef" ->> 'value') as currency,
    {{ decimal('credit."ExchangeRate"') }} as exchange_rate,
    credit."PrivateNote" as private_note,
    credit."DepartmentRef" ->> 'value' as department_id,
    credit."VendorRef" ->> 'value' as vendor_id,
    {{ decimal('credit."TotalAmt"') }} as total_amount,
    {{ decimal("credit.\"TxnTaxDetail\" ->> 'TotalTax'") }} as tax_amount,
    {{ decimal('credit."Balance"') }} as balance,
    credit."APAccountRef" ->> 'value' as payable_account_id
from {{ source('raw_quickbooks', 'vendor_credits') }} as raw
cross join lateral jsonb_to_record(raw.payload) as credit (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "TxnTaxDetail" jsonb,
    "VendorRef" jsonb,
    "APAccountRef" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "TotalAmt" text,
    "Balance" text
)
