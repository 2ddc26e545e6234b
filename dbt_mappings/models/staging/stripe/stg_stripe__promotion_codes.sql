-- One row per Stripe promotion code: a word that a customer types to use a coupon.
select
    {{ raw_provenance() }},
    raw.id as promotion_code_id,
    {{ instant('promotion.created') }} as created_at,
    {{ instant('promotion.expires_at') }} as expires_at,
    promotion.code,
    coalesce(
        {{ reference('promotion.coupon') }},
        {{ reference("promotion.promotion -> 'coupon'") }}
    ) as coupon_id,
    {{ reference('promotion.customer') }} as customer_id,
    {{ boolean('promotion.active') }} as is_active,
    {{ integer('promotion.max_redemptions') }} as max_redemptions,
    {{ integer('promotion.times_redeemed') }} as times_redeemed,
    upper(promotion.restrictions ->> 'minimum_amount_currency') as currency,
    {{ integer("promotion.restrictions ->> 'minimum_amount'") }} as minimum_amount_minor,
    promotion.livemode = 'true' as is_live,
    promotion.metadata
from {{ source('raw_stripe', 'promotion_codes') }} as raw
cross join lateral jsonb_to_record(raw.payload) as promotion (
    created text,
    expires_at text,
    code text,
    coupon jsonb,
    promotion jsonb,
    customer jsonb,
    active text,
    max_redemptions text,
    times_redeemed text,
    restrictions jsonb,
    livemode text,
    metadata jsonb
)
