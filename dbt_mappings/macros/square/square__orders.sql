{% macro square__orders() -%}
{#- What is given back is an order of its own at Square, with returns in place of lines. -#}
select
    sale.venue_id,
    'square' as provider,
    sale.account_id,
    sale.order_id as source_id,
    sale.created_at,
    sale.closed_at,
    lower(sale.state) as status,
    sale.location_id,
    location.name as location_name,
    sale.source_name as channel,
    sale.reference_id as reference,
    sale.customer_id,
    null as customer_email,
    invoice.invoice_id,
    sale.currency,
    coalesce(sale.subtotal_amount_minor, 0) as subtotal_amount_minor,
    coalesce(sale.discount_amount_minor, 0) as discount_amount_minor,
    coalesce(sale.tax_amount_minor, 0) as tax_amount_minor,
    coalesce(sale.tip_amount_minor, 0) as tip_amount_minor,
    coalesce(sale.service_charge_amount_minor, 0) as service_charge_amount_minor,
    sale.total_amount_minor,
    coalesce(sale.return_amount_minor, 0) as return_amount_minor,
    sale.due_amount_minor,
    sale.metadata,
    {{ provenance('sale') }}
from {{ scoped(ref('stg_square__orders')) }} as sale
left join {{ scoped(ref('stg_square__locations')) }} as location
    using (venue_id, account_id, location_id)
left join (
    select distinct on (venue_id, account_id, order_id) venue_id, account_id, order_id, invoice_id
    from {{ scoped(ref('stg_square__invoices')) }} as invoice
    where order_id is not null
    order by venue_id, account_id, order_id, invoice_id
) as invoice using (venue_id, account_id, order_id)
{%- endmacro %}
