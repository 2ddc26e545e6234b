-- A row is a day on which the mart and the sums of its payments and refunds, taken anew, disagree, or
-- on which an amount is unknown.
{{ config(meta={'dagster': {'ref': {'name': 'daily_revenue'}}}) }}

with payments as (
    select
        venue_id,
        business_date,
        currency,
        count(gross_amount) as payment_count,
        sum(gross_amount) as gross_amount,
        coalesce(sum(tax_amount), 0) as tax_amount,
        coalesce(sum(tip_amount), 0) as tip_amount,
        coalesce(sum(fee_amount), 0) as fee_amount
    from {{ scoped(ref('payments')) }} as payment
    where deleted_at is null
    group by venue_id, business_date, currency
),

refunds as (
    select
        venue_id,
        business_date,
        currency,
        count(amount) as refund_count,
        sum(amount) as refund_amount,
        coalesce(sum(fee_amount), 0) as fee_amount
    from {{ scoped(ref('refunds')) }} as refund
    where deleted_at is null and is_effective
    group by venue_id, business_date, currency
),

expected as (
    select
        venue_id,
        business_date,
        currency,
        coalesce(payment_count, 0) as payment_count,
        coalesce(refund_count, 0) as refund_count,
        coalesce(gross_amount, 0) as gross_amount,
        coalesce(refund_amount, 0) as refund_amount,
        coalesce(tax_amount, 0) as tax_amount,
        coalesce(tip_amount, 0) as tip_amount,
        coalesce(payments.fee_amount, 0) + coalesce(refunds.fee_amount, 0) as fee_amount
    from payments
    full join refunds using (venue_id, business_date, currency)
)

select
    venue_id,
    business_date,
    currency
from expected
full join {{ scoped(ref('daily_revenue')) }} as mart
    using (venue_id, business_date, currency)
where expected.payment_count is distinct from mart.payment_count
    or expected.refund_count is distinct from mart.refund_count
    or expected.gross_amount is distinct from mart.gross_amount
    or expected.refund_amount is distinct from mart.refund_amount
    or expected.tax_amount is distinct from mart.tax_amount
    or expected.tip_amount is distinct from mart.tip_amount
    or expected.fee_amount is distinct from mart.fee_amount
    or expected.gross_amount - expected.refund_amount - expected.fee_amount is distinct from mart.net_amount
