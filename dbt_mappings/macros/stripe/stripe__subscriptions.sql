{% macro stripe__subscriptions() -%}
with items as (
    select
        venue_id,
        account_id,
        subscription_id,
        count(*) as item_count,
        -- Neither a metered nor a tiered price says what a period will cost, and periods do not mix.
        case
            when bool_and(coalesce(usage_type = 'licensed' and unit_amount_minor_decimal is not null, false))
                and count(distinct (currency, billing_interval, billing_interval_count)) = 1
                then round(sum(unit_amount_minor_decimal * coalesce(quantity, 1)))::bigint
        end as recurring_amount_minor,
        min(billing_interval) as billing_interval,
        min(billing_interval_count) as billing_interval_count
    from {{ scoped(ref('stg_stripe__subscription_items')) }} as item
    group by venue_id, account_id, subscription_id
)

select
    subscription.venue_id,
    'stripe' as provider,
    subscription.account_id,
    subscription.subscription_id as source_id,
    subscription.created_at,
    subscription.started_at,
    subscription.current_period_starts_at,
    subscription.current_period_ends_at,
    subscription.trial_starts_at,
    subscription.trial_ends_at,
    subscription.cancels_at,
    subscription.canceled_at,
    subscription.ended_at,
    subscription.cancels_at_period_end,
    subscription.status,
    subscription.customer_id,
    subscription.currency,
    items.recurring_amount_minor,
    items.billing_interval,
    items.billing_interval_count,
    coalesce(items.item_count, 0) as item_count,
    subscription.latest_invoice_id,
    subscription.description,
    subscription.metadata,
    {{ provenance('subscription') }}
from {{ scoped(ref('stg_stripe__subscriptions')) }} as subscription
left join items using (venue_id, account_id, subscription_id)
{%- endmacro %}
