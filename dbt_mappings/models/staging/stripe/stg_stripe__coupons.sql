-- One row per Stripe coupon, deleted ones included.
select
    {{ raw_provenance(deleted='coupon.deleted') }},
    raw.id as coupon_id,
    {{ instant('coupon.created') }} as created_at,
    {{ instant('coupon.redeem_by') }} as redeem_by,
    coupon.name,
    upper(coupon.currency) as currency,
    {{ integer('coupon.amount_off') }} as amount_off_minor,
    {{ decimal('coupon.percent_off') }} as percent_off,
    coupon.duration,
    {{ integer('coupon.duration_in_months') }} as duration_in_months,
    {{ integer('coupon.max_redemptions') }} as max_redemptions,
    {{ integer('coupon.times_redeemed') }} as times_redeemed,
    {{ boolean('coupon.valid') }} as is_valid,
    coupon.livemode = 'true' as is_live,
    coupon.metadata
from {{ source('raw_stripe', 'coupons') }} as raw
cross join lateral jsonb_to_record(raw.payload) as coupon (
    created text,
    redeem_by text,
    name text,
    currency text,
    amount_off text,
    percent_off text,
    duration text,
    duration_in_months text,
    max_redemptions text,
    times_redeemed text,
    valid text,
    livemode text,
    deleted text,
    metadata jsonb
)
