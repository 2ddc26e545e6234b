-- One row per line of a QuickBooks refund receipt.
select
    {{ raw_provenance() }},
    raw.id as refund_receipt_id,
    {{ calendar_date('receipt."TxnDate"') }} as transaction_on,
    upper(receipt."CurrencyRef" ->> 'value') as currency,
    {{ decimal('receipt."ExchangeRate"') }} as exchange_rate,
    line."Id" as line_id,
    line."Description" as description,
    line."DetailType" as detail_type,
    {{ decimal('line."Amount"') }} as amount,
    line."SalesItemLineDetail" #>> '{ItemRef,value}' as item_id,
    {{ decimal("line.\"SalesItemLineDetail\" ->> 'Qty'") }} as quantity,
    {{ decimal("line.\"SalesItemLineDetail\" ->> 'UnitPrice'") }} as unit_price,
    coalesce(
        line."SalesItemLineDetail" #>> '{ItemAccountRef,value}',
        line."DiscountLineDetail" #>> '{DiscountAccountRef,value}'
    ) as ledger_account_id,
    line."SalesItemLineDetail" #>> '{ClassRef,value}' as class_id,
    line."SalesItemLineDetail" #>> '{TaxCodeRef,value}' as tax_code_id,
    {{ decimal("line.\"DiscountLineDetail\" ->> 'DiscountPercent'") }} as discount_percent,
    element.position as line_number
from {{ source('raw_quickbooks', 'refund_receipts') }} as raw
cross join lateral jsonb_to_record(raw.payload) as receipt (
    "Line" jsonb,
    "CurrencyRef" jsonb,
    "ExchangeRate" text,
    "TxnDate" text
)
cross join lateral {{ elements('receipt."Line"') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    "SalesItemLineDetail" jsonb,
    "DiscountLineDetail" jsonb,
    "Id" text,
    "Description" text,
    "DetailType" text,
    "Amount" text
)
