-- One row per Stripe charge: an attempt to take money, whatever became of it.
select
    {{ raw_provenance() }},
    raw.id as charge_id,
    {{ instant('charge.created') }} as created_at,
    -- Charges read by early API versions say 'paid', or have no status at all.
    case
        when charge.status = 'paid' then 'succeeded'
        when charge.status is not null then charge.status
        when charge.paid = 'true' then 'succeeded'
        else 'failed'
    end as status,
    {{ boolean('charge.captured') }} as is_captured,
    upper(charge.currency) as currency,
    {{ integer('charge.amount') }} as amount_minor,
    coalesce(
        {{ integer('charge.amount_captured') }},
        case when charge.captured = 'true' then {{ integer('charge.amount') }} else 0 end
    ) as captured_amount_minor,
    {{ integer('charge.amount_refunded') }} as refunded_amount_minor,
    {{ integer('charge.application_fee_amount') }} as application_fee_amount_minor,
    {{ reference('charge.balance_transaction') }} as balance_transaction_id,
    {{ reference('charge.customer') }} as customer_id,
    {{ reference('charge.payment_intent') }} as payment_intent_id,
    {{ reference('charge.invoice') }} as invoice_id,
    coalesce(
        charge.disputed = 'true',
        jsonb_typeof(charge.dispute) = 'string',
        false
    ) as is_disputed,
    coalesce(charge.payment_method_details ->> 'type', charge.source ->> 'object') as payment_method_type,
    coalesce(
        charge.payment_method_details #>> '{card,brand}',
        charge.payment_method_details #>> '{card_present,brand}',
        lower(charge.source ->> 'brand')
    ) as card_brand,
    coalesce(
        charge.payment_method_details #>> '{card,last4}',
        charge.payment_method_details #>> '{card_present,last4}',
        charge.source ->> 'last4'
    ) as card_last4,
    charge.description,
    coalesce(charge.receipt_email, charge.billing_details ->> 'email') as email,
    charge.failure_code,
    charge.failure_message,
    charge.livemode = 'true' as is_live,
    charge.metadata
from {{ source('raw_stripe', 'charges') }} as raw
cross join lateral jsonb_to_record(raw.payload) as charge (
    created text,
    status text,
    paid text,
    captured text,
    currency text,
    amount text,
    amount_captured text,
    amount_refunded text,
    application_fee_amount text,
    balance_transaction jsonb,
    customer jsonb,
    payment_intent jsonb,
    invoice jsonb,
    disputed text,
    dispute jsonb,
    payment_method_details jsonb,
    source jsonb,
    description text,
    receipt_email text,
    billing_details jsonb,
    failure_code text,
    failure_message text,
    livemode text,
    metadata jsonb
)
