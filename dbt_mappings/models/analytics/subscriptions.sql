-- One row per subscription of a customer, ended ones included.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with subscriptions as (
    ({{ stripe__subscriptions() }})
    union all
    ({{ square__subscriptions() }})
)

select
    subscription.venue_id,
    subscription.provider,
    subscription.account_id,
    subscription.source_id,
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
    subscription.recurring_amount_minor,
    {{ money('subscription.recurring_amount_minor', 'subscription.currency') }} as recurring_amount,
    subscription.billing_interval,
    subscription.billing_interval_count,
    subscription.item_count,
    subscription.latest_invoice_id,
    {{ mapped('subscription.description') }} as description,
    subscription.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    subscription.raw_id,
    subscription.raw_observed_at,
    subscription.raw_content_hash,
    subscription.deleted_at,
    subscription.deleted_at is not null as is_deleted
from subscriptions as subscription
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('subscription', {'stripe': 'subscriptions', 'square': 'subscriptions'}) }}
