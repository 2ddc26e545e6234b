-- One row per line of an invoice; source_id is the invoice's.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id', 'line_id']}]) }}

with invoice_lines as (
    ({{ stripe__invoice_lines() }})
    union all
    ({{ square__invoice_lines() }})
    union all
    ({{ quickbooks__invoice_lines() }})
)

select
    line.venue_id,
    line.provider,
    line.account_id,
    line.source_id,
    line.line_id,
    line.line_number,
    line.description,
    line.currency,
    line.amount_minor,
    {{ money('line.amount_minor', 'line.currency') }} as amount,
    line.quantity,
    {{ money('line.unit_amount_minor_decimal', 'line.currency') }} as unit_amount,
    line.discount_amount_minor,
    {{ money('line.discount_amount_minor', 'line.currency') }} as discount_amount,
    line.tax_amount_minor,
    {{ money('line.tax_amount_minor', 'line.currency') }} as tax_amount,
    line.price_id,
    line.product_id,
    line.subscription_id,
    line.is_proration,
    line.period_starts_at,
    line.period_ends_at,
    line.metadata,
    line.raw_id,
    line.raw_observed_at,
    line.raw_content_hash,
    line.deleted_at,
    line.deleted_at is not null as is_deleted
from invoice_lines as line
join {{ source('control', 'venues') }} as venue using (venue_id)
