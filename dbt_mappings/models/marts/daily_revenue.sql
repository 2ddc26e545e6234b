-- One row per venue, local business day and currency: what its payments and refunds of that day moved.
{{ config(indexes=[{'columns': ['venue_id', 'business_date', 'currency'], 'unique': true}]) }}

with movements as (
    select
        venue_id,
        business_date,
        currency,
        gross_amount_minor,
        0 as refund_amount_minor,
        tax_amount_minor,
        tip_amount_minor,
        fee_amount_minor,
        1 as payment_count,
        0 as refund_count
    from {{ scoped(ref('payments')) }} as payment
    where not is_deleted

    union all

    select
        venue_id,
        business_date,
        currency,
        0 as gross_amount_minor,
        amount_minor as refund_amount_minor,
        null as tax_amount_minor,
        null as tip_amount_minor,
        fee_amount_minor,
        0 as payment_count,
        1 as refund_count
    from {{ scoped(ref('refunds')) }} as refund
    where is_effective and not is_deleted
),

days as (
    select
        venue_id,
        business_date,
        currency,
        coalesce(sum(gross_amount_minor), 0)::bigint as gross_amount_minor,
        coalesce(sum(refund_amount_minor), 0)::bigint as refund_amount_minor,
        coalesce(sum(tax_amount_minor), 0)::bigint as tax_amount_minor,
        coalesce(sum(tip_amount_minor), 0)::bigint as tip_amount_minor,
        coalesce(sum(fee_amount_minor), 0)::bigint as fee_amount_minor,
        sum(payment_count)::bigint as payment_count,
        sum(refund_count)::bigint as refund_count
    from movements
    group by venue_id, business_date, currency
)

select
    venue_id,
    business_date,
    currency,
    gross_amount_minor,
    {{ money('gross_amount_minor') }} as gross_amount,
    refund_amount_minor,
    {{ money('refund_amount_minor') }} as refund_amount,
    tax_amount_minor,
    {{ money('tax_amount_minor') }} as tax_amount,
    tip_amount_minor,
    {{ money('tip_amount_minor') }} as tip_amount,
    fee_amount_minor,
    {{ money('fee_amount_minor') }} as fee_amount,
    gross_amount_minor - refund_amount_minor - fee_amount_minor as net_amount_minor,
    {{ money('(gross_amount_minor - refund_amount_minor - fee_amount_minor)') }} as net_amount,
    payment_count,
    refund_count
from days
