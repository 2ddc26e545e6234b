-- One row per variation of a Square subscription plan, with the price and rhythm of its last phase.
select
    {{ raw_provenance() }},
    raw.id as plan_variation_id,
    {{ timestamp('object.updated_at') }} as updated_at,
    object.subscription_plan_variation_data ->> 'name' as name,
    object.subscription_plan_variation_data ->> 'subscription_plan_id' as plan_id,
    object.subscription_plan_variation_data #>> '{phases,-1,cadence}' as cadence,
    upper(object.subscription_plan_variation_data #>> '{phases,-1,pricing,price_money,currency}') as currency,
    {{ integer("object.subscription_plan_variation_data #>> '{phases,-1,pricing,price_money,amount}'") }} as price_minor
from {{ source('raw_square', 'catalog') }} as raw
cross join lateral jsonb_to_record(raw.payload) as object (
    subscription_plan_variation_data jsonb,
    updated_at text
)
where raw.payload ->> 'type' = 'SUBSCRIPTION_PLAN_VARIATION'
