{% macro quickbooks__expenses() -%}
{#-
    Lines of purchases, bills and vendors' credits, whose ids are of one sequence. Money back takes
    off: vendors' credits, and purchases that are credits. The tax of a document is a line of its own
    without an account, for lines are without it. An item's cost goes to its asset account where its
    quantity is tracked, else to its expense account. QuickBooks knows the day, not the time: it
    stands at the opening of that business day.
-#}
with documents as (
    select
        venue_id, account_id, purchase_id as source_id, 'purchase' as document_type,
        case when is_credit then -1 else 1 end as direction, created_at, transaction_on, null::date as due_on,
        document_number, case payee_type when 'Vendor' then payee_id end as vendor_id,
        ledger_account_id as settlement_account_id, department_id, currency, exchange_rate, private_note,
        total_amount, tax_amount, null::numeric as balance, {{ provenance('purchase') }}
    from {{ scoped(ref('stg_quickbooks__purchases')) }} as purchase

    union all

    select
        venue_id, account_id, bill_id as source_id, 'bill' as document_type,
        1 as direction, created_at, transaction_on, due_on,
        document_number, vendor_id,
        payable_account_id as settlement_account_id, department_id, currency, exchange_rate, private_note,
        total_amount, tax_amount, balance, {{ provenance('bill') }}
    from {{ scoped(ref('stg_quickbooks__bills')) }} as bill

    union all

    select
        venue_id, account_id, vendor_credit_id as source_id, 'vendor_credit' as document_type,
        -1 as direction, created_at, transaction_on, null::date as due_on,
        document_number, vendor_id,
        payable_account_id as settlement_account_id, department_id, currency, exchange_rate, private_note,
        total_amount, tax_amount, balance, {{ provenance('credit') }}
    from {{ scoped(ref('stg_quickbooks__vendor_credits')) }} as credit
),

lines as (
    {%- for document in ('purchase', 'bill', 'vendor_credit') %}
    select
        line.venue_id, line.account_id, line.{{ document }}_id as source_id,
        coalesce(line.line_id, line.line_number::text) as line_id, line.line_number,
        case when line.item_id is null then 'account' else 'item' end as line_type, line.description,
        coalesce(
            line.ledger_account_id,
            case when item.tracks_quantity then item.asset_account_id end,
            item.expense_account_id
        ) as ledger_account_id,
        line.item_id, line.quantity, line.class_id, line.amount
    from {{ scoped(ref('stg_quickbooks__' ~ document ~ '_lines')) }} as line
    left join {{ scoped(ref('stg_quickbooks__items')) }} as item
        using (venue_id, account_id, item_id)
    where line.detail_type in ('AccountBasedExpenseLineDetail', 'ItemBasedExpenseLineDetail')

    union all
    {% endfor %}
    select
        venue_id, account_id, source_id, 'tax' as line_id, null as line_number, 'tax' as line_type,
        null as description, null as ledger_account_id, null as item_id, null as quantity,
        null as class_id, tax_amount as amount
    from documents
    where tax_amount <> 0
)

select
    line.venue_id,
    'quickbooks' as provider,
    line.account_id,
    line.source_id,
    line.line_id,
    line.line_number,
    line.line_type,
    document.document_type,
    document.document_number,
    {{ opening('document.transaction_on') }} as occurred_at,
    document.created_at,
    document.due_on,
    case
        when document.total_amount = 0 and document.private_note ilike 'voided%' then 'void'
        when document.balance <> 0 then 'open'
        else 'paid'
    end as status,
    document.vendor_id,
    vendor.display_name as vendor_name,
    line.ledger_account_id,
    document.settlement_account_id,
    line.item_id as product_id,
    line.quantity,
    line.class_id,
    document.department_id,
    line.description,
    document.private_note as note,
    document.currency,
    {{ minor_units('document.direction * line.amount', 'document.currency') }} as amount_minor,
    document.exchange_rate,
    {{ provenance('document') }}
from lines as line
join documents as document using (venue_id, account_id, source_id)
left join {{ scoped(ref('stg_quickbooks__vendors')) }} as vendor
    on vendor.venue_id = document.venue_id
    and vendor.account_id = document.account_id
    and vendor.vendor_id = document.vendor_id
left join {{ source('control', 'venues') }} as venue on venue.venue_id = line.venue_id
{%- endmacro %}
