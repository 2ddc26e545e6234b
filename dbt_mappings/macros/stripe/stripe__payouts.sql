{% macro stripe__payouts() -%}
select
    venue_id,
    'stripe' as provider,
    account_id,
    payout_id as source_id,
    created_at as occurred_at,
    -- Stripe writes the bank's day as its midnight in UTC.
    (arrives_at at time zone 'UTC')::date as arrives_on,
    status,
    currency,
    amount_minor,
    method,
    is_automatic,
    failure_code,
    failure_message,
    balance_transaction_id,
    destination_id,
    description,
    metadata,
    {{ provenance('payout') }}
from {{ scoped(ref('stg_stripe__payouts')) }} as payout
{%- endmacro %}
