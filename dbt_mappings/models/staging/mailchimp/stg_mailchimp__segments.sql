-- One row per segment or tag of a Mailchimp audience.
select
    {{ raw_provenance() }},
    raw.id as segment_key,
    segment.list_id,
    {{ integer('segment.id') }} as segment_id,
    segment.name,
    segment.type as segment_type,
    {{ integer('segment.member_count') }} as member_count,
    {{ timestamp('segment.created_at') }} as created_at,
    {{ timestamp('segment.updated_at') }} as updated_at,
    segment.options
from {{ source('raw_mailchimp', 'segments') }} as raw
cross join lateral jsonb_to_record(raw.payload) as segment (
    options jsonb,
    list_id text,
    id text,
    name text,
    type text,
    member_count text,
    created_at text,
    updated_at text
)
