-- One row per group of interests that a Mailchimp audience offers.
select
    {{ raw_provenance() }},
    raw.id as interest_category_key,
    category.list_id,
    category.id as interest_category_id,
    category.title,
    category.type as display_type,
    {{ integer('category.display_order') }} as display_order
from {{ source('raw_mailchimp', 'interest_categories') }} as raw
cross join lateral jsonb_to_record(raw.payload) as category (
    list_id text,
    id text,
    title text,
    type text,
    display_order text
)
