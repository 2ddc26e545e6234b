-- One row per tag of a Mailchimp audience.
select
    {{ raw_provenance() }},
    raw.id as tag_key,
    tag.list_id,
    {{ integer('tag.id') }} as tag_id,
    tag.name
from {{ source('raw_mailchimp', 'tags') }} as raw
cross join lateral jsonb_to_record(raw.payload) as tag (
    list_id text,
    id text,
    name text
)
