-- One row per QuickBooks payment: what a customer paid towards invoices.
select
    {{ raw_provenance() }},
    raw.id as payment_id,
    {{ timestamp("payment.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("payment.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('payment."TxnDate"') }} as transaction_on,
    payment."DocNumber" as document_number,
    upper(payment."CurrencyRef" ->> 'value') as currency,
    {{ decimal('payment."ExchangeRate"') }} as exchange_rate,
    payment."PrivateNote" as private_note,
    payment."DepartmentRef" ->> 'value' as department_id,
    payment."CustomerRef" ->> 'value' as customer_id,
    {{ decimal('payment."TotalAmt"') }} as total_amount,
    {{ decimal('payment."UnappliedAmt"') }} as unapplied_amount,
    payment."PaymentMethodRef" ->> 'value' as payment_method_id,
    payment."PaymentRefNum" as reference_number,
    payment."DepositToAccountRef" ->> 'value' as deposit_account_id,
    payment."Line" as lines
from {{ source('raw_quickbooks', 'payments') }} as raw
cross join lateral jsonb_to_record(raw.payload) as payment (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "CustomerRef" jsonb,
    "PaymentMethodRef" jsonb,
    "DepositToAccountRef" jsonb,
    "Line" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "TotalAmt" text,
    "UnappliedAmt" text,
    "PaymentRefNum" text
)
