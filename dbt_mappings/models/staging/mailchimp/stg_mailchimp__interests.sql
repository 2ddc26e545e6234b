-- One row per interest within a group of a Mailchimp audience.
select
    {{ raw_provenance() }},
    raw.id as interest_key,
    interest.list_id,
    interest.category_id as interest_category_id,
    interest.id as interest_id,
    interest.name,
    {{ integer('interest.subscriber_count') }} as subscriber_count,
    {{ integer('interest.display_order') }} as display_order
from {{ source('raw_mailchimp', 'interests') }} as raw
cross join lateral jsonb_to_record(raw.payload) as interest (
    list_id text,
    category_id text,
    id text,
    name text,
    subscriber_count text,
    display_order text
)
