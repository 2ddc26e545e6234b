-- One row per Stripe subscription, ended ones included.
select
    {{ raw_provenance() }},
    raw.id as subscription_id,
    {{ instant('subscription.created') }} as created_at,
    {{ instant('coalesce(subscription.start_date, subscription.start, subscription.created)') }} as started_at,
    -- The billing period stood on the subscription, and stands on its items now.
    coalesce({{ instant('subscription.current_period_start') }}, item.current_period_starts_at) as current_period_starts_at,
    coalesce({{ instant('subscription.current_period_end') }}, item.current_period_ends_at) as current_period_ends_at,
    {{ instant('subscription.trial_start') }} as trial_starts_at,
    {{ instant('subscription.trial_end') }} as trial_ends_at,
    {{ instant('subscription.cancel_at') }} as cancels_at,
    {{ instant('subscription.canceled_at') }} as canceled_at,
    {{ instant('subscription.ended_at') }} as ended_at,
    {{ boolean('subscription.cancel_at_period_end') }} as cancels_at_period_end,
    subscription.status,
    subscription.collection_method,
    coalesce(upper(subscription.currency), item.currency) as currency,
    {{ reference('subscription.customer') }} as customer_id,
    {{ reference('subscription.latest_invoice') }} as latest_invoice_id,
    subscription.description,
    subscription.livemode = 'true' as is_live,
    subscription.metadata
from {{ source('raw_stripe', 'subscriptions') }} as raw
cross join lateral jsonb_to_record(raw.payload) as subscription (
    created text,
    start text,
    start_date text,
    current_period_start text,
    current_period_end text,
    trial_start text,
    trial_end text,
    cancel_at text,
    canceled_at text,
    ended_at text,
    cancel_at_period_end text,
    status text,
    collection_method text,
    currency text,
    customer jsonb,
    latest_invoice jsonb,
    items jsonb,
    description text,
    livemode text,
    metadata jsonb
)
cross join lateral (
    select
        min({{ instant("element ->> 'current_period_start'") }}) as current_period_starts_at,
        max({{ instant("element ->> 'current_period_end'") }}) as current_period_ends_at,
        upper(min(coalesce(element #>> '{price,currency}', element #>> '{plan,currency}'))) as currency
    from {{ elements('subscription.items', '$.data[*]') }} as element
) as item
