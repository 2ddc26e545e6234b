-- One row per Stripe payment intent: an intended payment, through all its attempts.
select
    {{ raw_provenance() }},
    raw.id as payment_intent_id,
    {{ instant('intent.created') }} as created_at,
    {{ instant('intent.canceled_at') }} as canceled_at,
    intent.status,
    upper(intent.currency) as currency,
    {{ integer('intent.amount') }} as amount_minor,
    {{ integer('intent.amount_capturable') }} as capturable_amount_minor,
    {{ integer('intent.amount_received') }} as received_amount_minor,
    {{ integer("intent.amount_details #>> '{tip,amount}'") }} as tip_amount_minor,
    {{ integer("intent.amount_details #>> '{tax,total_tax_amount}'") }} as tax_amount_minor,
    {{ reference('intent.customer') }} as customer_id,
    {{ reference('intent.invoice') }} as invoice_id,
    coalesce(
        {{ reference('intent.latest_charge') }},
        intent.charges #>> '{data,0,id}'
    ) as latest_charge_id,
    intent.capture_method,
    intent.cancellation_reason,
    intent.description,
    intent.livemode = 'true' as is_live,
    intent.metadata
from {{ source('raw_stripe', 'payment_intents') }} as raw
cross join lateral jsonb_to_record(raw.payload) as intent (
    created text,
    canceled_at text,
    status text,
    currency text,
    amount text,
    amount_capturable text,
    amount_received text,
    amount_details jsonb,
    customer jsonb,
    invoice jsonb,
    latest_charge jsonb,
    charges jsonb,
    capture_method text,
    cancellation_reason text,
    description text,
    livemode text,
    metadata jsonb
)
