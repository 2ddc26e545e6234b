{% macro stripe__order_lines() -%}
select
    line.venue_id,
    'stripe' as provider,
    line.account_id,
    line.checkout_session_id as source_id,
    line.line_id,
    line.line_number,
    false as is_return,
    null as returned_line_id,
    line.description as name,
    null as variation_name,
    'item' as item_type,
    line.price_id,
    line.product_id,
    line.quantity,
    line.currency,
    line.unit_amount_minor_decimal,
    line.subtotal_amount_minor as gross_amount_minor,
    line.discount_amount_minor,
    line.tax_amount_minor,
    null::bigint as service_charge_amount_minor,
    line.total_amount_minor,
    null as note,
    null::jsonb as modifiers,
    line.metadata,
    {{ provenance('line') }}
from {{ scoped(ref('stg_stripe__checkout_lines')) }} as line
join {{ scoped(ref('stg_stripe__checkout_sessions')) }} as session
    using (venue_id, account_id, checkout_session_id)
where {{ stripe__is_order('session') }}
{%- endmacro %}
