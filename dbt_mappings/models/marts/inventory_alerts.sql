-- One row per product and place of which there is too little: below its alert, gone, or gone soon.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with sold as (
    select
        line.venue_id,
        line.provider,
        line.account_id,
        sale.location_id,
        line.price_id,
        sum(case when line.is_return then -line.quantity else line.quantity end) as quantity
    from {{ scoped(ref('order_lines')) }} as line
    join {{ scoped(ref('orders')) }} as sale using (venue_id, provider, account_id, source_id)
    where sale.occurred_at >= now() - interval '28 days' and not sale.is_deleted
        and sale.status not in ('canceled', 'draft')
    group by line.venue_id, line.provider, line.account_id, sale.location_id, line.price_id
),

levels as (
    select
        level.*,
        coalesce(sold.quantity, 0) as sold_in_28_days
    from {{ scoped(ref('inventory_levels')) }} as level
    left join sold
        on sold.venue_id = level.venue_id
        and sold.provider = level.provider
        and sold.account_id = level.account_id
        and sold.location_id = level.location_id
        and sold.price_id = level.price_id
    where level.state = 'in_stock' and not level.is_deleted
),

judged as (
    select
        levels.*,
        case when sold_in_28_days > 0 then round(greatest(quantity, 0) * 28 / sold_in_28_days, 1) end as days_left
    from levels
)

select
    venue_id,
    provider,
    account_id,
    source_id,
    location_id,
    location_name,
    product_id,
    product_name,
    price_id,
    variation_name,
    sku,
    case
        when quantity <= 0 then 'out_of_stock'
        when quantity <= alert_quantity then 'below_alert'
        else 'gone_soon'
    end as alert,
    quantity,
    alert_quantity,
    sold_in_28_days,
    days_left,
    counted_at
from judged
where (quantity <= 0 and (sold_in_28_days > 0 or alert_quantity is not null))
    or quantity <= alert_quantity
    or days_left < 7
