-- One row per QuickBooks payment of bills.
select
    {{ raw_provenance() }},
    raw.id as bill_payment_id,
    {{ timestamp("payment.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("payment.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ calendar_date('payment."TxnDate"') }} as transaction_on,
    payment."DocNumber" as document_number,
    upper(payment."CurrencyRef" ->> 'value') as currency,
    {{ decimal('payment."ExchangeRate"') }} as exchange_rate,
    payment."PrivateNote" as private_note,
    payment."DepartmentRef" ->> 'value' as department_id,
    payment."VendorRef" ->> 'value' as vendor_id,
    {{ decimal('payment."TotalAmt"') }} as total_amount,
    payment."PayType" as payment_type,
    payment."CheckPayment" #>> '{BankAccountRef,value}' as bank_account_id,
    payment."CreditCardPayment" #>> '{CCAccountRef,value}' as credit_card_account_id,
    payment."Line" as lines
from {{ source('raw_quickbooks', 'bill_payments') }} as raw
cross join lateral jsonb_to_record(raw.payload) as payment (
    "MetaData" jsonb,
    "CurrencyRef" jsonb,
    "DepartmentRef" jsonb,
    "VendorRef" jsonb,
    "CheckPayment" jsonb,
    "CreditCardPayment" jsonb,
    "Line" jsonb,
    "TxnDate" text,
    "DocNumber" text,
    "ExchangeRate" text,
    "PrivateNote" text,
    "TotalAmt" text,
    "PayType" text
)
