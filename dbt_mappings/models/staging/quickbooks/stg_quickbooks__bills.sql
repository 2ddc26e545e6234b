-- One row per QuickBooks bill of a vendor.
select
    {{ raw_provenance() }},
    raw.id as bill_id,
    {{ timestamp("bill.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("bill.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('bill."TxnDate"') }} as transaction_on,
    bill."DocNumber" as document_number,
    upper(bill."CurrencyRef" ->> 'value') as currency,
    {{ decimal('bill."ExchangeRate"') }} as exchange_rate,
    bill."PrivateNote" as private_note,
    bill."DepartmentRef" ->> 'value' as department_id,
    bill."VendorRef" ->> 'value' as vendor_id,
    {{ decimal('bill."TotalAmt"') }} as total_amount,
    {{ decimal("bill.\"TxnTaxDetail\" ->> 'TotalTax'") }} as tax_amount,
    {{ decimal('bill."Balance"') }} as balance,
    {{ calendar_date('bill."DueDate"') }} as due_on,
    bill."SalesTermRef" ->> 'value' as term_id,
    bill."APAccountRef" ->> 'value' as payable_account_id,
    bill."LinkedTxn" as linked_transactions
from {{ source('raw_quickbooks', 'bills') }} as raw
cross join lateral jsonb_to_record(raw.payload) as bill (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "TxnTaxDetail" jsonb,
    "VendorRef" jsonb,
    "SalesTermRef" jsonb,
    "APAccountRef" jsonb,
    "LinkedTxn" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "TotalAmt" text,
    "Balance" text,
    "DueDate" text
)
