-- One row per order: a sale, or what was given back of one, at a till, in a web shop or at a checkout.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}, {'columns': ['venue_id', 'business_date']}]) }}

-- QuickBooks' sales receipts are books: they tell once more of what was sold here.
with orders as (
    ({{ stripe__orders() }})
    union all
    ({{ square__orders() }})
)

select
    sale.venue_id,
    sale.provider,
    sale.account_id,
    sale.source_id,
    coalesce(sale.closed_at, sale.created_at) as occurred_at,
    {{ business_date('coalesce(sale.closed_at, sale.created_at)') }} as business_date,
    sale.created_at,
    sale.closed_at,
    sale.status,
    sale.location_id,
    {{ mapped('sale.location_name') }} as location_name,
    {{ mapped('sale.channel') }} as channel,
    {{ mapped('sale.reference') }} as reference,
    sale.customer_id,
    {{ mapped('sale.customer_email') }} as customer_email,
    sale.invoice_id,
    sale.currency,
    sale.subtotal_amount_minor,
    {{ money('sale.subtotal_amount_minor', 'sale.currency') }} as subtotal_amount,
    sale.discount_amount_minor,
    {{ money('sale.discount_amount_minor', 'sale.currency') }} as discount_amount,
    sale.tax_amount_minor,
    {{ money('sale.tax_amount_minor', 'sale.currency') }} as tax_amount,
    sale.tip_amount_minor,
    {{ money('sale.tip_amount_minor', 'sale.currency') }} as tip_amount,
    sale.service_charge_amount_minor,
    {{ money('sale.service_charge_amount_minor', 'sale.currency') }} as service_charge_amount,
    sale.total_amount_minor,
    {{ money('sale.total_amount_minor', 'sale.currency') }} as total_amount,
    sale.return_amount_minor,
    {{ money('sale.return_amount_minor', 'sale.currency') }} as return_amount,
    sale.total_amount_minor - coalesce(sale.return_amount_minor, 0) as net_amount_minor,
    {{ money('(sale.total_amount_minor - coalesce(sale.return_amount_minor, 0))', 'sale.currency') }} as net_amount,
    sale.due_amount_minor,
    {{ money('sale.due_amount_minor', 'sale.currency') }} as due_amount,
    sale.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    sale.raw_id,
    sale.raw_observed_at,
    sale.raw_content_hash,
    sale.deleted_at,
    sale.deleted_at is not null as is_deleted
from orders as sale
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('sale', {'stripe': 'checkout_sessions', 'square': 'orders'}) }}
