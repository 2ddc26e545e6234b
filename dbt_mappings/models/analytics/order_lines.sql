-- One row per line of an order, sold or given back; source_id is the order's.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id', 'line_id']}]) }}

with order_lines as (
    ({{ stripe__order_lines() }})
    union all
    ({{ square__order_lines() }})
)

select
    line.venue_id,
    line.provider,
    line.account_id,
    line.source_id,
    line.line_id,
    line.line_number,
    line.is_return,
    line.returned_line_id,
    line.name,
    line.variation_name,
    line.item_type,
    line.price_id,
    line.product_id,
    line.quantity,
    line.currency,
    {{ money('line.unit_amount_minor_decimal', 'line.currency') }} as unit_amount,
    line.gross_amount_minor,
    {{ money('line.gross_amount_minor', 'line.currency') }} as gross_amount,
    line.discount_amount_minor,
    {{ money('line.discount_amount_minor', 'line.currency') }} as discount_amount,
    line.tax_amount_minor,
    {{ money('line.tax_amount_minor', 'line.currency') }} as tax_amount,
    line.service_charge_amount_minor,
    {{ money('line.service_charge_amount_minor', 'line.currency') }} as service_charge_amount,
    line.total_amount_minor,
    {{ money('line.total_amount_minor', 'line.currency') }} as total_amount,
    line.note,
    line.modifiers,
    line.metadata,
    line.raw_id,
    line.raw_observed_at,
    line.raw_content_hash,
    line.deleted_at,
    line.deleted_at is not null as is_deleted
from order_lines as line
join {{ source('control', 'venues') }} as venue using (venue_id)
