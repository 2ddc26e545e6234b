{% macro quickbooks__inventory_levels() -%}
{#- Only items whose quantity QuickBooks tracks. -#}
select
    item.venue_id,
    'quickbooks' as provider,
    item.account_id,
    item.item_id as source_id,
    item.updated_at as counted_at,
    null as location_id,
    null as location_name,
    'in_stock' as state,
    item.item_id as product_id,
    item.name as product_name,
    item.item_id as price_id,
    null as variation_name,
    item.sku,
    item.quantity_on_hand as quantity,
    item.reorder_quantity as alert_quantity,
    item.currency,
    {{ in_minor_units('item.unit_price', 'item.currency') }} as unit_amount_minor_decimal,
    {{ in_minor_units('item.purchase_cost', 'item.currency') }} as unit_cost_minor_decimal,
    {{ provenance('item') }}
from ({{ quickbooks__priced_items() }}) as item
where item.tracks_quantity
{%- endmacro %}


{% macro quickbooks__priced_items() -%}
    {#- An item says no currency: it is the company's own, which its income account is always in. -#}
    select
        item.*,
        account.currency
    from {{ scoped(ref('stg_quickbooks__items')) }} as item
    left join {{ scoped(ref('stg_quickbooks__accounts')) }} as account
        on account.venue_id = item.venue_id
        and account.account_id = item.account_id
        and account.ledger_account_id = item.income_account_id
{%- endmacro %}
