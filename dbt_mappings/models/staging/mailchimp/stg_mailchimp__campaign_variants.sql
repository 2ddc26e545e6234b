-- One row per combination that a Mailchimp A/B campaign tries.
select
    {{ raw_provenance() }},
    raw.id as campaign_id,
    variant.id as variant_id,
    {{ integer('variant.subject_line') }} as subject_number,
    {{ integer('variant.send_time') }} as send_time_number,
    {{ integer('variant.from_name') }} as from_name_number,
    {{ integer('variant.reply_to') }} as reply_to_number,
    {{ integer('variant.content_description') }} as content_number,
    {{ integer('variant.recipients') }} as recipient_count,
    campaign.variate_settings ->> 'winning_combination_id' = variant.id as is_winner
from {{ source('raw_mailchimp', 'campaigns') }} as raw
cross join lateral jsonb_to_record(raw.payload) as campaign (variate_settings jsonb)
cross join lateral {{ elements('campaign.variate_settings', '$.combinations[*]') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as variant (
    id text,
    subject_line text,
    send_time text,
    from_name text,
    reply_to text,
    content_description text,
    recipients text
)
