-- One row per QuickBooks refund receipt.
select
    {{ raw_provenance() }},
    raw.id as refund_receipt_id,
    {{ timestamp("receipt.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("receipt.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('receipt."TxnDate"') }} as transaction_on,
    receipt."DocNumber" as document_number,
    upper(receipt."CurrencyRef" ->> 'value') as currency,
    {{ decimal('receipt."ExchangeRate"') }} as exchange_rate,
    receipt."PrivateNote" as private_note,
    receipt."DepartmentRef" ->> 'value' as department_id,
    receipt."CustomerRef" ->> 'value' as customer_id,
    {{ decimal('receipt."TotalAmt"') }} as total_amount,
    {{ decimal("receipt.\"TxnTaxDetail\" ->> 'TotalTax'") }} as tax_amount,
    {{ decimal('receipt."Balance"') }} as balance,
    receipt."CustomerMemo" ->> 'value' as customer_memo,
    receipt."ClassRef" ->> 'value' as class_id,
    receipt."PaymentMethodRef" ->> 'value' as payment_method_id,
    receipt."DepositToAccountRef" ->> 'value' as deposit_account_id
from {{ source('raw_quickbooks', 'refund_receipts') }} as raw
cross join lateral jsonb_to_record(raw.payload) as receipt (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "CustomerRef" jsonb,
    "TxnTaxDetail" jsonb,
    "CustomerMemo" jsonb,
    "ClassRef" jsonb,
    "PaymentMethodRef" jsonb,
    "DepositToAccountRef" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "TotalAmt" text,
    "Balance" text
)
