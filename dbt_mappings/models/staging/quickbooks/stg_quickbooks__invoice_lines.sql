-- One row per line of a QuickBooks invoice.
select
    {{ raw_provenance() }},
    raw.id as invoice_id,
    {{ calendar_date('invoice."TxnDate"') }} as transaction_on,
    upper(invoice."CurrencyRef" ->> 'value') as currency,
    {{ decimal('invoice."ExchangeRate"') }} as exchange_rate,
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
from {{ source('raw_quickbooks', 'invoices') }} as raw
cross join lateral jsonb_to_record(raw.payload) as invoice (
    "Line" jsonb,
    "CurrencyRef" jsonb,
    "ExchangeRate" text,
    "TxnDate" text
)
cross join lateral {{ elements('invoice."Line"') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    "SalesItemLineDetail" jsonb,
    "DiscountLineDetail" jsonb,
    "Id" text,
    "Description" text,
    "DetailType" text,
    "Amount" text
)
