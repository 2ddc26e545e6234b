-- One row per Stripe credit note: an amount taken off a finalized invoice.
select
    {{ raw_provenance() }},
    raw.id as credit_note_id,
    {{ instant('note.created') }} as created_at,
    {{ instant('note.effective_at') }} as effective_at,
    {{ instant('note.voided_at') }} as voided_at,
    note.number as credit_note_number,
    note.status,
    note.type,
    note.reason,
    upper(note.currency) as currency,
    {{ integer('note.amount') }} as amount_minor,
    {{ integer('note.subtotal') }} as subtotal_amount_minor,
    {{ integer('note.discount_amount') }} as discount_amount_minor,
    coalesce(
        {{ sum_of_amounts('note.total_taxes') }},
        {{ sum_of_amounts('note.tax_amounts') }},
        {{ integer('note.total') }} - {{ integer('note.total_excluding_tax') }}
    ) as tax_amount_minor,
    {{ integer('note.total') }} as total_amount_minor,
    {{ integer('note.out_of_band_amount') }} as out_of_band_amount_minor,
    {{ reference('note.customer') }} as customer_id,
    {{ reference('note.invoice') }} as invoice_id,
    coalesce(
        {{ reference('note.refund') }},
        {{ reference("note.refunds #> '{0,refund}'") }}
    ) as first_refund_id,
    note.memo,
    note.livemode = 'true' as is_live,
    note.metadata
from {{ source('raw_stripe', 'credit_notes') }} as raw
cross join lateral jsonb_to_record(raw.payload) as note (
    created text,
    effective_at text,
    voided_at text,
    number text,
    status text,
    type text,
    reason text,
    currency text,
    amount text,
    subtotal text,
    discount_amount text,
    total_taxes jsonb,
    tax_amounts jsonb,
    total text,
    total_excluding_tax text,
    out_of_band_amount text,
    customer jsonb,
    invoice jsonb,
    refund jsonb,
    refunds jsonb,
    memo text,
    livemode text,
    metadata jsonb
)
