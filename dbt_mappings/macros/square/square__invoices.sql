{% macro square__invoices() -%}
{#- What is owed stands on the invoice, what it is made of on its order. -#}
select
    invoice.venue_id,
    'square' as provider,
    invoice.account_id,
    invoice.invoice_id as source_id,
    invoice.created_at as occurred_at,
    null::timestamptz as finalized_at,
    invoice.due_on::timestamp at time zone 'UTC' as due_at,
    null::timestamptz as paid_at,
    case when invoice.status = 'CANCELED' then invoice.updated_at end as voided_at,
    invoice.invoice_number,
    case
        when invoice.status in ('PAID', 'PARTIALLY_REFUNDED', 'REFUNDED') then 'paid'
        when invoice.status in ('UNPAID', 'SCHEDULED', 'PARTIALLY_PAID', 'PAYMENT_PENDING') then 'open'
        when invoice.status = 'CANCELED' then 'void'
        when invoice.status = 'FAILED' then 'uncollectible'
        else lower(invoice.status)
    end as status,
    invoice.customer_id,
    invoice.subscription_id,
    coalesce(invoice.currency, sale.currency) as currency,
    invoice.total_amount_minor - coalesce(sale.tax_amount_minor, 0) + coalesce(sale.discount_amount_minor, 0)
        as subtotal_amount_minor,
    sale.discount_amount_minor,
    sale.tax_amount_minor,
    invoice.total_amount_minor,
    invoice.total_amount_minor as due_amount_minor,
    coalesce(invoice.paid_amount_minor, 0) as paid_amount_minor,
    invoice.total_amount_minor - coalesce(invoice.paid_amount_minor, 0) as remaining_amount_minor,
    coalesce(invoice.title, invoice.description) as description,
    invoice.custom_fields as metadata,
    {{ provenance('invoice') }}
from {{ scoped(ref('stg_square__invoices')) }} as invoice
left join {{ scoped(ref('stg_square__orders')) }} as sale
    using (venue_id, account_id, order_id)
{%- endmacro %}
