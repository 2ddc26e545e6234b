{% macro stripe__invoices() -%}
select
    venue_id,
    'stripe' as provider,
    account_id,
    invoice_id as source_id,
    created_at as occurred_at,
    finalized_at,
    due_at,
    paid_at,
    voided_at,
    invoice_number,
    status,
    customer_id,
    subscription_id,
    currency,
    subtotal_amount_minor,
    discount_amount_minor,
    tax_amount_minor,
    total_amount_minor,
    due_amount_minor,
    paid_amount_minor,
    remaining_amount_minor,
    description,
    metadata,
    {{ provenance('invoice') }}
from {{ scoped(ref('stg_stripe__invoices')) }} as invoice
{%- endmacro %}
