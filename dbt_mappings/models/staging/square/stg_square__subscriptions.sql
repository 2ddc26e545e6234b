-- One row per Square subscription, ended ones included.
select
    {{ raw_provenance() }},
    raw.id as subscription_id,
    {{ timestamp('subscription.created_at') }} as created_at,
    subscription.status,
    {{ integer('subscription.version') }} as version,
    subscription.location_id,
    subscription.plan_variation_id,
    subscription.customer_id,
    {{ calendar_date('subscription.start_date') }} as starts_on,
    {{ calendar_date('subscription.canceled_date') }} as cancels_on,
    {{ calendar_date('subscription.charged_through_date') }} as charged_through_on,
    upper(subscription.price_override_money ->> 'currency') as price_override_currency,
    {{ integer("subscription.price_override_money ->> 'amount'") }} as price_override_amount_minor,
    subscription.invoice_ids,
    subscription.actions,
    subscription.source ->> 'name' as source_name,
    subscription.timezone
from {{ source('raw_square', 'subscriptions') }} as raw
cross join lateral jsonb_to_record(raw.payload) as subscription (
    price_override_money jsonb,
    invoice_ids jsonb,
    actions jsonb,
    source jsonb,
    created_at text,
    status text,
    version text,
    location_id text,
    plan_variation_id text,
    customer_id text,
    start_date text,
    canceled_date text,
    charged_through_date text,
    timezone text
)
