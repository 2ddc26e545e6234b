-- One row per thing that a recipient of a Mailchimp campaign did: opened, clicked, bounced.
select
    {{ raw_provenance() }},
    raw.id as email_activity_id,
    recipient.campaign_id,
    recipient.list_id,
    recipient.email_id as subscriber_hash,
    event.action,
    {{ timestamp('event.timestamp') }} as occurred_at,
    event.url,
    event.type as bounce_type,
    element.position as event_number
from {{ source('raw_mailchimp', 'email_activity') }} as raw
cross join lateral jsonb_to_record(raw.payload) as recipient (activity jsonb, campaign_id text, list_id text, email_id text)
cross join lateral {{ elements('recipient.activity') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as event (
    action text,
    timestamp text,
    url text,
    type text
)
