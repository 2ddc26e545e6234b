-- One row per merge field of a Mailchimp audience: a column that the venue defined.
select
    {{ raw_provenance() }},
    raw.id as merge_field_id,
    field.list_id,
    {{ integer('field.merge_id') }} as merge_id,
    field.tag,
    field.name,
    field.type as field_type,
    {{ boolean('field.required') }} as is_required,
    {{ boolean('field.public') }} as is_public,
    field.default_value,
    field.options
from {{ source('raw_mailchimp', 'merge_fields') }} as raw
cross join lateral jsonb_to_record(raw.payload) as field (
    options jsonb,
    list_id text,
    merge_id text,
    tag text,
    name text,
    type text,
    required text,
    public text,
    default_value text
)
