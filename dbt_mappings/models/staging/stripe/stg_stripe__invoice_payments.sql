-- One row per Stripe invoice and payment that paid it, or was to pay it, as far as the invoice names them.
select
    {{ raw_provenance() }},
    raw.id as invoice_id,
    {{ reference('paid_by.charge') }} as charge_id,
    {{ reference('paid_by.payment_intent') }} as payment_intent_id
from {{ source('raw_stripe', 'invoices') }} as raw
cross join lateral jsonb_to_record(raw.payload) as invoice (
    charge jsonb,
    payment_intent jsonb,
    payments jsonb
)
cross join lateral (
    select invoice.charge, invoice.payment_intent
    union all
    select element #> '{payment,charge}', element #> '{payment,payment_intent}'
    from {{ elements('invoice.payments', '$.data[*]') }} as element
) as paid_by (charge, payment_intent)
where coalesce({{ reference('paid_by.charge') }}, {{ reference('paid_by.payment_intent') }}) is not null
