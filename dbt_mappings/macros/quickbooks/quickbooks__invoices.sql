{% macro quickbooks__invoices() -%}
{#-
    QuickBooks knows the day of an invoice, not its time: it stands at the opening of that business
    day. A voided invoice keeps its number and nothing of its amounts.
-#}
with discounts as (
    select venue_id, account_id, invoice_id, sum(amount) as amount
    from {{ scoped(ref('stg_quickbooks__invoice_lines')) }} as line
    where detail_type = 'DiscountLineDetail'
    group by venue_id, account_id, invoice_id
)

select
    invoice.venue_id,
    'quickbooks' as provider,
    invoice.account_id,
    invoice.invoice_id as source_id,
    {{ opening('invoice.transaction_on') }} as occurred_at,
    invoice.created_at as finalized_at,
    {{ opening('invoice.due_on') }} as due_at,
    null::timestamptz as paid_at,
    case when invoice.is_voided then invoice.updated_at end as voided_at,
    invoice.document_number as invoice_number,
    case
        when invoice.is_voided then 'void'
        when invoice.balance = 0 then 'paid'
        else 'open'
    end as status,
    invoice.customer_id,
    null as subscription_id,
    invoice.currency,
    {{ minor_units('(invoice.total_amount - coalesce(invoice.tax_amount, 0) + coalesce(discounts.amount, 0))', 'invoice.currency') }}
        as subtotal_amount_minor,
    {{ minor_units('coalesce(discounts.amount, 0)', 'invoice.currency') }} as discount_amount_minor,
    {{ minor_units('invoice.tax_amount', 'invoice.currency') }} as tax_amount_minor,
    {{ minor_units('invoice.total_amount', 'invoice.currency') }} as total_amount_minor,
    {{ minor_units('invoice.total_amount', 'invoice.currency') }} as due_amount_minor,
    {{ minor_units('(invoice.total_amount - invoice.balance)', 'invoice.currency') }} as paid_amount_minor,
    {{ minor_units('invoice.balance', 'invoice.currency') }} as remaining_amount_minor,
    invoice.customer_memo as description,
    invoice.custom_fields as metadata,
    {{ provenance('invoice') }}
from (
    select *, total_amount = 0 and private_note ilike 'voided%' as is_voided
    from {{ scoped(ref('stg_quickbooks__invoices')) }} as invoice
) as invoice
left join discounts using (venue_id, account_id, invoice_id)
left join {{ source('control', 'venues') }} as venue using (venue_id)
{%- endmacro %}
