-- One row per contact that unsubscribed because of a Mailchimp campaign.
select
    {{ raw_provenance() }},
    raw.id as unsubscribe_id,
    unsubscribe.campaign_id,
    unsubscribe.list_id,
    unsubscribe.email_id as subscriber_hash,
    unsubscribe.email_address as email,
    {{ timestamp('unsubscribe.timestamp') }} as occurred_at,
    unsubscribe.reason,
    {{ boolean('unsubscribe.vip') }} as is_vip
from {{ source('raw_mailchimp', 'unsubscribes') }} as raw
cross join lateral jsonb_to_record(raw.payload) as unsubscribe (
    campaign_id text,
    list_id text,
    email_id text,
    email_address text,
    timestamp text,
    reason text,
    vip text
)
