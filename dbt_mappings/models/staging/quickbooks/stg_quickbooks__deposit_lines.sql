-- One row per line of a QuickBooks deposit.
select
    {{ raw_provenance() }},
    raw.id as deposit_id,
    {{ calendar_date('deposit."TxnDate"') }} as transaction_on,
    upper(deposit."CurrencyRef" ->> 'value') as currency,
    {{ decimal('deposit."ExchangeRate"') }} as exchange_rate,
    line."Id" as line_id,
    line."Description" as description,
    line."DetailType" as detail_type,
    {{ decimal('line."Amount"') }} as amount,
    line."DepositLineDetail" #>> '{AccountRef,value}' as ledger_account_id,
    line."DepositLineDetail" #>> '{PaymentMethodRef,value}' as payment_method_id,
    line."LinkedTxn" as linked_transactions,
    element.position as line_number
from {{ source('raw_quickbooks', 'deposits') }} as raw
cross join lateral jsonb_to_record(raw.payload) as deposit (
    "Line" jsonb,
    "CurrencyRef" jsonb,
    "ExchangeRate" text,
    "TxnDate" text
)
cross join lateral {{ elements('deposit."Line"') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    "DepositLineDetail" jsonb,
    "LinkedTxn" jsonb,
    "Id" text,
    "Description" text,
    "DetailType" text,
    "Amount" text
)
