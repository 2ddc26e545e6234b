-- One row per recipient of a Mailchimp campaign, with what they did.
select
    {{ raw_provenance() }},
    raw.id as email_activity_id,
    recipient.campaign_id,
    recipient.list_id,
    recipient.email_id as subscriber_hash,
    recipient.email_address as email,
    recipient.activity
from {{ source('raw_mailchimp', 'email_activity') }} as raw
cross join lateral jsonb_to_record(raw.payload) as recipient (
    activity jsonb,
    campaign_id text,
    list_id text,
    email_id text,
    email_address text
)
