{% macro quickbooks__prices() -%}
{#-
    An item has one price, and is known by the same id. What is not sold by itself has none: a bundle,
    whose items are, and what is only bought.
-#}
select
    item.venue_id,
    'quickbooks' as provider,
    item.account_id,
    item.item_id as source_id,
    item.created_at,
    item.item_id as product_id,
    item.name,
    item.is_active and item.deleted_at is null as is_active,
    item.currency,
    {{ whole('amount.minor_decimal') }} as unit_amount_minor,
    amount.minor_decimal as unit_amount_minor_decimal,
    null as billing_interval,
    null::bigint as billing_interval_count,
    null::jsonb as metadata,
    {{ provenance('item') }}
from ({{ quickbooks__priced_items() }}) as item
cross join lateral (
    values ({{ in_minor_units('item.unit_price', 'item.currency') }})
) as amount (minor_decimal)
where item.unit_price is not null and item.income_account_id is not null
{%- endmacro %}
