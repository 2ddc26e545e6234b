-- One row per event of a Square loyalty account: points earned, spent or corrected.
select
    {{ raw_provenance() }},
    raw.id as loyalty_event_id,
    {{ timestamp('event.created_at') }} as created_at,
    event.type as event_type,
    event.loyalty_account_id,
    event.location_id,
    event.source as event_source,
    {{ integer("coalesce(
        event.accumulate_points, event.create_reward, event.adjust_points, event.accumulate_promotion_points, event.expire_points,
        event.delete_reward, event.other_event
    ) ->> 'points'") }} as points,
    coalesce(event.accumulate_points, event.redeem_reward, event.accumulate_promotion_points) ->> 'order_id' as order_id,
    coalesce(event.create_reward, event.redeem_reward, event.delete_reward) ->> 'reward_id' as reward_id
from {{ source('raw_square', 'loyalty_events') }} as raw
cross join lateral jsonb_to_record(raw.payload) as event (
    created_at text,
    type text,
    loyalty_account_id text,
    location_id text,
    source text,
    accumulate_points jsonb,
    create_reward jsonb,
    adjust_points jsonb,
    accumulate_promotion_points jsonb,
    expire_points jsonb,
    delete_reward jsonb,
    other_event jsonb,
    redeem_reward jsonb
)
