-- One row per invoice that a venue wrote, drafts and voided ones included. Invoices are no revenue: payments are.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with invoices as (
    ({{ stripe__invoices() }})
    union all
    ({{ square__invoices() }})
    union all
    ({{ quickbooks__invoices() }})
)

select
    invoice.venue_id,
    invoice.provider,
    invoice.account_id,
    invoice.source_id,
    invoice.occurred_at,
    {{ business_date('invoice.occurred_at') }} as business_date,
    invoice.finalized_at,
    invoice.due_at,
    invoice.paid_at,
    invoice.voided_at,
    {{ mapped('invoice.invoice_number') }} as invoice_number,
    invoice.status,
    invoice.customer_id,
    invoice.subscription_id,
    invoice.currency,
    invoice.subtotal_amount_minor,
    {{ money('invoice.subtotal_amount_minor', 'invoice.currency') }} as subtotal_amount,
    invoice.discount_amount_minor,
    {{ money('invoice.discount_amount_minor', 'invoice.currency') }} as discount_amount,
    invoice.tax_amount_minor,
    {{ money('invoice.tax_amount_minor', 'invoice.currency') }} as tax_amount,
    invoice.total_amount_minor,
    {{ money('invoice.total_amount_minor', 'invoice.currency') }} as total_amount,
    invoice.due_amount_minor,
    {{ money('invoice.due_amount_minor', 'invoice.currency') }} as due_amount,
    invoice.paid_amount_minor,
    {{ money('invoice.paid_amount_minor', 'invoice.currency') }} as paid_amount,
    invoice.remaining_amount_minor,
    {{ money('invoice.remaining_amount_minor', 'invoice.currency') }} as remaining_amount,
    {{ mapped('invoice.description') }} as description,
    invoice.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    invoice.raw_id,
    invoice.raw_observed_at,
    invoice.raw_content_hash,
    invoice.deleted_at,
    invoice.deleted_at is not null as is_deleted
from invoices as invoice
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('invoice', {'stripe': 'invoices', 'square': 'invoices', 'quickbooks': 'invoices'}) }}
