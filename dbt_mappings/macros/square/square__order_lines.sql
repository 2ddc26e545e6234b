{% macro square__order_lines() -%}
{#- What comes back takes off. -#}
select
    line.venue_id,
    'square' as provider,
    line.account_id,
    line.order_id as source_id,
    line.line_id,
    line.line_number,
    line.is_return,
    line.source_line_id as returned_line_id,
    line.name,
    nullif(line.variation_name, '') as variation_name,
    lower(line.item_type) as item_type,
    line.item_variation_id as price_id,
    variation.item_id as product_id,
    line.quantity,
    line.currency,
    line.unit_amount_minor::numeric as unit_amount_minor_decimal,
    line.gross_amount_minor,
    line.discount_amount_minor,
    line.tax_amount_minor,
    line.service_charge_amount_minor,
    line.total_amount_minor,
    line.note,
    line.modifiers,
    line.metadata,
    {{ provenance('line') }}
from (
    select
        venue_id, account_id, order_id, coalesce(line_id, line_number::text) as line_id, line_number,
        false as is_return, null as source_line_id, name, variation_name, item_type, item_variation_id,
        quantity, currency, unit_amount_minor, gross_amount_minor, discount_amount_minor,
        tax_amount_minor, service_charge_amount_minor, total_amount_minor, note, modifiers, metadata,
        {{ provenance('sold') }}
    from {{ scoped(ref('stg_square__order_lines')) }} as sold

    union all

    select
        venue_id, account_id, order_id, coalesce(return_line_id, 'return ' || line_number) as line_id, line_number,
        true as is_return, source_line_id, name, variation_name, item_type, item_variation_id,
        -quantity, currency, unit_amount_minor, -gross_return_amount_minor, -discount_amount_minor,
        -tax_amount_minor, -service_charge_amount_minor, -total_amount_minor, note, modifiers, null as metadata,
        {{ provenance('returned') }}
    from {{ scoped(ref('stg_square__order_returns')) }} as returned
) as line
left join {{ scoped(ref('stg_square__item_variations')) }} as variation
    using (venue_id, account_id, item_variation_id)
{%- endmacro %}
