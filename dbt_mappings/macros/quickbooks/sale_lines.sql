{% macro quickbooks__sale_lines(document) -%}
{#-
    One row per line of a document that sells or takes back: an invoice, a receipt, a credit memo. A
    bundle is the lines of the items in it, which alone say their accounts.
-#}
select
    {{ raw_provenance() }},
    raw.id as {{ document }}_id,
    {{ calendar_date('sale."TxnDate"') }} as transaction_on,
    upper(sale."CurrencyRef" ->> 'value') as currency,
    {{ decimal('sale."ExchangeRate"') }} as exchange_rate,
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
from {{ source('raw_quickbooks', document ~ 's') }} as raw
cross join lateral jsonb_to_record(raw.payload) as sale (
    "Line" jsonb,
    "CurrencyRef" jsonb,
    "ExchangeRate" text,
    "TxnDate" text
)
cross join lateral (values (
    case
        when sale."Line" @> '[{"DetailType": "GroupLineDetail"}]' then (
            select jsonb_agg(within.body order by line.position, within.position)
            from {{ elements('sale."Line"') }} with ordinality as line (body, position)
            cross join lateral {{ elements("coalesce(line.body #> '{GroupLineDetail,Line}', line.body)") }}
                with ordinality as within (body, position)
        )
        else sale."Line"
    end
)) as opened (lines)
cross join lateral {{ elements('opened.lines') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    "SalesItemLineDetail" jsonb,
    "DiscountLineDetail" jsonb,
    "Id" text,
    "Description" text,
    "DetailType" text,
    "Amount" text
)
{%- endmacro %}
