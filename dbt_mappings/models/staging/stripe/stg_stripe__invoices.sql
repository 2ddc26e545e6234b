-- One row per Stripe invoice, drafts and voided ones included.
select
    {{ raw_provenance(deleted='invoice.deleted') }},
    raw.id as invoice_id,
    {{ instant('coalesce(invoice.created, invoice.date)') }} as created_at,
    {{ instant("coalesce(invoice.status_transitions ->> 'finalized_at', invoice.finalized_at)") }} as finalized_at,
    {{ instant("invoice.status_transitions ->> 'paid_at'") }} as paid_at,
    {{ instant("invoice.status_transitions ->> 'voided_at'") }} as voided_at,
    {{ instant('invoice.due_date') }} as due_at,
    {{ instant('invoice.period_start') }} as period_starts_at,
    {{ instant('invoice.period_end') }} as period_ends_at,
    invoice.number as invoice_number,
    -- Early API versions have flags in place of a status.
    coalesce(
        invoice.status,
        case
            when invoice.paid = 'true' then 'paid'
            when invoice.forgiven = 'true' then 'uncollectible'
            when invoice.paid is not null then 'open'
        end
    ) as status,
    invoice.billing_reason,
    invoice.collection_method,
    upper(invoice.currency) as currency,
    {{ integer('invoice.subtotal') }} as subtotal_amount_minor,
    {{ sum_of_amounts('invoice.total_discount_amounts') }} as discount_amount_minor,
    coalesce(
        {{ integer('invoice.tax') }},
        {{ sum_of_amounts('invoice.total_taxes') }},
        {{ sum_of_amounts('invoice.total_tax_amounts') }},
        {{ integer('invoice.total') }} - {{ integer('invoice.total_excluding_tax') }}
    ) as tax_amount_minor,
    {{ integer('invoice.total') }} as total_amount_minor,
    {{ integer('invoice.amount_due') }} as due_amount_minor,
    {{ integer('invoice.amount_paid') }} as paid_amount_minor,
    {{ integer('invoice.amount_remaining') }} as remaining_amount_minor,
    {{ reference('invoice.customer') }} as customer_id,
    invoice.customer_email,
    coalesce(
        {{ reference('invoice.subscription') }},
        {{ reference("invoice.parent #> '{subscription_details,subscription}'") }}
    ) as subscription_id,
    {{ integer('invoice.attempt_count') }} as attempt_count,
    invoice.description,
    invoice.livemode = 'true' as is_live,
    invoice.metadata
from {{ source('raw_stripe', 'invoices') }} as raw
cross join lateral jsonb_to_record(raw.payload) as invoice (
    created text,
    date text,
    finalized_at text,
    status_transitions jsonb,
    due_date text,
    period_start text,
    period_end text,
    number text,
    status text,
    paid text,
    forgiven text,
    billing_reason text,
    collection_method text,
    currency text,
    subtotal text,
    total_discount_amounts jsonb,
    tax text,
    total_taxes jsonb,
    total_tax_amounts jsonb,
    total text,
    total_excluding_tax text,
    amount_due text,
    amount_paid text,
    amount_remaining text,
    customer jsonb,
    customer_email text,
    subscription jsonb,
    parent jsonb,
    attempt_count text,
    description text,
    livemode text,
    deleted text,
    metadata jsonb
)
