{% macro square__subscriptions() -%}
{#- Square writes days, here their first instant in UTC; a plan's price is that of its last phase. -#}
select
    subscription.venue_id,
    'square' as provider,
    subscription.account_id,
    subscription.subscription_id as source_id,
    subscription.created_at,
    subscription.starts_on::timestamp at time zone 'UTC' as started_at,
    null::timestamptz as current_period_starts_at,
    subscription.charged_through_on::timestamp at time zone 'UTC' as current_period_ends_at,
    null::timestamptz as trial_starts_at,
    null::timestamptz as trial_ends_at,
    subscription.cancels_on::timestamp at time zone 'UTC' as cancels_at,
    case when subscription.status = 'CANCELED' then subscription.cancels_on::timestamp at time zone 'UTC' end
        as canceled_at,
    case when subscription.status = 'CANCELED' then subscription.cancels_on::timestamp at time zone 'UTC' end
        as ended_at,
    subscription.status = 'ACTIVE' and subscription.cancels_on is not null as cancels_at_period_end,
    case subscription.status
        when 'PENDING' then 'incomplete'
        when 'DEACTIVATED' then 'unpaid'
        when 'COMPLETED' then 'canceled'
        else lower(subscription.status)
    end as status,
    subscription.customer_id,
    coalesce(subscription.price_override_currency, plan.currency) as currency,
    coalesce(subscription.price_override_amount_minor, plan.price_minor) as recurring_amount_minor,
    case
        when plan.cadence in ('DAILY', 'THIRTY_DAYS', 'SIXTY_DAYS', 'NINETY_DAYS') then 'day'
        when plan.cadence in ('WEEKLY', 'EVERY_TWO_WEEKS') then 'week'
        when plan.cadence in ('ANNUAL', 'EVERY_TWO_YEARS') then 'year'
        when plan.cadence is not null then 'month'
    end as billing_interval,
    case plan.cadence
        when 'DAILY' then 1
        when 'WEEKLY' then 1
        when 'EVERY_TWO_WEEKS' then 2
        when 'THIRTY_DAYS' then 30
        when 'SIXTY_DAYS' then 60
        when 'NINETY_DAYS' then 90
        when 'MONTHLY' then 1
        when 'EVERY_TWO_MONTHS' then 2
        when 'QUARTERLY' then 3
        when 'EVERY_FOUR_MONTHS' then 4
        when 'EVERY_SIX_MONTHS' then 6
        when 'ANNUAL' then 1
        when 'EVERY_TWO_YEARS' then 2
    end::bigint as billing_interval_count,
    1::bigint as item_count,
    subscription.invoice_ids ->> 0 as latest_invoice_id,
    plan.name as description,
    null::jsonb as metadata,
    {{ provenance('subscription') }}
from {{ scoped(ref('stg_square__subscriptions')) }} as subscription
left join {{ scoped(ref('stg_square__subscription_plan_variations')) }} as plan
    using (venue_id, account_id, plan_variation_id)
{%- endmacro %}
